"""Starts, cancels and removes jobs. The processes belong to nobody: they go on when the server that started them ends."""

from __future__ import annotations

import fcntl
import os
import platform
import secrets
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import crossalign
from crossalign.jobs.record import Job, Process, is_alive, jobs_folder, list_jobs, read_job
from crossalign.jobs.request import JobRequest, checked, command, record_of
from crossalign.schema import UserError
from crossalign.store.files import write_json, writing
from crossalign.store.locks import lock

PATIENCE = 5.0
"""Seconds that a cancelled process has to end by itself."""

MOST_ESTIMATES = 20
"""Jobs that were estimated and never started are kept up to this number."""


def hosted() -> bool:
    """Whether this is a copy for visitors (CROSSALIGN_HOSTED=1): it shows runs and computes nothing."""
    return os.environ.get("CROSSALIGN_HOSTED", "") not in ("", "0")


def _refuse_when_hosted() -> None:
    if hosted():
        raise UserError("This is a hosted copy, which computes nothing: install crossalign to compute your own runs.")


def create(cache: Path, request: JobRequest) -> Job:
    """A new job, and the process that estimates its cost.

    Raises:
        UserError: the request cannot be, the disk refuses, or this is a hosted copy.
    """
    _refuse_when_hosted()
    request = checked(request)
    folder = jobs_folder(cache) / secrets.token_hex(8)
    with writing(folder):
        folder.mkdir(parents=True)
    write_json(folder / "job.json", {"request": record_of(request), "created": time.time()})
    _forget_old_estimates(cache)
    _launch(folder, command(request, cache, estimate=True), Process("estimate"), "estimate")
    return read_job(folder)


def start(cache: Path, job: Job) -> Job:
    """Starts the run of a job, or goes on with it: a run resumes where it was stopped. One run at a time.

    Raises:
        UserError: another run is going on, the disk refuses, or this is a hosted copy.
    """
    _refuse_when_hosted()
    with lock(jobs_folder(cache) / ".start.lock"):
        busy = [other for other in list_jobs(cache) if other.state == "running"]
        if busy:
            raise UserError("Another run is being computed: wait until it is done, or cancel it.")
        (job.folder / "cancelled").unlink(missing_ok=True)
        attempt = job.process.attempt + 1
        _launch(job.folder, command(job.request, cache), Process("run", attempt), f"run-{attempt}")
    return read_job(job.folder)


def _launch(folder: Path, arguments: list[str], process: Process, name: str) -> None:
    """Starts the process in a session of its own, with the job's lock in its hands."""
    root = Path(crossalign.__file__).parents[1]  # the child runs this very code
    with writing(folder), (folder / "lock").open("a") as held:
        _take(held.fileno())
        write_json(folder / "process.json", asdict(process))  # whoever cancels now must not find the process before
        with (folder / f"{name}.json").open("wb") as out, (folder / f"{name}.log").open("wb") as log:
            child = subprocess.Popen(  # noqa: S603 (no shell; every argument is checked in `request`)
                arguments, stdin=subprocess.DEVNULL, stdout=out, stderr=log, cwd=root,
                pass_fds=(held.fileno(),), start_new_session=True,
            )  # fmt: skip
        known = asdict(process) | {"pid": child.pid, "host": platform.node(), "started": time.time()}
        try:
            write_json(folder / "process.json", known)
        except BaseException:
            # Nobody could find it any more, to show or to cancel it.
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            raise


def _take(descriptor: int) -> None:
    """Takes the lock; a reader may hold it for a moment."""
    for _ in range(50):
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(0.02)
    raise UserError("This job is running already.")


def cancel(job: Job, patience: float = PATIENCE) -> None:
    """Ends the job's process and all it has started: asked to end at first, then made to.

    The process id is read anew, and believed because the job's lock is held: its process lives. What is made to end after
    that is what is left of its group.

    Raises:
        UserError: it runs on another machine, or this is a hosted copy.
    """
    _refuse_when_hosted()
    if not is_alive(job.folder):
        return
    job = read_job(job.folder)
    if not job.process.pid:
        raise UserError("This job is just being started: cancel it in a moment.")
    if job.process.host != platform.node() or job.process.pid <= 1:
        raise UserError(f"This job runs on {job.process.host or 'another machine'}: cancel it there.")
    (job.folder / "cancelled").touch()
    for sign, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, PATIENCE)):
        with suppress(ProcessLookupError):
            os.killpg(job.process.pid, sign)
        end = time.monotonic() + seconds
        while is_alive(job.folder):
            if time.monotonic() > end:
                break
            time.sleep(0.05)


def remove(job: Job) -> None:
    """Forgets a job that does not run; the run it computed stays in the cache.

    Raises:
        UserError: it runs, or this is a hosted copy.
    """
    _refuse_when_hosted()
    if is_alive(job.folder):
        raise UserError("This job is running: cancel it first.")
    shutil.rmtree(job.folder, ignore_errors=True)


def _forget_old_estimates(cache: Path) -> None:
    idle = [job for job in list_jobs(cache) if job.state in ("estimated", "refused")]
    for job in idle[MOST_ESTIMATES:]:
        remove(job)
