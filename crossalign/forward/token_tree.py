"""What to run: texts that share a beginning are merged into token trees, so that each shared token is run once.

A tree is stored in depth-first order. A token sees itself and its ancestors only, and its position is its depth, so
a causal model gives every token of the tree the state it has in each of the texts that pass through it.
"""

from __future__ import annotations

import heapq
import sys
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

ATTENTION_COST = 3.0
"""Time of one attention operation relative to one operation of a linear layer, measured on a CPU with masks."""

WASTE = 0.05
"""Most of a row's attention beside its linear layers where trees are put into one row: padding costs more."""


class Request(NamedTuple):
    """One text to run.

    Attributes:
        tokens: token ids, special tokens included; at least one.
        pooled: index of its pooled states in the chunk, or -1 when only its log-likelihood is wanted.
        scored: index of its log-likelihood in the chunk, or -1.
        start: first token whose log-probability counts; tokens `start:` are the continuation. At least 1.
    """

    tokens: tuple[int, ...]
    pooled: int = -1
    scored: int = -1
    start: int = 0

    @property
    def run(self) -> tuple[int, ...]:
        """The tokens that must be run: a score alone needs no state of its last token."""
        return self.tokens if self.pooled >= 0 else self.tokens[:-1]


class TokenTree(NamedTuple):
    """A tree of T tokens, or several after one another, in depth-first order, and the requests it answers.

    Attributes:
        tokens: token ids.
        depths: distance from the root of the text, from 0.
        ends: index after the last descendant of each token.
        requests: the requests, in the order of `paths`.
        paths: per request, the indices of its tokens in the tree, first to last.
    """

    tokens: Int[np.ndarray, "token"]
    depths: Int[np.ndarray, "token"]
    ends: Int[np.ndarray, "token"]
    requests: tuple[Request, ...]
    paths: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        return len(self.tokens)

    def mask(self) -> Bool[np.ndarray, "token token"]:
        """`[i, j]` is True iff token i may look at token j: j is i or one of its ancestors."""
        index = np.arange(len(self.tokens))
        return (index[None, :] <= index[:, None]) & (index[:, None] < self.ends[None, :])


def trees(requests: Sequence[Request], linear_to_attention: float, own: int = sys.maxsize) -> list[TokenTree]:
    """Merges texts that share a beginning into trees, as far as that is cheaper to run.

    Args:
        requests: texts in any order, of one instance or of many; equal texts share all their tokens.
        linear_to_attention: operations of the linear layers per token ÷ operations of attention per pair of
            tokens. Sharing saves linear work; a large tree wastes attention on pairs that are masked out, so texts
            with a short common beginning (a BOS token) are run apart.
        own: most tokens of a tree of several texts, besides the beginning that all of them share.
    """
    ordered = sorted(requests, key=lambda r: r.run)
    shared = [0] + [_common(a.run, b.run) for a, b in pairwise(ordered)]
    pieces = _pieces(ordered, shared, linear_to_attention / ATTENTION_COST, own)
    return [_merged(ordered[a:b], [0, *shared[a + 1 : b]]) for a, b in pieces]


def chains(requests: Sequence[Request]) -> list[TokenTree]:
    """Every text by itself, for models that take no tree mask; equal texts are still run once."""
    ordered = sorted(requests, key=lambda r: r.run)
    result, first = [], 0
    for i in range(1, len(ordered) + 1):
        if i == len(ordered) or ordered[i].run != ordered[first].run:
            length = len(ordered[first].run)
            result.append(_merged(ordered[first:i], [0] + [length] * (i - first - 1)))
            first = i
    return result


def merged_size(texts: Iterable[tuple[int, ...]]) -> int:
    """Tokens of one tree over the texts: each beginning that some of them share counts once."""
    ordered = sorted(texts)
    return sum(map(len, ordered)) - sum(_common(a, b) for a, b in pairwise(ordered))


def common_prefix(requests: Sequence[Request]) -> int:
    """Length of the beginning that all texts share and that comes before every scored token."""
    if not requests:
        return 0
    ordered = sorted(r.run for r in requests)
    return min([_common(ordered[0], ordered[-1])] + [r.start - 1 for r in requests])


def _common(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    """Length of the longest common beginning, by bisection on slice equality (C speed)."""
    low, high = 0, min(len(a), len(b))
    if a[:high] == b[:high]:
        return high
    while low < high:
        middle = (low + high) // 2
        if a[low : middle + 1] == b[low : middle + 1]:
            low = middle + 1
        else:
            high = middle
    return low


def _pieces(ordered: Sequence[Request], shared: Sequence[int], ratio: float, own: int) -> list[tuple[int, int]]:
    """Ranges of texts that are run as one tree each.

    All are divided at their shortest common beginning, and so on down to single texts; then, from the smallest parts up, a
    whole is kept where it is cheaper than its two parts. Of several beginnings as short, the one in the middle divides: many
    texts of one short beginning become trees of a few each.
    """
    upto = np.cumsum([0, *(len(r.run) - s for r, s in zip(ordered, shared, strict=True))]).tolist()
    cuts: dict[tuple[int, int], int] = {}
    ranges, found = [(0, len(ordered))], []
    while ranges:
        a, b = ranges.pop()
        found.append((a, b))
        if b - a > 1:
            cut = cuts[a, b] = min(range(a + 1, b), key=lambda i: (shared[i], abs(2 * i - a - b)))
            ranges += [(a, cut), (cut, b)]
    best: dict[tuple[int, int], tuple[float, list[tuple[int, int]]]] = {}
    for a, b in reversed(found):
        size = upto[b] - upto[a] + shared[a]
        whole = (size * (size + ratio), [(a, b)])
        if (cut := cuts.get((a, b))) is not None:
            (left, first), (right, second) = best.pop((a, cut)), best.pop((cut, b))
            if left + right < whole[0] or size - shared[cut] > own:
                whole = (left + right, first + second)
        best[a, b] = whole
    return best[0, len(ordered)][1]


def _merged(ordered: Sequence[Request], shared: Sequence[int]) -> TokenTree:
    """The tree over sorted texts; `shared[i]` is the beginning that text i has in common with text i-1."""
    tokens: list[int] = []
    depths: list[int] = []
    ends: list[int] = []
    paths: list[np.ndarray] = []
    path = np.zeros(0, dtype=np.int64)
    for request, common in zip(ordered, shared, strict=True):
        run, size = request.run, len(tokens)
        for node in path[common:]:
            ends[node] = size
        tokens += run[common:]
        depths += range(common, len(run))
        ends += [-1] * (len(run) - common)
        path = np.concatenate([path[:common], np.arange(size, len(tokens), dtype=np.int64)])
        paths.append(path)
    for node in path:
        ends[node] = len(tokens)
    arrays = [np.asarray(x, dtype=np.int64) for x in (tokens, depths, ends)]
    return TokenTree(arrays[0], arrays[1], arrays[2], tuple(ordered), tuple(paths))


WIDTHS = 4
"""Widths of batches are multiples of this: oneDNN compiles a kernel for every size of input and keeps half a megabyte."""


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


LEAST_PASS = 128
"""Tokens below which a pass takes nearly as long as a larger one."""


def even(rows: Sequence[TokenTree], budget: int, most: int) -> list[Batch]:
    """Passes of one row each that hold about equally many tokens, for an attention to which other trees cost nothing.

    Passes that run side by side then end together: their number is even, and a multiple of 4 or more where there are many,
    whatever number of workers there is. A tree of more than `budget` tokens has a pass of its own.
    """
    if not rows:
        return []
    total, limit = sum(map(len, rows)), min(budget, most)
    least = -(-total // limit)
    together = 1 << max(1, (least // 4).bit_length() - 1)
    count = min(-(-least // together) * together, max(least, total // LEAST_PASS))
    ordered = sorted(rows, key=len, reverse=True)
    while True:
        passes = _divided(ordered, count)
        if all(len(trees) == 1 or sum(map(len, trees)) <= limit for trees in passes):
            joined = sorted((_joined(trees) for trees in passes if trees), key=len, reverse=True)
            return [Batch((row,), most) for row in joined]
        count += together


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
