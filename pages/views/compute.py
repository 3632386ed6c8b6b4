"""Compute: says what a run would take, starts it, and shows how it gets on."""

from functools import partial

import streamlit as st

from crossalign.jobs import process, record
from crossalign.ui import components, controls, data, jobs


def take_job(ids: list[str]) -> None:
    """The row that was clicked becomes the job that is shown; `ids` are the rows as they were drawn."""
    if rows := st.session_state["jobs"]["selection"]["rows"]:
        st.session_state["job"] = ids[rows[0]]


st.title("Compute")
st.caption(
    "A run is computed by a process of its own: it goes on when this page is closed or the app is stopped, "
    "and a run that was stopped goes on where it was."
)
cache = data.cache_folder()
with st.container(border=True):
    request = jobs.choose_request()
    if st.button("See what it takes", type="primary", disabled=not request.model, icon=":material/calculate:"):
        made = []
        if jobs.done(lambda: made.append(process.create(cache, request))):
            st.session_state["job"] = made[0].job_id
    if not request.model:
        st.caption("Name a model first. What it takes is said before anything is computed.")

known = {job.job_id: job for job in record.list_jobs(cache)}
if known:
    chosen = controls.choose_one("Job", list(known), "job", format_func=lambda j: jobs.label(known[j]))
    with st.container(border=True):
        jobs.show_job(chosen)
    st.subheader("Jobs", anchor="jobs")
    components.show_table(
        jobs.table(list(known.values())),
        key="jobs",
        on_select=partial(take_job, list(known)),
        selection_mode="single-row",
        alt="All jobs; choose a row to look at that job",
        column_config={"created": st.column_config.DatetimeColumn("created (UTC)", format="YYYY-MM-DD HH:mm")},
    )
    st.caption("Choose a row to look at that job. A job that is removed leaves its run in the cache.")
