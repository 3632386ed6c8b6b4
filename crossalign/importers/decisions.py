"""Released alignment decisions: 0 or 1 per item and layer, without the similarities behind them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from crossalign.importers.report import Faults

ABSENT = -1
"""Stands where a decision is missing."""


class Decisions(NamedTuple):
    """The decisions of one file.

    Attributes:
        keys: the items' numbers as the file has them, from 0 or from 1.
        values: 1 aligned, 0 not aligned, -1 absent; a row per key.
    """

    keys: Int[np.ndarray, "item"]
    values: Int[np.ndarray, "item layer"]


def read_decisions(path: Path, faults: Faults) -> Decisions:
    """Reads {item: {layer: 0/1}} (DALI) or {layer: [0/1 per item]} (MEXA); layer 0 is the embeddings.

    Raises:
        ValueError: neither of the two.
    """
    repeated: list[str] = []
    record = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=lambda pairs: _unique(pairs, repeated))
    for key in repeated:
        faults.add(f"{key!r} stands there twice; the first counts")
    if not isinstance(record, dict) or not record:
        raise ValueError("it holds no decisions")
    kinds = Counter(type(v) for v in record.values())
    read = _by_item if kinds.most_common(1)[0][0] is dict else _by_layer
    return read(record, faults)


def _unique(pairs: Sequence[tuple[str, Any]], repeated: list[str]) -> dict[str, Any]:
    """A JSON object; the first of equal keys stays."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            repeated.append(key)
        else:
            found[key] = value
    return found


def _by_item(record: dict[str, Any], faults: Faults) -> Decisions:
    numbers: dict[tuple[str, ...], list[int]] = {}  # the items' layers are nearly always the same
    rows: dict[int, tuple[list[int], list[int]]] = {}
    for key, layers in record.items():
        try:
            names = tuple(layers)
            if names not in numbers:
                numbers[names] = [_index(name) for name in names]
            rows[_index(key)] = numbers[names], _decided(layers.values())
        except (ValueError, TypeError, AttributeError) as error:
            faults.add(f"item {key!r} {error}")
    width = 1 + max((number for own in numbers.values() for number in own), default=0)
    values = np.full((len(rows), _sensible(width)), ABSENT, dtype=np.int8)
    for i, (own, decided) in enumerate(rows.values()):
        values[i, own] = decided
    _tell_gaps(values, faults)
    return Decisions(np.array(list(rows), dtype=np.int64), values)


def _by_layer(record: dict[str, Any], faults: Faults) -> Decisions:
    n = Counter(len(v) for v in record.values() if isinstance(v, list)).most_common(1)
    if not n:
        raise ValueError("it holds neither layers per item nor items per layer")
    size = n[0][0]
    columns: dict[int, list[int]] = {}
    for key, items in record.items():
        try:
            if not isinstance(items, list) or len(items) != size:
                raise ValueError(f"does not have {size} items")
            columns[_index(key)] = _decided(items)
        except (ValueError, TypeError) as error:
            faults.add(f"layer {key!r} {error}")
    values = np.full((size, _sensible(1 + max(columns, default=0))), ABSENT, dtype=np.int8)
    for layer, column in columns.items():
        values[:, layer] = column
    _tell_gaps(values, faults)
    return Decisions(np.arange(size), values)


def _index(key: str) -> int:
    if not key.isascii() or not key.isdigit():
        raise ValueError(f"has {key!r}, no number from 0")
    return int(key)


def _decided(values: Iterable[Any]) -> list[int]:
    found = list(values)
    wrong = set(found) - {0, 1}  # true and false are equal to 1 and 0
    if wrong:
        raise ValueError(f"has {wrong.pop()!r}, neither 0 nor 1")
    return [int(v) for v in found]


def _sensible(layers: int) -> int:
    if layers > 10_000:
        raise ValueError(f"it names a layer {layers - 1}")
    return layers


def _tell_gaps(values: np.ndarray, faults: Faults) -> None:
    empty = np.flatnonzero((values == ABSENT).all(axis=0)) if len(values) else np.array([], dtype=int)
    if len(empty):
        faults.add(f"layer {', '.join(map(str, empty))} is missing")
    partly = int(((values == ABSENT).any(axis=1) & ~(values == ABSENT).all(axis=1)).sum()) if not len(empty) else 0
    if partly:
        faults.add(f"{partly} items lack some layers")


def first_number(decisions: Decisions, n: int) -> int | None:
    """Whether a file counts its items from 0 or from 1; None where its numbers leave it open.

    >>> one = Decisions(np.array([1, 2, 3]), np.zeros((3, 1), np.int8))
    >>> first_number(one, 3), first_number(one, 4)
    (1, None)
    """
    if not len(decisions.keys) or decisions.keys.min() == 0:
        return 0
    return 1 if decisions.keys.max() == n else None


def positions(decisions: Decisions, n: int, usual: int | None) -> Int[np.ndarray, "item"]:
    """The items' rows in the data, from 0.

    Args:
        n: items of the task.
        usual: the number of the first item in the other files of the task, for a file that leaves it open.

    Raises:
        ValueError: the numbers fit neither way of counting.
    """
    keys, own = decisions.keys, first_number(decisions, n)
    first = usual if own is None else own
    if first is None:
        raise ValueError(f"its items run from {keys.min()} to {keys.max()} of {n}, so they may count from 0 or from 1")
    if len(keys) and keys.max() - first >= n:
        raise ValueError(f"its items run from {keys.min()} to {keys.max()}, but the task has {n}")
    return keys - first


def usual_size(sizes: Sequence[int]) -> int:
    """The number of items that most files have; the largest of equally common ones, 0 without files."""
    counts = Counter(sizes)
    return max(counts, key=lambda size: (counts[size], size), default=0)
