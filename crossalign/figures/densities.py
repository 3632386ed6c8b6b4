"""Distributions reduced to what is drawn: a few hundred numbers however many instances there are."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

POINTS = 200
"""Points of an ECDF or of a density."""


def edges(values: Float[np.ndarray, "value"], bins: int) -> Float[np.ndarray, "edge"]:
    """Common bin edges over all values; where these lie on both sides of 0, 0 is an edge.

    So no bin mixes aligned and not aligned instances, but for exact ties at 0, which no figure of bins can show. Values
    that are counts, or shares of so many layers, get a bin each: bins of another width would show gaps and peaks.
    """
    low, high = float(values.min()), float(values.max())
    if low == high:
        return np.array([low - 0.5, high + 0.5])
    if low >= 0 and (step := _step(values)):
        return np.arange(low - step / 2, high + step, step)
    if not low < 0 < high:
        return np.linspace(low, high, bins + 1)
    step = (high - low) / bins
    return np.arange(-np.ceil(-low / step), np.ceil(high / step) + 1) * step


def _step(values: Float[np.ndarray, "value"]) -> float:
    """The step between neighbours where all values lie on at most `POINTS` even steps; else 0."""
    at = np.unique(values.round(6))
    if not 2 < len(at) <= POINTS:
        return 0.0
    step = float(np.diff(at).min())
    places = (at - at[0]) / step
    even = places[-1] < POINTS and bool(np.abs(places - places.round()).max() < 0.01)
    return float(at[-1] - at[0]) / round(float(places[-1])) if even else 0.0


def ecdf(values: Float[np.ndarray, "value"]) -> tuple[Float[np.ndarray, "point"], Float[np.ndarray, "point"]]:
    """Values and the share of values at or below each, at no more than `POINTS` of them.

    >>> [part.tolist() for part in ecdf(np.array([2.0, 1.0, 2.0, 4.0]))]
    [[1.0, 2.0, 4.0], [0.25, 0.75, 1.0]]
    """
    at, counts = np.unique(values, return_counts=True)
    share = np.cumsum(counts) / len(values)
    if len(at) > POINTS:
        kept = np.unique(np.linspace(0, len(at) - 1, POINTS).round().astype(int))
        at, share = at[kept], share[kept]
    return at, share


def density(values: Float[np.ndarray, "value"], grid: Float[np.ndarray, "point"]) -> Float[np.ndarray, "point"]:
    """Gaussian kernel density on an evenly spaced grid, with Silverman's bandwidth; 0 where all values are equal.

    The values are first counted on the grid, so the work does not grow with them.

    Source: Silverman 1986, Density Estimation for Statistics and Data Analysis, equation 3.31.
    """
    width = bandwidth(values)
    step = float(grid[1] - grid[0])
    if width == 0:
        return np.zeros(len(grid))
    counts = np.histogram(values, np.append(grid, grid[-1] + step) - step / 2)[0]
    distance = (grid[:, None] - grid[None, :]) / width
    kernel = np.exp(-0.5 * distance**2) / (width * np.sqrt(2 * np.pi))
    return kernel @ counts / len(values)


def bandwidth(values: Float[np.ndarray, "value"]) -> float:
    """0.9 × the smaller of standard deviation and interquartile range / 1.34, × n^(-1/5); 0 without spread."""
    if len(values) < 2:
        return 0.0
    spread = float(values.std(ddof=1))
    quartiles = float(np.subtract(*np.percentile(values, [75, 25]))) / 1.34
    return 0.9 * min(spread, quartiles or spread) * len(values) ** -0.2


def counts_up_to(values: Int[np.ndarray, "value"], most: int) -> Int[np.ndarray, "count"]:
    """How often each of 0 … `most` occurs."""
    return np.bincount(values, minlength=most + 1)[: most + 1]
