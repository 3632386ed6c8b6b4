"""What a run shows, in plain sentences with numbers and intervals. Pure functions of frames."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd

from crossalign.amounts import in_brackets, p_value
from crossalign.statistics import COHORTS, FEWEST_POINTS, correlation, delta, holm, paired_difference
from crossalign.tables import facts_of

LEVEL = 0.05
"""Of the tests that a sentence counts, after Holm's correction."""

FEWEST_LANGUAGES = FEWEST_POINTS
"""Over fewer languages a correlation has no interval."""


@dataclass(frozen=True)
class Finding:
    """A sentence or two, and where the dashboard shows what they speak of.

    Attributes:
        topic: a word or two, for a heading.
        text: plain text; holds names from data.
        page: name of the page.
        query: what the link to it adds.
    """

    topic: str
    text: str
    page: str
    query: dict[str, str] = field(default_factory=dict)


class About(NamedTuple):
    """What the findings of a run speak of.

    Attributes:
        metric, rule: labels of the metric, and of how a language's layers become one number.
        at: label of the layer at which instances are looked at; with a mean over layers, the best one.
        pivot: its code.
        n_layers: L.
    """

    metric: str
    rule: str
    at: str
    pivot: str
    n_layers: int


def accuracy(languages: pd.DataFrame, pivot: str) -> Finding | None:
    """Accuracy in the pivot and in the other languages; None where nothing was scored.

    Args:
        languages: as `tables.languages`.
    """
    scored = languages[languages["accuracy"].notna()]
    first, others = scored[scored["language"] == pivot], scored[scored["language"] != pivot]
    sentences = []
    for row in first.to_dict("records"):
        share = percent(row["accuracy"], row["accuracy_low"], row["accuracy_high"])
        n = f"{row['n']:,}" if row["n"] else "the"  # imported without the number of instances
        sentences.append(f"In {row['name']}, the pivot, {share} of {n} instances are answered right.")
    if len(others):
        low, high = others.loc[others["accuracy"].idxmin()], others.loc[others["accuracy"].idxmax()]
        noun = "other language" if sentences else "language"
        it = "it" if sentences else "accuracy"
        sentences.append(
            f"In {counted(len(others), noun)} {it} is {percent(others['accuracy'].mean())} on average, from "
            f"{percent(low['accuracy'])} ({low['name']}) to {percent(high['accuracy'])} ({high['name']})."
        )
    return Finding("Accuracy", " ".join(sentences), "languages") if sentences else None


def association(
    points: pd.DataFrame, metric: str, rule: str, other: tuple[str, str] = ("accuracy", "accuracy")
) -> Finding | None:
    """Alignment and accuracy, or another quantity, over languages; None where that is unknown.

    Args:
        points: one row per language other than the pivot: rate, and the other quantity.
        metric, rule: labels of the metric, and of how its layers became one number.
        other: the other quantity's column and its label.
    """
    known = points[points["rate"].notna() & points[other[0]].notna()]
    if known.empty:
        return None
    what = f"{metric} ({rule}) and {other[1]} over {counted(len(known), 'language')}"
    if len(known) < FEWEST_LANGUAGES:
        return Finding("Over languages", f"{what}: too few for a correlation with an interval.", "languages")
    x, y = known["rate"].to_numpy(float), known[other[0]].to_numpy(float)
    found, ranked = correlation(x, y, "pearson"), correlation(x, y, "spearman")
    if math.isnan(found.value):
        return Finding("Over languages", f"{what}: no correlation, as one of them is the same everywhere.", "languages")
    text = (
        f"{what}: r = {signed(found.value)}{in_brackets(found.low, found.high, signed)}, {p_value(found.p)}; by rank "
        f"{signed(ranked.value)}{in_brackets(ranked.low, ranked.high, signed)}."
    )
    return Finding("Over languages", text, "languages")


def separations(instances: pd.DataFrame) -> pd.DataFrame:
    """Per language: does alignment separate right from wrong answers, of those that are right in the pivot?

    Args:
        instances: columns language, group, cohort, aligned.

    Returns:
        Columns language, value (rate of EC-XC − rate of EC-XW), low, high, p, n, and p_holm over the languages; NaN
        where a cohort is empty.
    """
    rows = []
    for language, part in instances.groupby("language", observed=True):
        cohort = pd.Categorical(part["cohort"], categories=COHORTS).codes.astype(np.int64)
        rows.append((language, *delta(part["aligned"].to_numpy(float), cohort, _groups(part))))
    frame = pd.DataFrame(rows, columns=["language", "value", "low", "high", "p", "n"])
    return frame.assign(p_holm=holm(frame["p"].to_numpy(float)))


def separation(tests: pd.DataFrame, metric: str, at: str, names: dict[str, str]) -> Finding | None:
    """In how many languages alignment separates right from wrong answers; None where no test is defined.

    Args:
        tests: from `separations`.
        metric, at: labels of the metric and of the layer.
    """
    known = tests[tests["p_holm"].notna()]
    if known.empty:
        return None
    passed = known[known["p_holm"] < LEVEL]
    up, down = passed[passed["value"] > 0], passed[passed["value"] < 0]
    text = (
        f"Of the instances right in the pivot, those also right in the language are aligned ({metric}, {at}) more "
        f"often in {len(up)} of {counted(len(known), 'language')} after correction"
        + (f", less often in {len(down)}" if len(down) else "")
        + (f" ({len(tests) - len(known)} more cannot be tested)" if len(tests) > len(known) else "")
        + ". "
    )
    most = known.loc[known["value"].abs().idxmax()]
    text += f"Largest difference: {points(most['value'], most['low'], most['high'])} in {names.get(most['language'], most['language'])}."
    return Finding("Over instances", text, "instances", {"language": str(most["language"])})


def gaps(instances: pd.DataFrame) -> pd.DataFrame:
    """Per language: accuracy in the pivot − accuracy in the language, on the same instances.

    Args:
        instances: columns language, group, pivot_correct, correct.

    Returns:
        Columns language, value, low, high, p, n.
    """
    rows = [
        (language, *paired_difference(part["pivot_correct"].to_numpy(float), part["correct"].to_numpy(float), _groups(part)))
        for language, part in instances.groupby("language", observed=True)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["language", "value", "low", "high", "p", "n"])


def largest_gap(differences: pd.DataFrame, names: dict[str, str], pivot: str) -> Finding | None:
    """The language that loses most against the pivot; None where nothing was scored.

    Args:
        differences: from `gaps`.
    """
    known = differences[differences["value"].notna()]
    if known.empty:
        return None
    worst = known.loc[known["value"].idxmax()]
    code, name = worst["language"], names.get(worst["language"], worst["language"])
    side = "behind" if worst["value"] > 0 else "ahead of" if worst["value"] < 0 else "level with"
    text = (
        f"{name} is furthest behind: {points(worst['value'], worst['low'], worst['high'])} less than "
        f"{names.get(pivot, pivot)} on the same {worst['n']:,} instances, {p_value(worst['p'])}."
        if side == "behind"
        else f"No language is behind {names.get(pivot, pivot)}; the nearest is {name}, {side} it by "
        f"{points(abs(worst['value']))}."
    )
    return Finding("Largest gap", text, "instances", {"language": str(code)})


def peak(best: pd.DataFrame, metric: str, n_layers: int) -> Finding | None:
    """Where alignment is highest, and what remains of it when no pair is a translation; None without languages.

    Args:
        best: one row per language at its best layer: best_layer, rate, relabelled_rate.
    """
    known = best[best["rate"].notna()]
    if known.empty:
        return None
    layers = known["best_layer"].astype(int)
    low, middle, high = (int(layers.quantile(q, interpolation="lower")) for q in (0, 0.5, 1))
    where = "There"
    if len(known) == 1 or low == high:
        spread = "" if len(known) == 1 else ", in every language"
    else:
        spread = f", the median over languages, from {low} to {high}"
        where = "At each language's best layer"
    depth = percent(middle / max(1, n_layers), digits=0)
    text = (
        f"{metric} is highest at layer {middle} of {n_layers} (relative depth {depth}{spread}). {where} "
        f"{percent(known['rate'].mean())} of the instances are aligned{' on average' if len(known) > 1 else ''}"
    )
    relabelled = known["relabelled_rate"].mean()
    text += f", and {percent(relabelled)} when no pair is a translation." if not math.isnan(relabelled) else "."
    return Finding("Over layers", text, "layers")


def told(
    languages: pd.DataFrame, points: pd.DataFrame, best: pd.DataFrame, instances: pd.DataFrame, about: About
) -> list[Finding]:
    """All findings of a run, one after the other; each is left out where the run cannot tell it.

    Args:
        languages: as `tables.languages`.
        points: `relations.language_points` of the metric under the rule.
        best: the same at each language's best layer.
        instances: `outcomes.at_layers` of all languages; empty where the run has no single instances.
        about: how all these are called.
    """
    names = {about.pivot: facts_of(about.pivot).name}  # the pivot of an import may have no row
    names |= dict(zip(languages["language"], languages["name"], strict=True))
    found = [accuracy(languages, about.pivot), association(points, about.metric, about.rule)]
    if len(instances) and instances["correct"].notna().any():
        found.append(separation(separations(instances), about.metric, about.at, names))
        found.append(largest_gap(gaps(instances), names, about.pivot))
    found.append(peak(best, about.metric, about.n_layers))
    return [finding for finding in found if finding is not None]


# --- numbers in words --------------------------------------------------------------------------------------------


def percent(value: float, low: float = math.nan, high: float = math.nan, digits: int = 1) -> str:
    """A share as it is read.

    >>> percent(0.5415, 0.51, 0.583)
    '54.1 % [51.0, 58.3]'
    """
    if math.isnan(value):
        return "undefined"
    return f"{100 * value:.{digits}f} %{in_brackets(low, high, lambda share: f'{100 * share:.{digits}f}')}"


def points(value: float, low: float = math.nan, high: float = math.nan) -> str:
    """A difference of two shares in percentage points.

    >>> points(-0.099, -0.2, 0.001)
    '−9.9 points [−20.0, 0.1]'
    """
    return f"{signed(100 * value, 1)} points{in_brackets(low, high, lambda share: signed(100 * share, 1))}"


def signed(value: float, digits: int = 2) -> str:
    """A number with a real minus sign; "–" where it is undefined."""
    return "–" if math.isnan(value) else f"{value:.{digits}f}".replace("-", "−")


def counted(n: int, noun: str) -> str:
    """A count with its noun."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _groups(part: pd.DataFrame) -> np.ndarray:
    return pd.factorize(part["group"])[0].astype(np.int64)
