"""How the quality of translations goes with alignment: over languages, over sentences, and along the margin.

`points` is one row per sentence of one direction, one language after the other: columns language, instance_id, group,
aligned (1, 0, NaN), margin, layers_aligned and the scores (see `crossalign.translation.sentences.points`).
"""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from crossalign.statistics import (
    Estimate,
    benjamini_hochberg,
    correlation,
    holm,
    mann_whitney,
    mean_difference,
    means,
    pooled_auc,
    pooled_difference,
)
from crossalign.statistics.panels import within_units
from crossalign.store.runs import Run
from crossalign.tables import best_layers
from crossalign.translation.tables import SCORES

BINS = 10
"""Bins of the margin, with about as many sentences each."""

SPAN = 0.6
"""Share of the sentences that each place of the smooth curve looks at."""

RESAMPLES = 100
"""Resamples behind the band of the smooth curve."""


@dataclass(frozen=True, slots=True)
class Effect:
    """How much better aligned sentences are translated.

    Attributes:
        label: what it is, in words; short: the same in a word or two.
        about: how to read it, and its test.
        within: quality, aligned and groups of one language → estimate.
        over: quality, aligned, language and groups of all languages → estimate within languages.
    """

    label: str
    short: str
    about: str
    within: Callable[[np.ndarray, np.ndarray, np.ndarray], Estimate]
    over: Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], Estimate]


def _over_ranks(values: np.ndarray, aligned: np.ndarray, stratum: np.ndarray, groups: np.ndarray) -> Estimate:
    """The rank-biserial correlation within languages."""
    found = pooled_auc(values, aligned, stratum, groups)
    return Estimate(2 * found.value - 1, 2 * found.low - 1, 2 * found.high - 1, found.p, found.n)


EFFECTS: dict[str, Effect] = {
    "rank": Effect(
        "Rank-biserial correlation: aligned − not aligned",
        "Rank-biserial r",
        "Of an aligned and a not aligned sentence of one language: chance that the aligned one is translated better, less "
        "the chance that it is worse; 0 is no effect. Mann–Whitney test. Over languages: the mean weighted as by Mantel "
        "and Haenszel.",
        mann_whitney,
        _over_ranks,
    ),
    "difference": Effect(
        "Mean quality: aligned − not aligned",
        "Difference",
        "Mean quality of aligned sentences less that of the others, in points of the score; 0 is no effect. Welch's test. "
        "Over languages: the mean weighted as by Mantel and Haenszel.",
        mean_difference,
        pooled_difference,
    ),
}


def by_language(points: pd.DataFrame, score: str, effect: str) -> pd.DataFrame:
    """An effect of `EFFECTS` per language: columns language, estimate, low, high, p, n, and p_holm over the languages."""
    rows = []
    for code, mine in points.groupby("language", sort=False, observed=True):
        values, aligned = _numbers(mine, score), _numbers(mine, "aligned")
        rows.append((str(code), *EFFECTS[effect].within(values, aligned, pd.factorize(mine["group"])[0])))
    frame = pd.DataFrame(rows, columns=["language", "estimate", "low", "high", "p", "n"])
    return frame.assign(p_holm=holm(frame["p"].to_numpy(float)))


def over_languages(points: pd.DataFrame, score: str, effect: str) -> Estimate:
    """An effect of `EFFECTS` within languages, pooled over them; a sentence counts as one unit in all its languages."""
    language, group = (pd.factorize(points[c])[0] for c in ("language", "group"))
    return EFFECTS[effect].over(_numbers(points, score), _numbers(points, "aligned"), language, group)


def languages_pooled(points: pd.DataFrame, score: str, effect: str) -> int:
    """How many languages `over_languages` counts: those with enough sentences on both sides."""
    return sum(over_languages(mine, score, effect).n > 0 for _, mine in points.groupby("language", observed=True))


def within_sentences(points: pd.DataFrame, score: str) -> Estimate:
    """How much better a sentence is translated where it is aligned than where it is not, beyond what languages differ in.

    In points of the score; n counts the sentences that are aligned in some languages and not in others.
    """
    language, unit, group = (pd.factorize(points[c])[0] for c in ("language", "instance_id", "group"))
    return within_units(_numbers(points, score), _numbers(points, "aligned"), language, unit, group)


def means_by_alignment(points: pd.DataFrame, score: str) -> pd.DataFrame:
    """Mean quality of aligned and of not aligned sentences per language, with t intervals.

    Columns language, and for side in aligned, not_aligned: side, side_low, side_high and n_side.
    """
    rows = []
    for code, mine in points.groupby("language", sort=False, observed=True):
        values, groups = _numbers(mine, score), pd.factorize(mine["group"])[0]
        row: dict[str, object] = {"language": str(code)}
        for side, wanted in (("aligned", 1.0), ("not_aligned", 0.0)):
            among = np.where(_numbers(mine, "aligned") == wanted, values, np.nan)
            mean, low, high, n = (column[0] for column in means(among[None, :], groups))
            row |= {side: mean, f"{side}_low": low, f"{side}_high": high, f"n_{side}": int(n)}
        rows.append(row)
    names = [name for side in ("aligned", "not_aligned") for name in (side, f"{side}_low", f"{side}_high", f"n_{side}")]
    return pd.DataFrame(rows, columns=["language", *names])


def centred(points: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """The points with each language's mean taken away from the columns, so that languages can be looked at together."""
    numbers = points[list(columns)].astype(float)
    return points.assign(**(numbers - numbers.groupby(points["language"], observed=True).transform("mean")))


def bins(points: pd.DataFrame, score: str, by: str) -> pd.DataFrame:
    """Mean quality in bins of a continuous measure of alignment that hold about as many sentences each.

    Columns by (mean of the bin), from, to, the score, low, high (95 % t interval), n.
    """
    known = points[points[by].notna() & points[score].notna()]
    if known.empty:
        return pd.DataFrame(columns=[by, "from", "to", score, "low", "high", "n"])
    place = pd.qcut(known[by].astype(float), BINS, labels=False, duplicates="drop").fillna(0)
    rows = []
    for _, mine in known.groupby(place):
        values, at = _numbers(mine, score), _numbers(mine, by)
        mean, low, high, n = (column[0] for column in means(values[None, :], pd.factorize(mine["group"])[0]))
        rows.append((at.mean(), at.min(), at.max(), mean, low, high, int(n)))
    return pd.DataFrame(rows, columns=[by, "from", "to", score, "low", "high", "n"])


def smooth(points: pd.DataFrame, score: str, by: str, seed: int = 0) -> pd.DataFrame:
    """A LOESS curve of quality over a measure of alignment: columns x, y, and low, high from resampled groups.

    Empty with fewer than 20 sentences, or where the measure hardly varies. Source: Cleveland 1979, by statsmodels.
    """
    from statsmodels.nonparametric.smoothers_lowess import lowess

    known = points[points[by].notna() & points[score].notna()]
    x, y = _numbers(known, by), _numbers(known, score)
    if len(x) < 20 or len(np.unique(x)) < BINS:
        return pd.DataFrame(columns=["x", "y", "low", "high"])
    at = np.linspace(*np.quantile(x, [0.01, 0.99]), 40)
    rng, drawn = np.random.default_rng(seed), []
    groups = pd.factorize(known["group"])[0]
    order = np.argsort(groups, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    for _ in range(RESAMPLES):
        rows = np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))])
        drawn.append(lowess(y[rows], x[rows], SPAN, 0, xvals=at))
    low, high = np.nanquantile(drawn, [0.025, 0.975], axis=0)
    return pd.DataFrame({"x": at, "y": lowess(y, x, SPAN, 0, xvals=at), "low": low, "high": high}).dropna()


def every_score(quality: pd.DataFrame, rates: pd.DataFrame, coefficient: str) -> pd.DataFrame:
    """Every score in both directions against alignment over languages, at each language's best layer and as mean.

    Columns direction, score, rule (max or mean), r, low, high, p, p_holm, p_bh, n. All p are two-sided, by permutation;
    the last two answer for having tried all rows.

    Args:
        quality: from `sentences.quality`.
        rates: as `tables.rates`, of one metric and pooling.
        coefficient: of `statistics.COEFFICIENTS`.
    """
    best = best_layers(rates)[["language", "rate", "mean_rate"]]
    rows = []
    for direction, mine in quality.merge(best, on="language").groupby("direction"):
        for score in (s for s in SCORES if mine[s].notna().any()):
            for rule, column in (("max", "rate"), ("mean", "mean_rate")):
                found = correlation(_numbers(mine, column), _numbers(mine, score), coefficient)
                rows.append((direction, score, rule, *found))
    frame = pd.DataFrame(rows, columns=["direction", "score", "rule", "r", "low", "high", "p", "n"])
    p = frame["p"].to_numpy(float)
    return frame.assign(p_holm=holm(p), p_bh=benjamini_hochberg(p))


def same_model(first: Run, second: Run) -> bool:
    """Whether two runs are of one model: the same weights, or the same name where one was imported without its weights."""
    mine, theirs = first.spec, second.spec
    if mine.model_identity == theirs.model_identity:
        return True
    named = any(s.model_identity.startswith("named:") for s in (mine, theirs))
    return named and mine.model_name == theirs.model_name


def _numbers(frame: pd.DataFrame, column: str) -> np.ndarray:
    return frame[column].to_numpy(float, na_value=np.nan)
