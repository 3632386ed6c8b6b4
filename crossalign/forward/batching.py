"""How trees become passes: rows of one tree or of several, padded to one width, as many as a token budget holds."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from crossalign.forward.token_tree import ATTENTION_COST, TokenTree

WASTE = 0.05
"""Most of a row's attention beside its linear layers where trees are put into one row: padding costs more."""

WIDTHS = 4
"""Widths of batches are multiples of this: oneDNN compiles a kernel for every size of input and keeps half a megabyte."""

LEAST_PASS = 128
"""Tokens below which a pass takes nearly as long as a larger one."""

WIDEST = 512
"""Tokens of a row of several trees at most: the masks of wider rows cost more than they spare."""


class Batch(NamedTuple):
    """Rows of about equal length that are run together, padded to the longest.

    Attributes:
        most: positions that the model has; padding never goes beyond them.
    """

    rows: tuple[TokenTree, ...]
    most: int

    @property
    def width(self) -> int:
        """Tokens of the longest row, rounded up to a multiple of `WIDTHS` where the model has as many positions."""
        longest = max(len(row) for row in self.rows)
        return max(longest, min(_width(longest), self.most))

    @property
    def padded(self) -> int:
        """Tokens that are run, padding included."""
        return self.width * len(self.rows)


def batches(rows: Sequence[TokenTree], budget: int, most: int, linear_to_attention: float | None = None) -> list[Batch]:
    """Fills batches of at most `budget` tokens, padding included, from the longest rows on (a longer row runs alone).

    Args:
        most: positions that the model has.
        linear_to_attention: see `trees`; with it, trees follow one another in wider rows where less padding makes that
            cheaper. None leaves every tree a row of its own.
    """
    alone = filled(rows, budget, most, 0)
    if linear_to_attention is None:
        return alone
    joined = filled(rows, budget, most, int(WASTE * linear_to_attention / ATTENTION_COST))
    return min(alone, joined, key=lambda made: _cost(made, linear_to_attention))


def balanced(rows: Sequence[TokenTree], budget: int, most: int) -> list[Batch]:
    """Passes that hold about equally many tokens, in rows of many trees: for an attention to which these cost nothing.

    Passes that run side by side then end together: where `budget` is no less than two of the least passes, their number is
    even, and a multiple of 4 or more where there are many, whatever number of workers there is; trees that fill a row each
    may take one less.

    Args:
        budget: most tokens of a pass, padding included; a tree of more has a pass of its own.
        most: positions that the model has.
    """
    if not rows:
        return []
    total = sum(map(len, rows))
    # Most rows of a pass, and most tokens of a row.
    tallest = -(-budget // min(budget, most, WIDEST))
    widest = max(1, budget // tallest // WIDTHS * WIDTHS)
    least = -(-total // (tallest * widest))
    # The number of passes is rounded up to a multiple of this.
    together = 1 << max(1, (least // 4).bit_length() - 1)
    count = min(-(-least // together) * together, max(least, total // LEAST_PASS))
    ordered = sorted(rows, key=len, reverse=True)
    while True:
        for height in range(-(-total // (count * widest)), tallest + 1):
            made = _divided(ordered, count * height)
            if all(len(trees) == 1 or sum(map(len, trees)) <= widest for trees in made):
                joined = sorted((_joined(trees) for trees in made if trees), key=len, reverse=True)
                return _passes(joined, -(-len(joined) // count), budget, most)
        count += together


def _passes(rows: Sequence[TokenTree], height: int, budget: int, most: int) -> list[Batch]:
    """Batches of up to `height` rows, in the order of the rows, the longest first."""
    result: list[Batch] = []
    start = 0
    while start < len(rows):
        stop = start + max(1, min(height, budget // Batch((rows[start],), most).width))
        result.append(Batch(tuple(rows[start:stop]), most))
        start = stop
    return result


def _divided(ordered: Sequence[TokenTree], count: int) -> list[list[TokenTree]]:
    """The trees, largest first, each put to those that have the fewest tokens so far."""
    parts: list[list[TokenTree]] = [[] for _ in range(count)]
    sizes = [(0, i) for i in range(count)]
    for tree in ordered:
        size, i = sizes[0]
        parts[i].append(tree)
        heapq.heapreplace(sizes, (size + len(tree), i))
    return parts


def _cost(made: Sequence[Batch], ratio: float) -> float:
    """Time of the batches, in that of one pair of tokens."""
    return float(sum(batch.padded * (ratio + ATTENTION_COST * batch.width) for batch in made))


def filled(rows: Sequence[TokenTree], budget: int, most: int, wide: int) -> list[Batch]:
    """Batches whose rows hold trees, the largest first, up to `wide` tokens or the batch's longest tree; 0: one tree each."""
    left = sorted(rows, key=len)
    lengths = [len(row) for row in left]
    result: list[Batch] = []
    while left:
        width = max(_width(lengths[-1]), min(wide, most, budget) // WIDTHS * WIDTHS)
        full: list[TokenTree] = []
        while left and len(full) < max(1, budget // width):
            row, room = [left.pop()], width - lengths.pop()
            while wide and (place := bisect_right(lengths, room) - 1) >= 0:
                row.append(left.pop(place))
                room -= lengths.pop(place)
            full.append(_joined(row))
        result.append(Batch(tuple(full), most))
    return result


def _joined(trees: Sequence[TokenTree]) -> TokenTree:
    """Trees after one another as one row: no token sees one of another tree."""
    if len(trees) == 1:
        return trees[0]
    starts = np.cumsum([0, *(len(tree) for tree in trees[:-1])]).tolist()
    return TokenTree(
        np.concatenate([tree.tokens for tree in trees]),
        np.concatenate([tree.depths for tree in trees]),
        np.concatenate([tree.ends + start for tree, start in zip(trees, starts, strict=True)]),
        tuple(request for tree in trees for request in tree.requests),
        tuple(path + start for tree, start in zip(trees, starts, strict=True) for path in tree.paths),
    )


def _width(length: int) -> int:
    return -(-length // WIDTHS) * WIDTHS
