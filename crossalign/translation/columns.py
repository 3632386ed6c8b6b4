"""The columns of a translation part's tables, from sentences and their outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from crossalign.schema import Instance
from crossalign.statistics import rate
from crossalign.translation.checks import check_languages, is_copy
from crossalign.translation.quality import METRICS, Scorer, bleu_tokenizer

FLAGS = ("off_target", "wrong_script", "copied", "empty", "truncated")


class Output(NamedTuple):
    """What became of one sentence.

    Attributes:
        text: the translation; None where the model was not run or gave no finite logits.
        stop: why it ended, see `forward.generation.Generated`.
        n_tokens: tokens written; n_prompt: tokens read; limit: most tokens allowed.
        problem: "empty source", "too long", "nonfinite", or nothing.
    """

    text: str | None
    stop: str
    n_tokens: int
    n_prompt: int
    limit: int
    problem: str


class PartColumns(NamedTuple):
    """The tables of a part.

    Attributes:
        translations: `translations.parquet`, a row per sentence; one without output or reference has null scores and flags.
        quality: `quality.parquet`: metric, value, low, high, n, signature; corpus scores (0 to 100) and rates (0 to 1).
        check: how the language of the outputs was checked.
    """

    translations: dict[str, Any]
    quality: dict[str, Any]
    check: dict[str, Any]


def translation_columns(
    instances: Sequence[Instance], outputs: Sequence[Output], target: str, bleu: str
) -> PartColumns:
    """The tables of outputs in the language `target`, scored with the tokenizer that `bleu` chooses for it."""
    references = [i.continuations[0] for i in instances]
    scored = [n for n, o in enumerate(outputs) if o.text is not None and references[n]]
    texts = [outputs[n].text or "" for n in scored]
    wanted = [references[n] for n in scored]
    check = check_languages(texts, wanted, target)
    scorers = {name: Scorer(name, bleu_tokenizer(bleu, target), texts, wanted) for name in METRICS}
    values: dict[str, Sequence[Any]] = {name: scorer.sentences().tolist() for name, scorer in scorers.items()}
    values |= {"off_target": check.off_target.tolist(), "wrong_script": check.wrong_script.tolist()}
    values["identified"] = check.identified
    values["copied"] = [is_copy(t, instances[n].premise, r) for n, t, r in zip(scored, texts, wanted, strict=True)]
    values["empty"] = [not t for t in texts]
    values["truncated"] = [outputs[n].stop == "length" for n in scored]
    spread = {name: _spread(scored, some, len(outputs), name in FLAGS) for name, some in values.items()}
    told = {"method": check.method, "references_off_target": check.references}
    return PartColumns(_sentences(instances, outputs, spread), _quality(instances, scored, scorers, spread), told)


def _sentences(
    instances: Sequence[Instance], outputs: Sequence[Output], spread: Mapping[str, list[Any]]
) -> dict[str, Any]:
    references = [i.continuations[0] for i in instances]
    columns: dict[str, Any] = {
        "instance_id": pa.array([i.instance_id for i in instances]),
        "group": pa.array([i.group for i in instances]),
        "source": pa.array([i.premise for i in instances]),
        "reference": pa.array(references),
        "output": pa.array([o.text for o in outputs], pa.string()),
    }
    for name, kind in (
        ("stop", pa.string()),
        ("n_tokens", pa.int32()),
        ("n_prompt", pa.int32()),
        ("limit", pa.int32()),
    ):
        columns[name] = pa.array([getattr(o, name) for o in outputs], kind)
    problems = [o.problem or ("" if r else "empty reference") for o, r in zip(outputs, references, strict=True)]
    columns["problem"] = pa.array(problems, pa.string())
    for name, values in spread.items():
        kind = pa.string() if name == "identified" else pa.float64() if name in METRICS else pa.bool_()
        columns[name] = pa.array(values, kind)
    return columns


def _quality(
    instances: Sequence[Instance],
    scored: Sequence[int],
    scorers: Mapping[str, Scorer],
    spread: Mapping[str, list[Any]],
) -> dict[str, Any]:
    groups = np.unique([i.group for i in instances], return_inverse=True)[1]
    rows: list[tuple[Any, ...]] = []
    for name, scorer in scorers.items():
        rows.append((name, *scorer.interval(groups[list(scored)]), scorer.signature))
    for name in FLAGS:
        values = np.array([np.nan if v is None else float(v) for v in spread[name]])
        rows.append((name, *rate(values, groups), ""))
    names = ("metric", "value", "low", "high", "n", "signature")
    return {name: pa.array(list(column)) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def _spread(places: Sequence[int], values: Sequence[Any], n: int, is_flag: bool) -> list[Any]:
    """Values at their places among n, None elsewhere and for NaN; flags as booleans."""
    spread: list[Any] = [None] * n
    for place, value in zip(places, values, strict=True):
        if value == value:
            spread[place] = bool(value) if is_flag else value
    return spread
