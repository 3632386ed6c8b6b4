"""Estimates with intervals. Closed forms only here, so that nothing large is imported to show a table."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

Z95 = 1.959963984540054
"""Two-sided 95 % point of the normal distribution."""


class Rate(NamedTuple):
    """A proportion with its 95 % interval and the number of instances behind it; NaN where n is 0."""

    rate: float
    low: float
    high: float
    n: int


class Correlation(NamedTuple):
    """A correlation coefficient with its 95 % interval over n points; NaN where it is undefined."""

    r: float
    low: float
    high: float
    n: int


def rate(values: Float[np.ndarray, "instance"], groups: Int[np.ndarray, "instance"] | None = None) -> Rate:
    """Mean of 0/1 values with a 95 % Wilson interval, widened where instances come in groups.

    With groups, n is divided by the design effect (variance of the mean with groups resampled as a whole ÷ variance
    with instances independent), not below 1: Wilson at the effective sample size.

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
    effective = n / _design_effect(kept, groups[defined]) if groups is not None else float(n)
    return Rate(p, *_wilson(p, effective), n)


def _wilson(p: float, n: float) -> tuple[float, float]:
    z2 = Z95 * Z95
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    # Rounding must not push an end past the estimate or out of [0, 1].
    return min(p, max(0.0, centre - half)), max(p, min(1.0, centre + half))


def _design_effect(values: Float[np.ndarray, "instance"], groups: Int[np.ndarray, "instance"]) -> float:
    """Variance of the mean with whole groups resampled ÷ variance with independent instances; at least 1."""
    n, p = len(values), values.mean()
    _, index = np.unique(groups, return_inverse=True)
    count = int(index.max()) + 1
    if count in (1, n) or p in (0.0, 1.0):
        return 1.0
    residuals = np.bincount(index, weights=values - p, minlength=count)
    clustered = count / (count - 1) * float((residuals**2).sum()) / n**2
    return max(1.0, clustered / (p * (1 - p) / n))


def pearson(x: Float[np.ndarray, "point"], y: Float[np.ndarray, "point"]) -> Correlation:
    """Pearson's r with Fisher's interval, over the points where both are defined; NaN with fewer than 4 points.

    >>> [round(v, 3) for v in pearson(np.arange(5.0), np.array([1.0, 2.0, 2.0, 4.0, 5.0]))]
    [0.962, 0.53, 0.998, 5]
    """
    x, y = _both(x, y)
    return _with_interval(_correlation(x, y), len(x), 1.0)


def spearman(x: Float[np.ndarray, "point"], y: Float[np.ndarray, "point"]) -> Correlation:
    """Spearman's rank correlation (mean ranks for ties) with the interval of Bonett & Wright 2000.

    >>> [round(v, 3) for v in spearman(np.arange(5.0), np.array([1.0, 2.0, 2.0, 4.0, 5.0]))]
    [0.975, 0.458, 0.999, 5]
    """
    x, y = _both(x, y)
    r = _correlation(_ranks(x), _ranks(y))
    return _with_interval(r, len(x), 1 + r * r / 2)


def _both(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    defined = ~(np.isnan(x) | np.isnan(y))
    return x[defined], y[defined]


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    """NaN where one side is constant or there are fewer than 4 points."""
    if len(x) < 4 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return math.nan
    x, y = x - x.mean(), y - y.mean()
    return float(np.clip((x @ y) / math.sqrt((x @ x) * (y @ y)), -1, 1))


def _ranks(x: np.ndarray) -> np.ndarray:
    """Ranks from 1; equal values share their mean rank."""
    values, index, counts = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return ((2 * last - counts + 1) / 2)[index] if len(values) else x


def _with_interval(r: float, n: int, variance: float) -> Correlation:
    """Interval on Fisher's scale with standard error sqrt(variance / (n - 3))."""
    if math.isnan(r):
        return Correlation(r, math.nan, math.nan, n)
    if abs(r) == 1:
        return Correlation(r, r, r, n)
    centre, half = math.atanh(r), Z95 * math.sqrt(variance / (n - 3))
    return Correlation(r, math.tanh(centre - half), math.tanh(centre + half), n)
