"""Alignment when a question has fewer wrong options: by layer of a language, and as mean over languages.

A rate depends strongly on the number of options, so tasks compare at the same number only. Which options stay is said by
`crossalign.distractors`.
"""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from crossalign.alignment import ALIGNMENT_METRICS, aligned, relabelled_rate
from crossalign.alignment_tables import AlignedLayers
from crossalign.distractors import kept_cosines, without_least_likely
from crossalign.similarity import OptionCosines
from crossalign.statistics import Rate, mean_rate, rate


class OptionCount(NamedTuple):
    """A language's alignment when a question has a certain number of options.

    Attributes:
        options: how many.
        chance: rate if all cosines were exchangeable.
        decided: 1.0 aligned, 0.0 not; NaN where undefined, and for an instance that lacks a log-likelihood.
        relabelled_rate: the same rule when no pair is a translation, at each layer.
    """

    options: int
    chance: float
    decided: Float[np.ndarray, "layer instance"]
    relabelled_rate: Float[np.ndarray, "layer"]


Language = tuple[Sequence[OptionCount], np.ndarray]
"""From `option_counts`, and the resampling unit of each instance, named alike in all languages."""


def option_counts(
    layers: AlignedLayers, logliks: Float[np.ndarray, "instance option"], gold: Int[np.ndarray, "instance"], metric: str
) -> list[OptionCount]:
    """Alignment with all options, and without the least likely wrong ones, down to two.

    All of it speaks of the same instances: those with a log-likelihood for every option.

    Args:
        layers: a language's cosines.
        logliks: of its options in nats; they say which wrong options go first.
        gold: the right option, from 0.
        metric: one that compares options.

    Raises:
        ValueError: the metric does not compare options, or there are no cosines between options.
    """
    about, (n, width) = ALIGNMENT_METRICS[metric], logliks.shape
    if layers.cosines is None or about.margin is None:
        raise ValueError(f"{metric} does not compare options, or there are no cosines between options.")
    scored = np.flatnonzero(np.isfinite(logliks).all(axis=1))
    logliks, gold = logliks[scored], gold[scored]
    full, found = OptionCosines(*(block[scored] for block in layers.cosines)), []
    for removed in range(width - 1):
        left, right = full, gold
        if removed:
            fewer = without_least_likely(logliks, gold, removed)
            left, right = kept_cosines(full, fewer.kept), fewer.gold
        margins = about.margin(left, right)
        decided = np.full((margins.shape[1], n), np.nan, dtype=np.float32)
        decided[:, scored] = aligned(margins).T
        count = width - removed
        found.append(OptionCount(count, about.chance(count), decided, relabelled_rate(about.margin, left, right)))
    return found


def option_curves(counts: Sequence[OptionCount], groups: Int[np.ndarray, "instance"]) -> pd.DataFrame:
    """A language's alignment by layer for each number of options.

    Args:
        groups: resampling unit of each instance.

    Returns:
        Columns options, layer, rate, low, high, relabelled_rate, chance, n; intervals as in `statistics.rate`.
    """
    rows = [
        (count.options, layer, rate(decided.astype(float), groups), count.relabelled_rate[layer], count.chance)
        for count in counts
        for layer, decided in enumerate(count.decided)
    ]
    return _frame(rows)


def mean_option_curves(languages: Sequence[Language]) -> pd.DataFrame:
    """`option_curves` as mean over languages, each counting the same.

    Intervals are those of `statistics.mean_rate`: what other passages would give in the same languages. n counts the
    instances of all languages. Empty without languages.
    """
    rows, units = [], _units(languages)
    for counts in _by_count(languages):
        relabelled = _mean_of_known(np.array([c.relabelled_rate for c in counts]).T)
        for layer in range(len(relabelled)):
            found = _mean([count.decided[layer] for count in counts], units)
            rows.append((counts[0].options, layer, found, relabelled[layer], counts[0].chance))
    return _frame(rows)


def option_peaks(curves: pd.DataFrame) -> pd.DataFrame:
    """The best layer for each number of options.

    The layer is chosen on the instances it is shown for, so its rate is optimistic.

    Args:
        curves: from `option_curves` or `mean_option_curves`.

    Returns:
        Columns options, layer, rate, low, high, relabelled_rate, chance, mean_rate (over layers), n; most options first.
    """
    over_layers = curves.groupby("options")["rate"].mean()
    best = curves.loc[curves.dropna(subset="rate").groupby("options")["rate"].idxmax()]
    best = best.assign(mean_rate=best["options"].map(over_layers)).sort_values("options", ascending=False)
    names = ["options", "layer", "rate", "low", "high", "relabelled_rate", "chance", "mean_rate", "n"]
    return best[names].reset_index(drop=True)


def mean_option_peaks(languages: Sequence[Language]) -> pd.DataFrame:
    """The mean over languages for each number of options, with one layer for all and with each language's best layer.

    The columns of `option_peaks` with choice before layer, which is null where it differs. Both choices are made on the
    instances they are shown for, so the rates are optimistic, the second more than the first.
    """
    together = option_peaks(mean_option_curves(languages)).assign(choice="one layer for all languages")
    rows, units = [], _units(languages)
    for counts in _by_count(languages):
        rates = [_mean_of_known(count.decided) for count in counts]
        best = [int(np.nanargmax(r)) if not np.isnan(r).all() else 0 for r in rates]
        found = _mean([count.decided[layer] for count, layer in zip(counts, best, strict=True)], units)
        at_best = [[count.relabelled_rate[layer] for count, layer in zip(counts, best, strict=True)]]
        rows.append((counts[0].options, -1, found, _mean_of_known(np.array(at_best))[0], counts[0].chance))
    apart = _frame(rows).assign(choice="each language's best layer")
    apart = apart.merge(together[["options", "mean_rate"]], on="options")
    both = pd.concat([together, apart], ignore_index=True).astype({"layer": "Int16"})
    both["layer"] = both["layer"].where(both["layer"] >= 0)
    names = ["options", "choice", "layer", "rate", "low", "high", "relabelled_rate", "chance", "mean_rate", "n"]
    return both[names].sort_values("options", ascending=False, kind="stable", ignore_index=True)


def _by_count(languages: Sequence[Language]) -> Iterator[list[OptionCount]]:
    """The alignment of all languages for each number of options that all have, most options first."""
    every = [{count.options: count for count in counts} for counts, _ in languages]
    for options in sorted(set.intersection(*map(set, every)) if every else (), reverse=True):
        yield [counts[options] for counts in every]


def _units(languages: Sequence[Language]) -> tuple[np.ndarray, np.ndarray]:
    """Number of the language and of the group of every instance, one language after the other."""
    sizes = [len(groups) for _, groups in languages]
    names = np.concatenate([np.empty(0, object), *(groups for _, groups in languages)])
    return np.repeat(np.arange(len(sizes)), sizes), pd.factorize(names)[0]


def _mean(decided: Sequence[np.ndarray], units: tuple[np.ndarray, np.ndarray]) -> Rate:
    return mean_rate(np.concatenate(decided).astype(float), *units)


def _mean_of_known(values: Float[np.ndarray, "layer one"]) -> Float[np.ndarray, "layer"]:
    """Mean of what is known at each layer; NaN where nothing is."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0).sum(axis=1) / known.sum(axis=1)


def _frame(rows: list[tuple]) -> pd.DataFrame:
    flat = [
        (options, layer, *found[:3], relabelled, chance, found.n) for options, layer, found, relabelled, chance in rows
    ]
    names = ["options", "layer", "rate", "low", "high", "relabelled_rate", "chance", "n"]
    return pd.DataFrame(flat, columns=names).astype({"layer": "int16"})
