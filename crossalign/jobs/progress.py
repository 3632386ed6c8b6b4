"""How far a job is, from the events in its log (see `console.Reporting`)."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WINDOW = 120.0
"""Seconds over which the rate is measured; longer where one step takes longer."""

LONGEST_LOG = 4 << 20
"""Bytes of a log that are read, from its end."""

SHOWN_LINES, SHOWN_SIGNS = 200, 500


@dataclass(frozen=True, slots=True)
class Progress:
    """What a log tells. Units are instances (or sentences) over all parts.

    Attributes:
        parts: to be computed, in order; `begun` of them have begun.
        part: the one that is computed now, "" before the first.
        done, total: units in all parts.
        unit: what is counted.
        rate: units per second lately; NaN while unknown.
        left: seconds until all units are done; NaN while unknown.
        ok: None while there is no end; False where it failed.
        text: why it failed, where it said so.
        lines: what it said, and whatever else stands in the log.
    """

    parts: tuple[str, ...] = ()
    begun: int = 0
    part: str = ""
    done: int = 0
    total: int = 0
    unit: str = ""
    rate: float = math.nan
    left: float = math.nan
    ok: bool | None = None
    text: str = ""
    lines: tuple[str, ...] = ()


@dataclass
class _Tally:
    """Sums while events are read in order."""

    size: int = 0
    totals: dict[str, int] = field(default_factory=dict)
    begun: list[str] = field(default_factory=list)
    unit: str = ""
    steps: list[tuple[float, int]] = field(default_factory=list)
    ok: bool | None = None
    text: str = ""

    def take(self, event: dict[str, Any]) -> None:
        kind, at = event["event"], float(event.get("time", math.nan))
        if kind == "ahead":
            self.size = int(event["size"])
            self.totals = {str(part): self.size for part in event["parts"]} | self.totals
        elif kind == "stage":
            self.begun.append(str(event["name"]))
            self.totals[self.begun[-1]] = int(event["total"])
            self.unit = str(event["unit"])
            self.steps = self.steps or [(at, 0)]
        elif kind == "advance" and self.steps:
            self.steps.append((at, self.steps[-1][1] + int(event["amount"])))
        elif kind == "end":
            self.ok, self.text = bool(event["ok"]), str(event["text"])

    @property
    def rate(self) -> float:
        """Over the last `WINDOW` seconds, or from the step before the last where that is longer ago."""
        if len(self.steps) < 2:
            return math.nan
        end, done = self.steps[-1]
        recent = [s for s in self.steps[:-1] if end - s[0] <= WINDOW]
        began, before = recent[0] if recent else self.steps[-2]
        return (done - before) / (end - began) if end > began else math.nan


def progress(lines: Iterable[str], now: float) -> Progress:
    """Reads the lines of a log.

    Args:
        now: Unix seconds; time left counts from here.
    """
    tally, shown = _Tally(), []
    for line in lines:
        event = _event(line)
        try:
            if event:
                tally.take(event)
        except (KeyError, TypeError, ValueError):
            event = None
        if event is None or event["event"] == "say":
            shown.append(str(event["text"] if event and "text" in event else line)[:SHOWN_SIGNS])
    done, total = tally.steps[-1][1] if tally.steps else 0, sum(tally.totals.values())
    left = math.nan
    if tally.rate > 0 and total > done:
        left = max(0.0, (total - done) / tally.rate - (now - tally.steps[-1][0]))
    return Progress(
        parts=tuple(tally.totals),
        begun=len(set(tally.begun)),
        part=tally.begun[-1] if tally.begun else "",
        done=done,
        total=total,
        unit=tally.unit,
        rate=tally.rate,
        left=left,
        ok=tally.ok,
        text=tally.text,
        lines=tuple(shown[-SHOWN_LINES:]),
    )


def _event(line: str) -> dict[str, Any] | None:
    """The event of a line; None where it is something else, such as a warning of a library."""
    try:
        value = json.loads(line) if line.startswith("{") else None
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and isinstance(value.get("event"), str) else None


def read_log(path: Path) -> list[str]:
    """The lines of a log, at most its last `LONGEST_LOG` bytes; empty where there is none."""
    try:
        with path.open("rb") as file:
            start = max(0, os.fstat(file.fileno()).st_size - LONGEST_LOG)
            file.seek(start)
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    return [line for line in lines[start > 0 :] if line.strip()]
