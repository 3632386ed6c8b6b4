"""Translation: does alignment go with translation quality, over languages and over sentences?"""

from dataclasses import replace

import streamlit as st

from crossalign import relations
from crossalign.figures import association
from crossalign.figures import correlation as over_layers
from crossalign.figures import languages as figures
from crossalign.translation import relations as library
from crossalign.ui import address, components, controls, sentences, translation_parts, translations
from crossalign.ui.data import RULES
from crossalign.ui.estimates import show_estimates
from crossalign.ui.selection import choose_language, go_to_language

st.title("Translation")
run = translations.choose_run()
translations.header(run)
view = translations.choose_view(run, "layer", "filters")
quality = translations.quality_of(run, view)
measure = view.measure

st.subheader("Quality and alignment over languages")
if run.alignment is None:
    translations.tell_alignment_is_missing(run)
    components.show(figures.strip(quality, [measure]), quality, "quality", run, on_click=go_to_language)
else:
    with st.container(horizontal=True):
        ranks = controls.choose_one("Scale", ("values", "ranks"), "scale") == "ranks"
        colour = controls.choose_one("Colour by", tuple(translation_parts.COLOURS), "colour")
    points, pair = translations.language_points(run, view), relations.Pair("rate", view.score, "")
    estimates = translation_parts.coefficients(run, view)
    rate = replace(figures.RATE, label=f"MEXA, {RULES[view.selection.rule]}")
    drawing = figures.scatter(
        points, rate, measure, colour=translation_parts.COLOURS[colour], ranks=ranks,
        fit=relations.fitted_line(points, pair, ranks), note=translation_parts.in_words(estimates, ranks),
    )  # fmt: skip
    components.show(drawing, points, "quality", run, on_click=go_to_language)
    show_estimates(estimates, "r", "value", "coefficients", run)
    with st.expander("At each layer, and every score in both directions"):
        coefficient = "spearman" if ranks else "pearson"
        layers = translation_parts.by_layer(run, view, coefficient)
        drawing = over_layers.correlation_by_layer(
            layers.table,
            best=layers.best,
            threshold=layers.threshold,
            label=f"{coefficient.title()} r with {view.label}",
        )
        components.show(drawing, layers.table, "correlation-by-layer", run)
        st.caption(relations.best_layer_in_words(layers))
        show_estimates(
            translation_parts.every_score(run, view, coefficient), "r", coefficient.title(), "every-score", run
        )

st.subheader("Aligned and not aligned sentences")
with st.container(horizontal=True, vertical_alignment="bottom"):
    language, effect = (
        choose_language(run, translations.languages_offered(run, view)),
        translation_parts.choose_effect(run),
    )
name, points = run.name(language), sentences.points_of(run, view, language)
if effect:
    found = sentences.effects_of(run, view, effect)
    st.caption(components.plain(library.EFFECTS[effect].about))
    sentences.show_summary(found, view, effect, language, name)
    pair = st.grid(2, min_column_width=360)
    with pair.cell():
        drawn = association.forest(
            found.languages, library.EFFECTS[effect].label, pooled=translation_parts.pooled(found)
        )
        components.show(drawn, found.languages, "forest", run, on_click=go_to_language)
    with pair.cell():
        drawn = association.aligned_versus_not(found.means, view.label, ends=measure.ends)
        components.show(drawn, found.means, "means", run, on_click=go_to_language)
    translation_parts.show_along(run, view, language, measure)

st.subheader("What is wrong with the outputs")
translation_parts.show_faults(run, quality)
st.subheader("Quality and task accuracy")
translation_parts.show_accuracy(run, quality, measure)

st.subheader(f"Sentences of {components.plain(name)}")
asked = sentences.choose_filter(points, view)
kept = sentences.rows_matching(run, view, points, asked, language)
picked = sentences.pick_sentence(run, view, points, kept, language)
if picked is not None:
    address.remember(sentence=picked)
    st.switch_page("pages/views/sentence.py")
components.provenance(run)
