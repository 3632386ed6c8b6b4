"""Jobs as they lie in the cache, one folder each below `.jobs`: all that is known of a job is read from there.

| file | content |
|---|---|
| `job.json` | what was asked for, and when |
| `process.json` | the process last started: what it does, its id, machine and time |
| `lock` | held by the process while it lives; the system drops it when the process dies, however it dies |
| `estimate.log`, `estimate.json` | events and result of the estimate of its cost |
| `run-<attempt>.log`, `run-<attempt>.json` | events and result of each start of the run |
| `cancelled` | there when someone has cancelled the run since its last start |
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from crossalign.jobs.progress import Progress, progress, read_log
from crossalign.jobs.request import JobRequest, from_record
from crossalign.schema import UserError
from crossalign.store.files import read_json

JOB_ID = re.compile(r"[0-9a-f]{16}")

STATES = {
    "new": "not started",
    "estimating": "its cost is estimated",
    "estimated": "ready to start",
    "refused": "cannot be run",
    "running": "running",
    "cancelled": "cancelled",
    "failed": "failed",
    "interrupted": "interrupted",
    "finished": "finished",
}
"""State → in words. An interrupted job's process is gone and has not said why: killed, or the machine was restarted."""

ENDED = {"refused": "cannot be run", "failed": "has failed", "interrupted": "was interrupted"}

MAY_RESUME = ("cancelled", "failed", "interrupted")


@dataclass(frozen=True, slots=True)
class Process:
    """The process a job last started; `pid` 0 for none.

    Attributes:
        what: "estimate" or "run".
        attempt: starts of the run so far.
        started: Unix seconds.
    """

    what: str = ""
    attempt: int = 0
    pid: int = 0
    host: str = ""
    started: float = 0.0


@dataclass(frozen=True, slots=True)
class Job:
    """A job at the moment it was read."""

    folder: Path
    request: JobRequest
    created: float
    process: Process
    alive: bool
    state: str
    progress: Progress

    @property
    def job_id(self) -> str:
        return self.folder.name

    @property
    def cost(self) -> dict[str, Any] | None:
        """What the estimate found (see `cost.Cost`); None where there is none."""
        return _object(self.folder / "estimate.json")

    @property
    def run_id(self) -> str | None:
        """Of the finished run."""
        result = _object(self.folder / f"run-{self.process.attempt}.json")
        return str(result["run_id"]) if result and "run_id" in result else None


def jobs_folder(cache: Path) -> Path:
    """Where the jobs of a cache lie."""
    return cache / ".jobs"


def list_jobs(cache: Path) -> list[Job]:
    """The jobs of a cache, newest first; a folder that holds no readable job is passed over."""
    found = []
    for folder in _folders(cache):
        try:
            found.append(read_job(folder))
        except UserError:
            continue
    return sorted(found, key=lambda job: job.created, reverse=True)


def find_job(cache: Path, job_id: str) -> Job:
    """The job of this id; the id is looked up among the folders there, never used as a path.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    for folder in _folders(cache):
        if folder.name == job_id:
            return read_job(folder)
    raise UserError(f"There is no job {job_id[:40]!r}.")


def _folders(cache: Path) -> list[Path]:
    try:
        with os.scandir(jobs_folder(cache)) as entries:
            names = [e.name for e in entries if e.is_dir(follow_symlinks=False) and JOB_ID.fullmatch(e.name)]
    except OSError:
        return []
    return [jobs_folder(cache) / name for name in names]


def read_job(folder: Path) -> Job:
    """Reads a job's files.

    Raises:
        UserError: they are damaged or absent.
    """
    record, process = _object(folder / "job.json"), _object(folder / "process.json")
    try:
        request, created = from_record((record or {})["request"]), float((record or {})["created"])
        datetime.fromtimestamp(created, UTC)  # it is shown as a date
        last = _process(process) if process else Process()
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        raise UserError(f"The job {folder.name} is damaged: remove it.") from None
    log = f"run-{last.attempt}.log" if last.what == "run" else "estimate.log"
    alive = is_alive(folder)  # before the log, whose last line is written before the process ends
    told = progress(read_log(folder / log), time.time())
    state = _state(last, alive, told, (folder / "cancelled").exists())
    return Job(folder, request, created, last, alive, state, told)


def _process(record: dict[str, Any]) -> Process:
    what, host = str(record["what"]), str(record["host"])
    return Process(what, int(record["attempt"]), int(record["pid"]), host, float(record["started"]))


def _state(process: Process, alive: bool, told: Progress, cancelled: bool) -> str:
    if process.what == "estimate":
        return "estimating" if alive else "estimated" if told.ok else "refused"
    if process.what != "run":
        return "new"
    if alive:
        return "running"
    if told.ok:
        return "finished"
    return "cancelled" if cancelled else "interrupted" if told.ok is None else "failed"


def is_alive(folder: Path) -> bool:
    """Whether a process of the job lives: it holds the job's lock until it is gone."""
    try:
        with (folder / "lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _object(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None where it is absent or damaged."""
    try:
        value = read_json(path)
    except (OSError, UserError):
        return None
    return value if isinstance(value, dict) else None
