"""One instance as it is read: its texts in a language, its options with their scores; and all of it as a record."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from crossalign.languages import language as language_facts


@dataclass(frozen=True, slots=True)
class Option:
    """An answer option in one language.

    Attributes:
        text: the option, as it is embedded.
        continuation: what was scored after the prompt; the option itself, or its letter.
        loglik: log-likelihood of the continuation in nats; NaN where it was not scored.
        n_tokens: tokens of the continuation; None where it was not scored, or scored elsewhere.
        gold: whether it is the right one.
        predicted: whether the model chose it.
    """

    text: str
    continuation: str
    loglik: float
    n_tokens: int | None
    gold: bool
    predicted: bool


@dataclass(frozen=True, slots=True)
class Side:
    """An instance in one language.

    Attributes:
        direction: of writing: "ltr", "rtl", or "auto" for an unknown language.
        text: what stands before the options, or the sentence.
        prompt: what stands before the scored continuation; "" where it is the text.
        correct: whether the prediction is gold; None without prediction.
    """

    language: str
    name: str
    direction: str
    text: str
    prompt: str
    options: tuple[Option, ...]
    correct: bool | None
    tags: tuple[str, ...]


def side(row: Mapping[str, Any], scores: pd.DataFrame) -> Side:
    """An instance in one language.

    Args:
        row: of `tables.instances`.
        scores: the rows of `tables.option_scores` of this instance, in the order of the options; empty without scores.
    """
    logliks, tokens = scores["loglik"].tolist(), scores["n_tokens"].tolist()
    options, continuations = list(row["options"]), list(row["continuations"])
    gold, predicted = (None if pd.isna(row[c]) else int(row[c]) for c in ("gold", "prediction"))
    scored = len(logliks) == len(options)
    found = tuple(
        Option(
            text,
            continuations[i] if i < len(continuations) else "",
            float(logliks[i]) if scored else math.nan,
            int(tokens[i]) if scored and not pd.isna(tokens[i]) else None,
            i == gold,
            i == predicted,
        )
        for i, text in enumerate(options)
    )
    # Imported items may lack any of the texts; they are null then.
    context, premise, prompt = (row[c] if isinstance(row[c], str) else "" for c in ("context", "premise", "prompt"))
    about, text = _about(row["language"]), context or premise
    correct = None if pd.isna(row["correct"]) else bool(row["correct"])
    prompt = "" if prompt == text else prompt
    return Side(row["language"], *about, text, prompt, found, correct, tuple(row["tags"]))


def _about(code: str) -> tuple[str, str]:
    """English name and direction of writing."""
    try:
        facts = language_facts(code)
    except KeyError:
        return code, "auto"
    return facts.name, facts.direction


def letter(option: int) -> str:
    """Name of an option, counted from 0: A to Z, then numbers from 27 on."""
    return chr(ord("A") + option) if option < 26 else str(option + 1)


def elsewhere(points: pd.DataFrame, instance_id: str, names: Mapping[str, str]) -> pd.DataFrame:
    """The same question in all languages.

    Args:
        points: one row per instance of all languages: language, instance_id, aligned, margin, correct, logprob_margin,
            layers_aligned.
        names: code → English name.

    Returns:
        Columns language, name, correct and aligned (null where undefined), margin, logprob_margin, layers_aligned; the
        largest margin first, or the largest share of aligned layers where there are no margins.
    """
    found = points[(points["instance_id"] == instance_id).to_numpy(bool)]
    codes = found["language"].astype(str)
    known = {c: found[c].astype("Float64").astype("boolean") for c in ("correct", "aligned")}
    frame = found.assign(language=codes, name=[names.get(c, c) for c in codes], **known)
    columns = ["language", "name", "correct", "aligned", "margin", "logprob_margin", "layers_aligned"]
    return frame[columns].sort_values(["margin", "layers_aligned"], ascending=False, ignore_index=True)


def cosine_table(blocks: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """The cosines between the options at one layer as rows: columns block, row, column (options by letter), cosine.

    Args:
        blocks: name → [option, option].
    """
    rows = [
        (block, letter(i), letter(j), float(values[i, j]))
        for block, values in blocks.items()
        for i in range(len(values))
        for j in range(len(values))
    ]
    return pd.DataFrame(rows, columns=["block", "row", "column", "cosine"])


def decision_table(decided: Mapping[str, np.ndarray], row: int) -> pd.DataFrame:
    """Whether one instance is aligned by each metric at each layer: columns metric, layer, aligned (1, 0, NaN).

    Args:
        decided: metric → [layer, instance]; metrics may have different numbers of layers.
        row: the instance.
    """
    frames = [
        pd.DataFrame({"metric": metric, "layer": np.arange(len(values), dtype=np.int16), "aligned": values[:, row]})
        for metric, values in decided.items()
    ]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["metric", "layer", "aligned"])


class Source(NamedTuple):
    """Where an instance stands: the run, and how it was looked at."""

    run: str
    model: str
    task: str
    protocol: str
    pooling: str


def record(
    source: Source,
    instance_id: str,
    sides: Sequence[Side],
    margins: Mapping[str, np.ndarray],
    decisions: Mapping[str, np.ndarray],
    cosines: Mapping[str, np.ndarray] | None,
    others: pd.DataFrame,
) -> dict[str, Any]:
    """All that is known of an instance, ready for JSON; undefined numbers are null.

    Args:
        sides: the pivot first.
        margins: metric → margins [layer]; empty where only decisions were imported.
        decisions: metric → 1.0 aligned, 0.0 not [layer].
        cosines: block → cosines [layer, option, option].
        others: from `elsewhere`.
    """
    whole = {
        "source": source._asdict(),
        "instance_id": instance_id,
        "texts": [asdict(s) for s in sides],
        "margins_by_layer": dict(margins),
        "aligned_by_layer": dict(decisions),
        "cosines_by_layer": dict(cosines) if cosines is not None else None,
        "languages": others.to_dict("records"),
    }
    return plain_values(whole)


def plain_values(value: Any) -> Any:
    """Only what JSON knows: null for NaN, infinity and missing, lists for arrays, numbers of Python."""
    if isinstance(value, Mapping):
        return {str(key): plain_values(v) for key, v in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain_values(v) for v in (value.tolist() if isinstance(value, np.ndarray) else value)]
    if value is None or value is pd.NA:
        return None
    if isinstance(value, np.generic):
        return plain_values(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value
