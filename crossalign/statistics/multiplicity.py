"""Corrections for many tests. NaN stays NaN and does not count as a test."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def holm(p: Float[np.ndarray, "test"]) -> Float[np.ndarray, "test"]:
    """Holm's adjusted p: below 0.05 at most once in 20 families of tests in which nothing is there.

    Source: Holm 1979.

    >>> holm(np.array([0.01, 0.04, 0.03])).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    order, n = np.argsort(p), int((~np.isnan(p)).sum())
    steps = np.arange(n, n - len(p), -1)  # NaN sorts last, so its factor does not matter
    return _back(np.minimum(np.maximum.accumulate(p[order] * steps), 1.0), order)


def benjamini_hochberg(p: Float[np.ndarray, "test"]) -> Float[np.ndarray, "test"]:
    """Benjamini and Hochberg's adjusted p: of the tests below 0.05, at most 5 % are expected to be false alarms.

    Holds for independent tests and for those that rise and fall together.

    Source: Benjamini & Hochberg 1995.

    >>> benjamini_hochberg(np.array([0.01, 0.04, 0.03])).round(3).tolist()
    [0.03, 0.04, 0.04]
    """
    order, n = np.argsort(p), int((~np.isnan(p)).sum())
    scaled = p[order] * n / np.arange(1, len(p) + 1)
    smallest_after = np.fmin.accumulate(scaled[::-1])[::-1]
    return _back(np.where(np.isnan(scaled), np.nan, np.minimum(smallest_after, 1.0)), order)


def _back(values: Float[np.ndarray, "test"], order: np.ndarray) -> Float[np.ndarray, "test"]:
    found = np.empty(len(order))
    found[order] = values
    return found
