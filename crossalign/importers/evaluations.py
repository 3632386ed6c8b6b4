"""Evaluations that lm-evaluation-harness (0.4.5 and later) has logged: which there are, and what they report."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from crossalign.importers.report import Report, read_sound

RESULTS = re.compile(r"results_(\d{4}-\d\d-\d\dT[\d.:-]+)\.json")
SAMPLES = re.compile(r"samples_(.+)_(\d{4}-\d\d-\d\dT[\d.:-]+)\.jsonl")


class Measure(NamedTuple):
    """A number that the results report, e.g. acc; standard error NaN where it is not given."""

    metric: str
    value: float
    stderr: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One task in one results file.

    Attributes:
        task: the harness's name of it, with the language.
        hint: `dataset_name` of its configuration.
        model: name or path of the model.
        commit: the model's commit on the Hub, "" where not recorded.
        shots: solved examples in the prompt.
        prompting: what else changes every prompt (chat template, system instruction), as words; "" for nothing.
        limit: first N items only; None for all.
        time: as in the file names; orders repeated evaluations.
        n: items evaluated, None where not recorded.
        samples: its log of single items, None where there is none.
        harness: git commit of the harness.
    """

    task: str
    hint: str
    model: str
    commit: str
    dtype: str
    shots: int
    prompting: str
    limit: float | None
    time: str
    n: int | None
    measures: tuple[Measure, ...]
    results: Path
    samples: Path | None
    harness: str


def find_evaluations(paths: Iterable[Path], report: Report) -> list[Evaluation]:
    """All multiple-choice evaluations among the files, each with its samples where they are there."""
    by_name = {p: match for p in paths if (match := RESULTS.fullmatch(p.name) or SAMPLES.fullmatch(p.name))}
    samples = {(p.parent, m[1], m[2]): p for p, m in by_name.items() if m.re is SAMPLES}
    found: list[Evaluation] = []
    for path in sorted(p for p, m in by_name.items() if m.re is RESULTS):
        record = read_sound(path, _record, report)
        if record is not None:
            found += _of_record(path, by_name[path][1], record, samples, report)
    used = {e.samples for e in found}
    known = {p.parent / RESULTS_NAME.format(m[1]) for p, m in by_name.items() if m.re is RESULTS}
    for (folder, task, time), path in sorted(samples.items()):
        if path not in used and folder / RESULTS_NAME.format(time) not in known:
            report.leave_out(path, f"there is no {RESULTS_NAME.format(time)} beside it that says the model of {task}.")
    return found


RESULTS_NAME = "results_{}.json"


def _record(path: Path) -> dict[str, Any]:
    record = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(record, dict) or not isinstance(record.get("results"), dict):
        raise ValueError("it is no results file of lm-evaluation-harness")
    if not isinstance(record.get("configs"), dict):
        raise ValueError("its configurations are absent: logs of lm-evaluation-harness 0.4.5 or later are read")
    return record


def _of_record(
    path: Path, time: str, record: Mapping[str, Any], samples: Mapping[tuple, Path], report: Report
) -> Iterator[Evaluation]:
    for task, numbers in record["results"].items():
        config = record["configs"].get(task)
        if config is None:
            continue  # the mean of a group; its tasks stand beside it
        kind = config.get("output_type", "multiple_choice") if isinstance(config, dict) else "damaged"
        if kind != "multiple_choice":
            report.leave_out(path, f"{task} is {kind}, not multiple choice.")
            continue
        made = read_sound(path, lambda _, t=task, n=numbers: _evaluation(path, time, record, t, n, samples), report)
        if made is not None:
            yield made


def _evaluation(
    path: Path, time: str, record: Mapping[str, Any], task: str, numbers: Mapping[str, Any], samples: Mapping
) -> Evaluation:
    config, general = record["configs"][task], record.get("config") or {}
    counts = (record.get("n-samples") or {}).get(task) or {}
    shots = (record.get("n-shot") or {}).get(task, config.get("num_fewshot"))
    limit = general.get("limit")
    return Evaluation(
        task=task,
        hint=str(config.get("dataset_name") or ""),
        model=_model(record, general),
        commit=str(general.get("model_sha") or ""),
        dtype=str(general.get("model_dtype") or "unknown").removeprefix("torch."),
        shots=int(shots or 0),
        prompting=_prompting(record),
        limit=None if limit is None else float(limit),
        time=time,
        n=int(counts["effective"]) if "effective" in counts else None,
        measures=tuple(_measures(numbers)),
        results=path,
        samples=samples.get((path.parent, task, time)),
        harness=str(record.get("git_hash") or ""),
    )


def _model(record: Mapping[str, Any], general: Mapping[str, Any]) -> str:
    arguments = general.get("model_args") or ""
    if isinstance(arguments, str):
        arguments = dict(a.split("=", 1) for a in arguments.split(",") if "=" in a)
    name = record.get("model_name") or arguments.get("pretrained") or arguments.get("model")
    if not isinstance(name, str) or not name:
        raise ValueError("it does not say which model was evaluated")
    return name


def _prompting(record: Mapping[str, Any]) -> str:
    """Words for what changes every prompt, so that such evaluations are never mixed with plain ones."""
    said = []
    if record.get("chat_template"):
        turns = " with examples as turns" if record.get("fewshot_as_multiturn") else ""
        said.append(f"chat template {str(record.get('chat_template_sha') or '')[:6]}".strip() + turns)
    if record.get("system_instruction"):
        said.append(f"system instruction {str(record.get('system_instruction_sha') or '')[:6]}".strip())
    return ", ".join(said)


def _measures(numbers: Mapping[str, Any]) -> Iterator[Measure]:
    """The metrics of one task; their keys are "metric,filter"."""
    for key, value in numbers.items():
        metric, _, kind = key.partition(",")
        if kind and not metric.endswith("_stderr") and isinstance(value, int | float) and not isinstance(value, bool):
            stderr = numbers.get(f"{metric}_stderr,{kind}")
            name = metric if kind == "none" else f"{metric},{kind}"
            yield Measure(name, float(value), float(stderr) if isinstance(stderr, int | float) else math.nan)
