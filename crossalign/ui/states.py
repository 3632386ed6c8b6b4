"""Stored states as the Space page reads them: a layer of some instances of some languages, and their map."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from crossalign import description
from crossalign.jobs.process import hosted
from crossalign.projection import language_centred, principal_components
from crossalign.schema import UserError
from crossalign.store import parts
from crossalign.ui import instances
from crossalign.ui.data import RunTables, Version, load_run

WHAT = {"options": "options", "premises": "premises"}

METHODS = {"pca": "PCA"} | ({"umap": "UMAP"} if importlib.util.find_spec("umap") else {})

MOST_NUMBERS = 40_000_000
"""Most numbers that are read for one map."""


class Map(NamedTuple):
    """A row per state: language, name, instance_id, option (from 0), gold, x, y; and what the map is made from."""

    points: pd.DataFrame
    label: str
    note: str


def kept(run: RunTables, pooling: str) -> list[str]:
    """Languages whose states are stored, in the order of the run."""
    return [c for c in run.languages["language"] if parts.has_file(run.run, c, parts.states_file(pooling))]


def command(run: RunTables) -> str:
    """The command that goes on with this run and keeps its states; "" for imported results."""
    made = description.command(run, hosted())
    return f"{made} --keep-states float16" if made else ""


def state_map(
    run: RunTables, languages: tuple[str, ...], pooling: str, layer: int, n: int, what: str, method: str, centred: bool
) -> Map:
    """The states of the first `n` instances in two dimensions.

    Raises:
        UserError: states are not kept for a language, are damaged, or too many are asked for.
    """
    return _map(run.run.folder, run.version, languages, pooling, layer, n, what, method, centred)


@st.cache_resource(max_entries=16, show_spinner="Drawing the map …")
def _map(
    folder: Path,
    version: Version,
    languages: tuple[str, ...],
    pooling: str,
    layer: int,
    n: int,
    what: str,
    method: str,
    centred: bool,
) -> Map:
    run = load_run(folder, version)
    frames, vectors = zip(*(_states(run, c, pooling, layer, n, what) for c in languages), strict=True)
    points, states = pd.concat(frames, ignore_index=True), np.concatenate(vectors)
    if states.size > MOST_NUMBERS:
        raise UserError("These are too many states for one map: choose fewer languages or instances.")
    if centred:
        states = language_centred(states, np.unique(points["language"], return_inverse=True)[1])
    made = f"{len(states):,} states of layer {layer}" + (", each language centred" if centred else "")
    if method == "umap" and "umap" in METHODS:
        return Map(points.assign(**_umap(states)), "UMAP dimension", f"{made}; distances between clusters mean little")
    found = principal_components(states)
    shares = (
        ""
        if np.isnan(found.shares).any()
        else f"; they tell {found.shares[0]:.0%} and {found.shares[1]:.0%} of the variance"
    )
    x, y = found.coordinates.T
    left_out = int(np.isnan(x).sum())
    note = f"{made}{shares}" + (f"; {left_out} are not finite and left out" if left_out else "")
    return Map(points.assign(x=x, y=y), "principal component", note)


def _umap(states: np.ndarray) -> dict[str, np.ndarray]:
    umap = importlib.import_module("umap")
    finite = np.isfinite(states).all(axis=1)
    found = np.full((len(states), 2), np.nan)
    found[finite] = umap.UMAP(n_components=2, random_state=0).fit_transform(states[finite].astype(np.float32))
    return {"x": found[:, 0], "y": found[:, 1]}


def _states(run: RunTables, code: str, pooling: str, layer: int, n: int, what: str) -> tuple[pd.DataFrame, np.ndarray]:
    """The first instances of a language: a row and a vector for each option, or for each premise."""
    outcomes = instances.outcomes_of(run, code).head(n)
    name = parts.states_file(pooling)
    stored = parts.read_slice(run.run, code, name, f"{what}.{layer}", np.arange(len(outcomes)))
    k = stored.shape[1] if stored.ndim == 3 else 1
    option = np.tile(np.arange(k), len(outcomes))
    gold = np.repeat(outcomes["gold"].to_numpy(float, na_value=np.nan), k)
    frame = pd.DataFrame(
        {
            "language": code,
            "name": run.name(code),
            "instance_id": np.repeat(outcomes["instance_id"].to_numpy(str), k),
            "option": option,
            "gold": (option == gold) if what == "options" else False,
        }
    )
    return frame, stored.reshape(-1, stored.shape[-1])
