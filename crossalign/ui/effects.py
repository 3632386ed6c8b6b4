"""Cached readers of what single instances add up to; as in `data`, nothing they return may be changed."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import streamlit as st

from crossalign import correctness, effects
from crossalign.amounts import p_value
from crossalign.effects import Pooled
from crossalign.imported import side_by_side
from crossalign.statistics import Estimate, undefined
from crossalign.ui import components
from crossalign.ui.data import RunTables, Selection, Version, load_run
from crossalign.ui.instances import all_instance_points, decided_of, held_out_points, instance_points

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


SPLITS = 20
"""Halvings behind Δ with the layer chosen on one half; as many as on the page of layers."""


@st.cache_resource(max_entries=4, show_spinner=False)
def _tested(folder: Path, version: Version, chosen: View, test: str, n_splits: int) -> pd.DataFrame:
    run = load_run(folder, version)
    selection = _selected(run, chosen)
    if test == "layers":
        found = _effects(folder, version, chosen, "delta", test).languages.dropna(subset=["layer"])
        return all_instance_points(
            run, selection, dict(zip(found["language"], found["layer"].astype(int), strict=True))
        )
    if selection.rule == "layer" or test == "published":
        return all_instance_points(run, selection)
    return held_out_points(run, selection, n_splits)


def tested_points(run: RunTables, selection: Selection, test: str, language: str = ALL) -> pd.DataFrame:
    """The instances that a test is made of: those of all languages, or of one.

    "layers" takes each language's layer where Δ is most extreme. Other tests take the layer that was chosen; where that
    is the best one, "published" takes it over all instances, as the paper does, and the sound one takes that of the
    other half (see `instances.held_out_points`).
    """
    points = _tested(run.run.folder, run.version, view(selection, run), test, 1)
    return points if language == ALL else points[(points["language"] == language).to_numpy(bool)]


class Effects(NamedTuple):
    """An effect per language and over all of them."""

    languages: pd.DataFrame
    pooled: Pooled


@st.cache_resource(max_entries=12, show_spinner="Testing every language …")
def _effects(folder: Path, version: Version, chosen: View, effect: str, test: str) -> Effects:
    run = load_run(folder, version)
    selection = _selected(run, chosen)
    if test == "layers":
        points = all_instance_points(run, selection)
        found = effects.most_different_layers(decided_of(run, selection), points)
    else:
        halves = effect == "delta" and test == "sound" and selection.rule != "layer"
        points = _tested(folder, version, chosen, test, SPLITS if halves else 1)
        found = effects.by_language(points, effect, "halves" if halves else test)
    found.insert(1, "name", [run.name(code) for code in found["language"]])
    return Effects(found, effects.over_languages(points, effect) if test == "sound" else Pooled(undefined(0)))


def effects_of(run: RunTables, selection: Selection, effect: str, test: str = "sound") -> Effects:
    """An effect of `crossalign.effects.EFFECTS`, per language and over all languages.

    Args:
        test: "sound", "published", or "layers" (Δ at each language's most different layer); only the first is pooled.
    """
    return _effects(run.run.folder, run.version, view(selection, run), effect, test)


def show_summary(found: Effects, short: str, language: str, name: str) -> None:
    """The effect of one language and the one within all languages, as large numbers side by side."""
    tested = int(found.languages["p"].notna().sum())  # Holm corrects for these
    with st.container(horizontal=True):
        for row in found.languages[found.languages["language"] == language].itertuples():
            mine = Estimate(row.estimate, row.low, row.high, row.p, row.n)
            corrected = (
                "" if tested < 2 or math.isnan(row.p_holm) else f"; {p_value(row.p_holm)} for {tested} languages"
            )
            _number(f"{short}: {name}", mine, corrected)
        pooled, same, many = found.pooled
        if many > 1:
            alike = "" if math.isnan(same) else f"; alike: {p_value(same)}"
            _number(f"{short}: within {many} languages", pooled, alike)


def _number(label: str, found: Estimate, note: str) -> None:
    shown = components.estimate(found.value)
    about = components.estimate(found.value, found.low, found.high, found.n).removeprefix(shown).strip(" ,")
    note = f", {p_value(found.p)}{note}" if not math.isnan(found.p) else ": too few instances, or too alike, for a test"
    st.metric(
        components.plain(label), shown, about + note, delta_color="off", delta_arrow="off", border=True, help=HELP
    )


HELP = (
    "95 % interval; p of no effect; then Holm's correction for as many languages (the table of the figure also holds "
    "Benjamini and Hochberg's), or the test that all languages have the same odds ratio."
)


TABLES = {
    "needed": lambda points, test: correctness.conditional_shares(points, test == "published"),
    "pivot": lambda points, test: correctness.against_pivot(points),
}


@st.cache_resource(max_entries=12, show_spinner="Counting every language …")
def _table(folder: Path, version: Version, chosen: View, table: str, test: str) -> pd.DataFrame:
    run = load_run(folder, version)
    found = TABLES[table](_tested(folder, version, chosen, test, 1), test)
    found.insert(1, "name", [run.name(code) if code else correctness.ALL for code in found["language"]])
    return found


def table_of(run: RunTables, selection: Selection, table: str, test: str = "sound") -> pd.DataFrame:
    """A table of `crossalign.correctness` with a row per language: one of `TABLES`."""
    return _table(run.run.folder, run.version, view(selection, run), table, test)


@st.cache_resource(max_entries=4, show_spinner="Fitting the model …")
def _over_all(folder: Path, version: Version, chosen: View, test: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    return correctness.over_all(_tested(folder, version, chosen, test, 1))


def over_all(run: RunTables, selection: Selection, test: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`crossalign.correctness.over_all` of the instances of all languages."""
    return _over_all(run.run.folder, run.version, view(selection, run), test)


@st.cache_resource(max_entries=16, show_spinner=False)
def _curves(folder: Path, version: Version, metric: str, pooling: str, language: str, by: str) -> pd.DataFrame:
    run = load_run(folder, version)
    selection = Selection(run.run_id, metric, pooling)
    points = points_of(run, selection, language)
    series = points[by]
    if by == "correct":
        series = series.map({1.0: True, 0.0: False}).astype(pd.CategoricalDtype([True, False]))
    groups = pd.factorize(points["group"])[0].astype("int64")
    decided = decided_of(run, selection, "" if language == ALL else language)
    found = effects.rates_by_layer(side_by_side(decided.values()), series, groups)
    return found.rename(columns={"series": by})


def curves_of(run: RunTables, selection: Selection, language: str, by: str) -> pd.DataFrame:
    """Alignment rate by layer of right and wrong instances (by "correct"), of cohorts or of languages; see `effects.rates_by_layer`."""
    return _curves(run.run.folder, run.version, selection.metric, selection.pooling, language, by)
