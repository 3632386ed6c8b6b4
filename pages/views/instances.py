"""Instances: whether alignment goes with being right, and the instances themselves."""

# pyright: reportArgumentType=false, reportGeneralTypeIssues=false

import pandas as pd
import streamlit as st

from crossalign import effects as library
from crossalign import instance_search
from crossalign.figures import instances as figures
from crossalign.figures import layers
from crossalign.ui import address, answers, components, controls, data, effects, instance_list, instances, selection

VALUES = {
    "margin": ("alignment margin", "Alignment margin (cosine)"),
    "layers_aligned": ("aligned layers", "Share of aligned layers"),
    "logprob_margin": ("log-probability margin", "Log-probability margin (nats)"),
}
NARROW = 360  # pixels below which two figures stand one below the other
SPLITS = {"correct": "right or wrong", "cohort": "cohort", "cell": "aligned × right"}

st.title("Instances")
run = selection.choose_run()
components.run_header(run)
chosen = selection.choose(run, "language", "one layer")
name = run.name(chosen.language)
mine = instances.instance_points(run, chosen, chosen.language)

st.subheader("How alignment is distributed")
with st.container(horizontal=True, vertical_alignment="bottom"):
    scope = controls.choose_one(
        "Instances of", ["one", "all"], "of", format_func={"one": name, "all": effects.ALL}.__getitem__
    )
    whose = effects.ALL if scope == "all" else chosen.language
    points = effects.points_of(run, chosen, whose)
    answered = bool(points["correct"].notna().any())
    values = [v for v in VALUES if points[v].notna().any()] or list(VALUES)
    value = controls.choose_one("Value", values, "value", format_func=lambda v: VALUES[v][0])
    kind = controls.choose_one("Drawn as", list(figures.KINDS), "kind", format_func=lambda k: figures.KINDS[k])
    by = controls.choose_one("Split by", list(SPLITS), "split", format_func=SPLITS.__getitem__) if answered else None
shown = points.assign(cell=library.cells(points)) if by == "cell" else points
pair = st.grid(2, min_column_width=NARROW)
with pair.cell():
    if value == "layers_aligned" and kind == "histogram":
        drawn = figures.aligned_layers(shown, data.curves(run, chosen)["layer"].nunique(), by)
    else:
        drawn = figures.distribution(shown, value, by, kind=kind, label=VALUES[value][1])
    columns = ["language", "instance_id", "correct", "cohort", "aligned", "margin", "layers_aligned", "logprob_margin"]
    components.show(drawn, pd.DataFrame(points[columns]), "distribution", run)
with pair.cell():
    series = {None: "language", "cohort": "cohort"}.get(by, "correct")
    curves = effects.curves_of(run, chosen, whose, series)
    depth = layers.Depth(run.n_layers)
    components.show(layers.curves(curves, depth, series=series, relabelled=False), curves, "by-layer", run)

st.subheader("Does alignment go with being right?")
if answered:
    answers.show(run, chosen, whose, points)
else:
    st.info(components.plain(answers.missing_answers(run, effects.ALL if scope == "all" else name)))

st.subheader(f"Instances of {components.plain(name)}")
asked = instance_list.choose_filter(run, mine, chosen.language)
kept = instances.rows_matching(run, mine, asked, chosen.language)
listed = instance_search.listing(mine, instances.texts_of(run, chosen.language), kept)
picked = instance_list.pick_instance(run, listed, "instances")
if picked is not None:
    address.remember(instance=picked)
    st.switch_page("pages/views/instance.py")
components.provenance(run)
