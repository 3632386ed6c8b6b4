"""Imports the logs of lm-evaluation-harness: accuracy of multiple-choice tasks, item by item where logged."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from crossalign.importers.adding import add_accuracy
from crossalign.importers.evaluations import Evaluation, find_evaluations
from crossalign.importers.importing import import_sources
from crossalign.importers.names import Named, english_of, named
from crossalign.importers.report import Report, files_below
from crossalign.importers.sources import RunSource
from crossalign.planning import Observer, Silent
from crossalign.schema import UserError
from crossalign.store.runs import find_run
from crossalign.tasks import TASKS

ORIGIN = "logs of lm-evaluation-harness"


def import_logs(
    folder: Path, cache: Path, run: str | None = None, time: str = "", observer: Observer | None = None
) -> Report:
    """Imports every model, task and number of shots found below a folder as a run of its own.

    Args:
        folder: anything that holds `results_*.json` with their `samples_*.jsonl`.
        run: id of a cached run; then nothing new is made, but its accuracy by these logs is added to it.
        time: beginning of the time in the files' names; of repeated evaluations the newest counts without it.

    Raises:
        UserError: no logs there, or the logs do not agree with the run.
    """
    report, observer = Report(), observer or Silent()
    sources = find_sources(folder, time, report)
    if run is not None:
        report.runs.append(add_accuracy(find_run(cache, run), sources, report).run_id)
    else:
        import_sources(sources, cache, report, observer)
    return report


def find_sources(folder: Path, time: str, report: Report) -> list[RunSource]:
    """The runs that a tree of logs gives."""
    if not folder.is_dir():
        raise UserError(f"The folder {folder} does not exist: give the output folder of lm-evaluation-harness.")
    evaluations = [e for e in find_evaluations(files_below(folder), report) if e.time.startswith(time)]
    sources: dict[tuple, RunSource] = {}
    for evaluation, name in newest(evaluations, report):
        key = (evaluation.model, evaluation.commit, name.task, name.variant, *conditions(evaluation))
        if key not in sources:
            sources[key] = _source(folder, evaluation, name)
        place(sources[key], evaluation, name)
    for source in sources.values():
        if source.task not in TASKS:
            source.pivot = english_of(sorted(source.languages))
    if not sources:
        why = f" {report.left_out[0]}" if report.left_out else ""
        named_time = f" of the time {time!r}" if time else ""
        raise UserError(f"No multiple-choice logs of lm-evaluation-harness{named_time} below {folder}.{why}")
    return list(sources.values())


def conditions(evaluation: Evaluation) -> tuple:
    """What keeps evaluations of one task apart: shots, prompting, limit."""
    return evaluation.shots, evaluation.prompting, evaluation.limit


def newest(evaluations: Iterable[Evaluation], report: Report) -> list[tuple[Evaluation, Named]]:
    """Each evaluation with what its name says; of repeated ones the newest, and a note on the others."""
    last: dict[tuple, tuple[Evaluation, Named]] = {}
    for evaluation in sorted(evaluations, key=lambda e: (e.time, str(e.results))):
        name = named(evaluation.task, evaluation.hint)
        if name is None:
            report.leave_out(evaluation.results, f"{evaluation.task!r} names no language known here.")
            continue
        key = (evaluation.model, evaluation.commit, evaluation.task, *conditions(evaluation))
        if key in last:
            older = last[key][0].results
            report.notes.append(f"{evaluation.task}: the newest of several evaluations counts, not {older}.")
        last[key] = evaluation, name
    return list(last.values())


def place(source: RunSource, evaluation: Evaluation, name: Named) -> None:
    """Gives an evaluation its place among a run's languages."""
    mine = source.of(name.language)
    if name.pivot_side:
        mine.pivot_evaluation = evaluation
    else:
        mine.evaluation = evaluation


def shown_model(name: str) -> str:
    """A Hub id as it is, of a path its last part.

    >>> shown_model("meta-llama/Llama-3.1-8B"), shown_model("/home/me/models/mine/")
    ('meta-llama/Llama-3.1-8B', 'mine')
    """
    is_path = name.startswith(("/", ".", "~")) or "\\" in name or name.count("/") > 1
    return name.rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1] if is_path else name


def _source(folder: Path, evaluation: Evaluation, name: Named) -> RunSource:
    words = [name.variant or "harness", evaluation.prompting]
    words.append(f"first {evaluation.limit:g}" if evaluation.limit is not None else "")
    return RunSource(
        origin=ORIGIN,
        folder=folder,
        model=shown_model(evaluation.model),
        task=name.task,
        pivot=TASKS[name.task].pivot if name.task in TASKS else "en",
        protocol=", ".join(w for w in words if w),
        shots=evaluation.shots,
        limit=evaluation.limit,
    )
