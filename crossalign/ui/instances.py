"""Cached readers of single instances, one language at a time; as in `data`, nothing they return may be changed."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from crossalign import instance_record, instance_search, outcomes, tables
from crossalign.imported import Aligned, aligned_instances
from crossalign.instance_record import Side, Source
from crossalign.instance_search import InstanceFilter
from crossalign.margins import Stored, read_margins
from crossalign.schema import UserError
from crossalign.statistics import held_out_layers
from crossalign.store import parts
from crossalign.ui.data import RunTables, Selection, Version, layer_of, layers_of, load_run


@st.cache_resource(max_entries=8, show_spinner="Reading the instances …")
def _outcomes(folder: Path, version: Version, codes: tuple[str, ...]) -> pd.DataFrame:
    return outcomes.outcomes(load_run(folder, version).run, codes)


def outcomes_of(run: RunTables, *languages: str) -> pd.DataFrame:
    """One row per instance of each language, without texts and alignment: see `crossalign.outcomes.outcomes`."""
    return _outcomes(run.run.folder, run.version, tuple(_known(run, code) for code in languages))


@st.cache_resource(max_entries=24, show_spinner=False)
def _margins(folder: Path, version: Version, code: str, pooling: str) -> Stored:
    return read_margins(load_run(folder, version).run, code, pooling)


def margins_of(run: RunTables, language: str, pooling: str) -> Stored:
    """Metric → margins [layer, instance] of one language, in the order of `outcomes_of`; float32, read-only."""
    return _margins(run.run.folder, run.version, _known(run, language), pooling)


@st.cache_resource(max_entries=24, show_spinner=False)
def _decisions(folder: Path, version: Version, code: str, pooling: str) -> dict[str, np.ndarray]:
    run = load_run(folder, version)
    found = {metric: aligned_instances(run.run, code, pooling, metric) for metric in run.metrics}
    return {metric: mine.decided for metric, mine in found.items() if mine is not None}


def decisions_of(run: RunTables, language: str, pooling: str) -> dict[str, np.ndarray]:
    """Metric → decisions [layer, instance] (1, 0, NaN) of one language, computed here or imported."""
    return _decisions(run.run.folder, run.version, _known(run, language), pooling)


@st.cache_resource(max_entries=16, show_spinner=False)
def _texts(folder: Path, version: Version, code: str) -> pd.DataFrame:
    return tables.instances(load_run(folder, version).run, code)


@st.cache_resource(max_entries=8, show_spinner=False)
def _own_pivot_texts(folder: Path, version: Version, code: str) -> pd.DataFrame:
    return tables.pivot_instances(load_run(folder, version).run, code)


def _has_own_pivot(run: RunTables, language: str) -> bool:
    """Whether the language came with the pivot's version of its own items; or the run has no results of the pivot."""
    return run.spec.pivot not in run.names or parts.has_file(run.run, language, "pivot_instances.parquet")


def texts_of(run: RunTables, language: str, pivot: bool = False) -> pd.DataFrame:
    """`tables.instances` of one language: premise, context, options, prompt, gold, prediction; hostile until escaped.

    With `pivot` the same items in the pivot; empty where the run has none.
    """
    key = run.run.folder, run.version
    if not pivot:
        return _texts(*key, _known(run, language))
    return _own_pivot_texts(*key, language) if _has_own_pivot(run, language) else _texts(*key, run.spec.pivot)


def _aligned(run: RunTables, selection: Selection, language: str) -> Aligned:
    found = aligned_instances(run.run, _known(run, language), selection.pooling, selection.metric)
    if found is None:
        raise UserError(f"This run holds no decisions on single instances for {run.name(language)}.")
    return found


def instance_points(run: RunTables, selection: Selection, language: str) -> pd.DataFrame:
    """One row per instance of a language at the chosen layer.

    The columns of `crossalign.outcomes.outcomes` and `at_layers`.

    Raises:
        UserError: the run holds no decisions for the language.
    """
    found = {language: _aligned(run, selection, language)}
    return outcomes.at_layers(outcomes_of(run, language), found, {language: layer_of(run, selection, language)})


def has_margins(run: RunTables, selection: Selection, language: str) -> bool:
    """Whether the alignment of a language's instances is known as margins; otherwise as imported decisions only."""
    return selection.metric in margins_of(run, language, selection.pooling)


@st.cache_resource(max_entries=2, show_spinner="Reading the instances of all languages …")
def _all_aligned(folder: Path, version: Version, metric: str, pooling: str) -> dict[str, Aligned]:
    run = load_run(folder, version)
    read = ((code, aligned_instances(run.run, code, pooling, metric)) for code in run.codes)
    return {code: mine for code, mine in read if mine is not None}


def _aligned_languages(run: RunTables, selection: Selection) -> dict[str, Aligned]:
    found = _all_aligned(run.run.folder, run.version, selection.metric, selection.pooling)
    if not found:
        raise UserError("This run holds no decisions on single instances.")
    return found


def all_instance_points(run: RunTables, selection: Selection, layers: Mapping[str, int] | None = None) -> pd.DataFrame:
    """`instance_points` of all languages that have decisions, one after the other; at `layers` where these are given."""
    found = _aligned_languages(run, selection)
    layers = layers_of(run, selection) if layers is None else layers
    return outcomes.at_layers(outcomes_of(run, *found), found, layers)


def held_out_points(run: RunTables, selection: Selection, n_splits: int = 1) -> pd.DataFrame:
    """`all_instance_points`, but at the layer that is best in the half of the language's groups an instance is not in.

    With one split aligned is 1 or 0 and margin is that of the layer; with several, aligned is the mean and margin NaN.
    See `crossalign.statistics.held_out_layers`.
    """
    found = _aligned_languages(run, selection)
    points, decided, margin = outcomes_of(run, *found), [], []
    groups = np.split(points["group"].to_numpy(), np.cumsum([m.decided.shape[1] for m in found.values()])[:-1])
    last = run.after_norm if selection.rule.endswith("_published") else None
    for mine, group in zip(found.values(), groups, strict=True):
        layers = held_out_layers(mine.decided[:last].T.astype(float), pd.factorize(group)[0], n_splits=n_splits)
        at, everyone = np.maximum(layers, 0), np.arange(layers.shape[1])
        decided.append(np.where(layers < 0, np.nan, mine.decided[at, everyone]).mean(axis=0))
        one_layer = (layers >= 0) & (n_splits == 1)
        margin.append(np.where(one_layer, mine.margin[at, everyone], np.nan)[0])
    share = np.concatenate([mine.layers_aligned for mine in found.values()])
    return points.assign(aligned=np.concatenate(decided), margin=np.concatenate(margin), layers_aligned=share)


def decided_of(run: RunTables, selection: Selection, language: str = "") -> dict[str, np.ndarray]:
    """Language → decisions [layer, instance] (1, 0, NaN) of one language, or of all, in the order of their points."""
    found = {language: _aligned(run, selection, language)} if language else _aligned_languages(run, selection)
    return {code: mine.decided for code, mine in found.items()}


@st.cache_resource(max_entries=8, show_spinner="Preparing the search …")
def _searchable(folder: Path, version: Version, code: str) -> pd.Series:
    run = load_run(folder, version)
    return instance_search.searchable(texts_of(run, code), texts_of(run, code, pivot=True))


def rows_matching(run: RunTables, points: pd.DataFrame, asked: InstanceFilter, language: str) -> np.ndarray:
    """Whether each of the points of a language is what is asked for; words are also looked for in the pivot's texts."""
    texts = texts_of(run, language)
    searched = _searchable(run.run.folder, run.version, language) if asked.words else texts["premise"]
    return instance_search.matching(points, asked, texts["tags"], searched)


@st.cache_resource(max_entries=16, show_spinner=False)
def _scores(folder: Path, version: Version, code: str, pivot: bool) -> pd.DataFrame:
    return tables.option_scores(load_run(folder, version).run, code, "pivot_" if pivot else "")


def sides_of(run: RunTables, language: str, instance_id: str) -> list[Side]:
    """An instance in the pivot and in a language; only the sides that the run holds."""
    found = []
    for pivot in (True, False):
        texts = texts_of(run, language, pivot)
        rows = np.flatnonzero((texts["instance_id"] == instance_id).to_numpy(bool))
        if len(rows):
            own = not pivot or _has_own_pivot(run, language)
            scores = _scores(run.run.folder, run.version, language if own else run.spec.pivot, pivot and own)
            mine = scores[(scores["instance_id"] == instance_id).to_numpy(bool)].sort_values("option")
            found.append(instance_record.side(texts.iloc[int(rows[0])].to_dict(), mine))
    return found


class Similarity(NamedTuple):
    """Option-by-option cosines of one instance, [layer, option, option] each; see `crossalign.similarity`."""

    cross: np.ndarray
    pivot: np.ndarray
    language: np.ndarray


@st.cache_resource(max_entries=64, show_spinner=False)
def _similarity(folder: Path, version: Version, code: str, pooling: str, row: int) -> Similarity | None:
    run = load_run(folder, version).run
    name = parts.alignment_file(run.spec.pivot, pooling)
    if not parts.has_file(run, code, name):
        return None
    arrays = parts.read_arrays(run, code, name)
    if "cross" not in arrays:
        return None
    return Similarity(*(arrays[block][row].copy() for block in Similarity._fields))


def similarity_of(run: RunTables, selection: Selection, language: str, row: int) -> Similarity | None:
    """The cosines of one instance at all layers; None where the part holds none. `row` as in `outcomes_of`."""
    return _similarity(run.run.folder, run.version, _known(run, language), selection.pooling, row)


@st.cache_resource(max_entries=8, show_spinner=False)
def _long_margins(folder: Path, version: Version, code: str, pooling: str, metric: str) -> pd.DataFrame:
    margins = margins_of(load_run(folder, version), code, pooling)[metric]
    n_layers, n = margins.shape
    return pd.DataFrame({"layer": np.repeat(np.arange(n_layers), n), "margin": margins.reshape(-1)})


def margins_by_layer(run: RunTables, selection: Selection, language: str) -> pd.DataFrame:
    """One row per layer and instance of a language: layer, margin."""
    return _long_margins(run.run.folder, run.version, _known(run, language), selection.pooling, selection.metric)


def record_of(run: RunTables, selection: Selection, language: str, row: int) -> dict[str, Any]:
    """All that is known of an instance of a language; see `crossalign.instance_record.record`."""
    spec, instance_id = run.spec, outcomes_of(run, language)["instance_id"].iloc[row]
    source = Source(run.run_id, spec.model_name, spec.task, spec.protocol, selection.pooling)
    sides = sides_of(run, language, instance_id)
    margins = {name: m[:, row] for name, m in margins_of(run, language, selection.pooling).items()}
    decisions = {name: m[:, row] for name, m in decisions_of(run, language, selection.pooling).items()}
    cosines = similarity_of(run, selection, language, row)
    others = instance_record.elsewhere(all_instance_points(run, selection), instance_id, run.names)
    return instance_record.record(source, instance_id, sides, margins, decisions, cosines and cosines._asdict(), others)


def _known(run: RunTables, code: str) -> str:
    if code not in run.names:
        raise UserError(f"This run has no language {code!r}.")
    return code
