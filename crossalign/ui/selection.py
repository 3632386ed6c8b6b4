"""What is looked at: a frozen `Selection`, from controls whose values stand in the URL.

`choose_run()` and `choose(run, ...)` draw the controls that all pages share in the side bar (run, metric, pooling) and
the groups a page names at the top of the page; see `GROUPS`. What a page needs for itself it draws with `controls`.
"""

# pyright: reportAttributeAccessIssue=false
# pyright: reportArgumentType=false, reportCallIssue=false

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import streamlit as st

from crossalign.alignment import metric_label
from crossalign.schema import RunSpec
from crossalign.ui import components, controls, data
from crossalign.ui.data import RULES, RunTables, Selection

POOLING_LABELS = {"last_token": "last token", "weighted_mean": "weighted mean", "mean": "mean"}

WIDE = 280
"""Pixels of a control at the top of a page."""

MOST_LANGUAGES = 12
"""Most languages that a figure with a line for each shows at once."""


def choose_run(label: str = "Run", key: str = "run") -> RunTables:
    """The run to look at, in the side bar. Ends the page with the next step where the cache holds none."""
    runs, problems = data.overview()
    if runs.empty:
        components.empty_cache(problems)
        st.stop()
    labels = components.run_labels(runs)
    with st.sidebar:
        run_id = controls.choose_one(label, runs["run"].tolist(), key, format_func=lambda r: labels.get(r, r))
    return data.run_tables(run_id)


def choose(run: RunTables, *groups: str) -> Selection:
    """Metric and pooling in the side bar, and the named groups in a row at the top of the page.

    Ends the page where the run holds no alignment yet.

    Args:
        groups: of `GROUPS`, in the order of the page.
    """
    if not run.metrics:
        components.only_pivot(run)
        st.stop()
    with st.sidebar:
        metric = controls.choose_one("Alignment metric", run.metrics, "metric", format_func=metric_label)
        poolings = run.poolings_of(metric)
        pooling = controls.choose_one("Pooling", poolings, "pooling", format_func=lambda p: POOLING_LABELS.get(p, p))
    held = replace(run, rates=run.rates[(run.rates["metric"] == metric) & (run.rates["pooling"] == pooling)])
    values: dict[str, Any] = {}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        for group in groups:
            values |= GROUPS[group](held)
    return Selection(run.run_id, metric, pooling, **values)


def _choose_layer(run: RunTables, rules: tuple[str, ...] = tuple(RULES)) -> dict[str, Any]:
    rule = controls.choose_one("Layers", rules, "rule", format_func=RULES.__getitem__, width=WIDE)
    if rule == "layer":
        return {"rule": rule, "layer": choose_layer(run)}
    if rule == "depth":
        return {
            "rule": rule,
            "depth": controls.choose_number("Relative depth", 0, 100, "depth", default=50, format="%d %%", width=WIDE),
        }
    return {"rule": rule}


def choose_layer(run: RunTables, key: str = "layer") -> int:
    """A layer from 0 (embeddings) to the last that the run has rates of."""
    last = int(run.rates["layer"].max())
    return controls.choose_number("Layer", 0, last, key, default=run.n_layers // 2, help="0 = embeddings", width=WIDE)


def choose_language(run: RunTables, codes: Sequence[str] | None = None) -> str:
    """One language other than the pivot, of those with alignment or of `codes`, by English name."""
    return controls.choose_one(
        "Language", codes or run.aligned_codes, "language", format_func=lambda code: named(run, code), width=WIDE
    )


def go_to_language(customdata: Sequence[Any]) -> None:
    """For `components.show(on_click=...)`: the language of the point that was clicked."""
    if customdata[0]:  # what stands for all languages together has no code
        st.session_state["language"] = customdata[0]


def choose_languages(run: RunTables, key: str = "languages", most: int = MOST_LANGUAGES) -> tuple[str, ...]:
    """Several languages; none means no restriction."""
    return controls.choose_several(
        "Languages", run.aligned_codes, key, most=most, format_func=lambda code: named(run, code)
    )


def named(run: RunTables, code: str) -> str:
    """A language for a list: its English name and its code."""
    name = run.name(code)
    return name if name == code else f"{name} ({code})"


def _choose_filters(run: RunTables) -> dict[str, Any]:
    facts = run.languages[run.languages["language"] != run.spec.pivot]
    with st.popover("Filter languages", icon=":material/filter_list:"):
        chosen = {}
        for field, column, label in FILTERS:
            options = sorted({str(v) for v in facts[column].dropna()} - {""})
            if len(options) > 1:
                chosen[field] = controls.choose_several(label, options, field)
    return chosen


FILTERS = (
    ("scripts", "script", "Script"),
    ("families", "family", "Family"),
    ("levels", "resource_level", "Resource level"),
)
"""Field of `Selection`, column of the languages' table, label."""


def _choose_accuracy(run: RunTables) -> dict[str, Any]:
    """Another run of the same model whose accuracy is looked at; offered where there is one."""
    runs, _ = data.overview()
    same = runs[_of_same_model(runs, run.spec) & (runs["options"] > 0)]
    others = [r for r in same["run"] if r != run.run_id]
    if not others:
        return {}
    own = run.run_id if bool(run.languages["accuracy"].count()) else ""
    labels = components.run_labels(same) | {own: "this run"}
    offered = [own, *others] if own else others
    chosen = controls.choose_one("Accuracy of", offered, "accuracy-of", format_func=labels.__getitem__, width=WIDE)
    if chosen == run.run_id:
        return {}
    return {"accuracy_of": chosen, "accuracy_version": data.run_tables(chosen).version}


def _of_same_model(runs: pd.DataFrame, spec: RunSpec) -> pd.Series:
    """Which of `data.overview` have the same weights; or the same name, where one was imported without its weights."""
    named = runs["identity"].str.startswith("named:") | spec.model_identity.startswith("named:")
    return (runs["identity"] == spec.model_identity) | (named & (runs["model"] == spec.model_name))


GROUPS: dict[str, Callable[[RunTables], dict[str, Any]]] = {
    "layer": _choose_layer,
    "one layer": lambda run: _choose_layer(run, ("max", "layer", "depth", "max_published")),
    "language": lambda run: {"language": choose_language(run)},
    "languages": lambda run: {"languages": choose_languages(run)},
    "filters": _choose_filters,
    "accuracy": _choose_accuracy,
}
"""Groups of controls: name → what draws them and returns fields of `Selection`.

"layer": best, mean, one layer or relative depth; "one layer": without the mean, for pages of instances; "language": one;
"languages": several; "filters": script, family and resource level, applied by `data.language_points`; "accuracy": whose.
"""
