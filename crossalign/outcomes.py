"""Single instances: whether each was answered right, and how it is aligned at a layer."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float

from crossalign import scoring
from crossalign.store import parts
from crossalign.store.runs import Run

COHORTS = ("EC-XC", "EC-XW", "EW-XC", "EW-XW")
"""Right or wrong in the pivot (E) and in the language (X)."""


def outcomes(run: Run, code: str) -> pd.DataFrame:
    """One row per instance of a language: instance_id, group, gold, prediction, correct (1, 0, NaN), logprob_margin.

    Gold and prediction count from 0 and are null where there is none, as in a task without options.
    """
    manifest = run.manifest(code)
    table = parts.read_table(run, code, "instances.parquet", ["instance_id", "group", "gold"])
    frame = table.to_pandas().astype({"gold": "Int8"})
    empty = np.full(len(frame), np.nan)
    if manifest is None or not manifest.n_options:
        return frame.assign(prediction=pd.array(empty, dtype="Int8"), correct=empty, logprob_margin=empty)
    scores = parts.read_table(run, code, "scores.parquet", ["loglik"])
    logliks = scores["loglik"].to_numpy().reshape(-1, manifest.n_options)
    gold = frame["gold"].to_numpy(np.int64)
    predicted = scoring.prediction(logliks)
    return frame.assign(
        prediction=pd.array(np.where(predicted < 0, np.nan, predicted), dtype="Int8"),
        correct=scoring.correct(logliks, gold),
        logprob_margin=scoring.logprob_margin(logliks, gold),
    )


def at_layer(
    pivot: pd.DataFrame,
    language: pd.DataFrame,
    decided: Float[np.ndarray, "layer instance"],
    margins: Float[np.ndarray, "layer instance"] | None,
    layer: int,
) -> pd.DataFrame:
    """The outcomes of a language beside those of the pivot, and its alignment at one layer.

    Adds pivot_correct, cohort (one of `COHORTS`, null where either is undefined), aligned (1, 0, NaN), margin (cosine
    units; NaN without margins) and layers_aligned (share of the layers with a decision that are aligned).

    Args:
        pivot, language: from `outcomes`; joined on instance_id.
        decided, margins: of one metric, instances in the order of `language`.
    """
    known = (~np.isnan(decided)).sum(axis=0)
    share = np.where(known > 0, np.nansum(decided, axis=0) / np.maximum(known, 1), np.nan)
    pivot_correct = pivot.set_index("instance_id")["correct"].reindex(language["instance_id"]).to_numpy()
    return language.assign(
        pivot_correct=pivot_correct,
        cohort=cohorts(pivot_correct, language["correct"].to_numpy()),
        aligned=decided[layer],
        margin=np.nan if margins is None else margins[layer],
        layers_aligned=share,
    )


def cohorts(pivot_correct: Float[np.ndarray, "instance"], correct: Float[np.ndarray, "instance"]) -> pd.Categorical:
    """The cohort of each instance.

    >>> list(cohorts(np.array([1.0, 1.0, 0.0, np.nan]), np.array([1.0, 0.0, 1.0, 1.0])))
    ['EC-XC', 'EC-XW', 'EW-XC', nan]
    """
    undefined = np.isnan(pivot_correct) | np.isnan(correct)
    codes = np.where(undefined, -1, 2 * (pivot_correct != 1) + (correct != 1))
    return pd.Categorical.from_codes(codes, categories=list(COHORTS))
