"""Cached readers for the pages. Tables are loaded once and treated as read-only."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import streamlit as st

from crossalign import tables
from crossalign.imported import missing
from crossalign.store.runs import find_run, list_runs


@dataclass(frozen=True)
class RunTables:
    """One run as the pages read it."""

    run_id: str
    model: str
    task: str
    protocol: str
    pivot: str
    poolings: tuple[str, ...]
    wanted: tuple[str, ...]
    facts: dict
    languages: pd.DataFrame
    rates: pd.DataFrame
    missing: tuple[str, ...]


def cache_folder() -> Path:
    """The cache the app reads: $CROSSALIGN_CACHE, or `cache` beside app.py."""
    return Path(os.environ.get("CROSSALIGN_CACHE", "cache"))


def stamp(folder: Path) -> tuple:
    """Changes whenever a run or a part below the folder appears or changes."""
    patterns = ("run.json", "*/run.json", "parts/*/manifest.json", "*/parts/*/manifest.json")
    return tuple(sorted((str(p), p.stat().st_mtime_ns) for pattern in patterns for p in folder.glob(pattern)))


@st.cache_resource(max_entries=4, show_spinner="Reading the cache …")
def overview(cache: Path, version: tuple) -> tuple[pd.DataFrame, list[str]]:
    """One row per cached run, newest first, and a sentence for each that cannot be read.

    `version` is the folder's stamp: it makes the cached answer new when the folder is.
    """
    runs, problems = list_runs(cache)
    rows = []
    for run in runs:
        done, wanted = run.languages(), run.facts.get("languages", [])
        rows.append(
            {
                "run": run.run_id,
                "model": run.spec.model_name,
                "task": run.spec.task,
                "protocol": run.spec.protocol,
                "shots": run.spec.shots,
                "instances": run.facts.get("n"),
                "languages": ", ".join(done),
                "complete": f"{len(done)} of {max(len(wanted), len(done))}",
                "computed": run.facts["created"],
                "on": run.facts["where"],
            }
        )
    return pd.DataFrame(rows), problems


@st.cache_resource(max_entries=8, show_spinner="Reading the run …")
def run_tables(cache: Path, run_id: str, version: tuple) -> RunTables:
    """The language-level tables of a run; the id is looked up among the cached runs, never used as a path."""
    run = find_run(cache, run_id)
    spec = run.spec
    wanted = tuple(run.facts.get("languages", ()))
    return RunTables(
        run.run_id, spec.model_name, spec.task, spec.protocol, spec.pivot, spec.poolings, wanted, run.facts,
        tables.languages(run), tables.rates(run), tuple(missing(run)),
    )  # fmt: skip
