"""Single instances: whether each was answered right, and how it is aligned at a layer."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from crossalign import accuracy, scoring
from crossalign.imported import Aligned
from crossalign.statistics import COHORTS, cohorts
from crossalign.store import parts
from crossalign.store.runs import Run


def outcomes(run: Run, codes: Sequence[str]) -> pd.DataFrame:
    """One row per instance of some languages, one after the other, with the outcome in the pivot beside it.

    Columns language (categorical), instance_id, group, gold, prediction (from 0), correct (1, 0, NaN), logprob_margin
    (nats), pivot_correct (joined on instance_id) and cohort (one of `statistics.COHORTS`). Null where undefined, as in a task
    without options. Where a language came with the pivot's version of its own items, its pivot_correct is of these.
    """
    pivot = _side(run, run.spec.pivot) if run.spec.pivot in run.languages() else None
    sides = [_side(run, code) for code in codes]
    beside = [_pivot_correct(run, code, side, pivot) for code, side in zip(codes, sides, strict=True)]
    columns = {name: np.concatenate([getattr(s, name) for s in sides]) for name in _Side._fields}
    names = np.repeat(np.arange(len(codes)), [len(side.instance_id) for side in sides])
    frame = pd.DataFrame({"language": pd.Categorical.from_codes(names, categories=list(codes)), **columns})
    frame = frame.astype({"gold": "Int8", "prediction": "Int8", "instance_id": "str", "group": "str"})
    pivot_correct = np.concatenate(beside)
    cohort = cohorts(pivot_correct, frame["correct"].to_numpy())
    return frame.assign(pivot_correct=pivot_correct, cohort=pd.Categorical.from_codes(cohort, categories=COHORTS))


def at_layers(frame: pd.DataFrame, found: Mapping[str, Aligned], layers: Mapping[str, int]) -> pd.DataFrame:
    """The outcomes of some languages, and how each instance is aligned at its language's layer.

    Args:
        frame: `outcomes` of the languages of `found`, in that order.
        found: language → decisions and margins.
        layers: language → layer; one without a rate at the layer that was asked for has none, and then no decision.

    Returns:
        The frame with aligned (1, 0, NaN), margin (cosine units; NaN where only decisions are known) and layers_aligned
        (share of all layers).
    """

    def at(code: str, values: np.ndarray) -> np.ndarray:
        return values[layers[code]] if code in layers else np.full(values.shape[1], np.nan)

    columns = {
        "aligned": [at(code, mine.decided) for code, mine in found.items()],
        "margin": [at(code, mine.margin) for code, mine in found.items()],
        "layers_aligned": [mine.layers_aligned for mine in found.values()],
    }
    return frame.assign(**{name: np.concatenate(each) if each else np.empty(0) for name, each in columns.items()})


class _Side(NamedTuple):
    """The instances of a part, in order; NaN where undefined."""

    instance_id: np.ndarray
    group: np.ndarray
    gold: np.ndarray
    prediction: np.ndarray
    correct: np.ndarray
    logprob_margin: np.ndarray


def _side(run: Run, code: str, side: str = "") -> _Side:
    table = parts.read_table(run, code, f"{side}instances.parquet", ["instance_id", "group", "gold"])
    ids, group, gold = (table[name].to_numpy() for name in ("instance_id", "group", "gold"))
    gold, undefined = gold.astype(float), np.full(len(table), np.nan)
    logliks = accuracy.logliks(run, code, side=side, ids=ids.tolist())
    if logliks is None:
        return _Side(ids, group, gold, undefined, undefined, undefined)
    known = ~np.isnan(gold)
    index = np.where(known, gold, 0).astype(np.int64)
    predicted = scoring.prediction(logliks)
    correct, margin = scoring.correct(logliks, index), scoring.logprob_margin(logliks, index)
    return _Side(
        ids,
        group,
        gold,
        np.where(predicted < 0, np.nan, predicted),
        np.where(known, correct, np.nan),
        np.where(known, margin, np.nan),
    )


def _pivot_correct(run: Run, code: str, side: _Side, pivot: _Side | None) -> np.ndarray:
    """Whether the pivot is right on each instance of a language, joined on instance_id; NaN where that is unknown."""
    if parts.has_file(run, code, "pivot_instances.parquet"):
        pivot = _side(run, code, "pivot_")
    if pivot is None or not len(pivot.instance_id):
        return np.full(len(side.instance_id), np.nan)
    rows = pd.Index(pivot.instance_id).get_indexer(pd.Index(side.instance_id))
    return np.where(rows < 0, np.nan, pivot.correct[rows])
