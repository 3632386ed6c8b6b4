"""What the Compute page is put together from: the form of a new run, and one job as it goes on."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime

import pandas as pd
import streamlit as st

from crossalign.amounts import seconds_in_words
from crossalign.jobs import process, record, request
from crossalign.jobs.progress import Progress
from crossalign.jobs.record import Job
from crossalign.jobs.request import JobRequest
from crossalign.languages import language
from crossalign.schema import UserError
from crossalign.tasks import TASKS, Task
from crossalign.ui import components, controls
from crossalign.ui.data import cache_folder

POLL = 1.0
"""Seconds between two looks at a job that is going on."""

LIMITS = (8, 50, 100, 200, 500, 1000)
SHOTS = (0, 1, 2, 3, 5, 8)


def choose_request() -> JobRequest:
    """The form: what is to be computed. Its values stand in the URL; nothing starts by opening a link."""
    model = controls.choose_text(
        "Model", "model", placeholder="organisation/model, or a folder", most=request.LONGEST_PATH,
        help="A causal language model on the Hugging Face Hub, or a folder that save_pretrained wrote",
    )  # fmt: skip
    left, right = st.columns(2)
    with left:
        name = controls.choose_one("Task", list(TASKS), "task", format_func=lambda t: TASKS[t].title)
        task = TASKS[name]
        others = [code for code in task.languages if code != task.pivot]
        languages = controls.choose_several(
            "Languages", others, "for", format_func=_language, help=f"The pivot, {_language(task.pivot)}, is added"
        )
    with right:
        limit = controls.choose_one(
            "Instances", (0, *LIMITS), "limit", default=task.default_limit or 0, format_func=lambda n: str(n or "all"),
            help="The first so many of each language", follow=True,
        )  # fmt: skip
        protocol = controls.choose_one("Protocol", task.protocols, "protocol", help="How options are scored")
    with st.expander("More"):
        rest = _choose_rest(task)
    return JobRequest(model.strip(), name, languages, protocol, limit, **rest)


def _choose_rest(task: Task) -> dict:
    shots = 0
    if task.n_options:
        shots = controls.choose_one("Solved examples before each prompt", SHOTS, "shots")
    dtype = controls.choose_one(
        "Precision",
        ("auto", *request.DTYPES),
        "dtype",
        help="auto: float32 on a CPU, bfloat16 on a GPU (float16 on one without it)",
    )
    keep = controls.choose_one("Keep hidden states", request.STATES, "keep", help="For the map of states; takes disk")
    data = ""
    if task.rows is None:
        data = controls.choose_text(
            "Folder with the data", "data", placeholder="empty: read from the Hub", most=request.LONGEST_PATH
        )
    return {"shots": shots, "dtype": None if dtype == "auto" else dtype, "keep_states": keep, "data": data.strip()}


def _language(code: str) -> str:
    try:
        return f"{language(code).name} ({code})"
    except KeyError:
        return code


def done(act: Callable[[], Job | None]) -> bool:
    """Whether it could be done; a refusal is told where the button is."""
    try:
        act()
    except UserError as error:
        st.error(components.plain(str(error)))
        return False
    return True


def table(jobs: list[Job]) -> pd.DataFrame:
    """One row per job."""
    rows = [
        {
            "job": job.job_id,
            "state": record.STATES[job.state],
            "model": job.request.model,
            "task": job.request.task,
            "languages": ", ".join(job.request.languages) or "all",
            "instances": str(job.request.limit or "all"),
            "created": datetime.fromtimestamp(job.created, UTC),
            "starts": job.process.attempt,
        }
        for job in jobs
    ]
    return pd.DataFrame(rows)


def label(job: Job) -> str:
    """A job in a list."""
    at = datetime.fromtimestamp(job.created, UTC).strftime("%d %b %H:%M UTC")
    return f"{request.title(job.request)} · {at} · {record.STATES[job.state]}"


def show_job(job_id: str) -> None:
    """One job; looked at again every second while it is going on. The page is drawn anew when it ends."""
    job = record.find_job(cache_folder(), job_id)
    every = POLL if job.alive else None
    st.fragment(_show_job, run_every=every)(job_id, job.state)


def _show_job(job_id: str, state: str) -> None:
    try:
        job = record.find_job(cache_folder(), job_id)
    except UserError:  # removed from the list in another tab: a page that is drawn anew says so
        st.rerun()
    if job.state != state:
        st.rerun()
    st.markdown(f"**{components.plain(request.title(job.request))}** · {record.STATES[job.state]}")
    _show_cost(job)
    if job.process.what == "run":
        _show_progress(job.progress, job.alive)
    if job.state == "estimating":
        st.caption(
            f"For {seconds_in_words(max(1.0, _now() - job.process.started))}: texts are read and tokens counted."
        )
    if reason := _reason(job):
        st.error(components.plain(reason), title=f"This job {record.ENDED[job.state]}")
    _buttons(job)
    if job.progress.lines:
        with st.expander("Log", expanded=job.state in ("failed", "interrupted")):
            st.code("\n".join(job.progress.lines), language=None, height=240)


def _now() -> float:
    return datetime.now(UTC).timestamp()


def _reason(job: Job) -> str:
    if job.state == "interrupted":
        return "The process is gone and said no reason: it was killed, or the machine was restarted."
    if job.state in ("failed", "refused"):
        return job.progress.text or "It ended early; the log says why."
    return ""


def _show_cost(job: Job) -> None:
    """What it takes, before it is started."""
    cost = job.cost
    if not cost or job.state not in ("estimated", "running"):
        return
    warnings, described = cost.get("warnings"), cost.get("described")
    if not isinstance(warnings, list) or not isinstance(described, dict):
        return
    for warning in warnings:
        st.warning(components.plain(str(warning)))
    with st.expander("What it takes", expanded=job.state == "estimated"):
        st.table({str(k): components.plain(str(v)) for k, v in described.items()}, border="horizontal")


def _show_progress(told: Progress, alive: bool) -> None:
    """A bar over all languages, with rate and time left."""
    share = told.done / told.total if told.total else 0.0
    words = (
        [f"{told.done:,} of {told.total:,} {told.unit}"] if told.total else ["Starting: the model is loaded"] * alive
    )
    if told.part:
        words.append(f"{_language(told.part)}, {told.begun} of {len(told.parts)} languages")
    if alive and not math.isnan(told.rate):
        words.append(f"{told.rate:,.1f} {told.unit} a second")
    if alive and not math.isnan(told.left):
        words.append(f"about {seconds_in_words(told.left)} left")
    if words:
        st.progress(min(1.0, share), components.plain(" · ".join(words)))


def _buttons(job: Job) -> None:
    cache = cache_folder()
    acts: list[tuple[str, str, Callable[[], Job | None]]] = []
    if job.state == "estimated":
        acts.append(("Start", "play_arrow", lambda: process.start(cache, job)))
    if job.state in record.MAY_RESUME:
        acts.append(("Resume", "play_arrow", lambda: process.start(cache, job)))
    if job.alive:
        acts.append(("Cancel", "stop", lambda: process.cancel(job)))
    else:
        acts.append(("Remove from the list", "delete", lambda: process.remove(job)))
    with st.container(horizontal=True, vertical_alignment="center"):
        for word, icon, act in acts:
            kind = "primary" if word in ("Start", "Resume") else "secondary"
            # Keyed by the word: a click that comes when the job has moved on must not press another button.
            if st.button(word, key=f"{job.job_id}-{word}", type=kind, icon=f":material/{icon}:") and done(act):
                st.rerun()
        if job.state == "finished" and job.run_id:
            components.link("overview", {"run": job.run_id}, "Look at the run")
