"""Scores of translations that are made elsewhere: what COMET is given, and how its scores come into a run.

COMET needs other versions of the libraries than this project, so it runs in an environment of its own:
`benchmarks/score_with_comet.py` reads what `export` wrote and makes the file that `crossalign scores` reads.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from crossalign.languages import matching_code
from crossalign.schema import UserError
from crossalign.store import parts
from crossalign.store.files import checksum, write_json, write_table
from crossalign.store.locks import lock
from crossalign.store.runs import Run

EXTERNAL = ("comet", "cometkiwi")
"""Scores that can be imported: with a reference (wmt22-comet-da in the paper), and without (wmt22-cometkiwi-da)."""


def external_file(metric: str) -> str:
    """The file of a part that holds imported scores."""
    return f"scores_{metric}.parquet"


def inputs(run: Run, part: str) -> list[dict[str, str]]:
    """What COMET reads, `src`, `mt` and `ref` of each scored sentence, in the run's order."""
    rows = _scored(run, part)
    return [{"src": r["source"], "mt": r["output"], "ref": r["reference"]} for r in rows]


LAYOUTS = "give what score_with_comet.py wrote, or scores of the DALI paper's release"


def write_inputs(run: Run, folder: Path) -> list[Path]:
    """One JSON file per part."""
    for part in run.languages():
        write_json(folder / f"{part}.json", inputs(run, part))
    return [folder / f"{part}.json" for part in run.languages()]


def import_scores(
    run: Run, path: Path, metric: str | None = None, direction: str | None = None
) -> dict[str, list[str]]:
    """Adds scores to the parts of a run; a part's checksums and manifest are written anew, its outputs stay.

    Two layouts are read. Of `score_with_comet.py`: metric → {"model", "scores": part → list, "inputs": part →
    SHA-256 of the file that was scored}. Of the DALI paper's release: language by English name → {"scores": list};
    `metric` and `direction` ("en-xx" or "xx-en") then say what they are.

    Returns:
        metric → the parts that got scores.

    Raises:
        UserError: another layout, a part with another number of sentences or other translations, a score that is no
            number. Nothing is changed then.
    """
    if not path.is_file():
        raise UserError(f"There is no file {path}: give the JSON file with the scores.")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise UserError(f"{path} is not valid JSON: {LAYOUTS}.") from None
    if not isinstance(value, dict) or not value:
        raise UserError(f"{path} holds no scores: {LAYOUTS}.")
    found = _ours(run, path, value) if set(value) <= set(EXTERNAL) else _published(run, path, value, metric, direction)
    for name, scores in found.items():
        for part, numbers in scores.items():
            _check(run, part, numbers, f"{path}, {name}, {part}")
    for name, scores in found.items():
        about = {"file": path.name, "sha256": checksum(path)}
        about |= {"model": str(value[name].get("model", ""))} if name in value else {}
        for part, numbers in scores.items():
            _add(run, part, name, numbers, about)
    return {name: list(scores) for name, scores in found.items()}


def _ours(run: Run, path: Path, value: dict[str, Any]) -> dict[str, dict[str, Sequence[Any]]]:
    found: dict[str, dict[str, Sequence[Any]]] = {}
    for metric, block in value.items():
        if not isinstance(block, dict) or not isinstance(block.get("scores"), dict):
            raise UserError(f"{path}: {metric} has no `scores` by part.")
        known = {part: numbers for part, numbers in block["scores"].items() if part in run.languages()}
        digests = block.get("inputs") or {}
        for part in known:
            if part in digests and digests[part] != _digest(inputs(run, part)):
                raise UserError(f"{path}: {metric} of {part} belongs to other translations than those of this run.")
        found[metric] = known
    return _nonempty(run, path, found)


def _published(
    run: Run, path: Path, value: dict[str, Any], metric: str | None, direction: str | None
) -> dict[str, dict[str, Sequence[Any]]]:
    if metric not in EXTERNAL or direction not in ("en-xx", "xx-en"):
        raise UserError(f"{path} has scores by language: say which with --metric {'|'.join(EXTERNAL)} and --direction.")
    pivot = run.spec.pivot
    wanted = {(p.split("-", 1)[1] if direction == "en-xx" else p.split("-", 1)[0]): p for p in run.languages()}
    wanted = {code: p for code, p in wanted.items() if p.startswith(f"{pivot}-") == (direction == "en-xx")}
    found = {}
    for name, block in value.items():
        code = matching_code(name, wanted)
        if code is not None and isinstance(block, dict) and isinstance(block.get("scores"), list):
            found[wanted[code]] = block["scores"]
    return _nonempty(run, path, {metric: found})


def _nonempty(run: Run, path: Path, found: dict[str, Any]) -> dict[str, Any]:
    if not any(found.values()):
        raise UserError(f"{path} has no scores for the parts of {run.run_id}: {', '.join(run.languages())}.")
    return found


def _check(run: Run, part: str, numbers: Any, where: str) -> None:
    n = len(_scored(run, part))
    if not isinstance(numbers, list) or len(numbers) != n:
        given = len(numbers) if isinstance(numbers, list) else "no list of"
        raise UserError(f"{where}: {given} scores for {n} sentences; score the files that `crossalign export` wrote.")
    for place, number in enumerate(numbers):
        if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
            raise UserError(f"{where}: score {place + 1} is {json.dumps(number)}, not a number.")


def _add(run: Run, part: str, metric: str, numbers: Sequence[float], about: dict[str, str]) -> None:
    with lock(run.folder / ".users.lock"):
        manifest = run.manifest(part)
        assert manifest is not None
        with parts.writing_part(run, part) as folder:
            for name in manifest.checksums:
                shutil.copy2(run.part_folder(part) / name, folder / name)
            ids = [row["instance_id"] for row in _scored(run, part)]
            write_table(folder / external_file(metric), {"instance_id": ids, "score": [float(n) for n in numbers]})
            external = manifest.provenance.get("external", {}) | {metric: about}
            parts.finish_part(run, folder, replace(manifest, provenance=manifest.provenance | {"external": external}))


def _scored(run: Run, part: str) -> list[dict[str, Any]]:
    rows = parts.read_table(run, part, "translations.parquet").to_pylist()
    return [row for row in rows if row["chrf"] is not None]


def _digest(value: Any) -> str:
    """SHA-256 of the file that `write_inputs` makes."""
    return hashlib.sha256(json.dumps(value, ensure_ascii=False, indent=1).encode()).hexdigest()
