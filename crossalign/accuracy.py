"""Log-likelihoods of a part in the order of its instances, and accuracy: from them, or as others report it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from crossalign import scoring
from crossalign.statistics import Rate, rate
from crossalign.store import parts
from crossalign.store.runs import Run
from crossalign.store.scorings import find_scoring, read_scoring


class Reported(NamedTuple):
    """A number that somebody else's evaluation reports; n is None where they do not say it."""

    value: float
    stderr: float
    n: int | None


def logliks(
    run: Run, code: str, scores: str = "", side: str = "", ids: Sequence[str] | None = None
) -> Float[np.ndarray, "instance option"] | None:
    """Option log-likelihoods of a part in the order of its instances; None where the part has none.

    Args:
        scores: name of scores that were added to the run; "" for the run's own.
        side: "pivot_" for the pivot's version of the language's items, where that was imported.
        ids: the part's instances, where they have been read already.

    Returns:
        Nats. A row of NaN is an instance without scores, -inf an option that an instance does not have.
    """
    if ids is None:
        read = parts.read_table(run, code, f"{side}instances.parquet", ["instance_id"])
        return logliks(run, code, scores, side, read["instance_id"].to_pylist())
    if scores:
        table = read_scoring(run, find_scoring(run, scores), code)
    elif parts.has_file(run, code, f"{side}scores.parquet"):
        table = parts.read_table(run, code, f"{side}scores.parquet", ["instance_id", "option", "loglik"])
    else:
        table = None
    if table is None or not len(table):
        return None
    rows = pd.Index(ids).get_indexer(pd.Index(table["instance_id"].to_pylist()))
    options = table["option"].to_numpy()
    found = np.full((len(ids), int(options.max()) + 1), np.nan)
    found[np.unique(rows)] = -np.inf
    found[rows, options] = table["loglik"].to_numpy()
    return found


def language_accuracy(run: Run, code: str, scores: str = "") -> dict[str, float]:
    """Accuracy of a language with its 95 % interval, and its mean log-probability margin; empty where there is none.

    From the items' log-likelihoods. Where an import has accuracy for the whole language but not for all of its items,
    it is the reported one, with the interval for independent instances.
    """
    table = parts.read_table(run, code, "instances.parquet", ["instance_id", "group", "gold"])
    values = logliks(run, code, scores, ids=table["instance_id"].to_pylist())
    told = None if scores else reported(run, code, "acc")
    if values is None:
        return _as_columns(_estimate(told)) if told is not None else {}
    gold = np.array([-1 if g is None else g for g in table["gold"].to_pylist()])
    correct = np.where(gold < 0, np.nan, scoring.correct(values, gold))
    groups = np.unique(table["group"].to_pylist(), return_inverse=True)[1]
    estimate = rate(correct, groups)
    if told is not None and told.n is not None and estimate.n < told.n:
        estimate = _estimate(told)
    margins = np.where(gold < 0, np.nan, scoring.logprob_margin(values, gold))
    mean = float(np.nanmean(margins)) if not np.isnan(margins).all() else math.nan
    return _as_columns(estimate) | {"loglik_margin": mean}


def reported(run: Run, code: str, metric: str, side: str = "language") -> Reported | None:
    """A number of the imported results file of a language (or of the pivot's version of its items), or None."""
    if not parts.has_file(run, code, parts.ACCURACY):
        return None
    for row in parts.read_table(run, code, parts.ACCURACY).to_pylist():
        if row["side"] == side and row["metric"] == metric:
            return Reported(row["value"], row["stderr"], row["n"])
    return None


def _estimate(told: Reported) -> Rate:
    """The reported share as an estimate; its n from the standard error, sqrt(p (1 - p) / (n - 1)), where not told."""
    p, variance = told.value, told.value * (1 - told.value)
    n = told.n
    if n is None and told.stderr > 0 and variance > 0:
        n = round(variance / told.stderr**2) + 1
    if not n or not 0 <= p <= 1:
        return Rate(p, math.nan, math.nan, 0)
    right = round(p * n)
    return rate(np.repeat([1.0, 0.0], [right, n - right]))._replace(rate=p)


def _as_columns(estimate: Rate) -> dict[str, float]:
    return dict(zip(("accuracy", "accuracy_low", "accuracy_high", "n"), estimate, strict=True))
