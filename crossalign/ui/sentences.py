"""Translated sentences on the pages: cached readers, the tests over them, the list with its filter."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from crossalign.amounts import p_value
from crossalign.statistics import Estimate
from crossalign.translation import relations, sentences
from crossalign.translation.sentences import FAULTS, SCALES, SentenceFilter
from crossalign.ui import components, controls
from crossalign.ui.instance_list import ALIGNED, pick_row
from crossalign.ui.translations import Key, Translated, View, layers_of, load

Layers = tuple[tuple[str, int], ...]


@st.cache_resource(max_entries=8, show_spinner="Reading the sentences of all languages …")
def _points(key: Key, direction: str, pooling: str, layers: Layers) -> pd.DataFrame:
    run = load(*key)
    found = list(sentences.points(run.run, direction, run.alignment, pooling, dict(layers)))
    return pd.concat(found, ignore_index=True)


def points_of(run: Translated, view: View, language: str = "") -> pd.DataFrame:
    """One row per sentence of a direction, of a language or of all: see `translation.sentences.points`."""
    points = _points(run.key, view.direction, view.selection.pooling, _layers(run, view))
    return points[(points["language"] == language).to_numpy(bool)].reset_index(drop=True) if language else points


def _layers(run: Translated, view: View) -> Layers:
    return tuple(sorted(layers_of(run, view).items())) if run.alignment is not None else ()


class Effects(NamedTuple):
    """How much better aligned sentences are translated.

    Attributes:
        languages: per language.
        pooled: within languages.
        n_pooled: languages that count there.
        paired: within sentences, in points of the score.
        means: mean quality of aligned and of not aligned sentences per language.
    """

    languages: pd.DataFrame
    pooled: Estimate
    n_pooled: int
    paired: Estimate
    means: pd.DataFrame


@st.cache_resource(max_entries=16, show_spinner="Testing every language …")
def _effects(key: Key, direction: str, pooling: str, layers: Layers, score: str, effect: str) -> Effects:
    run, points = load(*key), _points(key, direction, pooling, layers)
    known = points[points["aligned"].notna() & points[score].notna()]
    found = relations.by_language(known, score, effect)
    sides = relations.means_by_alignment(known, score)
    for frame in (found, sides):
        frame.insert(1, "name", [run.name(code) for code in frame["language"]])
    pooled, n_pooled = relations.over_languages(known, score, effect), relations.languages_pooled(known, score, effect)
    return Effects(found, pooled, n_pooled, relations.within_sentences(known, score), sides)


def effects_of(run: Translated, view: View, effect: str) -> Effects:
    """An effect of `translation.relations.EFFECTS` over all languages of a direction."""
    return _effects(run.key, view.direction, view.selection.pooling, _layers(run, view), view.score, effect)


@st.cache_resource(max_entries=16, show_spinner=False)
def _texts(key: Key, direction: str, language: str) -> pd.DataFrame:
    return sentences.texts(load(*key).run, direction, language)


def texts_of(run: Translated, view: View, language: str) -> pd.DataFrame:
    """instance_id, source, reference, output of a language, in the order of `points_of`; hostile until escaped."""
    return _texts(run.key, view.direction, language)


@st.cache_resource(max_entries=16, show_spinner=False)
def _decided(key: Key, language: str, pooling: str) -> sentences.Decided | None:
    alignment = load(*key).alignment
    return None if alignment is None else sentences.decided(alignment, language, pooling)


def decided_of(run: Translated, view: View, language: str) -> sentences.Decided | None:
    """Decisions and margins of a language's sentences at all layers; None without alignment."""
    return _decided(run.key, language, view.selection.pooling)


@st.cache_resource(max_entries=16, show_spinner="Smoothing …")
def _smooth(key: Key, direction: str, pooling: str, layers: Layers, language: str, score: str, by: str) -> pd.DataFrame:
    return relations.smooth(_scope(_points(key, direction, pooling, layers), language, score, by), score, by)


def _scope(points: pd.DataFrame, language: str, score: str, by: str) -> pd.DataFrame:
    """The sentences of a language; or of all, each language's means taken away."""
    if language:
        return points[(points["language"] == language).to_numpy(bool)]
    known = points[points[score].notna() & points[by].notna()]
    return relations.centred(known, score, by)


class Along(NamedTuple):
    """Quality along a measure of alignment: the sentences, their bins, and a smooth curve where it was asked for."""

    points: pd.DataFrame
    bins: pd.DataFrame
    smooth: pd.DataFrame | None


def along(run: Translated, view: View, language: str, by: str, smooth: bool) -> Along:
    """`relations.bins` and `relations.smooth` of a language, or with "" within all languages, each one's means taken away."""
    points = _scope(points_of(run, view), language, view.score, by)
    layers, pooling = _layers(run, view), view.selection.pooling
    curve = _smooth(run.key, view.direction, pooling, layers, language, view.score, by) if smooth else None
    return Along(points, relations.bins(points, view.score, by), curve)


# --- numbers and the list ----------------------------------------------------------------------------------------


def show_summary(found: Effects, view: View, effect: str, language: str, name: str) -> None:
    """The effect in a language, within all languages, and within sentences, as large numbers side by side."""
    short, tested = relations.EFFECTS[effect].short, int(found.languages["p"].notna().sum())  # Holm corrects for these
    with st.container(horizontal=True):
        for row in found.languages[found.languages["language"] == language].itertuples():
            mine = Estimate(row.estimate, row.low, row.high, row.p, row.n)
            corrected = (
                "" if tested < 2 or math.isnan(row.p_holm) else f"; {p_value(row.p_holm)} for {tested} languages"
            )
            _number(f"{short}: {name}", mine, "sentences", corrected)
        if found.n_pooled > 1:
            _number(f"{short}: within {found.n_pooled} languages", found.pooled, "observations")
        if len(found.languages) > 1:
            _number(f"Within sentences: points of {SCALES[view.score]}", found.paired, "sentences", digits=3)


def _number(label: str, found: Estimate, unit: str, note: str = "", digits: int = 2) -> None:
    shown = components.estimate(found.value, digits=digits)
    about = components.estimate(*found[:3], found.n, digits).removeprefix(shown).strip(" ,")
    note = (
        f" {unit}, {p_value(found.p)}{note}"
        if not math.isnan(found.p)
        else f" {unit}: too few, or too alike, for a test"
    )
    st.metric(
        components.plain(label), shown, about + note, delta_color="off", delta_arrow="off", border=True, help=HELP
    )


HELP = (
    "95 % interval and p of no effect; then Holm's correction for as many languages. Within sentences: how many points "
    "better a sentence is translated into or from the languages in which it is aligned than the others, beyond what "
    "languages differ in."
)


def choose_filter(points: pd.DataFrame, view: View) -> SentenceFilter:
    """Search and filter in one row; only what the sentences can be told apart by is offered."""
    asked: dict = {}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        asked["words"] = controls.choose_text(
            "Search", "find", placeholder="words in source, reference and output",
            help='"Several words" in quotes stand next to each other.',
        )  # fmt: skip
        with st.popover("Filter", icon=":material/filter_list:"):
            if points["aligned"].notna().any():
                asked["aligned"] = ALIGNED[controls.choose_one("Alignment", list(ALIGNED), "aligned")]
            occurring = [f for f in FAULTS if any(f in found for found in sentences.faults(points))]
            if occurring:
                asked["faults"] = controls.choose_several(
                    "What is wrong", occurring, "faults", format_func=FAULTS.__getitem__
                )
            asked["low"] = controls.choose_amount(f"{SCALES[view.score]} from", "score-from")
            asked["high"] = controls.choose_amount(f"{SCALES[view.score]} to", "score-to")
    return SentenceFilter(**asked)


def rows_matching(
    run: Translated, view: View, points: pd.DataFrame, asked: SentenceFilter, language: str
) -> np.ndarray:
    """Whether each sentence of a language is what is asked for."""
    return sentences.matching(points, texts_of(run, view, language), asked, view.score)


def pick_sentence(run: Translated, view: View, points: pd.DataFrame, kept: np.ndarray, language: str) -> str | None:
    """The list; gives the id of the sentence that was clicked, or chosen and opened."""
    listed = _listing(points, texts_of(run, view, language), kept)
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    config = {score: number(label, format="%.3f" if "comet" in score else "%.1f") for score, label in SCALES.items()}
    config |= {"output": text("output", width="large"), "source": text("source", width="medium")}
    config |= {
        "margin": number("margin", format="%.3f", help="alignment margin in cosine units; aligned means above 0")
    }
    return pick_row(listed, config, "sentence", f"{run.run_id}_{view.direction}_{language}")


def _listing(points: pd.DataFrame, texts: pd.DataFrame, kept: np.ndarray) -> pd.DataFrame:
    rows = np.flatnonzero(kept)
    mine = points.iloc[rows]
    wrong = [", ".join(FAULTS[f] for f in found) or None for found in sentences.faults(mine)]
    columns = {
        "instance_id": mine["instance_id"],
        "source": texts["source"].iloc[rows],
        "output": texts["output"].iloc[rows],
        **{score: mine[score] for score in SCALES},
        "aligned": mine["aligned"].map({1.0: "yes", 0.0: "no"}),
        "margin": mine["margin"],
        "layers_aligned": mine["layers_aligned"],
        "wrong": wrong,
    }
    return pd.DataFrame({name: np.asarray(values, dtype=object) for name, values in columns.items()}).infer_objects()
