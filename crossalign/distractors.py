"""The same questions with fewer wrong options, so that tasks with four options can be set beside those with two.

DALI depends strongly on the number of options. Here the least likely wrong options are taken away, and scores and cosines
of the others kept; nothing is run again, so an option's log-likelihood is still that of the full question.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from crossalign.similarity import OptionCosines


class FewerOptions(NamedTuple):
    """Instances after wrong options were taken away.

    Attributes:
        kept: options that stay, as numbers in the full question, ascending; -1 where a log-likelihood is NaN, because then
            it is not known which wrong option is least likely.
        gold: the right option among those that stay.
        logliks: of the options that stay; NaN where `kept` is -1.
    """

    kept: Int[np.ndarray, "instance kept"]
    gold: Int[np.ndarray, "instance"]
    logliks: Float[np.ndarray, "instance kept"]


def without_least_likely(
    logliks: Float[np.ndarray, "instance option"], gold: Int[np.ndarray, "instance"], n_removed: int
) -> FewerOptions:
    """Removes the wrong options with the smallest log-likelihood, as the paper does for Belebele with 3 and 2 options.

    Of equally unlikely options the first goes first. A language's own log-likelihoods leave its accuracy as it is, for its
    most likely wrong option always stays: what changes is alignment, and the accuracy of another language or run when
    its scores are reduced by the same `kept` (`kept_logliks`).

    Args:
        logliks: of each option, in nats.
        gold: the right option, from 0.
        n_removed: how many wrong options go, from 1 to two less than there are options.

    Raises:
        ValueError: fewer than two options would stay, or none is removed.

    Source: Ravisankar et al. 2025 (arXiv 2504.09378), code belebele_dali_*_options.py.

    >>> found = without_least_likely(np.array([[-1.0, -9.0, -3.0, -2.0]]), np.array([2]), 2)
    >>> found.kept.tolist(), found.gold.tolist()
    ([[0, 2]], [1])
    """
    n, width = logliks.shape
    if not 1 <= n_removed <= width - 2:
        raise ValueError(f"{n_removed} of {width} options cannot be removed: at least one must go and two must stay.")
    ranked = logliks.copy()
    ranked[np.arange(n), gold] = np.inf
    order = np.argsort(ranked, axis=1, kind="stable")  # wrong options from the least likely, then gold
    kept = np.sort(order[:, n_removed:], axis=1)
    undefined = np.isnan(logliks).any(axis=1)
    kept[undefined] = -1
    return FewerOptions(
        kept, np.where(undefined, 0, (kept == gold[:, None]).argmax(axis=1)), kept_logliks(logliks, kept)
    )


def kept_logliks(
    logliks: Float[np.ndarray, "instance option"], kept: Int[np.ndarray, "instance kept"]
) -> Float[np.ndarray, "instance kept"]:
    """Log-likelihoods of the options that stay; NaN where `kept` is -1."""
    return np.where(kept < 0, np.nan, np.take_along_axis(logliks, np.maximum(kept, 0), axis=1))


def kept_cosines(cosines: OptionCosines, kept: Int[np.ndarray, "instance kept"]) -> OptionCosines:
    """The cosines among the options that stay, in both languages, at all layers; NaN where `kept` is -1.

    Args:
        cosines: each [instance, layer, option, option].
        kept: as `without_least_likely` gives it.
    """
    rows, columns = np.maximum(kept, 0)[:, None, :, None], np.maximum(kept, 0)[:, None, None, :]
    gone = kept[:, :1, None, None] < 0

    def block(full: np.ndarray) -> np.ndarray:
        return np.where(gone, np.nan, np.take_along_axis(np.take_along_axis(full, rows, axis=2), columns, axis=3))

    return OptionCosines(*(block(full) for full in cosines))
