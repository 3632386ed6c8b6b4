"""Compare: two runs, or two poolings of one, on the same instances."""

# pyright: reportArgumentType=false, reportCallIssue=false

from dataclasses import replace

import pandas as pd
import streamlit as st

from crossalign.figures import compare as figures
from crossalign.figures.layers import Depth
from crossalign.ui import components, data, pairs, selection

COLUMNS = ["name", "a", "b", "difference", "low", "high", "p", "p_holm", "mcnemar"]
COUNTS = ["both", "a_only", "b_only", "neither", "n", "language"]

st.title("Compare")
run = selection.choose_run("Run A")
components.run_header(run)
chosen = selection.choose(run)
other = pairs.choose_other(run, chosen)
with st.container(horizontal=True, vertical_alignment="bottom"):
    quantity = pairs.choose_quantity(run, other)
    rule = (
        selection.GROUPS["one layer"](replace(run, rates=data.curves(run, chosen))) if quantity == "alignment" else {}
    )
chosen, other = replace(chosen, **rule), other._replace(selection=replace(other.selection, **rule))
components.run_header(other.run)

table = pairs.paired(run, chosen, other, quantity)
noun = pairs.QUANTITIES[quantity]
label = noun if quantity == "accuracy" else f"{selection.metric_label(chosen.metric)} rate"
st.markdown(components.plain(pairs.in_words(table, quantity, other.names)))

st.subheader("Paired differences", anchor="differences")
components.show(figures.differences(table, other.names, label), table[[*COLUMNS, *COUNTS]], "differences", run)
st.caption(
    "Only instances that both sides decide count. Intervals and p of the difference are widened where instances come in "
    "groups; McNemar's exact test takes them as independent. p\\_holm is p after Holm's correction for all languages."
)
st.subheader("Same instances, both sides", anchor="outcomes")
words = ("right", "wrong") if quantity == "accuracy" else ("aligned", "not aligned")
components.show(figures.outcomes(table, other.names, words), table[["name", *COUNTS]], "outcomes", run)

st.subheader("Alignment by layer", anchor="curves")
languages = selection.choose_languages(run)
curves = [
    data.curves(side, how).assign(name=lambda t, side=side: [side.name(c) for c in t["language"]])
    for side, how in ((run, chosen), (other.run, other.selection))
]
depths = (Depth(run.n_layers), Depth(other.run.n_layers))
drawing = figures.curves_overlaid(
    *curves, depths, other.names, highlight=languages, label=f"{selection.metric_label(chosen.metric)} rate"
)
components.show(drawing, pd.concat(curves, keys=["A", "B"], names=["side", None]).reset_index(level=0), "curves", run)
components.provenance(run)
components.provenance(other.run)
