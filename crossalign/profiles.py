"""Alignment over the layers of one or more languages: peaks, cohorts, mean margins, layers to be read with care."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from crossalign.reference import N_LAYERS, reference_table
from crossalign.statistics import (
    COHORTS,
    cohorts,
    held_out_delta,
    layer_deltas,
    means,
    published_delta,
    rate,
)
from crossalign.tables import best_layers

MOSTLY_TIES = 0.5
"""Share of exact ties, in the median language, above which a layer cannot tell texts apart."""

ByLayer = Float[np.ndarray, "layer instance"]
Groups = Int[np.ndarray, "instance"]


def degenerate_layers(rates: pd.DataFrame) -> tuple[int, ...]:
    """Layers where more than half of the decisions are exact ties in the median language.

    So it is at the embeddings of the last token when all texts end in the same full stop.

    Args:
        rates: as `tables.rates`, of one metric and pooling; unknown shares of ties are left out.
    """
    shares = rates.groupby("layer")["tie_rate"].median()
    return tuple(int(layer) for layer in shares.index[shares > MOSTLY_TIES])


def peaks(rates: pd.DataFrame, languages: pd.DataFrame, n_layers: int) -> pd.DataFrame:
    """The best layer of each language, the highest rate first.

    Columns language, name, layer, relative_depth (layer / L), rate, low, high, relabelled_rate, mean_rate, n, accuracy.
    The layer is chosen on the instances it is shown for, so its rate is optimistic.

    Args:
        rates: as `tables.rates`, of one metric and pooling.
        languages: as `tables.languages`.
        n_layers: L.
    """
    best = best_layers(rates).assign(relative_depth=lambda t: t["layer"] / max(1, n_layers))
    merged = best.merge(languages[["language", "name", "accuracy"]], on="language")
    columns = [
        "language",
        "name",
        "layer",
        "relative_depth",
        "rate",
        "low",
        "high",
        "relabelled_rate",
        "mean_rate",
        "n",
    ]
    return merged[[*columns, "accuracy"]].sort_values("rate", ascending=False, ignore_index=True)


def names_with_accuracy(languages: pd.DataFrame) -> dict[str, str]:
    """Language → name, cut short, with its accuracy where that is known: how a curve is named.

    >>> names_with_accuracy(pd.DataFrame({"language": ["sw"], "name": ["Swahili"], "accuracy": [0.5704]}))
    {'sw': 'Swahili (0.57)'}
    """
    rows = zip(languages["language"], languages["name"], languages["accuracy"], strict=True)
    return {c: str(name)[:20] + ("" if pd.isna(accuracy) else f" ({accuracy:.2f})") for c, name, accuracy in rows}


def margin_curves(languages: Iterable[tuple[str, ByLayer, Groups]]) -> pd.DataFrame:
    """Mean alignment margin by layer in cosine units: columns language, layer, margin, low, high, n.

    Args:
        languages: code, margins, and the resampling unit of each instance, in the order of the margins.
    """
    nothing = _rows("language", "", "margin", means(np.empty((0, 0))))
    found = [_rows("language", code, "margin", means(values, groups)) for code, values, groups in languages]
    return pd.concat(found or [nothing], ignore_index=True)


def cohort_curves(
    values: ByLayer,
    pivot_correct: Float[np.ndarray, "instance"],
    correct: Float[np.ndarray, "instance"],
    groups: Groups,
    value: str = "rate",
) -> pd.DataFrame:
    """A language's alignment by layer within each cohort: columns cohort, layer, `value`, low, high, n.

    Args:
        values: of one language and metric; decisions (1.0, 0.0, NaN) for rates, margins in cosine units for margins.
        pivot_correct: 1.0, 0.0 or NaN in the pivot, instances in the order of the values.
        correct: likewise in the language.
        groups: resampling unit of each instance.
        value: rate (Wilson's interval) or margin (mean with its t interval).
    """
    cohort = cohorts(pivot_correct, correct)
    found = []
    for number, name in enumerate(COHORTS):
        some = cohort == number
        if value == "rate":
            at_layers = (rate(layer.astype(float), groups[some]) for layer in values[:, some])
            columns = [np.array(c) for c in zip(*at_layers, strict=True)]
        else:
            columns = means(values[:, some], groups[some])
        found.append(_rows("cohort", name, value, columns))
    return pd.concat(found, ignore_index=True)


def cohort_sizes_in_words(curves: pd.DataFrame) -> str:
    """How many instances each cohort has, at the layer where most are defined.

    Args:
        curves: from `cohort_curves`.
    """
    sizes = curves.groupby("cohort", sort=False)["n"].max()
    return "n: " + ", ".join(f"{name} {n:,}" for name, n in sizes.items())


def deltas(
    decided: ByLayer,
    pivot_correct: Float[np.ndarray, "instance"],
    correct: Float[np.ndarray, "instance"],
    groups: Groups,
    last: int | None = None,
) -> pd.DataFrame:
    """Δ, the alignment rate of EC-XC minus that of EC-XW, with three ways to choose the layer and answer for it.

    Columns choice, layer (null where it differs), delta, low, high, p, test, n (instances of both cohorts). The rows: the
    layer with the highest rate of all instances, tested on the same instances as in the paper (one-sided, instances
    independent); the layer chosen like that on one half of the groups and tested on the other, over 20 splits; the layer
    with the most extreme difference, p corrected by the largest of each permutation, its interval not.

    Args:
        decided: 1.0, 0.0 or NaN, of one language and metric.
        pivot_correct: 1.0, 0.0 or NaN in the pivot, instances in the order of the decisions.
        correct: likewise in the language.
        groups: resampling unit of each instance.
        last: L, which the first row leaves out as the paper does; None where it is not known to be among the layers.
    """
    decided, cohort = decided.T.astype(float), cohorts(pivot_correct, correct)
    rows = []
    layer = _most_aligned(decided[:, :last])
    if layer is not None:
        found = published_delta(decided[:, layer], cohort)
        rows.append(
            ("most aligned layer, as published", layer, *found[:4], "one-sided z, independent instances", found.n)
        )
    held_out = held_out_delta(decided, cohort, groups)
    rows.append(("chosen on one half, tested on the other", None, *held_out[:4], "two-sided, clustered", held_out.n))
    all_layers = layer_deltas(decided, cohort, groups)
    if (best := all_layers.best) is not None:
        value, low, high = (float(c[best]) for c in (all_layers.value, all_layers.low, all_layers.high))
        p = float(all_layers.p_best[best])
        rows.append(
            (
                "most different layer",
                best,
                value,
                low,
                high,
                p,
                "two-sided, best of all layers (interval: that layer alone)",
                all_layers.n,
            )
        )
    names = ["choice", "layer", "delta", "low", "high", "p", "test", "n"]
    return pd.DataFrame(rows, columns=names).astype({"layer": "Int16"})


def published_curves(task: str, metric: str) -> pd.DataFrame:
    """The published rates by layer: columns language, name, layer, rate, low, high, n, accuracy, and series, last.

    Raises:
        UserError: there are no published figures for the task.
    """
    table = reference_table(task)
    table = table[table["metric"] == metric].astype({"layer": "int16"})
    return table.assign(series=table["language"] + " published", name=table["name"] + ", published", last=N_LAYERS)


def _rows(by: str, key: str, value: str, columns: Iterable[np.ndarray]) -> pd.DataFrame:
    """One row per layer of one series."""
    estimate, low, high, n = columns
    layers = np.arange(len(estimate), dtype=np.int16)
    return pd.DataFrame({by: key, "layer": layers, value: estimate, "low": low, "high": high, "n": n})


def _most_aligned(decided: Float[np.ndarray, "instance layer"]) -> int | None:
    """The layer with the highest rate (the first of equals); None where no layer is defined."""
    defined = ~np.isnan(decided)
    n = defined.sum(axis=0)
    if not n.any():
        return None
    hits = np.where(defined, decided, 0).sum(axis=0)
    return int(np.argmax(np.where(n > 0, hits / np.maximum(n, 1), -1)))
