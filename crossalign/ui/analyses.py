"""Cached analyses over languages and layers; as in `data`, nothing they return may be changed."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from crossalign import accuracy, fewer_options, metric_relations, profiles, reference, relations, tables
from crossalign.alignment import ALIGNMENT_METRICS
from crossalign.fewer_options import OptionCount
from crossalign.imported import aligned_instances
from crossalign.margins import read_margins
from crossalign.relations import PAIRS, LayerCorrelations
from crossalign.store import parts
from crossalign.ui import data, instances
from crossalign.ui.data import RunTables, Selection, Version
from crossalign.ui.selection import metric_label

PUBLISHED = f"{reference.MODEL.rpartition('/')[2]}, published"
"""Name of the published model beside that of a run."""


@st.cache_resource(max_entries=128, show_spinner=False)
def _coefficients(folder: Path, version: Version, selection: Selection, pair: str) -> pd.DataFrame:
    points = data.language_points(data.load_run(folder, version), selection)
    return relations.coefficients(points, PAIRS[pair])


def coefficients(run: RunTables, selection: Selection, pair: str) -> pd.DataFrame:
    """`relations.coefficients` of one of `relations.PAIRS` over the languages that the filters let through."""
    return _coefficients(run.run.folder, run.version, selection, pair)


@st.cache_resource(max_entries=32, show_spinner=False)
def _by_layer(
    folder: Path, version: Version, selection: Selection, other: str, coefficient: str
) -> tuple[LayerCorrelations, pd.DataFrame]:
    run = data.load_run(folder, version)
    points = data.language_points(run, selection)
    of_pooling = run.rates[run.rates["pooling"] == selection.pooling]
    rates, curves = (
        data.layers_counted(r, selection.rule, run.after_norm) for r in (of_pooling, data.curves(run, selection))
    )
    layers = relations.by_layer(curves, points, other, coefficient)
    return layers, metric_relations.by_metric(rates, points, other, coefficient)


def by_layer(
    run: RunTables, selection: Selection, other: str, coefficient: str
) -> tuple[LayerCorrelations, pd.DataFrame]:
    """`relations.by_layer` of the chosen metric, and `metric_relations.by_metric`; of the rule for layers it matters only which layers count."""
    return _by_layer(run.run.folder, run.version, selection.at_best_layer(), other, coefficient)


@st.cache_resource(max_entries=32, show_spinner=False)
def _metric_differences(folder: Path, version: Version, selection: Selection, other: str, rule: str) -> pd.DataFrame:
    run = data.load_run(folder, version)
    of_pooling = run.rates[run.rates["pooling"] == selection.pooling]
    rates = data.layers_counted(of_pooling, selection.rule, run.after_norm)
    return metric_relations.metric_differences(
        rates, data.language_points(run, selection), other, selection.metric, rule
    )


def metric_differences(run: RunTables, selection: Selection, other: str) -> pd.DataFrame:
    """`metric_relations.metric_differences` of the chosen metric: as mean over layers where that is the rule, else at the best layer."""
    return _metric_differences(run.run.folder, run.version, selection.at_best_layer(), other, aggregation(selection))


def aggregation(selection: Selection) -> str:
    """How one number is made of all layers where a single layer will not do: "mean" where that is the rule, else "max"."""
    return "mean" if selection.rule.startswith("mean") else "max"


@st.cache_resource(max_entries=8, show_spinner="Reading the margins of all languages …")
def _margin_curves(folder: Path, version: Version, metric: str, pooling: str) -> pd.DataFrame:
    run = data.load_run(folder, version)
    stored = ((code, read_margins(run.run, code, pooling)) for code in run.codes)
    return profiles.margin_curves((c, m[metric], _groups(run, c)) for c, m in stored if metric in m)


def curves(run: RunTables, selection: Selection, value: str, codes: Sequence[str]) -> pd.DataFrame:
    """Alignment rate, or mean alignment margin, of some languages by layer: language, name, layer, `value`, low, high, n."""
    if value == "rate":
        table = data.curves(run, selection)
    else:
        table = _margin_curves(run.run.folder, run.version, selection.metric, selection.pooling)
    table = table[table["language"].isin(codes)]
    return table.assign(name=table["language"].map(run.names))


class CohortCurves(NamedTuple):
    """`profiles.cohort_curves` and `profiles.deltas` of one language."""

    curves: pd.DataFrame
    deltas: pd.DataFrame


@st.cache_resource(max_entries=32, show_spinner=False)
def _cohort_curves(
    folder: Path, version: Version, metric: str, pooling: str, language: str, value: str
) -> CohortCurves | None:
    run = data.load_run(folder, version)
    found = aligned_instances(run.run, language, pooling, metric)
    if found is None:
        return None
    outcomes = instances.outcomes_of(run, language)
    sides = [outcomes[side].to_numpy(float) for side in ("pivot_correct", "correct")]
    sides.append(_groups(run, language))
    curves = profiles.cohort_curves(found.decided if value == "rate" else found.margin, *sides, value=value)
    return CohortCurves(curves, profiles.deltas(found.decided, *sides, run.after_norm))


def has_fewer_options(run: RunTables, selection: Selection) -> bool:
    """Whether wrong options can be taken away: more than two options, scores and a metric that compares options."""
    many, metric = int(run.facts.get("n_options") or 0) > 2, ALIGNMENT_METRICS.get(selection.metric)
    return many and metric is not None and metric.margin is not None and bool(run.rates["tie_rate"].notna().any())


@st.cache_resource(max_entries=16, show_spinner="Taking options away …")
def _option_counts(folder: Path, version: Version, metric: str, pooling: str, language: str) -> list[OptionCount]:
    run = data.load_run(folder, version)
    layers, logliks = tables.alignment(run.run, language, pooling), accuracy.logliks(run.run, language)
    if layers is None or logliks is None or logliks.shape[1] < 3:
        return []
    gold = parts.read_table(run.run, language, "instances.parquet", ["gold"])["gold"].to_pylist()
    return fewer_options.option_counts(layers, logliks, np.array([g or 0 for g in gold]), metric)


def option_curves(run: RunTables, selection: Selection, language: str) -> pd.DataFrame | None:
    """`fewer_options.option_curves` of a language; None where it has no cosines or no scores."""
    counts = _option_counts(run.run.folder, run.version, selection.metric, selection.pooling, language)
    return fewer_options.option_curves(counts, _groups(run, language)) if counts else None


class MeanOptions(NamedTuple):
    """`fewer_options.mean_option_curves` and `mean_option_peaks`, and how many languages they are the mean of."""

    curves: pd.DataFrame
    peaks: pd.DataFrame
    n_languages: int


@st.cache_resource(max_entries=8, show_spinner="Taking options away in all languages …")
def _mean_options(folder: Path, version: Version, metric: str, pooling: str, codes: tuple[str, ...]) -> MeanOptions:
    run = data.load_run(folder, version)
    found = [(_option_counts(folder, version, metric, pooling, code), _group_names(run, code)) for code in codes]
    found = [(counts, groups) for counts, groups in found if counts]
    return MeanOptions(fewer_options.mean_option_curves(found), fewer_options.mean_option_peaks(found), len(found))


def mean_options(run: RunTables, selection: Selection) -> MeanOptions:
    """The mean over the chosen languages, of those that have cosines and scores."""
    codes = tuple(sorted(data.shown_languages(run, selection)))
    return _mean_options(run.run.folder, run.version, selection.metric, selection.pooling, codes)


def metric_curves(run: RunTables, selection: Selection, language: str) -> pd.DataFrame:
    """The rates of all metrics of one language by layer; column name: the metric as the field writes it."""
    rates = run.rates[(run.rates["language"] == language) & (run.rates["pooling"] == selection.pooling)]
    return rates.assign(name=rates["metric"].map(metric_label))


def cohort_curves(run: RunTables, selection: Selection, language: str, value: str) -> CohortCurves | None:
    """A language's alignment by cohort; None where the run has no decisions on instances."""
    return _cohort_curves(run.run.folder, run.version, selection.metric, selection.pooling, language, value)


def with_published(run: RunTables, selection: Selection, task: str) -> pd.DataFrame:
    """`relations.published_points` of a task and, where the run has the same task, the run's points; column model.

    Both of `published_metric`, and with the run's own accuracy, which is of the same task.
    """
    selection = replace(selection, metric=published_metric(selection.metric), accuracy_of="", accuracy_version=())
    at = selection.fixed_layer(reference.N_LAYERS)
    rule = selection.rule.removesuffix("_published")
    published = relations.published_points(task, selection.metric, rule, at).assign(model=PUBLISHED)
    if task != run.spec.task:
        return published
    return pd.concat(
        [published, data.language_points(run, selection).assign(model=run.spec.model_name)], ignore_index=True
    )


def published_curves(run: RunTables, selection: Selection, task: str) -> pd.DataFrame:
    """`profiles.published_curves` of the chosen languages and, where the run has the same task, the run's; column series.

    Both of `published_metric`.
    """
    selection = replace(selection, metric=published_metric(selection.metric))
    published = profiles.published_curves(task, selection.metric)
    wanted = set(selection.languages) & set(published["language"]) or set(published["language"])
    published = published[published["language"].isin(wanted)]
    if task != run.spec.task:
        return published
    own = data.curves(run, selection)
    own = own[own["language"].isin(wanted)]
    names = own["language"].map(run.names)
    return pd.concat([published, own.assign(series=own["language"], name=names, last=run.n_layers)], ignore_index=True)


def published_metric(metric: str) -> str:
    """The metric where there are published figures for it, else DALI."""
    return metric if metric in reference.METRICS else "dali"


def _group_names(run: RunTables, code: str) -> np.ndarray:
    """The resampling unit of each instance of a language, as in the data."""
    return parts.read_table(run.run, code, "instances.parquet", ["group"])["group"].to_pandas().to_numpy(object)


def _groups(run: RunTables, code: str) -> np.ndarray:
    """The resampling unit of each instance of a language, as whole numbers."""
    return pd.factorize(_group_names(run, code))[0]
