"""Rates with Wilson intervals, and the record that most estimates of the package share.

Intervals are at 95 % everywhere. Instances that come in groups (the questions on one passage) widen an interval by the
design effect: the variance with whole groups resampled ÷ the variance with independent instances, never below 1. Where
all instances are the same there is no variance to compare, and those of a group are taken to be one: see `design_effect`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

Z95 = 1.959963984540054
"""Two-sided 95 % point of the normal distribution."""


class Estimate(NamedTuple):
    """A number with its 95 % interval, the p value of its null hypothesis, and n; NaN where undefined.

    What the null hypothesis is, whether p is one- or two-sided, and what n counts is said by the function that gives it.
    """

    value: float
    low: float
    high: float
    p: float
    n: int


class Rate(NamedTuple):
    """A proportion with its 95 % interval and the number of instances behind it; NaN where n is 0."""

    rate: float
    low: float
    high: float
    n: int


def undefined(n: int, value: float = math.nan) -> Estimate:
    """An estimate without interval and p, over n points."""
    return Estimate(value, math.nan, math.nan, math.nan, n)


def rate(values: Float[np.ndarray, "instance"], groups: Int[np.ndarray, "instance"] | None = None) -> Rate:
    """Mean of 0/1 values with a 95 % Wilson interval, widened where instances come in groups.

    With groups, n is divided by the design effect (variance of the mean with groups resampled as a whole ÷ variance
    with instances independent), not below 1: Wilson at the effective sample size. At a rate of 0 or 1 the design effect is
    the largest that there can be, so that n becomes the number of groups where all are of one size.

    Args:
        values: 1.0, 0.0, or NaN for undefined, which is left out.
        groups: resampling unit of each instance, as integers.

    Source: Wilson 1927; effective sample size as in Korn & Graubard 1998, Dean & Pagano 2015.

    >>> [round(x, 3) for x in rate(np.array([1.0, 1.0, 0.0, 1.0]))]
    [0.75, 0.301, 0.954, 4]
    """
    defined = ~np.isnan(values)
    kept = values[defined]
    n = len(kept)
    if n == 0:
        return Rate(math.nan, math.nan, math.nan, 0)
    p = float(kept.mean())
    effect = design_effect((kept - p) / n, groups[defined]) if groups is not None else 1.0
    return Rate(p, *wilson(p, n / effect), n)


def rate_of_counts(successes: float | int, n: float | int) -> Rate:
    """`rate` of independent instances of which only the counts are known.

    >>> rate_of_counts(3, 4) == rate(np.array([1.0, 1.0, 0.0, 1.0]))
    True
    """
    return Rate(successes / n, *wilson(successes / n, n), int(n)) if n else Rate(math.nan, math.nan, math.nan, 0)


def means(
    values: Float[np.ndarray, "row instance"], groups: Int[np.ndarray, "instance"] | None = None
) -> tuple[Float[np.ndarray, "row"], Float[np.ndarray, "row"], Float[np.ndarray, "row"], Int[np.ndarray, "row"]]:
    """Mean of each row, lower and upper end of its 95 % interval, and how many values are defined.

    Student's t interval with one degree of freedom less than there are values, or groups. With groups the variance of the
    mean is the larger of that with whole groups resampled and that with independent instances. NaN without values; no
    interval with fewer than 2 of them, or of their groups.

    Args:
        values: e.g. alignment margins at each layer; NaN for undefined, which is left out.
        groups: resampling unit of each instance.

    >>> [v.round(3).tolist() for v in means(np.array([[1.0, 2.0, 3.0, np.nan]]))]
    [[2.0], [-0.484], [4.484], [3]]
    """
    from scipy.special import stdtrit

    defined = ~np.isnan(values)
    n = units = defined.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(defined, values, 0).sum(axis=1, dtype=float) / n
        off = np.where(defined, values - mean[:, None], 0) / n[:, None]
        variance = (off**2).sum(axis=1) * n / (n - 1)
        if groups is not None:
            between, k = _between_groups(off, defined, groups)
            variance, units = np.maximum(variance, between), k
        half = stdtrit(np.maximum(units - 1.0, 1.0), 0.975) * np.sqrt(variance)
    return mean, mean - half, mean + half, n


def _between_groups(
    off: Float[np.ndarray, "row instance"],
    defined: Bool[np.ndarray, "row instance"],
    groups: Int[np.ndarray, "instance"],
) -> tuple[Float[np.ndarray, "row"], Int[np.ndarray, "row"]]:
    """Variance of the mean of each row with whole groups resampled, NaN where there is one group; and how many there are."""
    order = np.argsort(groups, kind="stable")
    first = np.flatnonzero(np.diff(groups[order], prepend=groups[order[:1]] - 1))
    if not len(first):
        return np.full(len(off), math.nan), np.zeros(len(off), dtype=int)
    sums = np.add.reduceat(off[:, order], first, axis=1)
    k = np.logical_or.reduceat(defined[:, order], first, axis=1).sum(axis=1)
    return np.where(k > 1, (sums**2).sum(axis=1) * k / (k - 1), math.nan), k


def wilson(p: float, n: float | int) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion p; n > 0 may be an effective sample size, so need not be whole."""
    z2 = Z95 * Z95
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    # Rounding must not push an end past the estimate or out of [0, 1].
    return min(p, max(0.0, centre - half)), max(p, min(1.0, centre + half))


def design_effect(influence: Float[np.ndarray, "instance"], groups: Int[np.ndarray, "instance"] | None) -> float:
    """How much wider groups make the variance of an estimate; at least 1, and 1 without groups.

    Where no instance moves the estimate (all are aligned, say), or all are of one group, the data cannot tell how alike
    those of a group are. They are then taken to be wholly alike, which is the safe side: n ÷ effect is
    n² ÷ Σ (size of a group)².

    Args:
        influence: by how much each instance moves the estimate (sums to 0).
        groups: resampling unit of each instance.

    Source: Kish 1965 (for groups that are wholly alike).

    >>> design_effect(np.zeros(6), np.array([0, 0, 0, 1, 1, 1]))
    3.0
    """
    if groups is None or len(groups) == 0:
        return 1.0
    independent, sums = float(influence @ influence), group_sums(influence, groups)
    if independent == 0 or len(sums) == 1:
        return float((group_sums(np.ones(len(groups)), groups) ** 2).sum()) / len(groups)
    if len(sums) == len(groups):
        return 1.0
    return max(1.0, len(sums) / (len(sums) - 1) * float(sums @ sums) / independent)


def apart(groups: Int[np.ndarray, "instance"] | None) -> bool:
    """Whether instances are independent: no groups, or each instance a group of its own. Then exact tests hold."""
    return groups is None or len(np.unique(groups)) == len(groups)


def difference_influence(
    values: Float[np.ndarray, "instance"], first: Bool[np.ndarray, "instance"]
) -> Float[np.ndarray, "instance"]:
    """By how much each instance moves the mean of the first set − that of the others; both have instances."""
    there, here = values[~first].mean(), values[first].mean()
    return np.where(first, (values - here) / first.sum(), (there - values) / (~first).sum())


def group_sums(
    values: Float[np.ndarray, "instance"], groups: Int[np.ndarray, "instance"]
) -> Float[np.ndarray, "group"]:
    """Sum of the values of each group that occurs, in the order of the groups' numbers."""
    return np.bincount(np.unique(groups, return_inverse=True)[1], weights=values)


def two_sided(z: float) -> float:
    """Two-sided p of a standard normal statistic.

    >>> round(two_sided(1.96), 3)
    0.05
    """
    return math.erfc(abs(z) / math.sqrt(2))


def upper_tail(z: float) -> float:
    """One-sided p of a standard normal statistic: how often one this large or larger comes up."""
    return math.erfc(z / math.sqrt(2)) / 2
