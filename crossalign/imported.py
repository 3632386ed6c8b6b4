"""What an imported run has that others lack, and what it lacks, told in sentences for people."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false, reportOptionalOperand=false
# (pandas and Streamlit return unions that say nothing about the frame at hand.)

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from jaxtyping import Float

from crossalign.alignment import aligned, layers_aligned
from crossalign.margins import read_margins
from crossalign.store import parts
from crossalign.store.runs import Run

ABSENT = -1
"""Stands in the stored decisions where one is missing."""


def decisions(run: Run, code: str, pooling: str) -> dict[str, Float[np.ndarray, "instance layer"]]:
    """Imported decisions of a language: metric → 1.0 aligned, 0.0 not, NaN absent; empty where none were imported.

    Metrics may have different numbers of layers; layer 0 is the embeddings.
    """
    name = parts.decisions_file(run.spec.pivot, pooling)
    if not parts.has_file(run, code, name):
        return {}
    stored = parts.read_arrays(run, code, name)
    return {metric: np.where(v == ABSENT, np.nan, v.astype(float)) for metric, v in sorted(stored.items())}


@dataclass(frozen=True)
class Aligned:
    """Alignment of single instances: decided is 1, 0 or NaN; the margin is NaN where only decisions were imported."""

    decided: Float[np.ndarray, "layer instance"]
    margin: Float[np.ndarray, "layer instance"]

    @cached_property
    def layers_aligned(self) -> Float[np.ndarray, "instance"]:
        """See `alignment.layers_aligned`."""
        return layers_aligned(self.decided)


def aligned_instances(run: Run, code: str, pooling: str, metric: str) -> Aligned | None:
    """Decisions and margins of a language, computed here or imported; None where the run has none."""
    margins = read_margins(run, code, pooling).get(metric)
    if margins is not None:
        return Aligned(aligned(margins), margins)
    values = decisions(run, code, pooling).get(metric)
    return None if values is None else Aligned(values.T, np.full(values.T.shape, np.nan, np.float32))


def side_by_side(
    decided: Iterable[Float[np.ndarray, "layer instance"]],
) -> Float[np.ndarray, "last_layer every_instance"]:
    """Decisions of several languages, one after the other; NaN at layers that a language lacks.

    Raises:
        ValueError: there is no language.
    """
    blocks = list(decided)
    last = max(map(len, blocks), default=0)
    padded = [np.pad(b, ((0, last - len(b)), (0, 0)), constant_values=np.nan) for b in blocks]
    return np.concatenate(padded, axis=1)


def external_scores(run: Run, code: str) -> pd.DataFrame:
    """Translation quality scored elsewhere, a row per sentence, field, direction and metric.

    Columns field, direction (en-xx, xx-en), metric (comet, cometkiwi), sentence_id, score. Without a sentence_id a row
    is the mean over all sentences; their median is the metric with "_median".
    """
    names = ["field", "direction", "metric", "sentence_id", "score"]
    return _frame(run, code, parts.EXTERNAL_SCORES, names)


def translations(run: Run, code: str) -> pd.DataFrame:
    """Translations made elsewhere: columns field, direction, sentence_id, source, translation, reference."""
    names = ["field", "direction", "sentence_id", "source", "translation", "reference"]
    return _frame(run, code, parts.TRANSLATIONS, names)


def missing(run: Run) -> list[str]:
    """A sentence for each thing that readers of a run expect and that it does not have; empty for a whole run.

    The last sentences are what the import had to leave out.
    """
    codes = run.languages()
    files = {c: set(m.checksums) if (m := run.manifest(c)) else set() for c in codes}
    sentences = _lacking(run, {c: f for c, f in files.items() if c != run.spec.pivot}, files)
    imported = run.facts.get("imported")
    return sentences + (list(imported["left_out"]) if imported else [])


def _lacking(run: Run, others: dict[str, set[str]], files: dict[str, set[str]]) -> list[str]:
    aligned = {c for c, f in others.items() if any(name.startswith("rates_") for name in f)}
    decided = {c for c, f in others.items() if any(name.startswith("decisions_") for name in f)}
    scored = {c for c, f in files.items() if "scores.parquet" in f}
    judged = {c for c, f in files.items() if parts.ACCURACY in f}
    has_options = bool(run.facts.get("n_options"))
    found = []
    if decided:
        found.append(
            f"Alignment of {_list(decided)} was imported as decisions without similarities: there is no margin, no tie "
            "rate and no relabelled rate, and only the metrics that were decided."
        )
    last = run.facts.get("imported", {}).get("last_layers", {})
    short = sorted(m for m, layer in last.items() if layer < max(last.values()))
    if short:
        layers = ", ".join(f"{m} up to layer {last[m]}" for m in short)
        found.append(f"Not all metrics have all {max(last.values()) + 1} layers: {layers}; compare layer by layer.")
    if others.keys() - aligned:
        found.append(f"There is no alignment for {_list(others.keys() - aligned)}.")
    if has_options and judged - scored:
        found.append(
            f"Accuracy of {_list(judged - scored)} is known for the language only, not for single instances: there is "
            "no prediction, no text and no log-likelihood, and intervals take the instances as independent."
        )
    if has_options and files.keys() - scored - judged:
        found.append(f"There is no accuracy for {_list(files.keys() - scored - judged)}.")
    own_pivot = {c for c, f in files.items() if "pivot_instances.parquet" in f}
    if own_pivot:
        found.append(
            f"The pivot's side of {_list(own_pivot)} is a version of its own for each language, e.g. a translation of "
            "that language's items; languages are compared with it, not with one common pivot."
        )
    if has_options and run.spec.pivot not in files and others.keys() - own_pivot:
        found.append(f"There are no results of the pivot {run.spec.pivot} for {_list(others.keys() - own_pivot)}.")
    return found


def _list(codes: Iterable[str]) -> str:
    """A few codes in words."""
    ordered = sorted(codes)
    return ", ".join(ordered[:8]) + (f" and {len(ordered) - 8} more" if len(ordered) > 8 else "")


def _frame(run: Run, code: str, name: str, columns: list[str]) -> pd.DataFrame:
    if not parts.has_file(run, code, name):
        return pd.DataFrame(columns=columns)
    return parts.read_table(run, code, name).to_pandas()[columns]
