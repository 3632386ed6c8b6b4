"""Alignment and being right, cell by cell: conditional shares, confidence, pivot against language, a model over all.

`instances` as in `crossalign.effects`, with the columns pivot_correct and logprob_margin where they are named.
"""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from crossalign.effects import EFFECTS, Facts, facts, languages_of
from crossalign.statistics import (
    COHORTS,
    FEWEST_POINTS,
    Estimate,
    benjamini_hochberg,
    between_languages,
    cohort_sizes,
    conditionals,
    holm,
    language_means,
    mcnemar_exact,
    means,
    mixed_logistic,
    paired_counts,
    paired_difference,
    rate,
)

ALL = "all languages"
"""Name of the row over all languages; its language is empty."""

SHARES = ("correct_if_aligned", "correct_if_not", "aligned_if_correct", "aligned_if_wrong")
"""Columns of `conditional_shares`, each with _low, _high and n_ beside it."""


def conditional_shares(instances: pd.DataFrame, independent: bool = False) -> pd.DataFrame:
    """Is alignment enough for a right answer, and is it needed? A row per language, and one over all of them.

    Columns language, and for each of `SHARES`: it, it_low, it_high (Wilson, widened for groups) and n_it; NaN where nothing
    is behind it. P(correct | aligned) of 1 would make alignment sufficient, P(aligned | correct) of 1 necessary; compare
    each with its neighbour, P(correct | not aligned) and P(aligned | wrong).

    Args:
        independent: takes the instances as independent, as published; otherwise groups, and over all languages the same
            question in several of them, widen the intervals.
    """
    rows = []
    for code, part in _parts(instances):
        found = conditionals(part.aligned, part.correct, None if independent else part.groups)
        row: dict[str, object] = {"language": code}
        for name, share in zip(SHARES, found, strict=True):
            row |= {name: share.rate, f"{name}_low": share.low, f"{name}_high": share.high, f"n_{name}": share.n}
        rows.append(row)
    columns = [column for name in SHARES for column in (name, f"{name}_low", f"{name}_high", f"n_{name}")]
    return pd.DataFrame(rows, columns=["language", *columns])


def _parts(instances: pd.DataFrame) -> Iterator[tuple[str, Facts]]:
    """Each language's facts; then those of all, where there are several."""
    every, count = facts(instances), 0
    for code, rows in languages_of(instances):
        count += 1
        yield code, every.at(rows)
    if count > 1:
        yield "", every


def confidence(instances: pd.DataFrame, independent: bool = False) -> pd.DataFrame:
    """How sure the model is, in 8 cells: aligned or not × right or wrong in the language × right or wrong in the pivot.

    Columns cohort, aligned (boolean), n, share (of the instances that are in a cell), mean, low, high and median of the
    log-probability margin in nats (log-likelihood of the gold option less that of the best other).

    Args:
        independent: takes the instances as independent; otherwise groups widen the intervals of the means.
    """
    every = facts(instances)
    margin = instances["logprob_margin"].to_numpy(float, na_value=math.nan)
    known = (every.cohort >= 0) & ~np.isnan(every.aligned) & ~np.isnan(margin)
    rows = []
    for number, cohort in enumerate(COHORTS):
        for aligned in (True, False):
            at = known & (every.cohort == number) & (every.aligned == float(aligned))
            mean, low, high, n = (v[0] for v in means(margin[None, at], None if independent else every.groups[at]))
            median = float(np.median(margin[at])) if n else math.nan
            rows.append(
                (cohort, aligned, int(n), n / known.sum() if known.any() else math.nan, mean, low, high, median)
            )
    return pd.DataFrame(rows, columns=["cohort", "aligned", "n", "share", "mean", "low", "high", "median"])


def against_pivot(instances: pd.DataFrame) -> pd.DataFrame:
    """Right and wrong in the pivot and in each language, on the same instances.

    Columns language; both, pivot_only, language_only, neither (counts); n; pivot_accuracy, accuracy, each with _low and
    _high (Wilson, widened for groups); difference (pivot − language) with low, high and p of `paired_difference`, which
    answers for groups; mcnemar, the exact p for independent instances; p_holm and p_bh over the languages.
    """
    every = facts(instances)
    pivot = instances["pivot_correct"].to_numpy(float, na_value=math.nan)
    rows = []
    for code, at in languages_of(instances):
        mine, groups = every.correct[at], every.groups[at]
        both = ~(np.isnan(pivot[at]) | np.isnan(mine))
        difference = paired_difference(pivot[at], mine, groups)
        counts = paired_counts(pivot[at], mine)
        shares = [v for side in (pivot[at], mine) for v in rate(side[both], groups[both])[:3]]
        rows.append(
            (
                code,
                *cohort_sizes(every.cohort[at]).tolist(),
                difference.n,
                *shares,
                *difference[:4],
                mcnemar_exact(counts),
            )
        )
    names = ["language", "both", "pivot_only", "language_only", "neither", "n"]
    names += [f"{side}{end}" for side in ("pivot_accuracy", "accuracy") for end in ("", "_low", "_high")]
    frame = pd.DataFrame(rows, columns=[*names, "difference", "low", "high", "p", "mcnemar"])
    p = frame["p"].to_numpy(float)
    return frame.assign(p_holm=holm(p), p_bh=benjamini_hochberg(p))


def over_all(instances: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What all languages say together: Mantel and Haenszel's odds ratio, and a mixed-effects logistic model.

    The model has a random intercept for each language and each question. Alignment differs between languages as a whole,
    so it enters twice: as it is, which gives the effect within languages, and as the language's mean. The latter is
    reported from `FEWEST_POINTS` languages on, with a t interval: there are no more observations of it than languages.
    Questions have an intercept only where one of them was asked in several languages.

    Returns:
        Columns model, effect, odds_ratio, low, high, p, n (instances; languages for the effect between them); and columns
        spread, sd (in log odds) of the random intercepts.
    """
    every = facts(instances)
    language = pd.factorize(instances["language"])[0].astype(np.int64)
    together = EFFECTS["odds_ratio"].over(every, language).estimate
    question = pd.factorize(instances["instance_id"])[0].astype(np.int64)
    known = np.where(np.isnan(every.correct), math.nan, every.aligned)
    covariates = {"aligned": every.aligned}
    n_languages = len(np.unique(language[~np.isnan(known)]))
    if n_languages > 1:
        covariates["language"] = language_means(known, language)
    again = len(np.unique(question)) < len(question)
    found = mixed_logistic(every.correct, covariates, language, question if again else None)
    within = "aligned, within language and question" if again else "aligned, within language"
    rows = [
        ("Mantel–Haenszel", "aligned, within languages", *together),
        ("mixed-effects logistic", within, *_odds(found.coefficients["aligned"])),
    ]
    if n_languages >= FEWEST_POINTS:
        between = _odds(between_languages(found.coefficients["language"], n_languages), 0.1)
        rows.append(("mixed-effects logistic", "language aligned 10 points more often", *between))
    spread = [("between languages", found.language_sd), ("between questions", found.question_sd)]
    names = ["model", "effect", "odds_ratio", "low", "high", "p", "n"]
    return pd.DataFrame(rows, columns=names), pd.DataFrame(spread, columns=["spread", "sd"])


def _odds(found: Estimate, unit: float = 1.0) -> Estimate:
    """A coefficient in log odds per unit as an odds ratio."""
    return Estimate(*(float(v) for v in np.exp(unit * np.array(found[:3]))), found.p, found.n)
