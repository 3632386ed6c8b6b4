"""Layers: at which layers a language is aligned, over all instances, by cohort and by metric."""

# pyright: reportArgumentType=false, reportGeneralTypeIssues=false

import pandas as pd
import streamlit as st

from crossalign import profiles, reference
from crossalign.figures import layers as figures
from crossalign.ui import address, analyses, components, controls, data, one_language, selection

QUANTITIES = {"rate": "alignment rate", "margin": "mean alignment margin"}

st.title("Layers")
run = selection.choose_run()
components.run_header(run)
chosen = selection.choose(run, "languages", "filters")
rates = data.curves(run, chosen)
quantities = list(QUANTITIES) if rates["tie_rate"].notna().any() else ["rate"]  # imported decisions have no margins
with st.container(horizontal=True, vertical_alignment="bottom"):
    value = controls.choose_one("Show", quantities, "quantity", format_func=QUANTITIES.__getitem__)
    relative = controls.choose_switch("Relative depth", "relative")
    intervals = controls.choose_switch("Intervals", "intervals", help="95 %, of the chosen languages or the highest")
codes = data.shown_languages(run, chosen)
metric = selection.metric_label(chosen.metric)
label = f"{metric}: {QUANTITIES[value]}"
after_norm = "imported" not in run.facts and bool((rates["layer"] == run.n_layers).any())
depth = figures.Depth(run.n_layers, relative, profiles.degenerate_layers(rates), after_norm)
curves = analyses.curves(run, chosen, value, codes)
peaks = profiles.peaks(rates[rates["language"].isin(codes)], run.languages, run.n_layers)


@st.fragment
def clickable(drawing: components.Drawing, table: pd.DataFrame, name: str) -> None:
    """A figure that leads to the instances of a language at a layer."""
    picked = components.show(drawing, table, name, run, click=True, by=["language", "layer"])
    if picked and picked[0][0] in codes:
        address.remember(language=picked[0][0], rule="layer", layer=str(picked[0][1]))
        st.switch_page("pages/views/instances.py")


named = curves.assign(name=curves["language"].map(profiles.names_with_accuracy(run.languages)))
highlight = chosen.languages or (tuple(peaks["language"]) if intervals else ())
drawing = figures.curves(named, depth, value=value, label=label, highlight=highlight, intervals=intervals)
clickable(drawing, curves, "curves")
st.caption("In brackets: accuracy. Star: peak. Click a point to see the instances of the language at that layer.")
st.subheader("One language")
one_language.show(run, chosen, one_language.Look(value, label, depth, intervals))
st.subheader("Peak layers")
components.show_table(peaks, key="peaks")
with st.container(horizontal=True, gap="small"):
    components.files(peaks, f"{run.run_id}_peaks")
st.caption(
    "The peak is chosen on the instances it is shown for, so its rate is optimistic; compare the relabelled rate."
)
st.subheader("Languages by layers")
clickable(figures.heatmap(curves, depth, value=value, label=label), curves, "heatmap")
st.subheader("Published figures")
if controls.choose_switch(f"Curves of {reference.MODEL}", "published"):
    task = controls.choose_one("Task", reference.TASKS, "published-task", default=run.spec.task)
    both = analyses.published_curves(run, chosen, task)
    depth = figures.Depth(reference.N_LAYERS, relative=True)
    title = f"{selection.metric_label(analyses.published_metric(chosen.metric))}: alignment rate"
    components.show(figures.curves(both, depth, series="series", label=title), both, "published-curves", run)
    st.caption(components.plain(f"{reference.CITATION} {reference.CAVEATS[task]} {reference.COVERAGE}"))
components.provenance(run)
