"""What an import did, what it left out, and why: one sentence each, with the file's name."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crossalign.store.files import one_line

SHOWN = 3
"""Of many equal faults of one file, so many are told in full."""


@dataclass
class Report:
    """The outcome of an import.

    Attributes:
        runs: ids of the runs that are now in the cache.
        unchanged: those of them that were there before.
        left_out: a sentence for each thing that was not sound or not understood.
        notes: a sentence for each choice that was made, e.g. which of several results counts.
    """

    runs: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def leave_out(self, path: Path | str, why: str) -> None:
        """Names a file, a part of one, or a folder that is not imported."""
        if (text := f"{path}: {why}") not in self.left_out:
            self.left_out.append(text)

    def take_over(self, other: Report) -> None:
        """Adds what another report says, each sentence once."""
        for mine, theirs in ((self.left_out, other.left_out), (self.notes, other.notes)):
            mine += [text for text in theirs if text not in mine]


@dataclass
class Faults:
    """Faults inside one file, told together, so that a thousand bad lines are not a thousand sentences."""

    path: Path
    found: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, why: str) -> None:
        """Counts a fault; the first ones are kept in words."""
        self.count += 1
        if len(self.found) < SHOWN:
            self.found.append(why)

    def tell(self, report: Report) -> None:
        """Adds one sentence to the report when there was a fault."""
        if self.count:
            more = f"; and {self.count - len(self.found)} more" if self.count > len(self.found) else ""
            report.leave_out(self.path, "; ".join(self.found) + more + ".")


def files_below(folder: Path) -> list[Path]:
    """All files below a folder that are not hidden, in order; what vanishes or refuses meanwhile is passed over."""
    found = (Path(parent) / name for parent, _, names in os.walk(folder) for name in names)
    return sorted(p for p in found if not p.name.startswith("."))


def read_sound(path: Path, read: Callable[[Path], Any], report: Report) -> Any:
    """What `read` makes of a file; None, and a sentence in the report, when it cannot."""
    try:
        return read(path)
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        report.leave_out(path, f"it could not be read ({type(error).__name__}: {one_line(error)}).")
        return None
