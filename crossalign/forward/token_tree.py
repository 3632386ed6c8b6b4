"""What to run: texts that share a beginning are merged into token trees, so that each shared token is run once.

A tree is stored in depth-first order. A token sees itself and its ancestors only, and its position is its depth, so
a causal model gives every token of the tree the state it has in each of the texts that pass through it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

ATTENTION_COST = 3.0
"""Time of one attention operation relative to one operation of a linear layer, measured on a CPU with masks."""


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
