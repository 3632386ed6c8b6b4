"""Cohorts of instances by correctness in the pivot and in a language, and differences between two sets of instances.

Where a test compares instances at the best of many layers, see `layers`.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool, Float, Int

from crossalign.statistics.estimates import (
    Estimate,
    design_effect,
    difference_influence,
    group_sums,
    two_sided,
    undefined,
    upper_tail,
    wilson,
)

Values = Float[np.ndarray, "instance"]
Groups = Int[np.ndarray, "instance"]

COHORTS = ("EC-XC", "EC-XW", "EW-XC", "EW-XW")
"""English (pivot) correct or wrong, language (XX) correct or wrong. As numbers: 0 to 3 in this order."""


def cohorts(pivot_correct: Values, language_correct: Values) -> Int[np.ndarray, "instance"]:
    """The cohort of each instance as an index into COHORTS; -1 where a side has no prediction.

    >>> cohorts(np.array([1.0, 1.0, 0.0, 0.0]), np.array([1.0, 0.0, 1.0, np.nan])).tolist()
    [0, 1, 2, -1]
    """
    defined = ~(np.isnan(pivot_correct) | np.isnan(language_correct))
    return np.where(defined, np.where(pivot_correct == 1, 0, 2) + np.where(language_correct == 1, 0, 1), -1)


def cohort_sizes(cohort: Int[np.ndarray, "instance"]) -> Int[np.ndarray, "4"]:
    """Instances in each of COHORTS."""
    return np.bincount(cohort[cohort >= 0], minlength=len(COHORTS))


def among_pivot_correct(cohort: Int[np.ndarray, "instance"]) -> Values:
    """1.0 in EC-XC, 0.0 in EC-XW, NaN elsewhere: the two sides of Δ."""
    return np.where(cohort == 0, 1.0, np.where(cohort == 1, 0.0, np.nan))


def delta(aligned: Values, cohort: Int[np.ndarray, "instance"], groups: Groups | None = None) -> Estimate:
    """Δ: alignment rate of EC-XC − that of EC-XW, as `rate_difference`; n counts both cohorts.

    Of the instances that the model solves in the pivot: does it map those onto the pivot more often that it also solves
    in the language? The layer must not have been chosen on the same difference.
    """
    return rate_difference(aligned, among_pivot_correct(cohort), groups)


def published_delta(aligned: Values, cohort: Int[np.ndarray, "instance"]) -> Estimate:
    """Δ as published: one-sided two-proportion z-test (pooled) for EC-XC > EC-XW, instances taken as independent.

    The interval is the one of `delta` without groups; the paper gives none.

    Source: Ravisankar et al. 2025 (arXiv 2504.09378).
    """
    found = delta(aligned, cohort)
    values, first = _sides(aligned, among_pivot_correct(cohort))
    error = _pooled_error(values, first)
    return found._replace(p=upper_tail(found.value / error) if error > 0 else math.nan)


def rate_difference(values: Values, first: Values, groups: Groups | None = None) -> Estimate:
    """Rate of the instances in the first set − rate of those in the second, for 0/1 values.

    Newcombe's interval from the two Wilson intervals; two-sided p of the pooled two-proportion z-test, NaN where all
    values are equal. With groups, both use the sample size divided by the design effect of the difference.

    Args:
        values: 1.0, 0.0, or NaN for undefined, which is left out.
        first: 1.0 in the first set, 0.0 in the second, NaN for neither.
        groups: resampling unit of each instance.

    Returns:
        n counts both sets; NaN where one is empty.

    Source: Newcombe 1998, method 10; effective sample size as in `rate`.

    >>> found = rate_difference(np.array([1.0] * 8 + [0.0] * 12), np.array([1.0] * 10 + [0.0] * 10))
    >>> [round(v, 3) for v in found]
    [0.8, 0.384, 0.943, 0.0, 20]
    """
    groups = _kept(groups, values, first)
    values, first = _sides(values, first)
    n1, n0 = int(first.sum()), int((~first).sum())
    if min(n1, n0) == 0:
        return undefined(n1 + n0)
    p1, p0 = float(values[first].mean()), float(values[~first].mean())
    effect = design_effect(difference_influence(values, first), groups)
    (low1, high1), (low0, high0) = wilson(p1, n1 / effect), wilson(p0, n0 / effect)
    low = p1 - p0 - math.hypot(p1 - low1, high0 - p0)
    high = p1 - p0 + math.hypot(high1 - p1, p0 - low0)
    error = _pooled_error(values, first) * math.sqrt(effect)
    return Estimate(p1 - p0, low, high, two_sided((p1 - p0) / error) if error > 0 else math.nan, n1 + n0)


def mean_difference(values: Values, first: Values, groups: Groups | None = None) -> Estimate:
    """Mean of the first set − mean of the second, for margins, log-probabilities, quality scores and other amounts.

    Welch's interval and two-sided p. With groups, the variance is that of resampling groups as a whole (not below
    Welch's) and the t distribution has one degree of freedom less than there are groups, or Welch's where that is fewer.

    Args:
        values: any numbers, NaN left out.
        first: 1.0 in the first set, 0.0 in the second, NaN for neither.
        groups: resampling unit of each instance.

    Returns:
        n counts both sets; NaN where one has fewer than 2 instances or nothing varies.
    """
    from scipy.special import stdtr, stdtrit

    groups = _kept(groups, values, first)
    values, first = _sides(values, first)
    n1, n0 = int(first.sum()), int((~first).sum())
    if min(n1, n0) < 2:
        return undefined(n1 + n0)
    means = values[first].mean(), values[~first].mean()
    shares = values[first].var(ddof=1) / n1, values[~first].var(ddof=1) / n0
    value, variance = float(means[0] - means[1]), float(sum(shares))
    if variance <= (1e-12 * np.abs(values).max()) ** 2:  # equal numbers differ from their mean by rounding
        return undefined(n1 + n0, value)
    freedom = variance**2 / (shares[0] ** 2 / (n1 - 1) + shares[1] ** 2 / (n0 - 1))
    if groups is not None:
        influence = difference_influence(values, first)
        variance *= design_effect(influence, groups)
        freedom = min(freedom, max(1, len(group_sums(influence, groups)) - 1))
    error = math.sqrt(variance)
    half = float(stdtrit(freedom, 0.975)) * error
    return Estimate(value, value - half, value + half, 2 * float(stdtr(freedom, -abs(value) / error)), n1 + n0)


def _sides(values: Values, first: Values) -> tuple[Float[np.ndarray, "kept"], Bool[np.ndarray, "kept"]]:
    """The instances of both sets: their values, and whether each is in the first."""
    kept = ~(np.isnan(values) | np.isnan(first))
    return values[kept], first[kept] == 1


def _kept(groups: Groups | None, values: Values, first: Values) -> Int[np.ndarray, "kept"] | None:
    return None if groups is None else groups[~(np.isnan(values) | np.isnan(first))]


def _pooled_error(values: Values, first: Bool[np.ndarray, "instance"]) -> float:
    """Standard error of the difference of two rates when they are equal."""
    if len(values) == 0 or first.all() or not first.any():
        return math.nan
    p = float(values.mean())
    return math.sqrt(p * (1 - p) * (1 / first.sum() + 1 / (~first).sum()))
