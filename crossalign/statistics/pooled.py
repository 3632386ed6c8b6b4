"""Rates and differences within languages, averaged over languages."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int

from crossalign.statistics.discrimination import placements
from crossalign.statistics.estimates import Z95, Estimate, Rate, design_effect, two_sided, undefined, wilson

Values = Float[np.ndarray, "observation"]
Factor = Int[np.ndarray, "observation"]
Compared = tuple[float, Values]
"""A difference within one language, and by how much each of its instances moves it."""


def mean_rate(values: Values, stratum: Factor, groups: Factor) -> Rate:
    """Rate of each language, averaged over languages, each counting the same.

    The interval says what other groups (passages, questions) would give in the same languages: it is Wilson's at the
    effective sample size rate (1 - rate) ÷ variance. The variance adds up by how much the instances of a group move the
    mean in all languages at once, and is not below that of independent instances. Of one language it is `rate`.

    Args:
        values: 1.0, 0.0, or NaN for undefined, which is left out; all languages, one after the other.
        stratum: language of each observation, as integers.
        groups: resampling unit; the same number in every language.

    Returns:
        n counts the observations; a language without any drops out.

    >>> language, question = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    >>> [round(v, 3) for v in mean_rate(np.array([1.0, 0.0, 1.0, 0.0]), language, question)]  # two questions
    [0.5, 0.055, 0.945, 4]
    """
    kept = ~np.isnan(values)
    values, groups = values[kept], groups[kept]
    language = np.unique(stratum[kept], return_inverse=True)[1]
    n = len(values)
    if n == 0:
        return Rate(math.nan, math.nan, math.nan, 0)
    sizes = np.bincount(language)
    rates = np.bincount(language, weights=values) / sizes
    value = float(rates.mean())
    influence = (values - rates[language]) / (sizes[language] * len(sizes))
    effect = design_effect(influence, groups)
    variance = float(influence @ influence) * effect
    return Rate(value, *wilson(value, value * (1 - value) / variance if variance > 0 else n / effect), n)


def pooled_difference(values: Values, first: Values, stratum: Factor, groups: Factor | None = None) -> Estimate:
    """Mean of the first set − mean of the second within each language, averaged over languages.

    A language counts with n1 · n0 / (n1 + n0) instances, the weight of Mantel and Haenszel. Languages in which one set has
    fewer than two instances drop out: a single one does not tell how much it varies. The variance adds up the instances'
    influences, with groups those of a whole group in all languages at once (not below that of independent instances);
    interval and two-sided p are normal.

    Args:
        values: 0/1 values (then it is a difference of rates) or amounts; NaN is left out. All languages, one after the other.
        first: 1.0 in the first set, 0.0 in the second, NaN for neither.
        stratum: language of each observation, as integers.
        groups: resampling unit, such as the question; the same number in every language.

    Returns:
        n counts the observations of the languages that count; NaN where none does.

    Source: Greenland & Robins 1985 (the weights).

    >>> values = np.array([1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    >>> first, language = np.array([1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0]), np.array([0, 0, 0, 0, 1, 1, 1, 1, 1])
    >>> round(pooled_difference(values, first, language).value, 3)
    1.0
    """
    value, error, n = _pooled(values, first, stratum, groups, _means)
    if n == 0:
        return undefined(0)
    if error == 0:
        return undefined(n, value)
    return Estimate(value, value - Z95 * error, value + Z95 * error, two_sided(value / error), n)


def pooled_auc(values: Values, first: Values, stratum: Factor, groups: Factor | None = None) -> Estimate:
    """Chance that, of two instances of the same language, that of the first set has the larger value; ties count half.

    The AUC of each language (see `auc`), averaged with the weights of `pooled_difference`, and with its variance. The
    interval is Wilson's at the effective sample size AUC (1 - AUC) ÷ variance, p the two-sided normal test of 0.5.

    Args:
        values: any numbers, NaN left out; all languages, one after the other.
        first: 1.0 in the first set, 0.0 in the second, NaN for neither.
        stratum: language of each observation, as integers.
        groups: resampling unit; the same number in every language.

    Returns:
        n counts the observations of the languages that count; NaN where none does.

    Source: van Elteren 1960 (ranks within strata); DeLong et al. 1988; Obuchowski 1997.
    """
    value, error, n = _pooled(values, first, stratum, groups, _areas)
    if n == 0:
        return undefined(0)
    if error == 0:
        return undefined(n, value)
    low, high = wilson(value, max(1.0, value * (1 - value) / error**2))
    return Estimate(value, low, high, two_sided((value - 0.5) / error), n)


def _means(values: Values, ones: Bool[np.ndarray, "observation"]) -> Compared:
    here, there = float(values[ones].mean()), float(values[~ones].mean())
    return here - there, _influence(np.where(ones, values - here, there - values), ones)


def _areas(values: Values, ones: Bool[np.ndarray, "observation"]) -> Compared:
    placed = placements(values, ones)
    area = float(placed[ones].mean())
    return area, _influence(np.where(ones, placed - area, 1 - area - placed), ones)


def _influence(deviations: Values, ones: Bool[np.ndarray, "observation"]) -> Values:
    """Deviations ÷ size of the set, so that their squares add up to the unbiased variance of the mean."""
    n1, n0 = int(ones.sum()), int((~ones).sum())
    return deviations / np.where(ones, math.sqrt(n1 * (n1 - 1)), math.sqrt(n0 * (n0 - 1)))


def _pooled(
    values: Values, first: Values, stratum: Factor, groups: Factor | None, compare: Callable[..., Compared]
) -> tuple[float, float, int]:
    """Weighted mean over strata, its standard error, and the observations that count."""
    kept = np.flatnonzero(~(np.isnan(values) | np.isnan(first)))
    order = kept[np.argsort(stratum[kept], kind="stable")]
    parts = np.split(order, np.flatnonzero(np.diff(stratum[order])) + 1)
    found, used = [], []
    for part in parts:
        ones = first[part] == 1
        if min(ones.sum(), (~ones).sum()) > 1:
            value, influence = compare(values[part], ones)
            found.append((float(ones.sum() * (~ones).sum() / len(part)), value, influence))
            used.append(part)
    if not found:
        return math.nan, math.nan, 0
    total = sum(weight for weight, _, _ in found)
    value = sum(weight * value for weight, value, _ in found) / total
    influence = np.concatenate([weight / total * moved for weight, _, moved in found])
    rows = np.concatenate(used)
    effect = design_effect(influence, None if groups is None else groups[rows])
    return value, math.sqrt(effect * float(influence @ influence)), len(rows)
