"""One language by layer: split by cohort, by metric, or by the number of answer options."""

# pyright: reportArgumentType=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false, reportOptionalMemberAccess=false

from __future__ import annotations

from typing import NamedTuple

import pandas as pd
import streamlit as st

from crossalign import fewer_options, profiles
from crossalign.figures import layers as figures
from crossalign.figures.theme import counted
from crossalign.ui import analyses, components, controls, selection
from crossalign.ui.data import RunTables, Selection
from crossalign.ui.estimates import show_estimates

SPLITS = {"cohort": "by cohort", "metric": "by metric"}
FEWER = {"options": "by number of options"}
"""Only where wrong options can be taken away."""


class Look(NamedTuple):
    """What the curves of the page show: rate or margin, in words, over which depth, with intervals or not."""

    value: str
    label: str
    depth: figures.Depth
    intervals: bool


def show(run: RunTables, chosen: Selection, look: Look) -> None:
    """The controls, the curves of the language, and the numbers that belong to them."""
    splits = SPLITS | (FEWER if analyses.has_fewer_options(run, chosen) else {})
    with st.container(horizontal=True, vertical_alignment="bottom"):
        language = selection.choose_language(run)
        split = controls.choose_one("Split", tuple(splits), "split", format_func=splits.__getitem__, buttons=True)
    {"cohort": _cohorts, "metric": _metrics, "options": _options}[split](run, chosen, look, language)


def _metrics(run: RunTables, chosen: Selection, look: Look, language: str) -> None:
    table = analyses.metric_curves(run, chosen, language)
    drawn = {"series": "metric", "label": f"{run.name(language)}, alignment rate", "intervals": look.intervals}
    highlight = run.metrics if look.intervals else ()
    drawing = figures.curves(table, look.depth, highlight=highlight, relabelled=False, **drawn)
    components.show(drawing, table, "by-metric", run)


def _cohorts(run: RunTables, chosen: Selection, look: Look, language: str) -> None:
    found, name = analyses.cohort_curves(run, chosen, language, look.value), run.name(language)
    if found is None:
        st.info(components.plain(f"This run holds no decisions on single instances for {name}."))
        return
    if not found.curves["n"].sum():
        unknown = f"It is not known which instances were answered right in {name} and in the pivot."
        none = "This task has no answers to be right or wrong, so it has no cohorts."
        st.info(components.plain(unknown if run.facts.get("n_options") else none))
        return
    title = f"{name}, {look.label}"
    drawing = figures.curves(
        found.curves, look.depth, series="cohort", value=look.value, label=title, intervals=look.intervals
    )
    components.show(drawing, found.curves, "by-cohort", run)
    st.caption(f"{profiles.cohort_sizes_in_words(found.curves)}.")
    show_estimates(found.deltas, "delta", "Δ", "deltas", run)
    st.caption("Δ: alignment rate where pivot and language are answered right, minus that where only the pivot is.")


def _options(run: RunTables, chosen: Selection, look: Look, language: str) -> None:
    table = analyses.option_curves(run, chosen, language)
    if table is None:
        st.info(components.plain(f"There are no scores of the options of {run.name(language)}."))
        return
    label = f"{selection.metric_label(chosen.metric)}: alignment rate"
    _draw_options(table, f"{run.name(language)}, {label}", look, "by-options", run)
    show_estimates(fewer_options.option_peaks(table), "rate", "rate at best layer", "options", run)
    st.caption(
        "The wrong options that the model finds least likely in this language are taken away, as in the paper; nothing is run "
        "again. Relabelled: the same rule when no pair is a translation. Chance: if all cosines were exchangeable."
    )
    if controls.choose_switch(
        "Mean over languages", "options-mean", help="Reads the cosines of every chosen language."
    ):
        found = analyses.mean_options(run, chosen)
        title = f"Mean of {counted(found.n_languages, 'language')}, {label}"
        _draw_options(found.curves, title, look, "by-options-mean", run)
        show_estimates(found.peaks, "rate", "mean rate", "options-mean-rates", run)
        st.caption(
            "Every language counts the same. The interval says what other questions would give in the same languages: a "
            "passage counts as one unit in all of them. Layers are chosen on the instances they are shown for."
        )


def _draw_options(table: pd.DataFrame, label: str, look: Look, name: str, run: RunTables) -> None:
    named = table.assign(name=[f"{n} options" for n in table["options"]])
    components.show(figures.curves(named, look.depth, series="options", label=label), table, name, run)
