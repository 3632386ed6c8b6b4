"""What a run of translations shows, in plain sentences with numbers and intervals."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import pandas as pd

from crossalign.amounts import in_brackets, p_value
from crossalign.findings import LEVEL, Finding, association, counted, signed
from crossalign.languages import language
from crossalign.relations import language_points
from crossalign.store.runs import Run
from crossalign.translation.relations import by_language, over_languages
from crossalign.translation.scores import EXTERNAL
from crossalign.translation.sentences import DIRECTIONS, SCALES, points
from crossalign.translation.tables import SCORES

BEST = "best layer"
"""The layer at which languages and sentences are looked at: each language's best."""


class Direction(NamedTuple):
    """What is known of one direction of a run.

    Attributes:
        direction: of `sentences.DIRECTIONS`.
        label: e.g. "from English".
        languages: one row per language, as `sentences.quality`; with the column rate where there is alignment.
        points: `sentences.points` of these languages at their best layers.
    """

    direction: str
    label: str
    languages: pd.DataFrame
    points: pd.DataFrame

    @property
    def score(self) -> str:
        """The measure of quality that findings speak of: the first of `SCORES` that is known; "" for none."""
        return next((s for s in SCORES if self.languages[s].notna().any()), "")


def directions(
    run: Run, alignment: Run | None, quality: pd.DataFrame, rates: pd.DataFrame, pooling: str
) -> list[Direction]:
    """The directions of a run, with its sentences.

    Args:
        alignment: the run with the alignment of the same sentences; None for none.
        quality: `sentences.quality` of the run.
        rates: `tables.rates` of MEXA and the pooling, of the alignment run; may be empty.
        pooling: how states were pooled there.
    """
    found = []
    for name in (d for d in DIRECTIONS if (quality["direction"] == d).any()):
        mine = quality[quality["direction"] == name]
        layers: dict[str, int] = {}
        if alignment is not None and len(rates):
            best = language_points(mine, rates, "max")[["language", "layer", "rate", "low", "high"]]
            layers = dict(zip(best["language"], best["layer"].astype(int), strict=True))
            mine = mine.merge(best, on="language", how="left")
        sentences = pd.concat(points(run, name, alignment, pooling, layers), ignore_index=True)
        label = f"{'from' if name == 'en-xx' else 'into'} {language(run.spec.pivot).name}"
        found.append(Direction(name, label, mine.reset_index(drop=True), sentences))
    return found


def told(of: Direction) -> list[Finding]:
    """All findings of a direction; each is left out where the run cannot tell it."""
    if not of.score:
        return []
    found = [level(of), over(of), between(of)]
    return [replace(finding, query={"direction": of.direction}) for finding in found if finding is not None]


def level(of: Direction) -> Finding:
    """How well the languages are translated: the mean over them, the best and the worst with their intervals."""
    known = of.languages[of.languages[of.score].notna()]
    low, high = known.loc[known[of.score].idxmin()], known.loc[known[of.score].idxmax()]
    text = (
        f"{SCALES[of.score]} is {_points(of, known[of.score].mean())} on average over {counted(len(known), 'language')}, "
        f"from {_with_interval(of, low)} ({low['name']}) to {_with_interval(of, high)} ({high['name']})."
        if len(known) > 1
        else f"{SCALES[of.score]} is {_with_interval(of, low)} ({low['name']})."
    )
    return Finding(f"Quality {of.label}", text, "translation")


def over(of: Direction) -> Finding | None:
    """Alignment and quality over languages; None without alignment."""
    if "rate" not in of.languages:
        return None
    found = association(of.languages, "MEXA", BEST, (of.score, SCALES[of.score]))
    return None if found is None else replace(found, topic=f"Over languages, {of.label}", page="translation")


def between(of: Direction) -> Finding | None:
    """How much better aligned sentences are translated than the others of their language; None where that is unknown."""
    known = of.points[of.points["aligned"].notna() & of.points[of.score].notna()]
    if known.empty:
        return None
    pooled = over_languages(known, of.score, "difference")
    if math.isnan(pooled.value):
        return None
    tests = by_language(known, of.score, "difference")
    tested, passed = tests[tests["p_holm"].notna()], tests[tests["p_holm"] < LEVEL]
    worse = pooled.value < 0
    low, high = (-pooled.high, -pooled.low) if worse else (pooled.low, pooled.high)
    text = (
        f"Within languages, aligned sentences (MEXA, {BEST}) are translated {_points(of, abs(pooled.value))} points of "
        f"{SCALES[of.score]} {'worse' if worse else 'better'} than the others{in_brackets(low, high, lambda value: _points(of, value))}, "
        f"{p_value(pooled.p)}, n = {pooled.n:,}. After correction they are better in {int((passed['estimate'] > 0).sum())} "
        f"and worse in {int((passed['estimate'] < 0).sum())} of {counted(len(tested), 'language')}."
    )
    return Finding(f"Over sentences, {of.label}", text, "translation")


def _points(of: Direction, value: float) -> str:
    return signed(value, 3 if of.score in EXTERNAL else 1)


def _with_interval(of: Direction, row: pd.Series) -> str:
    low, high = row[f"{of.score}_low"], row[f"{of.score}_high"]
    return _points(of, row[of.score]) + in_brackets(low, high, lambda value: _points(of, value))
