"""Cached readers of what single instances add up to; as in `data`, nothing they return may be changed."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import streamlit as st

from crossalign import effects
from crossalign.effects import Pooled
from crossalign.figures.theme import p_value
from crossalign.statistics import Estimate
from crossalign.ui import components
from crossalign.ui.data import RunTables, Selection, Version, load_run
from crossalign.ui.instances import all_instance_points, decided_of, instance_points

ALL = "all languages"
"""In place of a language: the instances of all."""

View = tuple[str, str, str, int]


def view(selection: Selection, run: RunTables) -> View:
    """The part of a selection that instances depend on: metric, pooling, rule and layer; cheap to hash."""
    return selection.metric, selection.pooling, selection.rule, selection.fixed_layer(run.n_layers)


def _selected(run: RunTables, chosen: View) -> Selection:
    metric, pooling, rule, layer = chosen
    return Selection(run.run_id, metric, pooling, "layer" if rule in ("layer", "depth") else rule, layer)


def points_of(run: RunTables, selection: Selection, language: str) -> pd.DataFrame:
    """`instances.instance_points` of one language, or of `ALL`."""
    return all_instance_points(run, selection) if language == ALL else instance_points(run, selection, language)


class Effects(NamedTuple):
    """An effect per language and over all of them."""

    languages: pd.DataFrame
    pooled: Pooled


@st.cache_resource(max_entries=12, show_spinner="Testing every language …")
def _effects(folder: Path, version: Version, chosen: View, effect: str) -> Effects:
    run = load_run(folder, version)
    points = all_instance_points(run, _selected(run, chosen))
    found = effects.by_language(points, effect)
    found.insert(1, "name", [run.name(code) for code in found["language"]])
    return Effects(found, effects.over_languages(points, effect))


def effects_of(run: RunTables, selection: Selection, effect: str) -> Effects:
    """An effect of `crossalign.effects.EFFECTS`, per language and over all languages."""
    return _effects(run.run.folder, run.version, view(selection, run), effect)


def show_summary(found: Effects, short: str, language: str, name: str) -> None:
    """The effect of one language and the one within all languages, as large numbers side by side."""
    many = len(found.languages)
    with st.container(horizontal=True):
        for row in found.languages[found.languages["language"] == language].itertuples():
            mine = Estimate(row.estimate, row.low, row.high, row.p, row.n)
            corrected = "" if many == 1 or math.isnan(row.p_holm) else f"; {p_value(row.p_holm)} for {many} languages"
            _number(f"{short}: {name}", mine, corrected)
        if many > 1:
            pooled, same = found.pooled
            _number(
                f"{short}: within {many} languages", pooled, "" if math.isnan(same) else f"; alike: {p_value(same)}"
            )


def _number(label: str, found: Estimate, note: str) -> None:
    shown = components.estimate(found.value)
    about = components.estimate(found.value, found.low, found.high, found.n).removeprefix(shown).strip(" ,")
    note = f", {p_value(found.p)}{note}" if not math.isnan(found.p) else ": aligned or right never varies"
    st.metric(
        components.plain(label), shown, about + note, delta_color="off", delta_arrow="off", border=True, help=HELP
    )


HELP = (
    "95 % interval; p of no effect; then Holm's correction for as many languages, or the test that all languages have the "
    "same odds ratio."
)


@st.cache_resource(max_entries=8, show_spinner=False)
def _accuracies(folder: Path, version: Version, chosen: View) -> pd.DataFrame:
    run = load_run(folder, version)
    found = effects.accuracies(all_instance_points(run, _selected(run, chosen)))
    found.insert(1, "name", [run.name(code) for code in found["language"]])
    return found


def accuracies_of(run: RunTables, selection: Selection) -> pd.DataFrame:
    """Accuracy of aligned and of not aligned instances per language: see `crossalign.effects.accuracies`."""
    return _accuracies(run.run.folder, run.version, view(selection, run))


@st.cache_resource(max_entries=16, show_spinner=False)
def _curves(folder: Path, version: Version, metric: str, pooling: str, language: str, by: str) -> pd.DataFrame:
    run = load_run(folder, version)
    selection = Selection(run.run_id, metric, pooling)
    points = points_of(run, selection, language)
    series = points[by]
    if by == "correct":
        series = series.map({1.0: True, 0.0: False}).astype(pd.CategoricalDtype([True, False]))
    groups = pd.factorize(points["group"])[0].astype("int64")
    found = effects.rates_by_layer(decided_of(run, selection, "" if language == ALL else language), series, groups)
    return found.rename(columns={"series": by})


def curves_of(run: RunTables, selection: Selection, language: str, by: str) -> pd.DataFrame:
    """Alignment rate by layer of right and wrong instances (by "correct"), of cohorts or of languages; see `effects.rates_by_layer`."""
    return _curves(run.run.folder, run.version, selection.metric, selection.pooling, language, by)
