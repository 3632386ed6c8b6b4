"""What a job may be asked for, checked field by field, and the arguments of the command line it becomes.

Whatever a browser, a link or a file of the cache says, only these reach the command: names from fixed lists, whole
numbers, absolute paths of folders that are there, and ids in the form the Hub allows. None can begin with a dash.
"""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from crossalign.schema import UserError
from crossalign.tasks import TASKS, Task, find_task

DTYPES = ("float32", "bfloat16", "float16")
STATES = ("none", "float16", "float32")

MOST_SHOTS, MOST_INSTANCES, LONGEST_PATH = 25, 1_000_000, 1000

HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}(?:/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?")
"""A model's name on the Hub, with or without its organisation."""


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A run as it is asked for on a page; None and empty stand for the defaults of the command line.

    Attributes:
        model: Hub id, or a local folder.
        limit: first N instances; 0 for all, None for the task's default.
        data: folder with local files of the task; "" for the Hub.
    """

    model: str
    task: str
    languages: tuple[str, ...] = ()
    protocol: str | None = None
    limit: int | None = None
    shots: int = 0
    dtype: str | None = None
    keep_states: str = "none"
    data: str = ""


def from_record(record: Any) -> JobRequest:
    """The request a file holds; not yet checked.

    Raises:
        UserError: it holds something else.
    """
    try:
        request = JobRequest(**record | {"languages": tuple(record["languages"])})
    except (TypeError, KeyError):
        raise UserError("This job's file is damaged: remove the job and start it anew.") from None
    texts = (request.model, request.task, request.data, request.keep_states, *request.languages)
    numbers = (request.limit or 0, request.shots)
    if not all(isinstance(t, str) for t in texts) or not all(type(n) is int for n in numbers):
        raise UserError("This job's file is damaged: remove the job and start it anew.")
    return request


def record_of(request: JobRequest) -> dict[str, Any]:
    """The inverse of `from_record`."""
    return asdict(request)


def checked(request: JobRequest) -> JobRequest:
    """The request with its folders as absolute paths.

    Raises:
        UserError: a field that cannot be; the message names it.
    """
    task = find_task(request.task)
    unknown = [code for code in request.languages if code not in task.languages]
    if unknown:
        raise UserError(f"{task.title} has no language {unknown[0]!r}.")
    for name, value, allowed in _choices(request, task):
        if value not in allowed:
            raise UserError(f"{name} cannot be {value!r}; it is one of {', '.join(str(a) for a in allowed if a)}.")
    for name, number, most in (("limit", request.limit or 0, MOST_INSTANCES), ("shots", request.shots, MOST_SHOTS)):
        if not 0 <= number <= most:
            raise UserError(f"{name} cannot be {number}: give a number from 0 to {most:,}.")
    if request.shots and not task.n_options:
        raise UserError(f"{task.title} has no questions, so examples have no meaning there.")
    return replace(request, model=_model(request.model), data=_data(request.data))


def _choices(request: JobRequest, task: Task) -> list[tuple[str, str | None, tuple[str | None, ...]]]:
    return [
        ("protocol", request.protocol, (None, *task.protocols)),
        ("dtype", request.dtype, (None, *DTYPES)),
        ("keep_states", request.keep_states, STATES),
    ]


def _model(text: str) -> str:
    """A folder that holds a model, or a Hub id."""
    if folder := _folder(text):
        if not (folder / "config.json").is_file():
            raise UserError(f"The folder {text} holds no model: give the folder that save_pretrained wrote.")
        return str(folder)
    if HUB_ID.fullmatch(text) and ".." not in text and "--" not in text:
        return text
    raise UserError(
        f"{text[:100]!r} is neither a folder that is there nor a name on the Hub: write it as organisation/model."
    )


def _data(text: str) -> str:
    if not text:
        return ""
    if folder := _folder(text):
        return str(folder)
    raise UserError(f"There is no data folder {text[:100]!r}: name an existing one, or leave it empty for the Hub.")


def _folder(text: str) -> Path | None:
    """The absolute path of an existing folder; None where there is none, or where the text is no path one would type."""
    if not text.strip() or len(text) > LONGEST_PATH or not text.isprintable():
        return None
    with suppress(OSError, RuntimeError, ValueError):  # names too long, an unknown ~user
        path = Path(text).expanduser().resolve()
        return path if path.is_dir() else None
    return None


def command(request: JobRequest, cache: Path, estimate: bool = False) -> list[str]:
    """The arguments that compute the request into the cache; the request is checked again.

    Args:
        estimate: only say what it would cost.
    """
    request = checked(request)
    arguments = [sys.executable, "-m", "crossalign", "run", "--model", request.model, "--task", request.task]
    given = {
        "--languages": ",".join(request.languages),
        "--protocol": request.protocol,
        "--limit": {None: "", 0: "all"}.get(request.limit, str(request.limit)),
        "--shots": str(request.shots) if request.shots else "",
        "--dtype": request.dtype,
        "--keep-states": request.keep_states,
        "--data": request.data,
        "--cache": str(cache.resolve()),
    }
    for name, value in given.items():
        arguments += [name, value] if value else []
    return [*arguments, *(["--estimate"] if estimate else []), "--json"]


def title(request: JobRequest) -> str:
    """Model, task and protocol in one line; text from a file or a browser, to be escaped."""
    last = request.model.rstrip("/").rsplit("/", 1)[-1]
    protocol = request.protocol or (TASKS[request.task].protocols[0] if request.task in TASKS else "")
    return f"{last} · {request.task} · {protocol}"
