"""Cosines in float64: the small arrays from which every alignment metric follows."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

TIE = 1e-12
"""Cosines closer than this are equal: a float64 dot product of a few thousand terms is no more exact, and two equal
vectors may give sums that differ in the last bits. Differences that small are set to exactly 0."""

ROWS = 512
"""Rows of a sentence-by-sentence matrix that are held at once."""

BLOCK_BYTES = 1 << 21
"""States of a language that are held in float64 at once: few enough to stay in a core's cache through all steps."""


class OptionCosines(NamedTuple):
    """Option-by-option cosines of n instances; each [instance, option, option].

    Attributes:
        cross: [i, j] = cos(pivot option i, language option j).
        pivot: [i, j] = cos(pivot option i, pivot option j).
        language: likewise within the language.
    """

    cross: Float[np.ndarray, "... option option"]
    pivot: Float[np.ndarray, "... option option"]
    language: Float[np.ndarray, "... option option"]


class Matches(NamedTuple):
    """Of a sentence-by-sentence cosine matrix, what MEXA needs; each [sentence] but the last.

    Attributes:
        matched: cos(pivot sentence i, its translation).
        best_in_row: largest cosine of pivot sentence i with any other sentence of the language.
        best_in_column: largest cosine of translation i with any other pivot sentence.
        relabelled_rate: the MEXA rate after shifting the sentences of one language cyclically, mean over all
            shifts; NaN with fewer than 2 sentences.
    """

    matched: Float[np.ndarray, "sentence"]
    best_in_row: Float[np.ndarray, "sentence"]
    best_in_column: Float[np.ndarray, "sentence"]
    relabelled_rate: float


def option_cosines(
    pivot: Float[np.ndarray, "instance option hidden"], language: Float[np.ndarray, "instance option hidden"]
) -> OptionCosines:
    """All cosines between the options of each instance; NaN where a state is not finite or zero."""
    blocks = []
    size = max(1, BLOCK_BYTES // (8 * math.prod(pivot.shape[1:])))
    for start in range(0, len(pivot), size):
        e, x = _unit(pivot[start : start + size]), _unit(language[start : start + size])
        blocks.append((e @ x.swapaxes(1, 2), e @ e.swapaxes(1, 2), x @ x.swapaxes(1, 2)))
    return OptionCosines(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))


def sentence_matches(
    pivot: Float[np.ndarray, "sentence hidden"], language: Float[np.ndarray, "sentence hidden"]
) -> Matches:
    """Compares each sentence with all others, a block of rows at a time.

    Sentences whose state is not finite in either language are NaN and compete with nobody; so is a single sentence.
    """
    e, x = _unit(pivot), _unit(language)
    n = len(e)
    valid = np.isfinite(e).all(axis=1) & np.isfinite(x).all(axis=1)
    matched, row_best, column_best = (np.full(n, np.nan) for _ in range(3))
    keep = np.flatnonzero(valid)
    if len(keep) < 2:
        return Matches(matched, row_best, column_best, float("nan"))
    e, x = e[keep], x[keep]
    tops = _Tops(len(keep))
    for start in range(0, len(keep), ROWS):
        tops.add(start, e[start : start + ROWS] @ x.T)
    matched[keep], row_best[keep], column_best[keep] = tops.matched, tops.row_other, tops.column_other
    return Matches(matched, row_best, column_best, tops.relabelled_rate())


class _Tops:
    """Running maxima over the rows and columns of a matrix that is seen in blocks of rows."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.matched = np.empty(n)
        self.row_other = np.full(n, -np.inf)
        self.column_other = np.full(n, -np.inf)
        self.column_top = np.full((3, n), -np.inf)  # best, second best, and the row of the best
        self.row_top = np.full((3, n), -np.inf)  # best, second best, and the column of the best

    def add(self, start: int, block: Float[np.ndarray, "row sentence"]) -> None:
        rows = np.arange(len(block))
        mine = slice(start, start + len(block))
        self.matched[mine] = block[rows, start + rows]
        self.row_top[:, mine] = _two_largest(block)
        best, second, where = _two_largest(block.T)
        old_best, old_second, old_where = self.column_top
        self.column_top[1] = np.maximum(np.minimum(old_best, best), np.maximum(old_second, second))
        self.column_top[2] = np.where(best > old_best, where + start, old_where)
        self.column_top[0] = np.maximum(old_best, best)
        block[rows, start + rows] = -np.inf
        self.row_other[mine] = block.max(axis=1)
        self.column_other = np.maximum(self.column_other, block.max(axis=0))

    def relabelled_rate(self) -> float:
        """Pairs off the diagonal that are strictly the best of both their row and their column, over n (n - 1).

        Each such pair is matched under exactly one of the n - 1 cyclic shifts, where it counts 1/n.
        """
        strict_row = self.row_top[0] - self.row_top[1] > TIE
        strict_column = self.column_top[0] - self.column_top[1] > TIE
        columns = self.row_top[2].astype(np.int64)
        rows = np.arange(self.n)
        mutual = strict_row & strict_column[columns] & (self.column_top[2][columns] == rows) & (columns != rows)
        return float(mutual.sum()) / (self.n * (self.n - 1))


def _two_largest(block: Float[np.ndarray, "row column"]) -> Float[np.ndarray, "3 row"]:
    """Best, second best and the index of the best of each row."""
    where = block.argmax(axis=1)
    best = np.take_along_axis(block, where[:, None], axis=1)[:, 0]
    if block.shape[1] < 2:
        return np.stack([best, np.full(len(block), -np.inf), where.astype(float)])
    without = block.copy()
    np.put_along_axis(without, where[:, None], -np.inf, axis=1)
    second = without.max(axis=1)
    return np.stack([best, second, where.astype(float)])


def _unit(states: np.ndarray) -> np.ndarray:
    """float64 vectors of length 1; NaN for a zero vector or one that is not finite."""
    vectors = states.astype(np.float64)
    norms = np.sqrt(np.einsum("...d,...d->...", vectors, vectors))[..., None]
    # The squares of float32 numbers are finite in float64, so a norm is finite iff its vector is.
    norms[~(np.isfinite(norms) & (norms > 0))] = np.nan
    vectors /= norms
    return vectors
