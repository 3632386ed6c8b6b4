"""What the page on languages shows of all metrics: each against another quantity, and the chosen one against each."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from crossalign.relations import RULES
from crossalign.ui import analyses
from crossalign.ui.components import plain
from crossalign.ui.data import RunTables, Selection
from crossalign.ui.estimates import show_estimates
from crossalign.ui.selection import metric_label


def show(run: RunTables, chosen: Selection, other: str, label: str, metrics: pd.DataFrame, coefficient: str) -> None:
    """Two tables.

    Args:
        other: column of `relations.language_points` that alignment is set against.
        label: its name in words.
        metrics: from `metric_relations.by_metric`, with this coefficient.
    """
    st.subheader("Every metric")
    show_estimates(metrics, "r", coefficient.title(), "metrics", run)
    st.caption("The corrected p answer for having looked at all rows of this table.")
    differences = analyses.metric_differences(run, chosen, other)
    if differences.empty:
        return
    metric, rule = metric_label(chosen.metric), RULES[analyses.aggregation(chosen)]
    st.subheader(f"{metric} against the other metrics")
    show_estimates(differences, "difference", f"r of {metric} minus it", "differences", run)
    st.caption(
        f"Does {metric} ({rule}) go with {plain(label)} better? Differences of Pearson's r over the same languages, intervals of "
        "Zou 2007, p of Steiger 1980; read them with care below 15 languages."
    )
