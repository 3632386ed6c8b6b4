"""Instance: one question in the pivot and in a language, its options, its alignment, and the same in other languages."""

# pyright: reportArgumentType=false, reportGeneralTypeIssues=false

import pandas as pd
import streamlit as st

from crossalign import instance_record
from crossalign.figures import cosines
from crossalign.figures import instance as figures
from crossalign.figures.layers import Depth
from crossalign.similarity import OptionCosines
from crossalign.ui import components, controls, data, instance_list, instances, reading, selection, sharing

st.title("Instance")
run = selection.choose_run()
components.run_header(run)
chosen = selection.choose(run, "language", "one layer")
code, name = chosen.language, run.name(chosen.language)
points = instances.instance_points(run, chosen, code)
asked = instance_list.choose_filter(run, points, code)
kept = instances.rows_matching(run, points, asked, code)
row = instance_list.step(points, kept)
point = points.iloc[row]
sides = instances.sides_of(run, code, point["instance_id"])
links = st.container(horizontal=True)

for column, side in zip(st.columns(2), sides, strict=False):
    with column:
        role = "pivot" if side.language == run.spec.pivot else "language"
        st.subheader(f"{components.plain(side.name)} ({role}) {reading.VERDICTS[side.correct]}")
        reading.show_text(side.text, side)
        if side.prompt:
            with st.expander("Scored prompt"):
                reading.show_text(side.prompt, side)
if any(side.options for side in sides):
    reading.show_options(sides)
elif not any(side.text or side.prompt for side in sides):
    st.info("The texts of this instance were not imported: only what was decided about it is known.")
st.caption(components.plain(" · ".join(instance_list.facts(point, sides[-1].tags))))

st.subheader("Alignment")
best = data.layer_of(run, chosen, code)
layer = controls.choose_number("Layer shown", 0, run.n_layers, "at", default=best, follow=True, help="0 = embeddings")
similarity = instances.similarity_of(run, chosen, code, row)
metric = chosen.metric if chosen.metric in cosines.COMPARED else "dali"
pair = st.grid(2 if similarity is not None and metric != "dali_s" else 1, min_column_width=360)
if similarity is not None:
    with pair.cell():
        at_layer = OptionCosines(*(block[layer].astype(float) for block in similarity))
        table = instance_record.cosine_table(at_layer._asdict())
        components.show(cosines.similarity(at_layer, metric, int(point["gold"])), table, "cosines", run)
        st.caption(f"Layer {layer}. The verdict is that of {selection.metric_label(metric)}.")
with pair.cell():
    if instances.has_margins(run, chosen, code):
        margins = instances.margins_of(run, code, chosen.pooling)
        frame = pd.DataFrame({"layer": range(run.n_layers + 1), "margin": margins[chosen.metric][:, row]})
        everyone = instances.margins_by_layer(run, chosen, code)
        drawn = figures.margin_by_layer(frame, Depth(run.n_layers), everyone=everyone, layer=layer)
    else:
        frame = instance_record.decision_table(instances.decisions_of(run, code, chosen.pooling), row)
        labelled = frame.assign(metric=frame["metric"].map(selection.metric_label))
        drawn = figures.aligned_by_layer(labelled, Depth(run.n_layers), layer=layer)
    components.show(drawn, frame, "margin-by-layer", run)
    if similarity is None:
        st.caption("This run keeps no cosines between the options of an instance.")

st.subheader("The same question in all languages")
others = instance_record.elsewhere(instances.all_instance_points(run, chosen), point["instance_id"], run.names)
value = "margin" if others["margin"].notna().any() else "layers_aligned"
label = {"margin": "Alignment margin (cosine)", "layers_aligned": "Share of aligned layers"}[value]
drawn = figures.at_a_glance(others, current=code, value=value, label=label)
components.show(drawn, others, "languages", run, on_click=selection.go_to_language)

with links:
    sharing.copy_link()
    sharing.json_file(lambda: instances.record_of(run, chosen, code, row), "instance")
components.provenance(run)
