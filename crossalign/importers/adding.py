"""Adds accuracy from logs to a run that has alignment, when model, task and items are the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from crossalign.importers.items import BATCH_ITEMS, SCORES, score_columns
from crossalign.importers.report import Faults, Report
from crossalign.importers.samples import Sample, read_samples
from crossalign.importers.sources import RunSource, identify
from crossalign.schema import UserError
from crossalign.store import parts
from crossalign.store.files import writing
from crossalign.store.runs import Run
from crossalign.store.scorings import adding_scorings, finish_scoring, scorings, writing_scoring


class Question(NamedTuple):
    """What must be the same in the run and in the logs."""

    premise: str | None
    options: tuple[str, ...]
    gold: int | None


def add_accuracy(run: Run, sources: Iterable[RunSource], report: Report) -> Run:
    """Adds each fitting source as scores of its own, beside the run's; the run's parts stay as they are.

    Raises:
        UserError: no source is of the run's model and task, or the items do not agree; then nothing is added.
    """
    sources = list(sources)
    fitting = [s for s in sources if s.task == run.spec.task and _model_agrees(run, s)]
    if not fitting:
        there = sorted({f"{s.model} on {s.task}" for s in sources})
        raise UserError(
            f"The logs are of {', '.join(there)}, but {run.run_id} is of {run.spec.model_name} on {run.spec.task}: "
            "nothing was added."
        )
    with adding_scorings(run), ExitStack() as stack:
        finishing = [_stage(run, source, stack, report) for source in fitting]
        for finish in finishing:  # only when all of them agree
            finish()
    return run


def _model_agrees(run: Run, source: RunSource) -> bool:
    """The same commit where both know theirs, else the same name without its owner or folders."""
    commits = {e.commit for e in source.evaluations() if e.commit}
    kind, _, own = run.spec.model_identity.partition(":")
    if commits and kind == "commit":
        return commits == {own}
    return _last(run.spec.model_name) == _last(source.model)


def _last(name: str) -> str:
    return name.rstrip("/").rsplit("/", 1)[-1].casefold()


def _stage(run: Run, source: RunSource, stack: ExitStack, report: Report) -> Callable[[], None]:
    """Writes a source's scores where nobody reads them; what is returned puts them in place."""
    shared = [c for c in run.languages() if c in source.languages and _samples_of(source, c) is not None]
    if not shared:
        raise UserError(f"The logs have single items of no language of {run.run_id}: nothing was added.")
    identified = identify(source)
    name = f"lm-eval_{source.shots}-shot_{identified.spec.short_digest[:8]}"
    if name in [s.name for s in scorings(run)]:
        report.unchanged.append(f"{run.run_id} {name}")
        return lambda: None
    folder = stack.enter_context(writing_scoring(run, name))
    for code in shared:
        path = _samples_of(source, code)
        assert path is not None  # of `shared`
        _write(folder / f"{code}.parquet", run, code, path, report)
    others = sorted(set(source.languages) - set(shared))
    if others:
        report.notes.append(f"{name}: {', '.join(others)} are not in {run.run_id} or have no single items.")
    report.notes.append(f"{run.run_id} now has the scores {name} of {', '.join(shared)}.")
    return lambda: finish_scoring(run, folder, name, _provenance(run, source, identified.checksums, shared))


def _samples_of(source: RunSource, code: str) -> Path | None:
    evaluation = source.languages[code].evaluation
    return evaluation.samples if evaluation is not None else None


def _write(target: Path, run: Run, code: str, path: Path, report: Report) -> None:
    """The log's scores of the run's items; every item of the run must be there, with its texts and gold."""
    wanted, faults = _questions(run, code), Faults(path)
    missing = set(wanted)
    with writing(target), pq.ParquetWriter(target, SCORES, compression="zstd") as writer:
        batch: list[Sample] = []
        for sample in read_samples(path, run.spec.task, code, faults):
            identity = sample.instance.instance_id
            if identity in missing:
                _check(run, code, path, wanted[identity], sample)
                missing.discard(identity)
                batch.append(sample)
            if len(batch) == BATCH_ITEMS:
                writer.write_table(pa.table(score_columns(batch), schema=SCORES))
                batch = []
        writer.write_table(pa.table(score_columns(batch), schema=SCORES))
    faults.tell(report)
    if missing:
        raise UserError(
            f"{path.name} lacks {len(missing)} of the {len(wanted)} items of {run.run_id} in {code} (the first is "
            f"{min(missing)!r}): the same items are needed, nothing was added."
        )


def _questions(run: Run, code: str) -> dict[str, Question]:
    table = parts.read_table(run, code, "instances.parquet")
    columns: Sequence[Iterator[Any]] = [iter(table[n].to_pylist()) for n in ("premise", "options", "gold")]
    ids = table["instance_id"].to_pylist()
    return {i: Question(p, tuple(o), g) for i, p, o, g in zip(ids, *columns, strict=True)}


def _check(run: Run, code: str, path: Path, mine: Question, sample: Sample) -> None:
    theirs = sample.instance
    pairs = {
        "premise": (mine.premise, theirs.premise),
        "options": (mine.options, theirs.options),
        "gold option": (mine.gold, theirs.gold),
    }
    differs = [what for what, (own, other) in pairs.items() if own not in (None, "", ()) and own != other]
    if differs:
        raise UserError(
            f"{path.name}: the item {theirs.instance_id!r} in {code} has another {differs[0]} than in {run.run_id}: "
            "the items do not agree, nothing was added."
        )


def _provenance(run: Run, source: RunSource, checksums: dict[str, str], shared: Sequence[str]) -> dict[str, Any]:
    evaluations = [e for c in shared if (e := source.languages[c].evaluation) is not None]
    commits = {e.commit for e in evaluations if e.commit}
    by_commit = commits and run.spec.model_identity.startswith("commit:")
    return {
        "source": source.origin,
        "model": source.model,
        "model_agrees_by": "commit" if by_commit else "name",
        "protocol": source.protocol,
        "shots": source.shots,
        "times": {c: e.time for c, e in zip(shared, evaluations, strict=True)},
        "files": checksums,
    }
