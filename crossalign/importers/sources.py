"""What one imported run is made from: the files of each language, and the run's identity."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from crossalign.importers.evaluations import Evaluation
from crossalign.schema import RunSpec, UserError
from crossalign.store.files import checksum

READING = 1
"""Raised whenever the same files would be read otherwise, so that they give another run."""


@dataclass(slots=True)
class LanguageSource:
    """Files of one language.

    Attributes:
        evaluation: its accuracy, with or without single items.
        pivot_evaluation: the same of the pivot's version of its items, where that differs from language to language.
        decisions: (metric, pooling) → file.
    """

    evaluation: Evaluation | None = None
    pivot_evaluation: Evaluation | None = None
    decisions: dict[tuple[str, str], Path] = field(default_factory=dict)

    def evaluations(self) -> list[Evaluation]:
        """Those there are."""
        return [e for e in (self.evaluation, self.pivot_evaluation) if e is not None]


@dataclass(slots=True)
class RunSource:
    """One run to be imported.

    Attributes:
        origin: who made the files, in words.
        task: name of the task; one of `TASKS`, or another.
        protocol: how it was scored, in words.
        quality: files of translations and their scores; each holds many languages.
        n_options: options of an item where it is not the task's number; 0 for the task's.
    """

    origin: str
    folder: Path
    model: str
    task: str
    pivot: str
    protocol: str
    shots: int = 0
    limit: float | None = None
    languages: dict[str, LanguageSource] = field(default_factory=dict)
    quality: list[Path] = field(default_factory=list)
    n_options: int = 0

    def of(self, language: str) -> LanguageSource:
        """The files of a language, empty at first."""
        return self.languages.setdefault(language, LanguageSource())

    def evaluations(self) -> Iterator[Evaluation]:
        """All evaluations of all languages."""
        for source in self.languages.values():
            yield from source.evaluations()

    def files(self) -> list[tuple[str, Path]]:
        """(what it is, path) of every file, in a fixed order."""
        found = [("quality", p) for p in self.quality]
        for code, source in self.languages.items():
            found += [(f"{code} {metric} {pooling}", p) for (metric, pooling), p in source.decisions.items()]
            for side, evaluation in (("", source.evaluation), ("pivot ", source.pivot_evaluation)):
                if evaluation is not None:
                    found.append((f"{code} {side}results {evaluation.task}", evaluation.results))
                    if evaluation.samples is not None:
                        found.append((f"{code} {side}samples {evaluation.task}", evaluation.samples))
        return sorted(found)

    @property
    def poolings(self) -> tuple[str, ...]:
        """How the states behind the decisions were pooled; empty without decisions."""
        return tuple(sorted({pooling for s in self.languages.values() for _, pooling in s.decisions}))


@dataclass(frozen=True, slots=True)
class Identified:
    """A source with its identity: the spec of the run it becomes, and what each file holds."""

    source: RunSource
    spec: RunSpec
    checksums: dict[str, str]


def identify(source: RunSource, read: Callable[[Path], None] = lambda path: None) -> Identified:
    """Reads every file once: the run's id is a hash of their contents, so that a changed file gives another run.

    Args:
        read: called with each file that was read.

    Raises:
        UserError: a file cannot be read.
    """
    digest, checksums = hashlib.sha256(f"reading {READING}\n".encode()), {}
    for what, path in source.files():
        name = str(path.relative_to(source.folder))
        if name not in checksums:
            checksums[name] = _checksum(path)
            read(path)
        digest.update(f"{what}\0{checksums[name]}\n".encode())
    evaluations = list(source.evaluations())
    commits = sorted({e.commit for e in evaluations if e.commit})
    dtypes = sorted({e.dtype for e in evaluations})
    spec = RunSpec(
        model=source.model,
        model_identity=f"commit:{commits[0]}" if len(commits) == 1 else f"named:{source.model}",
        task=source.task,
        protocol=source.protocol,
        pivot=source.pivot,
        data_digest=f"files:{digest.hexdigest()}",
        shots=source.shots,
        connectors="data",
        limit=int(source.limit) if source.limit and source.limit >= 1 else None,
        poolings=source.poolings,
        dtype=dtypes[0] if len(dtypes) == 1 else "unknown",
        device="unknown",
    )
    return Identified(source, spec, checksums)


def _checksum(path: Path) -> str:
    try:
        return checksum(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): make it readable, or move it elsewhere.") from None
