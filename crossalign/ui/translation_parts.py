"""Sections of the page of translations, and the cached analyses behind them."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import streamlit as st

from crossalign import relations
from crossalign.amounts import p_value
from crossalign.figures import languages as figures
from crossalign.figures import translation as figures_of_translation
from crossalign.figures.theme import Measure
from crossalign.findings import FEWEST_LANGUAGES
from crossalign.relations import LayerCorrelations, Pair
from crossalign.store.runs import list_runs
from crossalign.translation import relations as library
from crossalign.translation.tables import RATES
from crossalign.ui import components, controls, data, sentences, translations
from crossalign.ui.data import Version, cache_folder, cache_version
from crossalign.ui.estimates import show_estimates
from crossalign.ui.selection import WIDE, go_to_language
from crossalign.ui.sentences import Effects
from crossalign.ui.translations import Key, Translated, View, load

COLOURS = {"nothing": None, "script": "script", "family": "family", "resource level": "resource_level"}

BY = {"margin": "alignment margin", "layers_aligned": "share of aligned layers"}
"""Continuous measures of a sentence's alignment; imported decisions have the second only."""

RATE_LABELS = {
    "off_target": "wrong language",
    "wrong_script": "wrong script",
    "copied": "source copied",
    "empty": "empty",
    "truncated": "cut",
}


def choose_effect(run: Translated) -> str:
    """An effect of `translation.relations.EFFECTS`; "" where there is no alignment to have one."""
    if run.alignment is None:
        return ""
    return controls.choose_one(
        "Effect", list(library.EFFECTS), "effect", format_func=lambda e: library.EFFECTS[e].short, width=WIDE
    )


# --- over languages ----------------------------------------------------------------------------------------------


@st.cache_resource(max_entries=32, show_spinner=False)
def _coefficients(key: Key, view: View) -> pd.DataFrame:
    return relations.coefficients(translations.language_points(load(*key), view), Pair("rate", view.score, ""))


def coefficients(run: Translated, view: View) -> pd.DataFrame:
    """`relations.coefficients` of MEXA and quality over the languages that the filters let through."""
    return _coefficients(run.key, view)


def in_words(estimates: pd.DataFrame, ranks: bool) -> str:
    """The coefficient that fits the scale, as a note under the figure; nothing of too few languages."""
    name = "spearman" if ranks else "pearson"
    row = estimates[(estimates["coefficient"] == name) & (estimates["held_fixed"] == "")].iloc[0]
    if row["n"] < FEWEST_LANGUAGES:
        return ""
    found = components.estimate(row["r"], row["low"], row["high"], int(row["n"]))
    return f"{name.title()} r = {found} languages, {p_value(row['p'])} by permutation"


@st.cache_resource(max_entries=16, show_spinner=False)
def _by_layer(key: Key, view: View, coefficient: str) -> LayerCorrelations:
    run = load(*key)
    points = translations.language_points(run, view)
    return relations.by_layer(translations.rates_of(run, view), points, view.score, coefficient)


def by_layer(run: Translated, view: View, coefficient: str) -> LayerCorrelations:
    """`relations.by_layer` of MEXA against the chosen score."""
    return _by_layer(run.key, view, coefficient)


@st.cache_resource(max_entries=16, show_spinner=False)
def _every_score(key: Key, pooling: str, coefficient: str) -> pd.DataFrame:
    run = load(*key)
    return library.every_score(run.quality, run.rates[run.rates["pooling"] == pooling], coefficient)


def every_score(run: Translated, view: View, coefficient: str) -> pd.DataFrame:
    """`translation.relations.every_score` over all languages, whatever the filters are."""
    return _every_score(run.key, view.selection.pooling, coefficient)


# --- over sentences ----------------------------------------------------------------------------------------------


def pooled(found: Effects) -> pd.DataFrame:
    """The effect within languages, for the forest."""
    return pd.DataFrame([("all languages", *found.pooled)], columns=["name", "estimate", "low", "high", "p", "n"])


def show_along(run: Translated, view: View, language: str, measure: Measure) -> None:
    """Quality along the margin, and of aligned and not aligned sentences of a language."""
    points = sentences.points_of(run, view, language)
    offered = [by for by in BY if points[by].notna().any()]
    if not offered:
        st.info(components.plain(f"The sentences of {run.name(language)} have no alignment."))
        return
    names = {"one": run.name(language), "all": "all languages"}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        by = controls.choose_one("Alignment as", offered, "by", format_func=BY.__getitem__)
        scope = controls.choose_one("Sentences of", list(names), "of", format_func=names.__getitem__)
        smooth = controls.choose_switch("Smooth curve", "smooth", help="LOESS, with a band from resampled sentences")
    whose = language if scope == "one" else ""
    found = sentences.along(run, view, whose, by, smooth)
    along = replace(measure, low="low", high="high")
    along = along if whose else replace(along, label=f"{measure.label} − mean of the language", ends=None)
    pair = st.grid(2, min_column_width=360)
    with pair.cell():
        drawn = figures_of_translation.quality_by_margin(
            found.bins,
            along,
            by=by,
            smooth=found.smooth,
            label=BY[by].capitalize() + ("" if whose else " − mean of the language"),
            zero="aligned →" if whose else "",
        )
        components.show(drawn, found.bins, "along", run)
    with pair.cell():
        drawn = figures_of_translation.quality_by_alignment(
            found.points.assign(aligned=found.points["aligned"].map({1.0: True, 0.0: False})), along
        )
        table = found.points[["language", "instance_id", "aligned", "margin", "layers_aligned", view.score]]
        components.show(drawn, table, "by-alignment", run)


# --- the rest ----------------------------------------------------------------------------------------------------


def show_faults(run: Translated, quality: pd.DataFrame) -> None:
    """Shares of outputs in a wrong language or script, copied, empty or cut, by language."""
    known = [rate for rate in RATES if quality[rate].notna().any()]
    if not known:
        st.caption("These translations were imported with scores alone; wrong languages and cut outputs are not known.")
        return
    some = [rate for rate in known if quality[rate].max() > 0]
    if not some:
        st.caption("No output is in a wrong language or script, a copy, empty or cut.")
        return
    shown = controls.choose_one("Rate", some, "fault", format_func=RATE_LABELS.__getitem__)
    measure = Measure(shown, f"Share of outputs: {RATE_LABELS[shown]}", f"{shown}_low", f"{shown}_high")
    table = quality[["language", "name", "n", *(f"{r}{end}" for r in known for end in ("", "_low", "_high"))]]
    components.show(figures.strip(quality, [measure]), table, "rates", run, on_click=go_to_language)


@st.cache_resource(max_entries=8, show_spinner=False)
def _answered(cache: Path, version: Version, folder: Path) -> list[str]:
    """Runs of the same model that have answers, newest first."""
    runs, _ = list_runs(cache)
    mine = next((r for r in list_runs(cache, None)[0] if r.folder == folder), None)
    return [r.run_id for r in runs if mine is not None and r.facts.get("n_options") and library.same_model(mine, r)]


def show_accuracy(run: Translated, quality: pd.DataFrame, measure: Measure) -> None:
    """Quality against the accuracy of the same model on a task with answers, where the cache has one."""
    cache = cache_folder()
    ids = _answered(cache, cache_version(cache), run.run.folder)
    if not ids:
        st.info(
            "Compute the same model on a task with answers, such as xcopa or belebele, then reload this page.",
            title="No task accuracy of this model is cached",
        )
        return
    labels = components.run_labels(data.overview()[0])
    chosen = controls.choose_one("Task", ids, "accuracy-run", format_func=lambda r: labels.get(r, r))
    points = relations.with_accuracy(quality, data.run_tables(chosen).languages)
    points = points.dropna(subset="accuracy", ignore_index=True)
    drawing = figures.scatter(points, figures.ACCURACY, measure)
    components.show(drawing, points, "accuracy", run, on_click=go_to_language)
    found = relations.coefficients(points, Pair("accuracy", measure.column, ""))
    show_estimates(found[found["held_fixed"] == ""].drop(columns="held_fixed"), "r", "value", "accuracy-r", run)
