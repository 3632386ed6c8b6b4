"""Translations however they came: of a translation run computed here, or imported with an alignment run.

One set of columns for both, without texts where many languages are read. What a source does not have is null.
"""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from crossalign import imported
from crossalign.alignment import layers_aligned
from crossalign.instance_search import SIDES, WORDS, folded
from crossalign.languages import language
from crossalign.statistics import means
from crossalign.store import parts
from crossalign.store.runs import Run
from crossalign.translation.scores import EXTERNAL, external_file
from crossalign.translation.tables import RATES, SCORES, directions

DIRECTIONS = ("en-xx", "xx-en")
"""From the pivot, and into it."""

METRIC = "mexa"
"""The alignment of parallel sentences."""

TEXTS = ("source", "reference", "output")

SCALES = {"chrf": "chrF++", "bleu": "BLEU", "comet": "COMET", "cometkiwi": "COMETKIWI"}
"""Measures of quality as the field writes them; chrF++ and BLEU from 0 to 100, the others about 0 to 1."""

FACTS = ["language", "name", "script", "family", "resource_level"]


class Decided(NamedTuple):
    """The alignment of the sentences of a language: ids, and by layer whether aligned (1, 0, NaN) and the margin."""

    ids: np.ndarray
    decided: Float[np.ndarray, "layer sentence"]
    margin: Float[np.ndarray, "layer sentence"]


def holds_translations(run: Run) -> bool:
    """Whether a run has translations or their scores."""
    if run.spec.kind == "translation":
        return bool(run.languages())
    return "imported" in run.facts and any(parts.has_file(run, c, parts.EXTERNAL_SCORES) for c in run.languages())


def part_of(run: Run, direction: str, code: str) -> str:
    """The part of a translation run that holds a direction of a language."""
    pivot = run.spec.pivot
    return f"{pivot}-{code}" if direction == "en-xx" else f"{code}-{pivot}"


def codes_of(run: Run, direction: str) -> list[str]:
    """Languages with a complete part in a direction (of an imported run: with scores in any)."""
    if run.spec.kind != "translation":
        return [c for c in run.languages() if parts.has_file(run, c, parts.EXTERNAL_SCORES)]
    ends = (p.split("-", 1) for p in run.languages())
    place = 1 if direction == "en-xx" else 0
    return [both[place] for both in ends if both[1 - place] == run.spec.pivot]


def directions_of(run: Run) -> list[str]:
    """Directions in which a run has a language."""
    if run.spec.kind == "translation":
        return [d for d in DIRECTIONS if codes_of(run, d)]
    scored = {d for code in codes_of(run, "") for d in imported.external_scores(run, code)["direction"].unique()}
    return [d for d in DIRECTIONS if d in scored]


def quality(run: Run) -> pd.DataFrame:
    """One row per language and direction: the languages' facts, direction, n, each score and rate with low and high.

    chrF++ and BLEU are corpus scores with bootstrap intervals, COMET and COMETKIWI means of sentences with t
    intervals; rates of off-target, copied, empty and truncated outputs are shares of the sentences.
    """
    rows = _computed(run) if run.spec.kind == "translation" else _imported(run)
    columns = [*FACTS, "direction", "n", *(f"{m}{end}" for m in (*SCORES, *RATES) for end in ("", "_low", "_high"))]
    frame = pd.DataFrame(rows).reindex(columns=columns)
    return frame.astype({"resource_level": "Int8"} | dict.fromkeys(columns[6:], float))


def _computed(run: Run) -> list[dict[str, Any]]:
    rows = directions(run).to_dict("records")
    for row in rows:
        scores = sentence_scores(run, row["direction"], row["language"])
        for metric in EXTERNAL:
            row.update(_mean(metric, scores[metric].to_numpy(float)))
    return rows


def _imported(run: Run) -> list[dict[str, Any]]:
    rows = []
    for code in codes_of(run, ""):
        about = language(code)
        facts = [code, about.name, about.script, about.family, about.resource_level]
        scores = _first_field(imported.external_scores(run, code))
        for direction, mine in scores.groupby("direction"):
            row = dict(zip(FACTS, facts, strict=True)) | {"direction": direction}
            for metric in EXTERNAL:
                of_metric = mine[mine["metric"] == metric]
                single = of_metric[of_metric["sentence_id"].notna()]["score"].to_numpy(float)
                whole = of_metric[of_metric["sentence_id"].isna()]["score"].to_numpy(float)
                row |= _mean(metric, single) if len(single) else {metric: float(whole[0]) if len(whole) else np.nan}
                row["n"] = max(len(single), row.get("n", 0))
            rows.append(row)
    return rows


def _mean(metric: str, values: np.ndarray) -> dict[str, float]:
    mean, low, high, _ = (float(column[0]) for column in means(values[None, :]))
    return {metric: mean, f"{metric}_low": low, f"{metric}_high": high}


def _first_field(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the first field of the data (the release has one, "sentence")."""
    return frame[frame["field"] == frame["field"].iloc[0]] if len(frame) else frame


def sentence_scores(run: Run, direction: str, code: str) -> pd.DataFrame:
    """One row per sentence of a direction, without texts: instance_id, group, problem, each score, each rate's flag."""
    if run.spec.kind != "translation":
        return _imported_scores(run, direction, code)
    part = part_of(run, direction, code)
    wanted = ["instance_id", "group", "problem", "chrf", "bleu", *RATES]
    frame = parts.read_table(run, part, "translations.parquet", wanted).to_pandas()
    for metric in EXTERNAL:
        frame[metric] = np.nan
        if parts.has_file(run, part, external_file(metric)):
            table = parts.read_table(run, part, external_file(metric)).to_pandas()
            frame[metric] = frame["instance_id"].map(table.set_index("instance_id")["score"])
    return frame.astype(dict.fromkeys(SCORES, float) | dict.fromkeys(RATES, "boolean"))


def _imported_scores(run: Run, direction: str, code: str) -> pd.DataFrame:
    scores = _first_field(imported.external_scores(run, code))
    scores = scores[(scores["direction"] == direction) & scores["sentence_id"].notna()]
    wide = scores.pivot_table(index="sentence_id", columns="metric", values="score", sort=False)
    frame = wide.reindex(columns=list(SCORES)).rename_axis(columns=None).reset_index(names="instance_id")
    flags = {flag: pd.array([pd.NA] * len(frame), "boolean") for flag in RATES}
    return frame.assign(group=frame["instance_id"], problem="", **flags)


def texts(run: Run, direction: str, code: str) -> pd.DataFrame:
    """One row per row of `sentence_scores`: instance_id, source, reference, output; hostile until escaped."""
    if run.spec.kind == "translation":
        names = ["instance_id", *TEXTS]
        return parts.read_table(run, part_of(run, direction, code), "translations.parquet", names).to_pandas()
    found = _first_field(imported.translations(run, code))
    found = found[found["direction"] == direction]
    found = found.rename(columns={"sentence_id": "instance_id", "translation": "output"}).set_index("instance_id")
    scored = _imported_scores(run, direction, code)["instance_id"]
    return found.reindex(scored)[list(TEXTS)].rename_axis("instance_id").reset_index()


def decided(alignment: Run, code: str, pooling: str) -> Decided | None:
    """The alignment of a language's sentences; None where the alignment run does not have it."""
    found = imported.aligned_instances(alignment, code, pooling, METRIC) if code in alignment.languages() else None
    if found is None:
        return None
    ids = parts.read_table(alignment, code, "instances.parquet", ["instance_id"])["instance_id"].to_numpy()
    return Decided(ids, found.decided, found.margin)


def beside(scores: pd.DataFrame, found: Decided | None, layer: int) -> pd.DataFrame:
    """Sentences beside their alignment at a layer: columns aligned (1, 0, NaN), margin, layers_aligned (a share)."""
    names = ("aligned", "margin", "layers_aligned")
    if found is None or layer >= len(found.decided):
        return scores.assign(**dict.fromkeys(names, np.nan))
    share = layers_aligned(found.decided)
    columns = dict(zip(names, (found.decided[layer], found.margin[layer], share), strict=True))
    return scores.join(pd.DataFrame(columns, index=found.ids).astype(float), on="instance_id")


def points(
    run: Run, direction: str, alignment: Run | None, pooling: str, layers: dict[str, int]
) -> Iterator[pd.DataFrame]:
    """`sentence_scores` beside alignment for each language, with a column language.

    Args:
        layers: language → the layer at which its sentences are looked at; others have no alignment.
    """
    for code in codes_of(run, direction):
        scores = sentence_scores(run, direction, code).assign(language=code)
        found = decided(alignment, code, pooling) if alignment is not None and code in layers else None
        yield beside(scores, found, layers.get(code, 0))


@dataclass(frozen=True, slots=True)
class SentenceFilter:
    """What is asked of a sentence; empty fields ask nothing.

    Attributes:
        words: each of the words occurs in source, reference or output; "words in quotes" next to each other.
        aligned: "yes", "no" or "".
        faults: the output has one of these (of `FAULTS`).
        low, high: ends of the score, both included.
    """

    words: str = ""
    aligned: str = ""
    faults: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None


FAULTS = {
    "off_target": "wrong language",
    "wrong_script": "wrong script",
    "copied": "copied",
    "empty": "empty",
    "truncated": "cut",
    "problem": "not translated",
}
"""What can be wrong with an output, and how it is called on screen."""


def faults(points: pd.DataFrame) -> pd.Series:
    """What is wrong with each output, as a tuple of `FAULTS`."""
    flags = {name: points[name].fillna(False).to_numpy(bool) for name in RATES}
    flags["problem"] = points["problem"].fillna("").isin(NOT_RUN).to_numpy(bool)
    found = [tuple(n for n in FAULTS if flags[n][row]) for row in range(len(points))]
    return pd.Series(found, index=points.index, dtype=object)


NOT_RUN = ("empty source", "too long", "nonfinite")
"""Values of the column problem with which a sentence has no output."""


def matching(
    points: pd.DataFrame, texts: pd.DataFrame, asked: SentenceFilter, score: str
) -> Bool[np.ndarray, "sentence"]:
    """Whether each sentence is what is asked for; an undefined value never is.

    Args:
        points: of one language.
        texts: from `texts`, in the same order.
        score: the column that low and high are about.
    """
    kept = np.ones(len(points), bool)
    if asked.aligned in SIDES:
        kept &= (points["aligned"] == float(asked.aligned == "yes")).to_numpy(bool)
    if asked.faults:
        kept &= np.array([not set(asked.faults).isdisjoint(found) for found in faults(points)], bool)
    values = points[score].to_numpy(float)
    if asked.low is not None:
        kept &= values >= asked.low
    if asked.high is not None:
        kept &= values <= asked.high
    wanted = [quoted or word for quoted, word in WORDS.findall(folded(asked.words))]
    if wanted:
        rows = zip(texts["instance_id"], *(texts[c].fillna("") for c in TEXTS), strict=True)
        searched = [folded("\n".join(row)) for row in rows]
        kept &= np.array([all(word in text for word in wanted) for text in searched], bool)
    return kept
