"""What the Compare page reads: the second side, and the paired table of two runs."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from crossalign import comparison
from crossalign.amounts import p_value
from crossalign.figures.theme import estimate
from crossalign.imported import aligned_instances
from crossalign.schema import UserError
from crossalign.ui import components, controls, data, instances
from crossalign.ui.data import RunTables, Selection, Version, layers_of, load_run
from crossalign.ui.selection import POOLING_LABELS, WIDE

QUANTITIES = {"accuracy": "Accuracy", "alignment": "Alignment"}


class Other(NamedTuple):
    """The second side, and how the two are called."""

    run: RunTables
    selection: Selection
    names: tuple[str, str]


def choose_other(run: RunTables, chosen: Selection) -> Other:
    """Run and pooling of the second side. Ends the page with the next step where there is nothing to compare with."""
    runs, _ = data.overview()
    same = runs[runs["task"] == run.spec.task]
    several = len(run.poolings_of(chosen.metric)) > 1
    offered = [r for r in same["run"] if r != run.run_id] + ([run.run_id] if several else [])
    if not offered:
        st.info(
            components.plain(f"Compute another model or protocol on {run.spec.task}, then reload this page."),
            title="There is no other run of this task",
        )
        st.stop()
    labels = {r: label.replace(f" · {run.spec.task}", "", 1) for r, label in components.run_labels(runs).items()}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        other_id = controls.choose_one(
            "Compare with", offered, "against", format_func=lambda r: labels.get(r, r), width=WIDE
        )
        other = data.run_tables(other_id)
        poolings = [p for p in other.poolings_of(chosen.metric) if other_id != run.run_id or p != chosen.pooling]
        pooling = chosen.pooling
        if poolings:  # a run without the metric has none
            pooling = controls.choose_one(
                "Its pooling",
                poolings,
                "pooling_b",
                default=chosen.pooling,
                width=WIDE,
                format_func=lambda p: POOLING_LABELS.get(p, p),
            )
    names = (labels[run.run_id], labels[other_id])
    if names[0] == names[1] or pooling != chosen.pooling:
        names = tuple(f"{n}, {POOLING_LABELS.get(p, p)}" for n, p in zip(names, (chosen.pooling, pooling), strict=True))
    return Other(other, replace(chosen, run=other_id, pooling=pooling), names)


def choose_quantity(run: RunTables, other: Other) -> str:
    """What is compared: what both sides have; alignment alone where both are the same run.

    Ends the page where they have nothing in common.
    """
    sides = (run, other.run)
    known = {
        "accuracy": run.run_id != other.run.run_id and all(r.languages["accuracy"].notna().any() for r in sides),
        "alignment": all(r.metrics for r in sides),
    }
    offered = [quantity for quantity in QUANTITIES if known[quantity]]
    if not offered:
        st.info("One of the two runs holds accuracy only, the other alignment only.", title="Nothing to compare")
        st.stop()
    return controls.choose_one("What", offered, "quantity", format_func=QUANTITIES.__getitem__, width=WIDE)


def paired(run: RunTables, chosen: Selection, other: Other, quantity: str) -> pd.DataFrame:
    """`comparison.by_language` of the two sides, with the languages' names; the pivot only where accuracy is compared.

    Raises:
        UserError: the runs do not hold the same instances, or not what is to be compared.
    """
    sides = ((run, chosen), (other.run, other.selection))
    layers = tuple(tuple(sorted(layers_of(*side).items())) if quantity == "alignment" else () for side in sides)
    for (side, its), at in zip(sides, layers, strict=True):
        if quantity == "alignment" and not at and len(data.curves(side, its)):
            raise UserError(f"{side.spec.model_name} has {data.no_alignment(side, its)}.")
    folders = tuple((side.run.folder, side.version) for side, _ in sides)
    table = _paired(*folders, quantity, chosen.metric, (chosen.pooling, other.selection.pooling), layers)
    return table.assign(name=[run.name(code) for code in table["language"]])


@st.cache_resource(max_entries=16, show_spinner="Comparing the instances …")
def _paired(
    a: tuple[Path, Version],
    b: tuple[Path, Version],
    quantity: str,
    metric: str,
    poolings: tuple[str, str],
    layers: tuple[tuple[tuple[str, int], ...], ...],
) -> pd.DataFrame:
    first, second = load_run(*a), load_run(*b)
    codes = comparison.shared_languages(first.run, second.run)
    comparison.check_texts(first.run, second.run, codes)
    if quantity == "accuracy":
        values = [instances.outcomes_of(run, *codes).rename(columns={"correct": "value"}) for run in (first, second)]
    else:
        codes = [c for c in codes if c != first.spec.pivot]
        sides = zip((first, second), poolings, layers, strict=True)
        values = [_decisions(run, codes, metric, pooling, dict(at)) for run, pooling, at in sides]
    return comparison.by_language(comparison.joined(*values))


def _decisions(run: RunTables, codes: list[str], metric: str, pooling: str, layers: dict[str, int]) -> pd.DataFrame:
    read = ((code, aligned_instances(run.run, code, pooling, metric)) for code in codes if code in layers)
    found = {code: decisions.decided[layers[code]] for code, decisions in read if decisions is not None}
    if not found:
        raise UserError(
            f"{run.spec.model_name} has no decisions of this metric on single instances of these languages."
        )
    return instances.outcomes_of(run, *found).assign(value=np.concatenate(list(found.values())))


def in_words(table: pd.DataFrame, quantity: str, names: tuple[str, str]) -> str:
    """What the comparison shows, in two sentences; holds names from data."""
    known = table[table["difference"].notna()]
    if known.empty:
        return "No language has instances that both sides decide."
    clear = known[known["p_holm"] < 0.05]
    better = int((clear["difference"] > 0).sum())
    top = known.loc[known["difference"].abs().idxmax()]
    return (
        f"{QUANTITIES[quantity]} differs in {len(clear)} of {len(known)} languages after Holm's correction: A ({names[0]}) is "
        f"higher in {better}, B ({names[1]}) in {len(clear) - better}. The largest difference A − B is in {top['name']}: "
        f"{estimate(top['difference'], top['low'], top['high'])}, {p_value(top['p'])}, McNemar exact "
        f"{p_value(top['mcnemar'])}, n = {int(top['n']):,}."
    )
