"""Cached readers for the pages. Every frame and array is shared between sessions: never change one in place.

A page gets one `RunTables` from `selection.choose_run()` and passes it on. What is large is read one language at a
time; caches are bounded, and keyed by the run's id and version, so that a run that grows is read again.
"""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false
# pyright: reportIndexIssue=false, reportOptionalMemberAccess=false

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from crossalign import relations
from crossalign.relations import RULES as RULES  # pages speak of `data.RULES`
from crossalign.run_tables import RunTables, Version, read_tables
from crossalign.schema import UserError
from crossalign.store.runs import Run, list_runs, read_run


def layers_counted(rates: pd.DataFrame, rule: str, after_norm: int | None) -> pd.DataFrame:
    """The rates of the layers that a rule looks at: all, or, as published, all but the one after the final norm."""
    return rates[rates["layer"] != after_norm] if rule.endswith("_published") else rates


@dataclass(frozen=True)
class Selection:
    """What is looked at. Hashable, so it may key a cache; every value has been checked against the run.

    Attributes:
        rule: how a language's layers become one number: one of `RULES`.
        layer: from 0, where the rule is "layer".
        depth: layer in per cent of all layers, where the rule is "depth".
        language: one language other than the pivot; "" where the page has no such control.
        languages: several; empty means no restriction.
        scripts, families, levels: filters on languages; empty means no restriction.
        accuracy_of, accuracy_version: another run whose accuracy stands in for that of the run; "" for its own.
    """

    run: str
    metric: str
    pooling: str
    rule: str = "max"
    layer: int = 0
    depth: int = 50
    language: str = ""
    languages: tuple[str, ...] = ()
    scripts: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    levels: tuple[str, ...] = ()
    accuracy_of: str = ""
    accuracy_version: Version = ()

    def fixed_layer(self, n_layers: int) -> int:
        """The layer that "layer" or "depth" means in a model of `n_layers` layers; 0 for the other rules."""
        return {"layer": self.layer, "depth": round(self.depth * n_layers / 100)}.get(self.rule, 0)

    def at_best_layer(self) -> Selection:
        """The same with each language's best layer, the last one left out where the rule leaves it out."""
        return replace(self, rule="max_published" if self.rule.endswith("_published") else "max", layer=0, depth=0)

    def link(self, **changes: str) -> dict[str, str]:
        """Query of a link to another page with the same run, metric, pooling and layer, and with these changes."""
        query = {"run": self.run, "metric": self.metric, "pooling": self.pooling, "rule": self.rule}
        query |= {"layer": str(self.layer)} if self.rule == "layer" else {}
        query |= {"depth": str(self.depth)} if self.rule == "depth" else {}
        return query | ({"language": self.language} if self.language else {}) | changes


def cache_folder() -> Path:
    """The cache the app reads: $CROSSALIGN_CACHE, or `cache` where the app was started."""
    return Path(os.environ.get("CROSSALIGN_CACHE", "cache"))


def version_of(folder: Path) -> Version:
    """Two times of a run's folder: of its description, and of its list of parts (a part is renamed into place)."""

    def time(path: Path) -> int:
        try:
            return path.stat().st_mtime_ns
        except OSError:
            return 0

    return time(folder / "run.json"), time(folder / "parts"), (folder / "work").exists()


def cache_version(cache: Path) -> Version:
    """Changes whenever a run of the cache appears, grows or goes; two milliseconds for a hundred runs."""
    try:
        folders = sorted(entry.name for entry in os.scandir(cache) if entry.is_dir() and entry.name[0] != ".")
    except OSError:
        return ()
    return tuple((name, *version_of(cache / name)) for name in folders)


@st.cache_resource(max_entries=4, show_spinner="Reading the cache …")
def _overview(cache: Path, version: Version) -> tuple[pd.DataFrame, list[str]]:
    runs, problems = list_runs(cache)
    frame = pd.DataFrame([overview_row(run) for run in runs])
    if len(frame):
        frame["computed"] = pd.to_datetime(frame["computed"], errors="coerce", utc=True)
    return frame, problems


def overview_row(run: Run) -> dict[str, Any]:
    """A row of `overview`."""
    spec, done = run.spec, run.languages()
    wanted = run.facts.get("languages") or done
    return {
        "run": run.folder.name,
        "model": spec.model_name,
        "identity": spec.model_identity,
        "task": spec.task,
        "protocol": spec.protocol + (f", {spec.shots}-shot" if spec.shots else ""),
        "instances": run.facts.get("n"),
        "options": run.facts.get("n_options") or 0,
        "done": len(done),
        "wanted": len(set(wanted) | set(done)),
        "computed": str(run.facts["created"]),
        "on": str(run.facts["where"]),
        "device": f"{spec.device}, {spec.dtype}",
        "languages": ", ".join(done),
        "unfinished": run.work.exists(),
    }


def overview() -> tuple[pd.DataFrame, list[str]]:
    """One row per readable run, newest first, and a sentence for each run that cannot be read.

    Columns run, model, identity (of its weights), task, protocol, instances, done and wanted (languages), computed (UTC),
    on, device, languages, unfinished. Runs of scores and alignment; translations have an overview of their own.
    """
    cache = cache_folder()
    return _overview(cache, cache_version(cache))


@st.cache_resource(max_entries=4, show_spinner=False)
def _incomplete(cache: Path, version: Version) -> tuple[int, int]:
    runs, _ = list_runs(cache, None)
    return sum(not set(run.facts.get("languages", ())) <= set(run.languages()) for run in runs), len(runs)


def incomplete() -> tuple[int, int]:
    """How many runs, translations among them, lack a part that was asked for; and how many there are."""
    cache = cache_folder()
    return _incomplete(cache, cache_version(cache))


@st.cache_resource(max_entries=4, show_spinner="Reading the run …")
def load_run(folder: Path, version: Version) -> RunTables:
    """`run_tables` by folder, for cached readers, whose arguments must be cheap to hash."""
    return read_tables(read_run(folder), version)


def run_tables(run_id: str) -> RunTables:
    """The tables of a run; the id is looked up among the cached runs, never used as a path.

    Raises:
        UserError: no such run, or a part of it is damaged.
    """
    runs, _ = overview()
    if runs.empty or run_id not in set(runs["run"]):
        raise UserError(f"The cache has no run {run_id!r}.")
    folder = cache_folder() / run_id
    return load_run(folder, version_of(folder))


# --- languages ---------------------------------------------------------------------------------------------------


SCORED = (*relations.ACCURACY, "n", "loglik_margin")
"""Columns of `tables.languages` that say how a language's answers were."""


@st.cache_resource(max_entries=32, show_spinner=False)
def _language_points(
    folder: Path, version: Version, metric: str, pooling: str, rule: str, at: int, other: str = "", its: Version = ()
) -> pd.DataFrame:
    run = load_run(folder, version)
    facts = run.languages
    if other:
        facts = relations.with_accuracy(facts, run_tables(other).languages, SCORED)
    chosen = run.rates[(run.rates["metric"] == metric) & (run.rates["pooling"] == pooling)]
    chosen = layers_counted(chosen, rule, run.after_norm)
    return relations.language_points(facts, chosen, rule.removesuffix("_published"), at)


def language_points(run: RunTables, selection: Selection) -> pd.DataFrame:
    """One row per language: what is known of it, accuracy, and the chosen metric under the chosen rule for layers.

    Only the languages that the selection's filters let through; UserError where that is none. The columns of `tables.languages` (its n as n_scored), and layer (-1 for the mean over layers), rate, low, high,
    relabelled_rate, tie_rate, best_layer, mean_rate, n; the largest rate first.
    """
    chosen = (selection.metric, selection.pooling, selection.rule, selection.fixed_layer(run.n_layers))
    other = selection.accuracy_of, selection.accuracy_version
    points = _language_points(run.run.folder, run.version, *chosen, *other)
    keep = np.ones(len(points), dtype=bool)
    filters = (("script", selection.scripts), ("family", selection.families), ("resource_level", selection.levels))
    for column, allowed in filters:
        keep &= points[column].astype(str).isin(allowed).to_numpy() if allowed else True
    if len(points) and not keep.any():
        raise UserError("No language passes all filters: take one away under “Filter languages”.")
    return points[keep].reset_index(drop=True) if not keep.all() else points


def shown_languages(run: RunTables, selection: Selection) -> tuple[str, ...]:
    """The languages that were chosen; where none was, all that the filters let through, the largest rate first."""
    return selection.languages or tuple(language_points(run, selection)["language"])


def curves(run: RunTables, selection: Selection, languages: tuple[str, ...] = ()) -> pd.DataFrame:
    """The rates of the chosen metric and pooling by layer; of some languages, or of all."""
    rates = run.rates
    chosen = (rates["metric"] == selection.metric) & (rates["pooling"] == selection.pooling)
    if languages:
        chosen &= rates["language"].isin(languages)
    return rates[chosen]


def layers_of(run: RunTables, selection: Selection) -> dict[str, int]:
    """Language → the layer at which its instances are looked at: the fixed one, else the language's best layer.

    The best layer is chosen over all instances of the language, so a rate or a test at it is optimistic. Filters on
    languages do not matter here. Metrics of an import may end at different layers: a language that lacks the
    fixed one is left out.
    """
    chosen = (selection.metric, selection.pooling, selection.rule, selection.fixed_layer(run.n_layers))
    points = _language_points(run.run.folder, run.version, *chosen)
    layers = points["layer"] if selection.rule in ("layer", "depth") else points["best_layer"]
    return dict(zip(points["language"], layers.astype(int), strict=True))


def layer_of(run: RunTables, selection: Selection, language: str) -> int:
    """`layers_of` for one language.

    Raises:
        UserError: the language has no alignment, as the pivot, or not at this layer.
    """
    layers = layers_of(run, selection)
    if language not in layers:
        raise UserError(f"{run.name(language)} has {no_alignment(run, selection)} in this run.")
    return layers[language]


def no_alignment(run: RunTables, selection: Selection) -> str:
    """What a language has that is not in `layers_of`, in words."""
    fixed = selection.rule in ("layer", "depth")
    return f"no layer {selection.fixed_layer(run.n_layers)} of this metric" if fixed else "no alignment"
