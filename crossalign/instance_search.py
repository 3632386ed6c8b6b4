"""Which instances a reader is looking for: filters, search in their texts, and the failures among them."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool

SIDES = ("yes", "no")
"""What the filters on right and on aligned instances let through; any other value lets all through."""

WORDS = re.compile(r'"([^"]+)"|(\S+)')

SEARCHED = ("instance_id", "premise", "context", "options", "prompt")


@dataclass(frozen=True, slots=True)
class InstanceFilter:
    """What is asked of an instance; empty fields ask nothing.

    Attributes:
        correct, aligned: "yes", "no" or "".
        cohorts: the instance is in one of these.
        tags: the instance has one of these.
        margin_from, margin_to: ends of the alignment margin, both included.
        words: each of the words, divided by blanks, occurs in the texts; "words in quotes" next to each other.
    """

    correct: str = ""
    aligned: str = ""
    cohorts: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    margin_from: float | None = None
    margin_to: float | None = None
    words: str = ""


def matching(
    points: pd.DataFrame, asked: InstanceFilter, tags: pd.Series, texts: pd.Series
) -> Bool[np.ndarray, "instance"]:
    """Whether each instance is what is asked for; an undefined value never is.

    Args:
        points: one row per instance: correct, aligned, cohort, margin.
        tags: the tags of each instance, a list each.
        texts: from `searchable`, in the same order.
    """
    kept = np.ones(len(points), bool)
    for column, side in (("correct", asked.correct), ("aligned", asked.aligned)):
        if side in SIDES:
            kept &= (points[column] == float(side == "yes")).to_numpy(bool)
    if asked.cohorts:
        kept &= points["cohort"].isin(asked.cohorts).to_numpy(bool)
    if asked.tags:
        kept &= np.array([not set(asked.tags).isdisjoint(found) for found in tags], bool)
    margin = points["margin"].to_numpy(float)
    if asked.margin_from is not None:
        kept &= margin >= asked.margin_from
    if asked.margin_to is not None:
        kept &= margin <= asked.margin_to
    for quoted, word in WORDS.findall(folded(asked.words)):
        kept &= np.array([(quoted or word) in text for text in texts], bool)
    return kept


def searchable(*sides: pd.DataFrame) -> pd.Series:
    """All that can be found of each instance, as one folded text; the sides (languages) are joined on instance_id.

    Args:
        sides: as `tables.instances`; the first gives the order.
    """
    joined = [side.drop_duplicates("instance_id").set_index("instance_id", drop=False) for side in sides]
    wanted = sides[0]["instance_id"]
    columns = [[_text(value) for value in side[column].reindex(wanted)] for side in joined for column in SEARCHED]
    return pd.Series([folded("\n".join(row)) for row in zip(*columns, strict=True)], dtype=object)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return "\n".join(map(str, value)) if isinstance(value, list | tuple | np.ndarray) else ""


def folded(text: str) -> str:
    """A text for comparison: compatibility forms, case and combining marks do not matter.

    >>> folded("Éléphant ＡＢ ﻻ") == folded("elephant ab لا")
    True
    """
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return (
        "".join(sign for sign in decomposed if not unicodedata.combining(sign))
        if not decomposed.isascii()
        else decomposed
    )


def failures(points: pd.DataFrame) -> Bool[np.ndarray, "instance"]:
    """Wrong answers; where nothing was answered (plain sentences), instances that are not aligned."""
    column = "correct" if points["correct"].notna().any() else "aligned"
    return (points[column] == 0).to_numpy(bool)


def neighbours(rows: Bool[np.ndarray, "instance"], at: int) -> tuple[int | None, int | None]:
    """The nearest marked rows before and after a row; None where there is none.

    >>> neighbours(np.array([True, False, True, True]), 2)
    (0, 3)
    """
    found = np.flatnonzero(rows)
    before, after = found[found < at], found[found > at]
    return (int(before[-1]) if len(before) else None, int(after[0]) if len(after) else None)


def listing(points: pd.DataFrame, texts: pd.DataFrame, kept: Bool[np.ndarray, "instance"]) -> pd.DataFrame:
    """Instances as a list to choose from, in the order of the data.

    Columns instance_id, text (its beginning), answer, cohort, aligned, margin, layers_aligned,
    logprob_margin and tags.

    Args:
        points: one row per instance (see `crossalign.outcomes`).
        texts: `tables.instances` of the same language, in the same order.
        kept: which instances are listed.
    """
    rows = np.flatnonzero(kept)
    mine = points.iloc[rows]
    return pd.DataFrame(
        {
            "instance_id": mine["instance_id"].to_numpy(object),
            "text": [
                _beginning(_shown(text)) for text in texts[["premise", "context", "prompt"]].iloc[rows].to_numpy()
            ],
            "answer": mine["correct"].map({1.0: "right", 0.0: "wrong"}).to_numpy(object),
            "cohort": mine["cohort"].to_numpy(object),
            "aligned": mine["aligned"].map({1.0: "yes", 0.0: "no"}).to_numpy(object),
            "margin": mine["margin"].to_numpy(float),
            "layers_aligned": mine["layers_aligned"].to_numpy(float),
            "logprob_margin": mine["logprob_margin"].to_numpy(float),
            "tags": [", ".join(tags) for tags in texts["tags"].iloc[rows]],
        }
    )


def _shown(texts: np.ndarray) -> str:
    """The first of some texts that is there; imported items may lack any of them."""
    return next((text for text in texts if isinstance(text, str) and text), "")


def _beginning(text: str, length: int = 140) -> str:
    """The first signs of a text on one line."""
    line = " ".join(text[: 4 * length].split())
    return line if len(line) <= length else line[: length - 1] + "…"
