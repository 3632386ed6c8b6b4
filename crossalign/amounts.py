"""Bytes, seconds, intervals and p values as people read them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import SupportsFloat

SMALLEST_P = 0.0001
"""Smaller p values are only said to be smaller; a permutation test of ours cannot reach below it, so its p is told."""


def p_value(p: SupportsFloat) -> str:
    """A p value in a sentence.

    >>> p_value(0.0432), p_value(0.0001), p_value(0.00004), p_value(float("nan"))
    ('p = 0.043', 'p = 0.0001', 'p < 0.0001', 'p undefined')
    """
    digits = p_digits(p)
    return "p undefined" if digits == "–" else f"p {digits}" if digits.startswith("<") else f"p = {digits}"


def p_digits(p: SupportsFloat) -> str:
    """A p value in a table: three decimals, four below 0.001, never 0; "–" where it is undefined.

    >>> p_digits(0.0432), p_digits(1 / 3000), p_digits(0.0)
    ('0.043', '0.0003', '< 0.0001')
    """
    value = float(p)
    if math.isnan(value):
        return "–"
    return f"< {SMALLEST_P}" if value < SMALLEST_P else f"{value:.{4 if value < 0.001 else 3}f}"


def holds_p_values(column: str) -> bool:
    """Whether a column of our tables holds p values, by its name: p, p_holm, mcnemar, and so on."""
    return column in ("p", "mcnemar") or column.startswith("p_")


def in_brackets(low: float, high: float, written: Callable[[float], str]) -> str:
    """An interval to stand behind its estimate; nothing where it is unknown.

    >>> "r = 0.5" + in_brackets(0.25, 0.75, str), "r = 1" + in_brackets(math.nan, math.nan, str)
    ('r = 0.5 [0.25, 0.75]', 'r = 1')
    """
    return "" if math.isnan(low) or math.isnan(high) else f" [{written(low)}, {written(high)}]"


def bytes_in_words(count: float | int) -> str:
    """A number of bytes, in the unit that gives it at most three digits.

    >>> bytes_in_words(980), bytes_in_words(1_234_000), bytes_in_words(16.1e9)
    ('980 bytes', '1.2 MB', '16 GB')
    """
    if count < 1000:
        return f"{count:.0f} bytes"
    for unit in ("kB", "MB", "GB", "TB"):
        count /= 1000
        if count < 999.5 or unit == "TB":
            break
    return f"{count:.1f} {unit}" if count < 9.95 else f"{count:,.0f} {unit}"


def seconds_in_words(seconds: float | int) -> str:
    """A duration, in its one or two largest units; at least a second.

    >>> seconds_in_words(0.4), seconds_in_words(59), seconds_in_words(61), seconds_in_words(7300), seconds_in_words(2e5)
    ('1 s', '59 s', '1 min 1 s', '2 h 1 min', '2 d 7 h')
    """
    whole = max(1, round(seconds))
    sizes = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    first = next(i for i, (_, size) in enumerate(sizes) if whole >= size)
    words = []
    for unit, size in sizes[first : first + 2]:
        count, whole = divmod(whole, size)
        words += [f"{count} {unit}"] if count else []
    return " ".join(words)
