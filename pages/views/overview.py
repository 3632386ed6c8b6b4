"""Overview: one run's findings in plain sentences, and the runs that the cache holds."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportGeneralTypeIssues=false
# (pandas returns unions that say nothing about the frame at hand.)

from dataclasses import replace
from functools import partial

import streamlit as st

from crossalign.figures.languages import ACCURACY, RATE, scatter
from crossalign.schema import UserError
from crossalign.ui import components, data, selection, summary, translation_summary


def take_run(ids: list[str]) -> None:
    """The row that was clicked becomes the run of all pages; `ids` are the rows as they were drawn."""
    if rows := st.session_state["runs"]["selection"]["rows"]:
        st.session_state["run"] = ids[rows[0]]


def show_runs() -> None:
    """What the cache holds; a click on a row chooses the run."""
    st.subheader("Runs in the cache", anchor="runs")
    runs, problems = data.overview()
    for problem in problems:
        st.warning(components.plain(problem))
    shown = ["model", "task", "protocol", "instances", "done", "coverage", "computed", "on", "device", "run"]
    column = st.column_config
    components.show_table(
        runs.assign(coverage=runs["done"] / runs["wanted"])[shown],
        key="runs",
        on_select=partial(take_run, runs["run"].tolist()),
        selection_mode="single-row",
        alt="The cached runs; choose a row to look at that run",
        column_config={
            "done": column.NumberColumn("languages", help="complete, the pivot among them"),
            "coverage": column.ProgressColumn("coverage", format="percent", help="complete ÷ asked for", width="small"),
            "computed": column.DatetimeColumn("started (UTC)", format="YYYY-MM-DD HH:mm"),
        },
    )
    st.caption("Choose a row to look at that run on all pages.")


def follow_computation() -> None:
    """Runs that are being computed fill while they are looked at."""
    waiting, runs = data.incomplete()
    if waiting:
        st.caption(f"{waiting} of {runs} runs are not complete yet. This page follows while they are computed.")
        summary.follow(data.cache_version(data.cache_folder()))


st.title("Overview")
st.caption("Where does the model map a language onto its pivot, and does that go with being right?")
follow_computation()
findings, translated, cache = st.container(), st.container(), st.container()
with translated:  # before what ends the page where the cache holds no other run
    try:
        translation_summary.show()
    except UserError as error:  # of one run of translations: the others can still be looked at
        st.error(components.plain(str(error)))
with findings:
    run = selection.choose_run()
with cache:
    show_runs()
with findings:
    components.run_header(run)
    chosen = selection.choose(run, "layer")
    summary.show_findings(summary.findings_of(run, chosen), chosen.link)
    points = data.language_points(run, chosen)
    if points["accuracy"].notna().any():
        rate = replace(RATE, label=f"{selection.metric_label(chosen.metric)} rate, {data.RULES[chosen.rule]}")
        components.show(scatter(points, rate, ACCURACY), points, "overview", run)
        st.caption("A point per language, with 95 % intervals. The page Languages tests whether the two go together.")
    else:
        components.show_table(points)
    components.provenance(run)
