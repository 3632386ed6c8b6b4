"""How well an amount (an alignment margin, a log-probability margin) tells two sets of instances apart."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool, Float, Int

from crossalign.statistics.correlation import ranks
from crossalign.statistics.estimates import Estimate, design_effect, two_sided, undefined, wilson

Values = Float[np.ndarray, "instance"]
Groups = Int[np.ndarray, "instance"]


def auc(values: Values, first: Values, groups: Groups | None = None) -> Estimate:
    """Chance that an instance of the first set has a larger value than one of the second; ties count half.

    0.5 where the value says nothing, 1 where it separates the sets. The interval is Wilson's at the effective sample
    size AUC (1 - AUC) ÷ variance, the variance being DeLong's, or with groups Obuchowski's (not below DeLong's); of a set of
    one instance the variance is unknown, and the size 1. With 2 or 3 in a set it covers about 80 % only. p is the
    two-sided Mann–Whitney test (normal, corrected for ties, no continuity correction), with groups corrected by the
    design effect.

    Args:
        values: any numbers, NaN left out.
        first: 1.0 in the first set (say correct), 0.0 in the second, NaN for neither.
        groups: resampling unit of each instance.

    Returns:
        n counts both sets; NaN where one is empty.

    Source: DeLong et al. 1988; Obuchowski 1997; effective sample size as in `rate`.

    >>> [round(v, 3) for v in auc(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.0, 1.0, 0.0, 1.0]))]
    [0.75, 0.198, 0.973, 0.439, 4]
    """
    kept = ~(np.isnan(values) | np.isnan(first))
    values, ones = values[kept], first[kept] == 1
    n1, n0 = int(ones.sum()), int((~ones).sum())
    if min(n1, n0) == 0:
        return undefined(n1 + n0)
    placed = placements(values, ones)
    area = float(placed[ones].mean())
    influence = np.where(ones, (placed - area) / n1, (1 - area - placed) / n0)
    effect = design_effect(influence, None if groups is None else groups[kept])
    low, high = wilson(area, _effective(influence, ones, area) / effect)
    error = _null_error(values, n1, n0) * math.sqrt(effect)
    return Estimate(area, low, high, two_sided((area - 0.5) / error) if error > 0 else math.nan, n1 + n0)


def mann_whitney(values: Values, first: Values, groups: Groups | None = None) -> Estimate:
    """Rank-biserial correlation (Cliff's delta), 2 · AUC − 1, from −1 to 1, with the interval and p of `auc`."""
    found = auc(values, first, groups)
    return Estimate(2 * found.value - 1, 2 * found.low - 1, 2 * found.high - 1, found.p, found.n)


def placements(values: Values, ones: Bool[np.ndarray, "instance"]) -> Values:
    """Share of the other set that each instance is larger than, ties half."""
    overall = ranks(values)
    within = np.empty(len(values))
    within[ones], within[~ones] = ranks(values[ones]), ranks(values[~ones])
    return (overall - within) / np.where(ones, (~ones).sum(), ones.sum())


def _effective(influence: Values, ones: Bool[np.ndarray, "instance"], area: float) -> float:
    """Effective sample size; never below the smaller set, which is the least an AUC can have (van Dantzig 1951)."""
    sizes = int(ones.sum()), int((~ones).sum())
    least = float(min(sizes))
    if least < 2:
        return least  # how much a set of one varies is unknown
    variance = sum(
        float((influence[side] ** 2).sum()) * n / (n - 1) for side, n in zip((ones, ~ones), sizes, strict=True)
    )
    return max(least, area * (1 - area) / variance) if variance > 0 else least


def _null_error(values: Values, n1: int, n0: int) -> float:
    """Standard error of the AUC when both sets have the same distribution."""
    n = n1 + n0
    counts = np.unique(values, return_counts=True)[1].astype(float)
    if n < 2:
        return math.nan
    return math.sqrt((n + 1 - float((counts**3 - counts).sum()) / (n * (n - 1))) / (12 * n1 * n0))
