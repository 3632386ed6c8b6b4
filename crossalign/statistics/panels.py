"""The same units seen in many languages: what goes with a fact that changes within a unit, whatever unit and language."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Int

from crossalign.statistics.estimates import Z95, Estimate, design_effect, two_sided, undefined

Values = Float[np.ndarray, "observation"]
Factor = Int[np.ndarray, "observation"]

ROUNDS = 200
"""Most times that the means of units and languages are taken away in turn; a complete table needs one."""

SETTLED = 1e-10
"""Largest mean that may be left, as a share of the largest value."""


def within_units(
    values: Values, first: Values, language: Factor, unit: Factor, groups: Factor | None = None
) -> Estimate:
    """How much larger a unit's value is in the languages where it is of the first set, beyond what languages differ in.

    The coefficient of the set in a linear model with a level of its own for each unit (say, a sentence, which may be
    easy in all languages) and for each language. The variance is that with whole units, or groups of units, resampled
    (not below that with independent observations); interval and two-sided p are normal.

    Args:
        values: any numbers, NaN left out. All languages, one after the other.
        first: 1.0 in the first set (say, aligned), 0.0 in the second, NaN for neither.
        language: language of each observation, as integers.
        unit: what is seen in several languages, as integers.
        groups: resampling unit of each observation, where it is larger than a unit.

    Returns:
        n counts the units that are of the first set in some languages and of the second in others; NaN where none is.

    Source: Wooldridge 2010, chapter 10 (fixed effects, errors robust to dependence within units).

    >>> values = np.array([3.0, 5.0, 1.0, 2.0, 5.0, 1.0])  # the second language is 1 harder for units 0 and 1 alike
    >>> first = np.array([1.0, 1.0, 0.0, 0.0, 1.0, 0.0])
    >>> found = within_units(values, first, np.array([0, 0, 0, 1, 1, 1]), np.array([0, 1, 2, 0, 1, 2]))
    >>> round(found.value, 3), found.n
    (1.0, 1)
    """
    kept = ~(np.isnan(values) | np.isnan(first))
    groups = (unit if groups is None else groups)[kept]
    values, first, language, unit = values[kept], first[kept], _numbered(language[kept]), _numbered(unit[kept])
    n = _informative(first, unit)
    if n == 0:
        return undefined(0)
    fact = _without_levels(first, language, unit)
    strength = float(fact @ fact)
    if strength <= SETTLED * len(fact):
        return undefined(n)
    left = _without_levels(values, language, unit)
    slope = float(fact @ left) / strength
    influence = fact * (left - slope * fact) / strength
    error = math.sqrt(float(influence @ influence) * design_effect(influence, groups))
    if error <= SETTLED * abs(slope):
        return undefined(n, slope)
    return Estimate(slope, slope - Z95 * error, slope + Z95 * error, two_sided(slope / error), n)


def _numbered(factor: Factor) -> Factor:
    return np.unique(factor, return_inverse=True)[1]


def _informative(first: Values, unit: Factor) -> int:
    """Units of which both sets have an observation."""
    if not len(first):
        return 0
    sums, sizes = np.bincount(unit, weights=first), np.bincount(unit)
    return int(((sums > 0) & (sums < sizes)).sum())


def _without_levels(values: Values, language: Factor, unit: Factor) -> Values:
    """What is left of values when every unit and every language has mean 0."""
    left = values - values.mean()
    scale = max(float(np.abs(left).max()), 1e-300)
    for _ in range(ROUNDS):
        largest = 0.0
        for factor in (unit, language):
            means = np.bincount(factor, weights=left) / np.bincount(factor)
            left = left - means[factor]
            largest = float(np.abs(means).max())
        if largest <= SETTLED * scale:
            break
    return left
