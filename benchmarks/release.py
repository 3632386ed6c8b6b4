"""Reads the released results of the DALI paper for `reproduce.py` and `reference_table.py`; a short reader of its own, so
that these two check the importer and do not lean on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from crossalign.languages import matching_code
from crossalign.schema import UserError

MODEL = "Llama3.1"

ACCURACY = {"xcopa": "xcopa_unnormalized_5shot", "belebele": "belebele_5shot"}
"""Task → folder below `accuracy_outputs/MODEL`."""

METRICS = {"dali": "{task}_dali", "dali_s": "{task}_dali_strong", "mexa_t": "{task}_mexa", "mexa": "flores_mexa"}
"""Metric → folder below `alignment_outputs/MODEL`; `mexa` is MEXA on FLORES, the same sentences for every task."""

PIVOT_PREFIX, PIVOT = "en_", {"xcopa": None, "belebele": "eng_Latn"}
"""XCOPA was scored in English once per language, on that language's machine translation (folders en_<language>)."""

FILE_AFFIXES = ("DALI_", "_lasttoken")


class Released(NamedTuple):
    """What the release holds of one task, by the task's language code.

    Attributes:
        accuracy: share of right answers as lm-evaluation-harness reports it.
        pivot_accuracy: the same for the English side of each language.
        correct: right or wrong by instance; only languages with samples.
        pivot_correct: likewise for the English side of each language.
        decisions: metric → language → aligned or not, [instance, layer]. Languages without a file are left out.
    """

    accuracy: dict[str, float]
    pivot_accuracy: dict[str, float]
    correct: dict[str, np.ndarray]
    pivot_correct: dict[str, np.ndarray]
    decisions: dict[str, dict[str, np.ndarray]]


def read_release(folder: Path, task: str) -> Released:
    """Everything of a task; `folder` holds `accuracy_outputs` and `alignment_outputs`."""
    scored = folder / "accuracy_outputs" / MODEL / ACCURACY[task]
    if not scored.is_dir():
        raise UserError(f"{scored} is missing: DIR must be the folder of the release that holds accuracy_outputs.")
    of_language, of_pivot = {}, {}
    for place in sorted(scored.iterdir()):
        is_pivot = PIVOT[task] is None and place.name.startswith(PIVOT_PREFIX)
        (of_pivot if is_pivot else of_language)[place.name.removeprefix(PIVOT_PREFIX if is_pivot else "")] = place
    if PIVOT[task]:
        of_pivot = dict.fromkeys(of_language, of_language.pop(PIVOT[task]))
    decisions = {}
    for metric, name in METRICS.items():
        files = {
            _language_of(f): f for f in (folder / "alignment_outputs" / MODEL / name.format(task=task)).glob("*.json")
        }
        found = {code: matching_code(code, files) or _by_name(code, files) for code in of_language}
        decisions[metric] = {code: _decisions(files[key]) for code, key in found.items() if key}
    return Released(
        {code: _accuracy(place) for code, place in of_language.items()},
        {code: _accuracy(place) for code, place in of_pivot.items()},
        _all_correct(of_language),
        _all_correct(of_pivot),
        decisions,
    )


class Translated(NamedTuple):
    """Translations of FLORES-100 by the languages that have alignment on the same sentences.

    Attributes:
        scores: (direction, metric) → language → score of each sentence.
        published: (direction, metric) → language → mean and median as the release has them.
        decisions: language → aligned or not, [sentence, layer].
    """

    scores: dict[tuple[str, str], dict[str, np.ndarray]]
    published: dict[tuple[str, str], dict[str, tuple[float, float]]]
    decisions: dict[str, np.ndarray]


DIRECTIONS = {"en-xx": "entoxx", "xx-en": "xxtoen"}


def read_translations(folder: Path) -> Translated:
    """The COMET and COMETKIWI scores of both directions, and MEXA on the same sentences."""
    aligned = folder / "alignment_outputs" / MODEL / METRICS["mexa"]
    decisions = {_language_of(f): _decisions(f) for f in sorted(aligned.glob("*.json"))}
    scored = folder / "translation_outputs" / MODEL / "flores_100" / "sentence"
    scores, published = {}, {}
    for direction, prefix in DIRECTIONS.items():
        for metric in ("comet", "cometkiwi"):
            name = f"{prefix}_{MODEL}_flores_{metric.upper()}"
            if not (scored / f"{name}.json").is_file():
                raise UserError(f"{scored / name}.json is missing: DIR must hold translation_outputs.")
            whole, single = _json(scored / f"{name}.json"), _json(scored / f"{name}_sample.json")
            names = _by_code(whole, decisions)
            published[direction, metric] = {code: tuple(whole[n]) for code, n in names.items()}
            scores[direction, metric] = {code: np.array(single[n]["scores"]) for code, n in names.items()}
    return Translated(scores, published, decisions)


def _by_code(names: dict[str, Any], codes: dict[str, Any]) -> dict[str, str]:
    """Language → its name in the file; UserError where two names mean one language."""
    found: dict[str, str] = {}
    for name in names:
        code = matching_code(name.replace("_", " "), codes)
        if code is not None and found.setdefault(code, name) != name:
            raise UserError(f"{name!r} and {found[code]!r} both mean {code}.")
    return {code: found[code] for code in codes if code in found}


def _language_of(file: Path) -> str:
    """The language as the file names it: a code, or an English name."""
    return file.stem.removeprefix(FILE_AFFIXES[0]).removesuffix(FILE_AFFIXES[1])


def _by_name(code: str, names: dict[str, Path]) -> str | None:
    return next((name for name in names if matching_code(name, [code])), None)


def _accuracy(place: Path) -> float:
    """The unnormalised accuracy of the newest log."""
    logs = sorted(place.rglob("results_*.json"))
    if not logs:
        raise UserError(f"{place} holds no results_*.json.")
    return next(iter(_json(logs[-1])["results"].values()))["acc,none"]


def _all_correct(places: dict[str, Path]) -> dict[str, np.ndarray]:
    """Right or wrong by instance, in the order of the instances, where there are samples."""
    found = {}
    for code, place in places.items():
        for file in sorted(place.rglob("samples_*.jsonl"))[-1:]:
            rows = _json(file, lines=True)
            found[code] = np.array([row["acc"] for row in sorted(rows, key=lambda row: row["doc_id"])])
    return found


def _decisions(file: Path) -> np.ndarray:
    """[instance, layer]: MEXA files are layer → list, DALI files are sample → layer → 0 or 1, samples from 0 or 1."""
    content = _json(file)
    rows = [content[key] for key in sorted(content, key=int)]
    if isinstance(rows[0], list):
        return np.array(rows, dtype=float).T
    return np.array([[row[layer] for layer in sorted(row, key=int)] for row in rows], dtype=float)


def _json(file: Path, lines: bool = False) -> Any:
    """The content of a JSON or JSON-lines file."""
    text = file.read_text(encoding="utf-8")
    try:
        return [json.loads(line) for line in text.splitlines()] if lines else json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{file} is damaged ({error}); copy it again.") from error
