"""From option log-likelihoods to predictions and accuracy."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

Logliks = Float[np.ndarray, "instance option"]


def prediction(logliks: Logliks) -> Int[np.ndarray, "instance"]:
    """The option with the largest log-likelihood; the first of equals, as in lm-evaluation-harness (`acc`).

    Returns:
        Option index from 0; -1 where any option's log-likelihood is NaN.

    >>> prediction(np.array([[-3.0, -1.0], [-2.0, -2.0], [np.nan, -1.0]])).tolist()
    [1, 0, -1]
    """
    defined = ~np.isnan(logliks).any(axis=1)
    best = np.where(np.isnan(logliks), -np.inf, logliks).argmax(axis=1)
    return np.where(defined, best, -1)


def correct(logliks: Logliks, gold: Int[np.ndarray, "instance"]) -> Float[np.ndarray, "instance"]:
    """1.0 where the prediction is the gold option, 0.0 where not, NaN where there is no prediction."""
    predicted = prediction(logliks)
    return np.where(predicted < 0, np.nan, (predicted == gold).astype(float))


def logprob_margin(logliks: Logliks, gold: Int[np.ndarray, "instance"]) -> Float[np.ndarray, "instance"]:
    """Log-likelihood of the gold option minus that of the best other option, in nats; 0 for a tie of the two.

    Above 0 the prediction is right, below 0 wrong; at 0 the first of the equals decides. NaN where there is no prediction.

    >>> logprob_margin(np.array([[-3.0, -1.0]]), np.array([0])).tolist()
    [-2.0]
    """
    rows = np.arange(len(logliks))
    others = logliks.copy()
    others[rows, gold] = -np.inf
    return logliks[rows, gold] - others.max(axis=1)
