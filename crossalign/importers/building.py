"""Builds one run from its sources, part by part, in a folder that is no run yet."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from crossalign.importers.decisions import (
    ABSENT,
    Decisions,
    first_number,
    positions,
    read_decisions,
    usual_size,
)
from crossalign.importers.evaluations import Evaluation
from crossalign.importers.items import Bare, Items, write_items
from crossalign.importers.quality import Quality
from crossalign.importers.report import Faults, Report, read_sound
from crossalign.importers.samples import read_samples
from crossalign.importers.sources import Identified, LanguageSource
from crossalign.schema import SCHEMA_VERSION, Manifest
from crossalign.statistics import rate
from crossalign.store import parts
from crossalign.store.files import checksum, write_arrays, write_table
from crossalign.store.runs import Run

Placed = dict[tuple[str, str], tuple[np.ndarray, np.ndarray]]
"""(metric, pooling) → rows of the data, decisions [item, layer]."""


@dataclass
class Builder:
    """Writes the parts of one run.

    Attributes:
        identities: position in the data → id and group, from the first language with samples.
        placed: language → its decisions.
        last_layers: metric → the last layer that has decisions.
    """

    run: Run
    identified: Identified
    quality: Mapping[str, Quality]
    report: Report
    identities: dict[int, tuple[str, str]] = field(default_factory=dict)
    placed: dict[str, Placed] = field(default_factory=dict)
    n: int = 0
    n_options: int = 0
    last_layers: dict[str, int] = field(default_factory=dict)

    def build(self) -> None:
        """All parts; those with samples first, because they know the ids of the items."""
        self._place_decisions()
        sources = self.identified.source.languages
        for code in sources.keys() | self.quality.keys():
            self.identified.source.of(code)
        for code in sorted(sources, key=lambda c: (not _has_samples(sources[c]), c)):
            self._part(code, sources[code])

    def _place_decisions(self) -> None:
        """Reads all decisions, then finds how each file counts its items."""
        read: dict[tuple[str, str, str], tuple[Path, Decisions]] = {}
        for code, source in self.identified.source.languages.items():
            for (metric, pooling), path in source.decisions.items():
                faults = Faults(path)
                decisions = read_sound(path, lambda p, f=faults: read_decisions(p, f), self.report)
                faults.tell(self.report)
                if decisions is not None:
                    read[code, metric, pooling] = path, decisions
        n = usual_size([len(d.keys) for _, d in read.values()])
        firsts = {first_number(d, n) for _, d in read.values()} - {None}
        usual = firsts.pop() if len(firsts) == 1 else None
        for (code, metric, pooling), (path, decisions) in read.items():
            where = read_sound(path, lambda _, d=decisions: positions(d, n, usual), self.report)
            if where is not None:
                self.placed.setdefault(code, {})[metric, pooling] = where, decisions.values
                last = decisions.values.shape[1] - 1
                known = self.last_layers.setdefault(metric, last)
                if known != last:
                    self.report.notes.append(f"{path.name}: its last layer is {last}, that of another file {known}.")
                self.last_layers[metric] = max(known, last)

    def _part(self, code: str, source: LanguageSource) -> None:
        with parts.writing_part(self.run, code) as folder:
            placed = self.placed.get(code, {})
            everywhere = np.concatenate([where for where, _ in placed.values()]) if placed else np.array([], int)
            items = self._items(folder, "", code, source.evaluation, everywhere.tolist())
            if source.pivot_evaluation is not None:
                self._items(folder, "pivot_", code, source.pivot_evaluation, [])
            _write_accuracy(folder, source)
            _write_decisions(folder, self.run.spec.pivot, placed, items)
            _write_quality(folder, self.quality.get(code))
            self.n, self.n_options = max(self.n, len(items.ids)), max(self.n_options, items.n_options)
            manifest = Manifest(
                run_id=self.run.run_id,
                language=code,
                schema_version=SCHEMA_VERSION,
                n=len(items.ids),
                n_options=items.n_options,
                n_layers=max((v.shape[1] - 1 for _, v in placed.values()), default=0),
                hidden_size=0,
                content_digest=checksum(folder / "instances.parquet"),
                provenance=self._provenance(source),
            )
            parts.finish_part(self.run, folder, manifest)

    def _items(self, folder: Path, prefix: str, code: str, evaluation: Evaluation | None, bare: Iterable[int]) -> Items:
        """Writes the tables of single items of one side; only decisions make items without samples."""
        samples = evaluation.samples if evaluation is not None else None
        items, path = Items(), samples or Path()
        faults = Faults(path)
        language = self.run.spec.pivot if prefix else code
        stream = read_samples(path, self.run.spec.task, language, faults) if samples else ()
        scores = folder / f"{prefix}scores.parquet"
        write_items(
            folder / f"{prefix}instances.parquet", scores if samples else None, stream, items, Bare(bare, self.identities)
        )  # fmt: skip
        if samples and not items.n_options:
            scores.unlink()  # no item was sound
        faults.tell(self.report)
        if evaluation is not None and samples:
            self._compare(evaluation, samples, items)
            self._same_order(samples, items)
        return items

    def _compare(self, evaluation: Evaluation, path: Path, items: Items) -> None:
        """Says where the items do not give what the results file or the harness's own `acc` says."""
        if items.agree < items.checked:
            wrong = items.checked - items.agree
            self.report.leave_out(path, f"{wrong} items are logged as right or wrong against their log-likelihoods.")
        reported = next((m.value for m in evaluation.measures if m.metric == "acc"), None)
        if evaluation.n is not None and items.scored < evaluation.n:
            self.report.leave_out(path, f"{items.scored} of {evaluation.n} items are sound; accuracy is as reported.")
        elif reported is not None and items.scored and abs(items.right / items.scored - reported) > 5e-4:
            found = items.right / items.scored
            self.report.leave_out(
                path, f"its items give accuracy {found:.4f}, {evaluation.results.name} {reported:.4f}."
            )

    def _same_order(self, path: Path, items: Items) -> None:
        """Keeps which item is which row of the data, and says when a language has another order."""
        mine = {position: (items.ids[row], items.groups[row]) for position, row in items.rows.items()}
        if any(self.identities.get(p, known) != known for p, known in mine.items()):
            self.report.notes.append(f"{path}: its items stand in another order than those of other languages.")
        self.identities = mine | self.identities

    def _provenance(self, source: LanguageSource) -> dict[str, Any]:
        root = self.identified.source.folder
        own = [*source.decisions.values()]
        own += [p for e in source.evaluations() for p in (e.results, e.samples) if p is not None]
        names = sorted({str(p.relative_to(root)) for p in own})
        return {
            "source": self.identified.source.origin,
            "files": {name: self.identified.checksums[name] for name in names},
            "evaluations": [
                {"task": e.task, "time": e.time, "model": self.run.spec.model_name, "commit": e.commit,
                 "shots": e.shots, "harness": e.harness}
                for e in source.evaluations()
            ],
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }  # fmt: skip


def _has_samples(source: LanguageSource) -> bool:
    return source.evaluation is not None and source.evaluation.samples is not None


def _write_accuracy(folder: Path, source: LanguageSource) -> None:
    """`accuracy.parquet`: what the results files report, of the language and of the pivot's version of its items."""
    sides = {"language": source.evaluation, "pivot": source.pivot_evaluation}
    rows = [(side, *m, e.n) for side, e in sides.items() if e is not None for m in e.measures]
    if rows:
        write_table(folder / parts.ACCURACY, _columns(("side", "metric", "value", "stderr", "n"), rows))


def _write_decisions(folder: Path, pivot: str, placed: Placed, items: Items) -> None:
    """`decisions_…` [item, layer] by metric, and the rates they give."""
    groups = np.unique(items.groups, return_inverse=True)[1] if items.groups else np.array([], int)
    for pooling in sorted({p for _, p in placed}):
        arrays, rows = {}, []
        for metric in sorted(m for m, p in placed if p == pooling):
            where, values = placed[metric, pooling]
            mine = np.full((len(items.ids), values.shape[1]), ABSENT, np.int8)
            mine[[items.rows[p] for p in where.tolist()]] = values
            arrays[metric] = mine
            rows += _rates(metric, pooling, mine, groups)
        write_arrays(folder / parts.decisions_file(pivot, pooling), arrays)
        names = ("pooling", "metric", "layer", "rate", "low", "high", "relabelled_rate", "tie_rate", "n")
        write_table(folder / parts.rates_file(pivot, pooling), _columns(names, rows))


def _rates(metric: str, pooling: str, decisions: np.ndarray, groups: np.ndarray) -> list[tuple]:
    """A row per layer; without similarities there is no relabelled rate and no tie rate."""
    values = np.where(decisions == ABSENT, np.nan, decisions.astype(float))
    rows = []
    for layer in range(values.shape[1]):
        estimate = rate(values[:, layer], groups)
        rows.append((pooling, metric, layer, *estimate[:3], np.nan, np.nan, estimate.n))
    return rows


def _write_quality(folder: Path, quality: Quality | None) -> None:
    if quality is not None and quality.scores:
        names = ("field", "direction", "metric", "sentence_id", "score")
        write_table(folder / parts.EXTERNAL_SCORES, _columns(names, quality.scores))
    if quality is not None and quality.translations:
        names = ("field", "direction", "sentence_id", "source", "translation", "reference")
        write_table(folder / parts.TRANSLATIONS, _columns(names, quality.translations))


def _columns(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[str, list[Any]]:
    return dict(zip(names, (list(column) for column in zip(*rows, strict=True)), strict=True))
