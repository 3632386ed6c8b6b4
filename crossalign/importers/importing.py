"""From sources to runs in the cache, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from crossalign.importers.building import Builder
from crossalign.importers.quality import read_quality
from crossalign.importers.report import Report
from crossalign.importers.sources import Identified, RunSource, identify
from crossalign.planning import Observer
from crossalign.schema import Execution, UserError
from crossalign.store.runs import Run, existing_run
from crossalign.store.staging import install_run, staging
from crossalign.tasks import TASKS


def import_sources(sources: Iterable[RunSource], cache: Path, report: Report, observer: Observer) -> list[Run]:
    """Builds each source's run beside the cache's runs and puts it in place; one that is there already stays.

    Raises:
        UserError: the disk refuses, or the sources change meanwhile. Then nothing of the run is in the cache.
    """
    runs = []
    with staging(cache) as folder:
        for source in sources:
            runs.append(_import(source, cache, folder, report, observer))
            report.runs.append(runs[-1].run_id)
    return runs


def _import(source: RunSource, cache: Path, folder: Path, report: Report, observer: Observer) -> Run:
    observer.stage(f"{source.task}, {source.shots}-shot", len({p for _, p in source.files()}), "files")
    identified = identify(source, lambda path: observer.advance(1))
    known = existing_run(cache, identified.spec)
    own = Report()
    if known is not None:
        report.unchanged.append(known.run_id)
        own.left_out += known.facts["imported"]["left_out"]
        report.take_over(own)
        return known
    execution = Execution(0, False, "", f"imported, not computed here: {source.origin}")
    staged = Run(folder / identified.spec.run_id, identified.spec, execution, {})
    quality = read_quality(source.quality, _codes(source.task), own)
    builder = Builder(staged, identified, quality, own)
    builder.build()
    _check_unchanged(identified)
    own.left_out = [text.replace(f"{source.folder}/", "") for text in own.left_out]
    report.take_over(own)
    return install_run(cache, staged, execution, _facts(builder, identified, own.left_out))


def _facts(builder: Builder, identified: Identified, left_out: list[str]) -> dict[str, Any]:
    """What the run's readers want to know; the same keys as in a computed run, and where it came from."""
    source = identified.source
    known = source.task in TASKS
    return {
        "n_layers": max(builder.last_layers.values(), default=None),
        "hidden_size": None,
        "n_options": source.n_options or (TASKS[source.task].n_options if known else builder.n_options),
        "n": builder.n or None,
        "languages": sorted(source.languages, key=lambda c: (c != source.pivot, c)),
        "note": f"Imported from {source.origin}.",
        "imported": {
            "origin": source.origin,
            "folder": source.folder.name,
            "files": len(identified.checksums),
            "last_layers": builder.last_layers,
            "left_out": left_out,
            "quality": {str(p.relative_to(source.folder)): identified.checksums[str(p.relative_to(source.folder))]
                        for p in source.quality},
        },
    }  # fmt: skip


def _check_unchanged(identified: Identified) -> None:
    again = identify(identified.source)
    if again.spec != identified.spec:
        raise UserError(f"A file below {identified.source.folder} changed while it was read: import it again.")


def _codes(task: str) -> tuple[str, ...]:
    """Codes a task's languages may have; translations of FLORES sentences also come in Belebele's scripts."""
    own = TASKS[task].languages if task in TASKS else ()
    return tuple(dict.fromkeys((*own, *TASKS["belebele"].languages))) if task == "flores" else own
