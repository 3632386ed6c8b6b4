"""Reads a task's rows from the Hub or from local files in the upstream schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from crossalign.schema import UserError
from crossalign.tasks.records import Origin, Read, Row, Rows, Task


def reader(task: Task, data: Path | None) -> Read:
    """A memoised (language, split) → rows for one run.

    Args:
        data: folder with local files in the upstream schema, or None for the Hub.
    """
    if data is not None and not data.is_dir():
        raise UserError(f"The data folder {data} does not exist: give --data an existing folder, or leave it out.")

    @lru_cache(maxsize=8)  # the pivot, and one language at a time
    def read(language: str, split: str) -> Rows:
        if task.rows is not None:
            rows = task.rows(language, split)
        else:
            origin = _origin(task, language, split)
            rows = list(_local_rows(task, origin, data)) if data else _hub_rows(origin)
        return [row | {"row_index": index} for index, row in enumerate(rows)]

    return read


def local_languages(task: Task, data: Path) -> list[str]:
    """The task's languages for which the data folder has a file, in the task's order."""
    if task.rows is not None:
        return list(task.languages)
    return [c for c in task.languages if any((data / f).is_file() for f in _origin(task, c, "test").files)]


def _origin(task: Task, language: str, split: str) -> Origin:
    if task.origin is None:
        raise UserError(f"{task.title} says neither where its rows lie (origin) nor what they are (rows).")
    return task.origin(language, split)


def _local_rows(task: Task, origin: Origin, data: Path) -> Iterator[Row]:
    for name in origin.files:
        if (path := data / name).is_file():
            return _jsonl(path) if path.suffix == ".jsonl" else _lines(path)
    raise UserError(
        f"No file of {task.title} ({origin.configuration}, {origin.split}) in {data}: put it at {origin.files[0]}."
    )


def _jsonl(path: Path) -> Iterator[Row]:
    for number, line in enumerate(_decoded(path), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(
                f"{path}, line {number} is no valid JSON ({getattr(error, 'msg', error)}): mend or remove it."
            ) from None
        if not isinstance(row, dict):
            raise UserError(f"{path}, line {number} is not a JSON object: each line must hold one row.")
        yield row


def _lines(path: Path) -> Iterator[Row]:
    for line in _decoded(path):
        yield {"text": line.rstrip("\r\n")}


def _decoded(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                raise UserError(f"{path}, line {number} is not UTF-8 text: convert the file to UTF-8.") from None


def _hub_rows(origin: Origin) -> Rows:
    import datasets

    datasets.disable_progress_bars()
    where = f"{origin.repository} ({origin.configuration}, {origin.split}, revision {origin.revision})"
    try:
        loaded = datasets.load_dataset(
            origin.repository, origin.configuration, split=origin.split, revision=origin.revision
        )
    except (OSError, ValueError, RuntimeError) as error:
        licence = " It is gated: accept its licence on the Hub and log in with `hf auth login`." if origin.gated else ""
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise UserError(
            f"Cannot read {where} from the Hub: {reason}.{licence} "
            f"Or give local files with --data DIR (DIR/{origin.files[0]})."
        ) from None
    return [dict(row) for row in loaded]
