"""Correlation over languages: Pearson, Spearman, Kendall, with intervals and permutation tests.

All leave out the points where a side is NaN, and are NaN where a side is constant or has fewer than `FEWEST_POINTS`. A
coefficient of 1 or -1 has no interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import permutations
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from crossalign.statistics.estimates import Z95, Estimate, two_sided, undefined

Points = Float[np.ndarray, "point"]

FEWEST_POINTS = 4
"""Fewer points have no correlation: Fisher's interval needs as many."""

PERMUTATIONS = 9999
"""Random orders of a permutation test: a p of 0.05 is then known to 0.002 (one standard error)."""

ROUNDING = 1e-10
"""Two coefficients nearer than this are equal: sums of the same products in another order differ by less."""


class Correlation(NamedTuple):
    """A correlation coefficient with its 95 % interval over n points; NaN where it is undefined."""

    r: float
    low: float
    high: float
    n: int


def pearson(x: Points, y: Points) -> Correlation:
    """Pearson's r with Fisher's interval, over the points where both are defined; NaN with fewer than 4 points.

    >>> [round(v, 3) for v in pearson(np.arange(5.0), np.array([1.0, 2.0, 2.0, 4.0, 5.0]))]
    [0.962, 0.53, 0.998, 5]
    """
    x, y = defined_pairs(x, y)
    return _with_interval(_coefficient("pearson", x, y), len(x), 1.0, 3)


def spearman(x: Points, y: Points) -> Correlation:
    """Spearman's rank correlation (mean ranks for ties) with the interval of Bonett & Wright 2000.

    >>> [round(v, 3) for v in spearman(np.arange(5.0), np.array([1.0, 2.0, 2.0, 4.0, 5.0]))]
    [0.975, 0.458, 0.999, 5]
    """
    x, y = defined_pairs(x, y)
    r = _coefficient("spearman", x, y)
    return _with_interval(r, len(x), 1 + r * r / 2, 3)


def kendall(x: Points, y: Points) -> Correlation:
    """Kendall's tau-b (corrected for ties) with the interval of Fieller, Hartley & Pearson 1957.

    The interval needs 5 points; it is a little narrow where |tau| is above 0.8.

    >>> [round(v, 3) for v in kendall(np.arange(5.0), np.array([1.0, 2.0, 2.0, 4.0, 5.0]))]
    [0.949, 0.48, 0.996, 5]
    """
    x, y = defined_pairs(x, y)
    return _with_interval(_coefficient("kendall", x, y), len(x), 0.437, 4)


COEFFICIENTS: dict[str, Callable[[Points, Points], Correlation]] = {
    "pearson": pearson,
    "spearman": spearman,
    "kendall": kendall,
}


def correlation(
    x: Points,
    y: Points,
    coefficient: str = "pearson",
    *,
    rng: np.random.Generator | None = None,
    n_permutations: int = PERMUTATIONS,
) -> Estimate:
    """A coefficient with its interval and two-sided permutation p.

    p is the share of the orders of y (the observed one among them) with a coefficient at least as far from 0. All orders
    are tried where there are no more than `n_permutations` (up to 7 points by default); else that many random ones.
    About 30 ms for 122 points with Pearson and Spearman; Kendall takes n times the work, so at most 2999 random orders (about 70 ms).

    Args:
        x: one value per point, NaN where undefined.
        y: likewise.
        coefficient: "pearson", "spearman" or "kendall".
        rng: source of the random orders; the same seed every time where it is left out, so that a page that is drawn
            again shows the same p.
        n_permutations: how many random orders.

    >>> found = correlation(np.arange(5.0), np.array([1.0, 2.0, 2.0, 4.0, 5.0]))
    >>> round(found.p, 4)  # of 120 orders 2 are as steep upwards (the tied values swapped) and 2 downwards
    0.0333
    """
    r, low, high, n = COEFFICIENTS[coefficient](x, y)
    if math.isnan(r):
        return undefined(n)
    x, y = defined_pairs(x, y)
    n_permutations = min(n_permutations, 2999) if coefficient == "kendall" else n_permutations
    orders, exact = permuted_orders(n, rng or np.random.default_rng(0), n_permutations)
    drawn = _permuted(coefficient, x, y, orders)
    return Estimate(r, low, high, permutation_p(abs(r), np.abs(drawn), exact), n)


def permuted_orders(
    n: int, rng: np.random.Generator, n_permutations: int
) -> tuple[Int[np.ndarray, "permutation point"], bool]:
    """All orders of n points where there are no more than asked for (then True), else random ones."""
    if n < 10 and math.factorial(n) <= n_permutations:
        return np.array(list(permutations(range(n)))), True
    return rng.permuted(np.tile(np.arange(n, dtype=np.int32), (n_permutations, 1)), axis=1), False


def permutation_p(observed: float, drawn: Float[np.ndarray, "permutation"], exact: bool) -> float:
    """Share of the permutations whose statistic is at least the observed one; the observed order counts as one."""
    extreme = int((drawn >= observed - ROUNDING).sum())
    return extreme / len(drawn) if exact else (1 + extreme) / (1 + len(drawn))


def correlation_difference(x: Points, other: Points, y: Points) -> Estimate:
    """r(x, y) − r(other, y) where both are measured on the same points: does one metric go with y better?

    Interval of Zou 2007 from the two Fisher intervals and the correlation between the coefficients; two-sided p of
    Steiger's z (1980, with pooled r). Both lean on a normal approximation: read them with care below 15 points.

    Args:
        x: one value per point, NaN where undefined; only points where all three are defined count.
        other: what x is compared with.
        y: what both are correlated with.
    """
    kept = ~(np.isnan(x) | np.isnan(other) | np.isnan(y))
    first, second, between = pearson(x[kept], y[kept]), pearson(other[kept], y[kept]), pearson(x[kept], other[kept])
    n = int(kept.sum())
    # Coefficients of proportional points are 1 to rounding only; beside one the variance is 0, or less than that.
    if any(not abs(c.r) < 1 - ROUNDING for c in (first, second, between)):
        return undefined(n, first.r - second.r)
    a, b = first.r, second.r
    c = _between_coefficients(a, b, between.r)
    below, above = first.low - a, first.high - a
    low = a - b - math.sqrt(max(0.0, below**2 + (second.high - b) ** 2 + 2 * c * below * (second.high - b)))
    high = a - b + math.sqrt(max(0.0, above**2 + (b - second.low) ** 2 - 2 * c * above * (b - second.low)))
    pooled = _between_coefficients((a + b) / 2, (a + b) / 2, between.r)
    z = (math.atanh(a) - math.atanh(b)) * math.sqrt((n - 3) / (2 - 2 * pooled))
    return Estimate(a - b, low, high, two_sided(z), n)


def _between_coefficients(a: float, b: float, between: float) -> float:
    """Correlation between two sample correlations that share a variable (Dunn & Clark 1969)."""
    product = (between - a * b / 2) * (1 - a * a - b * b - between * between) + between**3
    return product / ((1 - a * a) * (1 - b * b))


def defined_pairs(x: Points, y: Points) -> tuple[Float[np.ndarray, "kept"], Float[np.ndarray, "kept"]]:
    """The points where both sides are defined."""
    defined = ~(np.isnan(x) | np.isnan(y))
    return x[defined], y[defined]


def ranks(x: Points) -> Points:
    """Ranks from 1; equal values share their mean rank."""
    values, index, counts = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return ((2 * last - counts + 1) / 2)[index] if len(values) else x


def _coefficient(coefficient: str, x: Points, y: Points) -> float:
    """NaN where one side is constant or there are too few points."""
    if len(x) < FEWEST_POINTS or np.ptp(x) == 0 or np.ptp(y) == 0:
        return math.nan
    a, b = scored(coefficient, x), scored(coefficient, y)
    return float(np.clip((a * b).sum(), -1, 1))


def scored(coefficient: str, x: Points) -> Float[np.ndarray, "..."]:
    """x as the coefficient sees it, centred and of length 1, so that the coefficient is a sum of products.

    Values for Pearson, ranks for Spearman, [point, point] signs of all differences for Kendall.
    """
    if coefficient == "kendall":
        signs = np.sign(x[:, None] - x[None, :])
        return signs / np.linalg.norm(signs)
    values = x if coefficient == "pearson" else ranks(x)
    centred = values - values.mean()
    return centred / np.linalg.norm(centred)


def _permuted(
    coefficient: str, x: Points, y: Points, orders: Int[np.ndarray, "permutation point"]
) -> Float[np.ndarray, "permutation"]:
    """The coefficient of x with y in each order."""
    a, b = scored(coefficient, x), scored(coefficient, y)
    if coefficient != "kendall":
        return b[orders] @ a
    return np.array([(b[order][:, order] * a).sum() for order in orders])


def _with_interval(r: float, n: int, variance: float, lost: int) -> Correlation:
    """Interval on Fisher's scale with standard error sqrt(variance / (n - lost))."""
    if math.isnan(r) or n <= lost:
        return Correlation(r, math.nan, math.nan, n)
    if abs(r) > 1 - ROUNDING:
        # Fisher's scale ends here. Few points are often in perfect order by chance, so the coefficient is no interval.
        return Correlation(r, math.nan, math.nan, n)
    centre, half = math.atanh(r), Z95 * math.sqrt(variance / (n - lost))
    return Correlation(r, math.tanh(centre - half), math.tanh(centre + half), n)
