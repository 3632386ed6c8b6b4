"""Single instances: whether each was answered right, and how it is aligned at a layer."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Float

from crossalign import scoring
from crossalign.statistics import COHORTS, cohorts
from crossalign.store import parts
from crossalign.store.runs import Run


def outcomes(run: Run, codes: Sequence[str]) -> pd.DataFrame:
    """One row per instance of some languages, one after the other, with the outcome in the pivot beside it.

    Columns language (categorical), instance_id, group, gold, prediction (from 0), correct (1, 0, NaN), logprob_margin
    (nats), pivot_correct (joined on instance_id) and cohort (one of `statistics.COHORTS`). Null where undefined, as in a task
    without options.
    """
    pivot = _with_predictions(run, [run.spec.pivot])
    frame = _with_predictions(run, codes)
    rows = pd.Index(pivot["instance_id"]).get_indexer(pd.Index(frame["instance_id"]))
    pivot_correct = np.where(rows < 0, np.nan, pivot["correct"].to_numpy()[rows])
    cohort = cohorts(pivot_correct, frame["correct"].to_numpy())
    return frame.assign(pivot_correct=pivot_correct, cohort=pd.Categorical.from_codes(cohort, categories=COHORTS))


def _with_predictions(run: Run, codes: Sequence[str]) -> pd.DataFrame:
    read = [parts.read_table(run, code, "instances.parquet", ["instance_id", "group", "gold"]) for code in codes]
    frame = pa.concat_tables(read).to_pandas()
    names = np.repeat(np.arange(len(codes)), [len(table) for table in read])
    frame.insert(0, "language", pd.Categorical.from_codes(names, categories=list(codes)))
    frame["gold"] = frame["gold"].astype("Int8")
    n_options = {m.n_options for m in map(run.manifest, codes) if m is not None}
    if n_options <= {0}:
        empty = np.full(len(frame), np.nan)
        return frame.assign(prediction=pd.array(empty, dtype="Int8"), correct=empty, logprob_margin=empty)
    scores = [parts.read_table(run, code, "scores.parquet", ["loglik"])["loglik"].to_numpy() for code in codes]
    logliks, gold = np.concatenate(scores).reshape(len(frame), -1), frame["gold"].to_numpy(np.int64)
    predicted = scoring.prediction(logliks)
    return frame.assign(
        prediction=pd.array(np.where(predicted < 0, np.nan, predicted), dtype="Int8"),
        correct=scoring.correct(logliks, gold),
        logprob_margin=scoring.logprob_margin(logliks, gold),
    )


def layers_aligned(decided: Float[np.ndarray, "layer instance"]) -> Float[np.ndarray, "instance"]:
    """Share of the layers at which each instance is aligned, of those with a decision; NaN where there is none.

    >>> layers_aligned(np.array([[1.0, 0.0], [np.nan, 1.0], [0.0, 1.0]])).round(3).tolist()
    [0.5, 0.667]
    """
    known = (~np.isnan(decided)).sum(axis=0)
    return np.where(known > 0, np.nansum(decided, axis=0) / np.maximum(known, 1), np.nan)
