"""What the pages of translations read: the run, its alignment, and cached tables; as in `data`, nothing may be changed."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false

from __future__ import annotations

import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import streamlit as st

from crossalign import description, relations, tables
from crossalign.figures.theme import Measure
from crossalign.jobs.process import hosted
from crossalign.languages import language
from crossalign.schema import UserError
from crossalign.store.runs import Run, list_runs, read_run
from crossalign.translation import sentences
from crossalign.translation.scores import EXTERNAL
from crossalign.translation.tables import SCORES, matching_alignments
from crossalign.ui import components, controls, data
from crossalign.ui.data import RunTables, Selection, Version, cache_folder, cache_version, version_of
from crossalign.ui.selection import GROUPS, POOLING_LABELS

DIRECTIONS = {"en-xx": "from the pivot", "xx-en": "into the pivot"}

Key = tuple[Path, Version, Path | None, Version]
"""Folders and versions of a run and of its alignment: the key of every cache."""


@dataclass(frozen=True)
class Translated(RunTables):
    """Translations of a model on a task, and the alignment of the same model on the same sentences.

    Attributes:
        run: holds the translations, or their imported scores; `languages` are their languages, the pivot first.
        rates: `tables.rates` of the alignment run; empty without one.
        quality: `sentences.quality`, one row per language and direction.
        alignment: the run with the alignment; None where there is none.
    """

    quality: pd.DataFrame
    alignment: Run | None

    @property
    def key(self) -> Key:
        folder = self.alignment.folder if self.alignment else None
        return self.run.folder, self.version, folder, version_of(folder) if folder else ()

    @property
    def n_layers(self) -> int:
        """L of the alignment run, 0 without one."""
        return int(self.rates["layer"].max()) if len(self.rates) else 0

    @cached_property
    def missing(self) -> list[str]:
        """Parts that were asked for and are not complete."""
        done = set(self.run.languages())
        return [part for part in self.facts.get("languages", []) if part not in done]

    @cached_property
    def aligned_codes(self) -> list[str]:
        """All languages: on these pages one without alignment still has its translations."""
        return self.codes

    @property
    def directions(self) -> list[str]:
        """Directions with at least one language."""
        return [d for d in sentences.DIRECTIONS if d in set(self.quality["direction"])]

    def scores(self, direction: str) -> list[str]:
        """Measures of quality that some language has in a direction."""
        mine = self.quality[self.quality["direction"] == direction]
        return [s for s in SCORES if mine[s].notna().any()]


# --- which run ---------------------------------------------------------------------------------------------------


@st.cache_resource(max_entries=4, show_spinner="Looking for translations …")
def _runs_with_translations(cache: Path, version: Version) -> tuple[pd.DataFrame, list[str]]:
    rows, problems = [], []
    for run in list_runs(cache, None)[0]:
        try:
            rows += _row(run) if sentences.holds_translations(run) else []
        except UserError as error:
            problems.append(str(error))
    frame = pd.DataFrame(rows)
    frame = frame.assign(computed=pd.to_datetime(frame["computed"], errors="coerce", utc=True)) if rows else frame
    return frame, problems


def _row(run: Run) -> list[dict]:
    directions = sentences.directions_of(run)
    codes = {code for d in directions for code in sentences.codes_of(run, d)}
    words = " and ".join(DIRECTIONS[d] for d in directions)
    return [data.overview_row(run) | {"directions": words, "done": len(codes)}]


def runs_with_translations() -> tuple[pd.DataFrame, list[str]]:
    """Rows as of `data.overview` of the runs with translations or their scores, newest first, and damaged runs' problems.

    Here `done` counts languages, and there is a column directions.
    """
    cache = cache_folder()
    return _runs_with_translations(cache, cache_version(cache))


def choose_among(runs: pd.DataFrame) -> str:
    """Id of one of the runs with translations; the same control on every page."""
    labels = components.run_labels(runs)
    return controls.choose_one(
        "Translations", runs["run"].tolist(), "translations", format_func=lambda r: labels.get(r, r)
    )


def opened(run_id: str) -> Translated:
    """A run of `runs_with_translations` with its newest alignment."""
    run = read_run(cache_folder() / run_id)
    found = [run] if run.spec.kind != "translation" else matching_alignments(cache_folder(), run)[:1]
    other = found[0].folder if found else None
    return load(run.folder, version_of(run.folder), other, version_of(other) if other else ())


def choose_run() -> Translated:
    """The run in the side bar, and its alignment where there are several. Ends the page with the next step without one."""
    cache, (runs, problems) = cache_folder(), runs_with_translations()
    for problem in problems:
        st.warning(components.plain(problem))
    if runs.empty:
        _tell_next_step()
        st.stop()
    with st.sidebar:
        chosen = choose_among(runs)
        run = read_run(cache / chosen)
        others = [run] if run.spec.kind != "translation" else matching_alignments(cache, run)
        named = {r.run_id: f"{r.spec.protocol}, {r.facts['n']} sentences · {r.spec.short_digest[:6]}" for r in others}
        which = next(iter(named), "")
        if len(named) > 1:
            which = controls.choose_one("Alignment from", list(named), "alignment", format_func=named.__getitem__)
    folder = cache / which if which else None
    return load(cache / chosen, version_of(cache / chosen), folder, version_of(folder) if folder else ())


def _tell_next_step() -> None:
    runs, problems = data.overview()
    if runs.empty:
        components.empty_cache(problems)
        return
    model = str(runs["model"].iloc[0])
    st.info("Translate parallel sentences with a model, then reload this page.", title="No translations are cached yet")
    words = ["crossalign", "translate", "--model", model]
    words += ["--task", "flores", "--data", "DIR", "--languages", "swh_Latn"]
    st.code(f"python -m {shlex.join(words)}", language="bash")


@st.cache_resource(max_entries=4, show_spinner="Reading the translations …")
def load(folder: Path, version: Version, alignment: Path | None, alignment_version: Version) -> Translated:
    """The translations by `Translated.key`, for cached readers, whose arguments must be cheap to hash."""
    run, other = read_run(folder), read_run(alignment) if alignment else None
    quality = sentences.quality(run)
    facts = quality[sentences.FACTS].drop_duplicates("language")
    pivot = pd.DataFrame([{"language": run.spec.pivot, "name": language(run.spec.pivot).name}])
    rates = tables.rates(other, facts["language"].tolist()) if other is not None else tables.rates(run, [])
    rates = rates[rates["metric"] == sentences.METRIC]
    languages = pd.concat([pivot, facts[facts["language"] != run.spec.pivot]], ignore_index=True)
    return Translated(run, version, languages, rates, quality, other if len(rates) else None)


def header(run: Translated) -> None:
    """Under the title: model, task, how it was translated, whose alignment; what is missing."""
    spec, how = run.spec, run.spec.translation
    shots = f"{spec.shots} examples, {how.prompt} prompt, greedy" if how else "imported scores"
    count = f"{run.facts.get('n')} sentences × {len(run.codes)} languages" if how else f"{len(run.codes)} languages"
    st.markdown(
        f"**{components.plain(spec.model_name)}** translates **{components.plain(spec.task)}** "
        + components.plain(f"({shots}) · {count} · pivot {run.name(spec.pivot)}")
    )
    if run.missing:
        st.info(
            components.plain(f"Not translated yet: {', '.join(run.missing)}. The same command goes on with them."),
            title=f"Partial: {len(run.run.languages())} of {len(run.run.languages()) + len(run.missing)} directions",
        )
    if run.alignment is not None:
        n = run.alignment.facts.get("n")
        about = f"Alignment: MEXA among the {n} sentences of {run.alignment.run_id}."
        only = {c for c in run.codes if c in set(run.rates["language"])}
        about += "" if len(only) == len(run.codes) else f" {len(only)} of {len(run.codes)} languages have it."
        st.caption(components.plain(about))


def tell_alignment_is_missing(run: Translated) -> None:
    """What to compute so that quality can be set against alignment."""
    st.info(
        "Compute the alignment of the same model on the same sentences, then reload this page.",
        title="There is no alignment to set quality against",
    )
    st.code(f"python -m {description.alignment_command(run, hosted())}", language="bash")


# --- what is looked at -------------------------------------------------------------------------------------------


class View(NamedTuple):
    """Direction, score, and the selection on the alignment run."""

    direction: str
    score: str
    selection: Selection

    @property
    def label(self) -> str:
        """The score in words, with its direction."""
        return f"{sentences.SCALES[self.score]} {DIRECTIONS[self.direction]}"

    @property
    def measure(self) -> Measure:
        """The score as figures show it."""
        external = self.score in EXTERNAL
        digits, ends = (3, None) if external else (1, (0.0, 100.0))
        return Measure(self.score, self.label, f"{self.score}_low", f"{self.score}_high", digits, ends)


def choose_view(run: Translated, *groups: str) -> View:
    """Direction and score at the top of the page, pooling in the side bar, and the named groups of `selection.GROUPS`."""
    pooling = ""
    if run.alignment is not None:
        with st.sidebar:
            poolings = run.poolings_of(sentences.METRIC) or list(run.alignment.spec.poolings)
            pooling = controls.choose_one(
                "Pooling", poolings, "pooling", format_func=lambda p: POOLING_LABELS.get(p, p)
            )
    values: dict = {}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        direction = controls.choose_one("Direction", run.directions, "direction", format_func=DIRECTIONS.__getitem__)
        scores = run.scores(direction)
        if not scores:
            raise UserError("No sentence of this direction has a score.")
        score = controls.choose_one("Quality", scores, "score", format_func=sentences.SCALES.__getitem__)
        for group in groups if run.alignment is not None else [g for g in groups if g not in ("layer", "one layer")]:
            values |= GROUPS[group](run)
    return View(direction, score, Selection(run.run_id, sentences.METRIC, pooling, **values))


def quality_of(run: Translated, view: View) -> pd.DataFrame:
    """The rows of `run.quality` of the direction that the filters let through; UserError where that is none."""
    rows, chosen = run.quality[run.quality["direction"] == view.direction], view.selection
    for column, allowed in (
        ("script", chosen.scripts),
        ("family", chosen.families),
        ("resource_level", chosen.levels),
    ):
        rows = rows[rows[column].astype(str).isin(allowed)] if allowed else rows
    if rows.empty:
        raise UserError("No language passes all filters: take one away under “Filter languages”.")
    return rows.reset_index(drop=True)


def languages_offered(run: Translated, view: View) -> list[str]:
    """Languages with sentences in the direction; where none has, those with scores."""
    rows = run.quality[run.quality["direction"] == view.direction]
    return rows.loc[rows["n"] > 0, "language"].tolist() or rows["language"].tolist()


def rates_of(run: Translated, view: View) -> pd.DataFrame:
    """The alignment rates of the chosen pooling, at the layers that the chosen rule counts."""
    rates = run.rates[run.rates["pooling"] == view.selection.pooling]
    return data.layers_counted(rates, view.selection.rule, run.after_norm)


def language_points(run: Translated, view: View) -> pd.DataFrame:
    """One row per language with alignment: its quality, and rate, low, high, layer, best_layer under the rule for layers."""
    return _under_rule(run, view, quality_of(run, view))


def _under_rule(run: Translated, view: View, quality: pd.DataFrame) -> pd.DataFrame:
    chosen = view.selection
    rule, layer = chosen.rule.removesuffix("_published"), chosen.fixed_layer(run.n_layers)
    return relations.language_points(quality, rates_of(run, view), rule, layer)


def layers_of(run: Translated, view: View) -> dict[str, int]:
    """Language → the layer at which its sentences are looked at: the fixed one, else the language's best."""
    points = _under_rule(run, view, run.quality[run.quality["direction"] == view.direction])
    layers = points["layer"] if view.selection.rule in ("layer", "depth") else points["best_layer"]
    return dict(zip(points["language"], layers.astype(int), strict=True))
