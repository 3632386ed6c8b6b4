"""Two yes-or-no facts of the same instances, such as aligned and correct: the 2×2 table and what follows from it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from crossalign.statistics.estimates import Z95, Estimate, Rate, apart, design_effect, rate, two_sided, undefined

Facts = Float[np.ndarray, "instance"]
Groups = Int[np.ndarray, "instance"]


class CrossTable(NamedTuple):
    """Counts of instances by two facts."""

    both: int
    aligned_only: int
    correct_only: int
    neither: int


class Conditionals(NamedTuple):
    """Is being aligned needed, and is it enough? Shares among the instances named after the bar.

    Attributes:
        correct_if_aligned: P(correct | aligned): 1 would make alignment sufficient.
        correct_if_not: P(correct | not aligned).
        aligned_if_correct: P(aligned | correct): 1 would make alignment necessary.
        aligned_if_wrong: P(aligned | wrong).
    """

    correct_if_aligned: Rate
    correct_if_not: Rate
    aligned_if_correct: Rate
    aligned_if_wrong: Rate


def cross_table(aligned: Facts, correct: Facts) -> CrossTable:
    """Counts over the instances where both facts are defined.

    >>> cross_table(np.array([1.0, 1.0, 0.0, np.nan]), np.array([1.0, 0.0, 1.0, 1.0]))
    CrossTable(both=1, aligned_only=1, correct_only=1, neither=0)
    """
    defined = ~(np.isnan(aligned) | np.isnan(correct))
    cells = np.bincount(((1 - aligned[defined]) * 2 + 1 - correct[defined]).astype(int), minlength=4)
    return CrossTable(*(int(c) for c in cells))


def conditionals(aligned: Facts, correct: Facts, groups: Groups | None = None) -> Conditionals:
    """The four conditional shares with Wilson intervals, widened for groups as in `rate`."""

    def share(of: Facts, among: Facts, wanted: float) -> Rate:
        kept = (among == wanted) & ~np.isnan(of)
        return rate(of[kept], None if groups is None else groups[kept])

    return Conditionals(
        share(correct, aligned, 1.0), share(correct, aligned, 0.0), share(aligned, correct, 1.0), share(aligned, correct, 0.0)
    )  # fmt: skip


def odds_ratio(aligned: Facts, correct: Facts, groups: Groups | None = None) -> Estimate:
    """Odds of being correct if aligned ÷ odds if not: 1 when the two facts have nothing to do with each other.

    Woolf's logit interval; where a cell is empty, 0.5 is added to all four for value and interval (Haldane, Anscombe).
    Without groups (or where each holds one instance) p is Fisher's exact two-sided test. With groups the standard error
    grows by the root of the design effect and p is the normal test of log odds ratio 0.

    Returns:
        n counts the instances where both facts are defined; NaN where one of them never varies.

    >>> found = odds_ratio(np.array([1.0] * 10 + [0.0] * 10), np.array([1.0] * 8 + [0.0] * 10 + [1.0] * 2))
    >>> [round(v, 3) for v in found]
    [16.0, 1.788, 143.15, 0.023, 20]
    """
    kept = ~(np.isnan(aligned) | np.isnan(correct))
    aligned, correct = aligned[kept], correct[kept]
    table = cross_table(aligned, correct)
    n = sum(table)
    if n == 0 or len(set(aligned)) < 2 or len(set(correct)) < 2:
        return undefined(n)
    a, b, c, d = (cell + 0.5 for cell in table) if 0 in table else table
    logarithm = math.log(a * d / (b * c))
    error = math.sqrt(1 / a + 1 / b + 1 / c + 1 / d)
    groups = None if groups is None else groups[kept]
    if groups is None or apart(groups):
        p = fisher_exact(table)
    else:
        error *= math.sqrt(_log_odds_effect(aligned, correct, groups))
        p = two_sided(logarithm / error)
    return Estimate(math.exp(logarithm), math.exp(logarithm - Z95 * error), math.exp(logarithm + Z95 * error), p, n)


def _log_odds_effect(aligned: Facts, correct: Facts, groups: Groups) -> float:
    """Design effect of the log odds ratio."""
    influence = np.zeros(len(correct))
    for side in (1.0, 0.0):
        among = aligned == side
        p = correct[among].mean()
        if 0 < p < 1:
            influence[among] = (2 * side - 1) * (correct[among] - p) / (among.sum() * p * (1 - p))
    return design_effect(influence, groups)


def fisher_exact(table: CrossTable) -> float:
    """Fisher's exact two-sided p: the chance, given the margins, of a table no likelier than this one.

    >>> round(fisher_exact(CrossTable(8, 2, 1, 5)), 4)
    0.035
    """
    from scipy.special import gammaln

    a, b, c, _ = table
    row, column, n = a + b, a + c, sum(table)
    x = np.arange(max(0, row + column - n), min(row, column) + 1)
    inverse = gammaln(x + 1) + gammaln(row - x + 1) + gammaln(column - x + 1) + gammaln(n - row - column + x + 1)
    likelihood = np.exp(inverse.min() - inverse)
    observed = likelihood[a - x[0]]
    # Equal chances may differ in the last bits, so a little room is given, as scipy and R do.
    return float(likelihood[likelihood <= observed * (1 + 1e-7)].sum() / likelihood.sum())
