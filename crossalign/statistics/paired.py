"""Two runs on the same instances."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from crossalign.statistics.estimates import Z95, Estimate, apart, design_effect, two_sided, undefined

Correct = Float[np.ndarray, "instance"]


class PairedCounts(NamedTuple):
    """Instances by which of two runs is right."""

    both: int
    first_only: int
    second_only: int
    neither: int


def paired_counts(first: Correct, second: Correct) -> PairedCounts:
    """Counts over the instances where both runs have a prediction.

    >>> paired_counts(np.array([1.0, 1.0, 0.0, np.nan]), np.array([1.0, 0.0, 0.0, 1.0]))
    PairedCounts(both=1, first_only=1, second_only=0, neither=1)
    """
    kept = ~(np.isnan(first) | np.isnan(second))
    cells = np.bincount(((1 - first[kept]) * 2 + 1 - second[kept]).astype(int), minlength=4)
    return PairedCounts(*(int(c) for c in cells))


def mcnemar_exact(counts: PairedCounts) -> float:
    """McNemar's exact two-sided p: of the instances that one run alone solves, is each run as likely to be it?

    1 where there is no such instance.

    >>> round(mcnemar_exact(PairedCounts(50, 8, 2, 40)), 4)  # 2 · P(at most 2 of 10)
    0.1094
    """
    from scipy.special import bdtr

    alone = counts.first_only + counts.second_only
    return min(1.0, 2 * float(bdtr(min(counts.first_only, counts.second_only), alone, 0.5))) if alone else 1.0


def paired_difference(first: Correct, second: Correct, groups: Int[np.ndarray, "instance"] | None = None) -> Estimate:
    """Accuracy (or any rate) of the first run − that of the second on the same instances.

    Interval of Bonett & Price. Without groups (or where each holds one instance) p is McNemar's exact test; with groups
    the interval grows by the root of the design effect, and p is McNemar's normal test corrected by it.

    Args:
        first: 1.0, 0.0 or NaN; instances where either run has NaN are left out.
        second: likewise, in the same order of instances.
        groups: resampling unit of each instance.

    Returns:
        n counts the instances; NaN where there are none.

    Source: Bonett & Price 2012 (adjusted Wald); McNemar 1947.

    >>> found = paired_difference(np.array([1.0] * 8 + [0.0] * 12), np.array([0.0] * 5 + [1.0] * 5 + [0.0] * 10))
    >>> [round(v, 3) for v in found]
    [0.15, -0.125, 0.397, 0.453, 20]
    """
    kept = ~(np.isnan(first) | np.isnan(second))
    difference = first[kept] - second[kept]
    n = len(difference)
    if n == 0:
        return undefined(0)
    value = float(difference.mean())
    counts = paired_counts(first, second)
    groups = None if groups is None else groups[kept]
    effect = design_effect((difference - value) / n, groups)
    ours, theirs = (counts.first_only + 1) / (n + 2), (counts.second_only + 1) / (n + 2)
    half = Z95 * math.sqrt((ours + theirs - (ours - theirs) ** 2) / (n + 2) * effect)
    low, high = max(-1.0, ours - theirs - half), min(1.0, ours - theirs + half)
    if apart(groups) or counts.first_only + counts.second_only == 0:
        p = mcnemar_exact(counts)
    else:
        p = two_sided(difference.sum() / math.sqrt((counts.first_only + counts.second_only) * effect))
    return Estimate(value, min(low, value), max(high, value), p, n)
