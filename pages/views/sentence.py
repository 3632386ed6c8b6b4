"""Sentence: a translation beside its source and reference, its scores, its alignment, and the other languages."""

import streamlit as st

from crossalign.figures import instance as figures
from crossalign.figures.layers import Depth
from crossalign.ui import components, sentence, sentences, sharing, translations
from crossalign.ui.selection import choose_language, go_to_language

st.title("Sentence")
run = translations.choose_run()
translations.header(run)
view = translations.choose_view(run, "one layer")
language = choose_language(run, translations.languages_offered(run, view))
points = sentences.points_of(run, view, language)
asked = sentences.choose_filter(points, view)
kept = sentences.rows_matching(run, view, points, asked, language)
row = sentence.step(points, kept, view)
point = points.iloc[row]
links = st.container(horizontal=True)

st.subheader("Translation")
st.markdown(components.plain(" · ".join(sentence.facts(point, view))))
sentence.show_texts(run, view, language, sentences.texts_of(run, view, language).iloc[row])

st.subheader("Alignment")
found = sentences.decided_of(run, view, language)
frame, everyone = sentence.margins(found, point["instance_id"])
if frame.empty:
    st.info(sentence.without_margins(found), title="No margins are known")
else:
    shown = translations.layers_of(run, view).get(language, 0)
    drawn = figures.margin_by_layer(frame, Depth(run.n_layers), everyone=everyone, layer=shown, noun="sentence")
    components.show(drawn, frame, "margin-by-layer", run)

st.subheader("The same sentence in all languages")
others = sentence.elsewhere(run, view, point["instance_id"])
drawn = sentence.glance(others, view, language)
components.show(drawn, others, "languages", run, on_click=go_to_language)

with links:
    sharing.copy_link()
    sharing.json_file(lambda: sentence.record(run, view, language, row), "sentence")
components.provenance(run)
