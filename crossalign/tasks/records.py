"""What a task is: a frozen declaration, and how its rows become instances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from crossalign.schema import Instance

Row = dict[str, Any]
Rows = list[Row]
Read = Callable[[str, str], Rows]
"""(language, split) → rows; split is "test" or "dev"."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the rows of one language and split lie: on the Hub, and below a folder given with `--data`.

    Attributes:
        repository, configuration, split, revision: arguments of `datasets.load_dataset`; no loading script is run.
        files: candidate paths below the data folder, `.jsonl` or plain text with one sentence a line.
        gated: the repository asks for an accepted licence and a token.
    """

    repository: str
    configuration: str
    split: str
    revision: str
    files: tuple[str, ...]
    gated: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """Rows after the task's repairs, and how many rows each repair touched (written to the manifest)."""

    rows: Rows
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class Task:
    """A parallel task. A new one is one file with one of these, and one entry in `crossalign.tasks.TASKS`.

    Attributes:
        name: what the command line calls it.
        languages: codes of the data, the pivot's included.
        pivot: the language the others are aligned with.
        n_options: options of an instance; 0 for parallel sentences.
        protocols: ways of scoring; the first is the default. Alignment never depends on it, except where said.
        instance: (row, language, protocol) → instance.
        origin: (language, split) → where the rows lie.
        rows: (language, split) → rows that come with the package; then there is no origin.
        prepare: (rows, language, split, read) → repaired rows; skipped with `--connectors data`.
        dev: whether there is a development split for few-shot examples; without one the first rows serve and are
            left out of the evaluation.
        default_limit: instances used when no limit is given; None for all.
        source: paper and licence, one line.
    """

    name: str
    title: str
    languages: tuple[str, ...]
    pivot: str
    n_options: int
    protocols: tuple[str, ...]
    instance: Callable[[Row, str, str], Instance]
    source: str
    origin: Callable[[str, str], Origin] | None = None
    rows: Callable[[str, str], Rows] | None = None
    prepare: Callable[[Rows, str, str, Read], Prepared] | None = None
    dev: bool = True
    default_limit: int | None = None


def few_shot_prefix(shots: Sequence[Instance]) -> str:
    """The solved examples that stand before every prompt, separated as in lm-evaluation-harness (blank line)."""
    return "".join(f"{s.prompt} {s.continuations[s.gold or 0]}\n\n" for s in shots)


def counted_from_one(value: str | float) -> int:
    """The index, from 0, that data count from 1, as a number or its digits.

    Raises:
        ValueError: no whole number.
    """
    number = float(value)
    if not number.is_integer():
        raise ValueError(f"{value!r} is not a whole number")
    return int(number) - 1
