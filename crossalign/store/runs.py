"""Runs in a cache folder: one folder each, named by the run id."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from crossalign.schema import SCHEMA_VERSION, Execution, Manifest, RunSpec, Translation, UserError
from crossalign.store.files import read_json, write_json
from crossalign.store.locks import lock


@dataclass(frozen=True, slots=True)
class Run:
    """A run in the cache: model × task × protocol, with one part per language that is complete."""

    folder: Path
    spec: RunSpec
    execution: Execution
    facts: dict[str, Any]

    @property
    def run_id(self) -> str:
        return self.spec.run_id

    @property
    def work(self) -> Path:
        """Unfinished computation; removed when the last process is done."""
        return self.folder / "work"

    def part_folder(self, language: str) -> Path:
        return self.folder / "parts" / language

    def languages(self) -> list[str]:
        """Languages whose part is complete: the pivot first, then by code."""
        try:
            with os.scandir(self.folder / "parts") as entries:
                parts = [(entry.name, f"{entry.path}/manifest.json") for entry in entries if entry.name[0] != "."]
        except OSError:
            return []
        found = [name for name, manifest in parts if os.access(manifest, os.F_OK)]
        return sorted(found, key=lambda c: (c != self.spec.pivot, c))

    @property
    def complete(self) -> bool:
        """Whether every part that was asked for is there."""
        done = self.languages()
        return set(self.facts.get("languages", done)) <= set(done) and not self.work.exists()

    def manifest(self, language: str) -> Manifest | None:
        """The part's manifest, or None while the part is not complete."""
        path = self.part_folder(language) / "manifest.json"
        try:
            status = path.stat()
        except OSError:
            return None
        return _manifest(path, status.st_mtime_ns, status.st_ino)


@lru_cache(maxsize=1024)
def _manifest(path: Path, changed: int, inode: int) -> Manifest:
    """Reads a manifest; a page asks for the same one several times."""
    try:
        manifest = Manifest(**read_json(path))
    except TypeError:
        raise UserError(f"{path} has unknown fields: delete that part and run again.") from None
    if manifest.schema_version != SCHEMA_VERSION:
        raise UserError(f"{path} has schema {manifest.schema_version}, this version reads {SCHEMA_VERSION}.")
    if manifest.digest != manifest.own_digest:
        raise UserError(f"{path} has changed since it was written: delete that part and run again.")
    return manifest


def existing_run(cache: Path, spec: RunSpec) -> Run | None:
    """The run of this spec, when the cache has it, perhaps under another name of the same weights."""
    same = sorted(cache.glob(f"*_{spec.short_digest}/run.json"))
    return read_run(same[0].parent) if same else None


def open_run(cache: Path, spec: RunSpec, start: Callable[[], tuple[Execution, dict[str, Any]]]) -> Run:
    """The run of this spec; created, with what `start` decides, when the cache does not have it.

    Of two processes that come at once, the second waits and takes what the first decided.
    """
    if found := existing_run(cache, spec):
        return found
    folder = cache / spec.run_id
    path = folder / "run.json"
    with lock(folder / ".creation.lock"):
        if path.exists():
            return read_run(folder)
        for left in folder.glob(".run.json.*.tmp"):  # by killed processes
            left.unlink(missing_ok=True)
        write_run(folder, spec, *start())
        return read_run(folder)


def write_run(folder: Path, spec: RunSpec, execution: Execution, facts: dict[str, Any]) -> None:
    """Writes a run's description, which makes the folder a run."""
    record = {
        "schema_version": SCHEMA_VERSION,
        "run_id": spec.run_id,
        "spec": asdict(spec),
        "execution": asdict(execution),
        "facts": facts,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "where": platform.node(),
    }
    write_json(folder / "run.json", record)


def read_run(folder: Path) -> Run:
    """Reads a run's description; its parts are read when they are asked for.

    Raises:
        UserError: damaged, or written by another schema version.
    """
    try:
        record = read_json(folder / "run.json")
    except FileNotFoundError:
        raise UserError(f"{folder} holds no run (run.json is absent).") from None
    version = record.get("schema_version") if isinstance(record, dict) else None
    if version != SCHEMA_VERSION:
        newer = isinstance(version, int) and version > SCHEMA_VERSION
        advice = "update crossalign" if newer else "compute it again, or read it with an older crossalign"
        raise UserError(f"The run {folder.name} has schema {version}, this version reads {SCHEMA_VERSION}: {advice}.")
    try:
        how = record["spec"].get("translation")
        nested = {"poolings": tuple(record["spec"]["poolings"]), "translation": Translation(**how) if how else None}
        spec = RunSpec(**record["spec"] | nested)
        facts = record["facts"] | {"created": record["created"], "where": record["where"]}
        return Run(folder, spec, Execution(**record["execution"]), facts)
    except (KeyError, TypeError, AttributeError):
        raise UserError(f"{folder / 'run.json'} lacks a field: delete the run and compute it again.") from None


def list_runs(cache: Path, kind: str | None = "alignment") -> tuple[list[Run], list[str]]:
    """The readable runs of a kind (None for all), newest first, and one sentence for each that cannot be read."""
    runs, problems = [], []
    for path in sorted(cache.glob("*/run.json")):
        try:
            runs.append(read_run(path.parent))
        except UserError as error:
            problems.append(str(error))
    runs = [r for r in runs if kind in (None, r.spec.kind)]
    return sorted(runs, key=lambda r: r.facts["created"], reverse=True), problems


def find_run(cache: Path, name: str) -> Run:
    """The run whose id is `name` or begins with it (or whose digest does); the id is looked up, never used as a path."""
    folders = [p.parent for p in sorted(cache.glob("*/run.json"))]
    exact = [f for f in folders if f.name == name]
    matching = exact or [f for f in folders if f.name.startswith(name) or f.name.rsplit("_", 1)[-1].startswith(name)]
    if len(matching) == 1:
        return read_run(matching[0])
    if not matching:
        raise UserError(f"No run {name!r} in {cache}: `crossalign list` shows the runs there are.")
    raise UserError(f"{name!r} fits several runs: {', '.join(_names(matching))}.")


def _names(folders: Sequence[Path]) -> list[str]:
    return [f.name for f in folders]
