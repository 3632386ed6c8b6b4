"""Lines through languages: fit with band, influence of single points, correlation with other causes held fixed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from crossalign.statistics.correlation import COEFFICIENTS, ROUNDING, Correlation, Points, defined_pairs, ranks
from crossalign.statistics.estimates import Z95, Estimate, undefined


class LinearFit(NamedTuple):
    """A least-squares line with a 95 % band for its mean; NaN with fewer than 3 points or a constant x.

    Attributes:
        slope: change of y per unit of x, with t interval and two-sided p of slope 0.
        intercept: y at x = 0, likewise.
        at: x of the band.
        fitted: height of the line there.
        low: lower end of the band.
        high: upper end.
    """

    slope: Estimate
    intercept: Estimate
    at: Float[np.ndarray, "place"]
    fitted: Float[np.ndarray, "place"]
    low: Float[np.ndarray, "place"]
    high: Float[np.ndarray, "place"]


def linear_fit(x: Points, y: Points, n_places: int = 50) -> LinearFit:
    """The line y = intercept + slope · x with its band over the range of x.

    The band holds the line (the mean of y at each x) with 95 % at one x at a time; it is not for new points.

    >>> fit = linear_fit(np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.0, 1.0, 1.0, 2.0]))
    >>> [round(v, 3) for v in fit.slope]
    [0.6, -0.008, 1.208, 0.051, 4]
    """
    from scipy.special import stdtrit

    x, y = defined_pairs(x, y)
    n = len(x)
    at = np.linspace(x.min(), x.max(), n_places) if n else np.full(n_places, math.nan)
    if n < 3 or np.ptp(x) == 0:
        nothing = np.full(n_places, math.nan)
        return LinearFit(undefined(n), undefined(n), at, nothing, nothing, nothing)
    middle, spread = x.mean(), float(((x - x.mean()) ** 2).sum())
    slope = float(((x - middle) * y).sum()) / spread
    intercept = float(y.mean()) - slope * middle
    scatter = math.sqrt(float(((y - intercept - slope * x) ** 2).sum()) / (n - 2))
    t = float(stdtrit(n - 2, 0.975))
    fitted = intercept + slope * at
    half = t * scatter * np.sqrt(1 / n + (at - middle) ** 2 / spread)
    intercept_error = scatter * math.sqrt(1 / n + middle**2 / spread)
    return LinearFit(
        _with_t(slope, scatter / math.sqrt(spread), n),
        _with_t(intercept, intercept_error, n),
        at,
        fitted,
        fitted - half,
        fitted + half,
    )


def _with_t(value: float, error: float, n: int) -> Estimate:
    from scipy.special import stdtr, stdtrit

    half = float(stdtrit(n - 2, 0.975)) * error
    p = 2 * float(stdtr(n - 2, -abs(value) / error)) if error else (0.0 if value else 1.0)
    return Estimate(value, value - half, value + half, p, n)


def leave_one_out(x: Points, y: Points, coefficient: str = "pearson") -> list[Correlation]:
    """The coefficient without each point in turn: how much hangs on one language. NaN at points that are undefined."""
    defined = ~(np.isnan(x) | np.isnan(y))
    without = (COEFFICIENTS[coefficient](np.delete(x, i), np.delete(y, i)) for i in range(len(x)))
    return [
        c if known else Correlation(math.nan, math.nan, math.nan, c.n)
        for known, c in zip(defined, without, strict=True)
    ]


def indicators(categories: Sequence[object]) -> Float[np.ndarray, "point level"]:
    """One 0/1 column for each category but the first: how a script or a resource class enters a regression.

    >>> indicators(["Latn", "Arab", "Latn"]).tolist()
    [[1.0], [0.0], [1.0]]
    """
    names = [str(c) for c in categories]
    levels = sorted(set(names))[1:]
    return np.array([[float(name == level) for level in levels] for name in names]).reshape(len(names), len(levels))


def partial_correlation(
    x: Points, y: Points, covariates: Float[np.ndarray, "point covariate"], coefficient: str = "pearson"
) -> Estimate:
    """Correlation of what is left of x and y after a linear fit on the covariates.

    With k independent covariates the interval is Fisher's at n - k points (Spearman: on ranks, with the factor of
    Bonett & Wright) and p is the t test with n - k - 2 degrees of freedom. NaN with fewer than k + 4 points, or where
    the covariates explain x or y completely; of a coefficient of 1 or -1 there is no interval and no p.

    Args:
        x: one value per point, NaN where undefined.
        y: likewise.
        covariates: what is held fixed, one column each (`indicators` for categories); points with a NaN are left out.
        coefficient: "pearson" or "spearman" (then the covariates are ranked too, but for 0/1 columns it is the same).
    """
    from scipy.special import stdtr

    kept = ~(np.isnan(x) | np.isnan(y) | np.isnan(covariates).any(axis=1))
    columns = [x[kept], y[kept], *covariates[kept].T]
    n = len(columns[0])
    if coefficient == "spearman":
        columns = [ranks(c) for c in columns]
    design = np.column_stack([np.ones(n), *columns[2:]])
    k = int(np.linalg.matrix_rank(design)) - 1 if n else 0
    if n < k + 4:
        return undefined(n)
    sides = np.column_stack(columns[:2])
    left = sides - design @ np.linalg.lstsq(design, sides, rcond=None)[0]
    spread = (left**2).sum(axis=0)
    if (spread <= 1e-20 * (sides**2).sum(axis=0)).any():
        return undefined(n)
    r = float(np.clip((left[:, 0] * left[:, 1]).sum() / math.sqrt(spread[0] * spread[1]), -1, 1))
    if abs(r) > 1 - ROUNDING:
        return undefined(n, r)  # the points leave nothing that could be tested
    variance = 1 + r * r / 2 if coefficient == "spearman" else 1.0
    half = Z95 * math.sqrt(variance / (n - k - 3))
    t = r * math.sqrt((n - k - 2) / (1 - r * r))
    p = 2 * float(stdtr(n - k - 2, -abs(t)))
    return Estimate(r, math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half), p, n)
