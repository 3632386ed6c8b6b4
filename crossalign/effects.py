"""How alignment goes with being right: per language, over all languages, and layer by layer. Frames from instances.

`instances` is one row per instance of one or many languages, one language after the other: columns language, group,
correct, cohort, aligned, margin (see `crossalign.outcomes`).
"""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from crossalign.statistics import (
    COHORTS,
    Estimate,
    auc,
    clustered_mantel_haenszel,
    delta,
    holm,
    odds_ratio,
    pooled_auc,
    pooled_difference,
    rate,
    stratified_tables,
)
from crossalign.statistics.cohorts import among_pivot_correct
from crossalign.statistics.estimates import wilson

EFFECT_COLUMNS = ["language", "estimate", "low", "high", "p", "n"]


class Facts(NamedTuple):
    """Instances as arrays; `groups` numbers the resampling units, with the same number in every language."""

    aligned: Float[np.ndarray, "instance"]
    margin: Float[np.ndarray, "instance"]
    correct: Float[np.ndarray, "instance"]
    cohort: np.ndarray
    groups: np.ndarray

    def at(self, rows: np.ndarray) -> Facts:
        """Some of the instances."""
        return Facts(*(array[rows] for array in self))


class Pooled(NamedTuple):
    """An effect within languages, pooled over them.

    Attributes:
        homogeneity_p: p of the test that all languages share it; NaN where there is no such test.
    """

    estimate: Estimate
    homogeneity_p: float = math.nan


@dataclass(frozen=True, slots=True)
class Effect:
    """A number that says how alignment goes with being right.

    Attributes:
        label: what it is, in words.
        short: the same in a word or two.
        null: its value where the two have nothing to do with each other.
        log: whether it is a ratio, to be drawn on a logarithmic axis.
        about: how to read it, and its test.
        within: facts of one language → estimate.
        over: facts of all languages and their language's number → estimate over languages.
    """

    label: str
    short: str
    null: float
    log: bool
    about: str
    within: Callable[[Facts], Estimate]
    over: Callable[[Facts, np.ndarray], Pooled]


EFFECTS: dict[str, Effect] = {
    "odds_ratio": Effect(
        "Odds ratio of being right, aligned ÷ not aligned",
        "Odds ratio",
        1.0,
        True,
        "Odds of a right answer if aligned ÷ odds if not; 1 is no effect. Fisher's exact test, or a normal test where "
        "instances come in groups. Over languages: Mantel–Haenszel, with a jackknife over questions.",
        lambda f: odds_ratio(f.aligned, f.correct, _grouped(f.groups)),
        lambda f, s: Pooled(*clustered_mantel_haenszel(f.aligned, f.correct, s, f.groups)[:2]),
    ),
    "delta": Effect(
        "Δ: alignment rate of EC-XC − that of EC-XW",
        "Δ",
        0.0,
        False,
        "Of the instances right in the pivot: how much more often those also right in the language are aligned than "
        "those wrong in it. Two-sided test of two proportions. Over languages: the mean weighted as by Mantel and "
        "Haenszel.",
        lambda f: delta(f.aligned, f.cohort, f.groups),
        lambda f, s: Pooled(pooled_difference(f.aligned, among_pivot_correct(f.cohort), s, f.groups)),
    ),
    "auc": Effect(
        "AUC: a right instance has the larger alignment margin",
        "AUC of the margin",
        0.5,
        False,
        "Chance that of a right and a wrong instance of one language the right one has the larger alignment margin; 0.5 "
        "is no effect. Mann–Whitney test. Over languages: the mean weighted as by Mantel and Haenszel.",
        lambda f: auc(f.margin, f.correct, f.groups),
        lambda f, s: Pooled(pooled_auc(f.margin, f.correct, s, f.groups)),
    ),
}


def facts(instances: pd.DataFrame) -> Facts:
    """The columns as arrays; groups are numbered alike in all languages."""
    numbers = (instances[c].to_numpy(float, na_value=math.nan) for c in ("aligned", "margin", "correct"))
    cohort = pd.Categorical(instances["cohort"], categories=COHORTS).codes.astype(np.int64)
    return Facts(*numbers, cohort, pd.factorize(instances["group"])[0].astype(np.int64))


def _grouped(groups: np.ndarray) -> np.ndarray | None:
    """None where every instance is a group of its own, so that exact tests can be used."""
    return None if len(np.unique(groups)) == len(groups) else groups


def by_language(instances: pd.DataFrame, effect: str) -> pd.DataFrame:
    """An effect of `EFFECTS` per language: columns language, estimate, low, high, p, n, and p_holm over the languages."""
    every = facts(instances)
    rows = [(code, *EFFECTS[effect].within(every.at(rows))) for code, rows in _languages(instances)]
    frame = pd.DataFrame(rows, columns=EFFECT_COLUMNS)
    return frame.assign(p_holm=holm(frame["p"].to_numpy(float)))


def over_languages(instances: pd.DataFrame, effect: str) -> Pooled:
    """An effect of `EFFECTS` within languages, pooled over them; a question counts as one unit in all its languages."""
    stratum = pd.factorize(instances["language"])[0].astype(np.int64)
    return EFFECTS[effect].over(facts(instances), stratum)


def accuracies(instances: pd.DataFrame) -> pd.DataFrame:
    """Per language the accuracy of aligned and of not aligned instances.

    Columns language, and for side in aligned, not_aligned: side, side_low, side_high (Wilson, widened for groups) and
    n_side; NaN where a side has no instance.
    """
    every, rows = facts(instances), []
    for code, at in _languages(instances):
        part, row = every.at(at), {"language": code}
        for side, wanted in (("aligned", 1.0), ("not_aligned", 0.0)):
            share = rate(part.correct[part.aligned == wanted], part.groups[part.aligned == wanted])
            row |= {side: share.rate, f"{side}_low": share.low, f"{side}_high": share.high, f"n_{side}": share.n}
        rows.append(row)
    names = [name for side in ("aligned", "not_aligned") for name in (side, f"{side}_low", f"{side}_high", f"n_{side}")]
    return pd.DataFrame(rows, columns=["language", *names])


def crossed(instances: pd.DataFrame) -> pd.DataFrame:
    """How many instances are aligned or not and right or not: columns aligned, correct (booleans), n; four rows."""
    every = facts(instances)
    table = stratified_tables(every.aligned, every.correct, np.zeros(len(every.groups), np.int64))
    counts = table.reshape(-1) if table.size else np.zeros(4)
    sides = [(a, c) for a in (True, False) for c in (True, False)]
    return pd.DataFrame(
        [(a, c, int(n)) for (a, c), n in zip(sides, counts, strict=True)], columns=["aligned", "correct", "n"]
    )


def cells(instances: pd.DataFrame) -> pd.Series:
    """ "aligned, correct" and the like for each instance; null where one of the two is undefined."""
    every = facts(instances)
    labels = np.array(CELLS, dtype=object)
    known = ~(np.isnan(every.aligned) | np.isnan(every.correct))
    index = np.where(known, (1 - every.aligned) * 2 + 1 - every.correct, 0).astype(int)
    return pd.Series(np.where(known, labels[index], None), index=instances.index)


CELLS = ("aligned, correct", "aligned, incorrect", "not aligned, correct", "not aligned, incorrect")


def rates_by_layer(decided: Float[np.ndarray, "layer instance"], series: pd.Series, groups: np.ndarray) -> pd.DataFrame:
    """Alignment rate of each series of instances (right and wrong ones, or cohorts) at each layer.

    Args:
        decided: 1.0 aligned, 0.0 not, NaN undefined.
        series: which series each instance belongs to; null for none. A categorical gives their order.
        groups: resampling unit of each instance, as integers.

    Returns:
        Columns series, layer, rate, low, high, n; Wilson intervals widened as in `statistics.rate`.
    """
    rows = []
    ordered = series.cat.categories if isinstance(series.dtype, pd.CategoricalDtype) else pd.unique(series.dropna())
    for key in (k for k in ordered if (series == k).any()):
        at = np.flatnonzero((series == key).fillna(False).to_numpy(bool))
        at = at[np.argsort(groups[at], kind="stable")]
        starts = np.flatnonzero(np.diff(groups[at], prepend=-1))
        for layer, (share, n, effect) in enumerate(zip(*_widened(decided[:, at], starts), strict=True)):
            low, high = wilson(float(share), float(n / effect)) if n else (math.nan, math.nan)
            rows.append((key, layer, share, low, high, int(n)))
    return pd.DataFrame(rows, columns=["series", "layer", "rate", "low", "high", "n"])


def _widened(decided: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rate, n and design effect (see `statistics.rate`) at each layer, instances sorted by group."""
    known = ~np.isnan(decided)
    n = known.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = np.where(known, decided, 0.0).sum(axis=1) / n
        influence = np.where(known, decided - rate[:, None], 0.0) / n[:, None]
        sums = np.add.reduceat(influence, starts, axis=1)
        occurring = np.add.reduceat(known, starts, axis=1).astype(bool).sum(axis=1)
        ratio = occurring / (occurring - 1) * (sums**2).sum(axis=1) / (influence**2).sum(axis=1)
    alone = (occurring <= 1) | (occurring == n) | ~np.isfinite(ratio)
    return rate, n, np.where(alone, 1.0, np.maximum(ratio, 1.0))


def _languages(instances: pd.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
    """Each language that occurs and its rows."""
    codes, names = pd.factorize(instances["language"])
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=len(names)))
    yield from zip(map(str, names), np.split(order, ends[:-1]), strict=True)
