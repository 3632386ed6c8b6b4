"""What the command line prints: progress and tables with rich, or one JSON object per line for machines."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from crossalign.schema import UserError


class _Rate(ProgressColumn):
    """Units per second, as measured over the last moments."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.1f} {task.fields['unit']}/s" if speed else "", style="progress.data.speed")


class Progressing:
    """An observer that draws a bar per language, with rate and time left, on standard error."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        columns = (
            TextColumn("{task.description:>12}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
        )
        self.progress = Progress(*columns, console=self.console)
        self.task: Any = None

    def __enter__(self) -> Progressing:
        self.progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.progress.stop()

    def say(self, text: str) -> None:
        self.console.print(text, markup=False)

    def ahead(self, parts: Sequence[str], size: int) -> None:
        pass

    def stage(self, name: str, total: int, unit: str) -> None:
        self.task = self.progress.add_task(name, total=total, unit=unit)

    def advance(self, amount: int) -> None:
        self.progress.advance(self.task, amount)


class Reporting:
    """An observer for machines: one JSON object per line on standard error, with the time in Unix seconds.

    Events: `ahead` (parts, size), `stage` (name, total, unit), `advance` (amount), `say` (text), and at the end `end`
    (ok, and text: what the user can put right). A process that is killed says no end.
    """

    def __enter__(self) -> Reporting:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._emit(event="end", ok=kind is None, text=str(value) if isinstance(value, UserError) else "")

    def _emit(self, **event: Any) -> None:
        print(json.dumps(event | {"time": round(time.time(), 3)}, ensure_ascii=False), file=sys.stderr, flush=True)

    def ahead(self, parts: Sequence[str], size: int) -> None:
        self._emit(event="ahead", parts=list(parts), size=size)

    def say(self, text: str) -> None:
        self._emit(event="say", text=text)

    def stage(self, name: str, total: int, unit: str) -> None:
        self._emit(event="stage", name=name, total=total, unit=unit)

    def advance(self, amount: int) -> None:
        self._emit(event="advance", amount=amount)


def print_json(value: Any) -> None:
    """One JSON document on standard output; NaN becomes null."""
    print(json.dumps(_plain(value), ensure_ascii=False, indent=1))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if hasattr(value, "item"):
        value = value.item()
    if value is None or value != value or (isinstance(value, float) and value in (float("inf"), float("-inf"))):
        return None
    return value if isinstance(value, str | int | float | bool) else str(value)


WIDE = 110
"""Columns of a terminal from which on tables show names and intervals too."""


def is_wide() -> bool:
    """Whether standard output has room for the wide form of a table; a file or pipe counts as wide."""
    return not sys.stdout.isatty() or Console().width >= WIDE


def print_table(title: str, header: list[str], rows: list[list[Any]], note: str = "") -> None:
    """A table on standard output; data are never read as markup, and nothing is folded, so that ids can be copied.

    On a narrow terminal only the columns of `SHORTENED` are cut; what is still too long the terminal folds by itself, and
    copies whole. A file or pipe gets everything.
    """
    table = Table(
        title=Text(title), title_justify="left", header_style="bold", box=SIMPLE_HEAD, pad_edge=False, padding=0
    )
    cells = [[Text(_cell(v), no_wrap=True, overflow="ellipsis") for v in row] for row in rows]
    least = len(header) + 1  # the gaps
    for name, *column in zip(header, *cells, strict=True):
        table.add_column(name, justify="left" if name in LEFT else "right", no_wrap=name not in SHORTENED)
        least += len(name) if name in SHORTENED else max(len(name), *(cell.cell_len for cell in column), 0)
    for row in cells:
        table.add_row(*row)
    console = Console(highlight=False, width=max(Console().width, least) if sys.stdout.isatty() else UNBOUNDED)
    console.print(table, soft_wrap=True)
    if note:
        console.print(note, markup=False)


UNBOUNDED = 1_000_000
"""Columns of a file or pipe, which has no edge."""

SHORTENED = {"model", "languages"}
"""Columns that may be cut."""

LEFT = {
    "run_id",
    "model",
    "task",
    "protocol",
    "languages",
    "language",
    "name",
    "metric",
    "pooling",
    "coefficient",
    "part",
    "direction",
    "score",
}


def _cell(value: Any) -> str:
    if value is None or value != value:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
