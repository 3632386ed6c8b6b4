"""How alignment goes with being right: per language, over all languages, and layer by layer. Frames from instances.

`instances` is one row per instance of one or many languages, one language after the other: columns language, group,
correct, cohort, aligned, margin, layers_aligned (see `crossalign.outcomes`).
"""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from crossalign.statistics import (
    COHORTS,
    Estimate,
    auc,
    benjamini_hochberg,
    clustered_mantel_haenszel,
    delta,
    holm,
    layer_deltas,
    mean_difference,
    odds_ratio,
    pooled_auc,
    pooled_difference,
    published_delta,
    stratified_tables,
)
from crossalign.statistics.cohorts import among_pivot_correct
from crossalign.statistics.estimates import wilson

EFFECT_COLUMNS = ["language", "estimate", "low", "high", "p", "n"]


class Facts(NamedTuple):
    """Instances as arrays; `groups` numbers the resampling units, with the same number in every language."""

    aligned: Float[np.ndarray, "instance"]
    margin: Float[np.ndarray, "instance"]
    layers_aligned: Float[np.ndarray, "instance"]
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
        n_languages: how many languages have a part in it; in the others too little varies.
    """

    estimate: Estimate
    homogeneity_p: float = math.nan
    n_languages: int = 0


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
        lambda f: odds_ratio(f.aligned, f.correct, f.groups),
        lambda f, s: Pooled(*clustered_mantel_haenszel(f.aligned, f.correct, s, f.groups)[:2]),
    ),
    "delta": Effect(
        "Δ: alignment rate of EC-XC − that of EC-XW",
        "Δ",
        0.0,
        False,
        "Of the instances right in the pivot: how much more often those also right in the language are aligned than "
        "those wrong in it. Over languages: the mean weighted as by Mantel and Haenszel.",
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
    "auc_layers": Effect(
        "AUC: a right instance is aligned at more layers",
        "AUC of aligned layers",
        0.5,
        False,
        "Chance that of a right and a wrong instance of one language the right one is aligned at the larger share of all "
        "layers, whatever layer is chosen above; 0.5 is no effect. Mann–Whitney test. Over languages: the mean weighted as "
        "by Mantel and Haenszel.",
        lambda f: auc(f.layers_aligned, f.correct, f.groups),
        lambda f, s: Pooled(pooled_auc(f.layers_aligned, f.correct, s, f.groups)),
    ),
}


def known_effects(instances: pd.DataFrame) -> list[str]:
    """The effects that the instances have: without that of the margin where only decisions were imported."""
    margins = bool(instances["margin"].notna().any())
    return [name for name in EFFECTS if name != "auc" or margins]


def facts(instances: pd.DataFrame) -> Facts:
    """The columns as arrays; groups are numbered alike in all languages."""
    names = ("aligned", "margin", "layers_aligned", "correct")
    numbers = (instances[c].to_numpy(float, na_value=math.nan) for c in names)
    cohort = pd.Categorical(instances["cohort"], categories=COHORTS).codes.astype(np.int64)
    return Facts(*numbers, cohort, pd.factorize(instances["group"])[0].astype(np.int64))


OTHER_TESTS: dict[tuple[str, str], Callable[[Facts], Estimate]] = {
    ("delta", "halves"): lambda f: mean_difference(f.aligned, among_pivot_correct(f.cohort), f.groups),
    ("delta", "published"): lambda f: published_delta(f.aligned, f.cohort),
    ("odds_ratio", "published"): lambda f: odds_ratio(f.aligned, f.correct),
    ("auc", "published"): lambda f: auc(f.margin, f.correct),
    ("auc_layers", "published"): lambda f: auc(f.layers_aligned, f.correct),
}
"""(Effect, test) → the estimate where it is not that of the effect itself.

"halves": aligned is a mean over layers that were chosen on the other half. "published": instances taken as independent,
and Δ tested one-sided, as in Ravisankar et al. 2025.
"""


def by_language(instances: pd.DataFrame, effect: str, test: str = "") -> pd.DataFrame:
    """An effect of `EFFECTS` per language.

    Args:
        test: "halves" or "published", see `OTHER_TESTS`; any other word for the effect's own.

    Returns:
        Columns language, estimate, low, high, p, n, and p_holm, p_bh: corrected for as many languages.
    """
    every, within = facts(instances), OTHER_TESTS.get((effect, test), EFFECTS[effect].within)
    return _corrected([(code, *within(every.at(rows))) for code, rows in languages_of(instances)], EFFECT_COLUMNS)


def most_different_layers(
    decided: Mapping[str, Float[np.ndarray, "layer instance"]], instances: pd.DataFrame
) -> pd.DataFrame:
    """Δ of each language at the layer where it is most extreme, p answering for having looked at all layers.

    The columns of `by_language`, and layer; the interval is that of the layer alone. See `statistics.layer_deltas`.

    Args:
        decided: language → 1.0 aligned, 0.0 not, NaN undefined, its instances in the order of `instances`.
    """
    every, rows = facts(instances), []
    for code, at in languages_of(instances):
        mine = every.at(at)
        found = layer_deltas(decided[code].T.astype(float), mine.cohort, mine.groups)
        best = found.best
        values = (
            (math.nan,) * 4
            if best is None
            else (found.value[best], found.low[best], found.high[best], found.p_best[best])
        )
        rows.append((code, *map(float, values), found.n, best))
    return _corrected(rows, [*EFFECT_COLUMNS, "layer"]).astype({"layer": "Int16"})


def _corrected(rows: list[tuple], columns: list[str]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=columns)
    p = frame["p"].to_numpy(float)
    return frame.assign(p_holm=holm(p), p_bh=benjamini_hochberg(p))


def over_languages(instances: pd.DataFrame, effect: str) -> Pooled:
    """An effect of `EFFECTS` within languages, pooled over them; a question counts as one unit in all its languages."""
    stratum = pd.factorize(instances["language"])[0].astype(np.int64)
    every, over = facts(instances), EFFECTS[effect].over
    alone = (over(every.at(rows), np.zeros(len(rows), np.int64)) for _, rows in languages_of(instances))
    return over(every, stratum)._replace(n_languages=sum(pooled.estimate.n > 0 for pooled in alone))


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
    n, sizes = known.sum(axis=1), np.add.reduceat(known, starts, axis=1, dtype=float)
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = np.where(known, decided, 0.0).sum(axis=1) / n
        influence = np.where(known, decided - rate[:, None], 0.0) / n[:, None]
        sums = np.add.reduceat(influence, starts, axis=1)
        occurring, independent = (sizes > 0).sum(axis=1), (influence**2).sum(axis=1)
        ratio = occurring / (occurring - 1) * (sums**2).sum(axis=1) / independent
        effect = np.where(occurring == n, 1.0, np.maximum(ratio, 1.0))
        return rate, n, np.where((independent == 0) | (occurring == 1), (sizes**2).sum(axis=1) / n, effect)


def languages_of(instances: pd.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
    """Each language that occurs and its rows."""
    codes, names = pd.factorize(instances["language"])
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=len(names)))
    yield from zip(map(str, names), np.split(order, ends[:-1]), strict=True)
