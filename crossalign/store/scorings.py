"""Option scores that were added to a run from elsewhere, beside its own: `scores/<name>/` in the run's folder.

A scoring is complete or absent, for all its languages at once; the run's parts stay as they are.
"""

from __future__ import annotations

import shutil
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from crossalign.schema import SCHEMA_VERSION, UserError
from crossalign.store.files import checksum, one_line, read_json, temporary_folder, write_json, writing
from crossalign.store.locks import lock
from crossalign.store.runs import Run


@dataclass(frozen=True, slots=True)
class Scoring:
    """What a scoring is: its name, languages, files with checksums, and where it came from."""

    name: str
    languages: tuple[str, ...]
    checksums: dict[str, str]
    provenance: dict[str, Any]


def scorings(run: Run) -> list[Scoring]:
    """The scorings added to a run, by name."""
    return [_read(path) for path in sorted((run.folder / "scores").glob("*/manifest.json")) if _is_whole(path)]


def find_scoring(run: Run, name: str) -> Scoring:
    """The scoring of that name; looked up, never used as a path."""
    found = [s for s in scorings(run) if s.name == name]
    if not found:
        names = ", ".join(s.name for s in scorings(run)) or "none"
        raise UserError(f"{run.run_id} has no added scores {name!r}; there are: {names}.")
    return found[0]


def adding_scorings(run: Run) -> AbstractContextManager[bool]:
    """Held by whoever adds scorings to a run, from looking which there are to the last one finished."""
    return lock(run.folder / ".scores.lock")


def writing_scoring(run: Run, name: str) -> AbstractContextManager[Path]:
    """A temporary folder to fill; `finish_scoring` inside the block makes it the scoring. Within `adding_scorings`."""
    return temporary_folder(run.folder / "scores", name)


def finish_scoring(run: Run, temporary: Path, name: str, provenance: dict[str, Any]) -> None:
    """Checksums the files, writes the manifest last, and renames the folder into place."""
    files = sorted(temporary.glob("*.parquet"))
    record = {
        "schema_version": SCHEMA_VERSION,
        "name": name,
        "languages": [p.stem for p in files],
        "checksums": {p.name: checksum(p) for p in files},
        "provenance": provenance,
    }
    write_json(temporary / "manifest.json", record)
    target = run.folder / "scores" / name
    with writing(target):
        shutil.rmtree(target, ignore_errors=True)
        temporary.rename(target)


def read_scoring(run: Run, scoring: Scoring, language: str) -> pa.Table | None:
    """A language's option scores, the columns of `scores.parquet`; None when the scoring lacks the language."""
    path = run.folder / "scores" / scoring.name / f"{language}.parquet"
    if language not in scoring.languages:
        return None
    if not path.is_file() or checksum(path) != scoring.checksums.get(path.name):
        raise UserError(f"{path} is missing or has changed since it was written: delete its folder and import again.")
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path} is damaged ({one_line(error)}): delete its folder and import again.") from None


def verify_scorings(run: Run) -> list[str]:
    """One sentence for each file of a scoring that is missing or changed."""
    problems = []
    for path in sorted((run.folder / "scores").glob("*/manifest.json")):
        if not _is_whole(path):
            continue
        try:
            scoring = _read(path)
        except UserError as error:
            problems.append(str(error))
            continue
        for name, digest in scoring.checksums.items():
            file = path.parent / name
            if not file.is_file():
                problems.append(f"{file} is missing.")
            elif checksum(file) != digest:
                problems.append(f"{file} has changed since it was written.")
    return problems


def _is_whole(manifest: Path) -> bool:
    """Whether it lies in a finished folder, not in one that a killed process has left."""
    return not manifest.parent.name.startswith(".")


def _read(path: Path) -> Scoring:
    record = read_json(path)
    try:
        if record["schema_version"] != SCHEMA_VERSION:
            raise UserError(f"{path} has schema {record['schema_version']}, this version reads {SCHEMA_VERSION}.")
        return Scoring(record["name"], tuple(record["languages"]), record["checksums"], record["provenance"])
    except (KeyError, TypeError):
        raise UserError(f"{path} lacks a field: delete its folder and import again.") from None
