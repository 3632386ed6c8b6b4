"""The findings of runs for the overview."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import streamlit as st

from crossalign import findings
from crossalign.alignment import metric_label
from crossalign.findings import About, Finding
from crossalign.schema import UserError
from crossalign.ui import components
from crossalign.ui.data import (
    RULES,
    RunTables,
    Selection,
    Version,
    cache_folder,
    cache_version,
    language_points,
    load_run,
)  # fmt: skip
from crossalign.ui.instances import all_instance_points

FOLLOW = 5.0
"""Seconds between two looks at runs that are being computed."""


@st.cache_resource(max_entries=16, show_spinner=False)
def _findings(folder: Path, version: Version, selection: Selection) -> list[Finding]:
    run = load_run(folder, version)
    about = About(metric_label(selection.metric), *_layers_in_words(selection), run.spec.pivot, run.n_layers)
    try:
        instances = all_instance_points(run, selection)
    except UserError:  # an imported run without single instances
        instances = pd.DataFrame()
    points, best = (language_points(run, s) for s in (selection, selection.at_best_layer()))
    return findings.told(run.languages, points, best, instances, about)


def _layers_in_words(selection: Selection) -> tuple[str, str]:
    """How layers become one number of a language, and at which of them its instances are looked at (see `layers_of`)."""
    fixed = {"layer": f"layer {selection.layer}", "depth": f"relative depth {selection.depth} %"}.get(selection.rule)
    return fixed or RULES[selection.rule], fixed or RULES[selection.rule.replace("mean", "max")]


def show_findings(found: Sequence[Finding], link: Callable[..., dict[str, str]]) -> None:
    """Findings in a frame, each with a link to the page that shows more.

    Args:
        link: from what a finding adds to the query to the whole query, as `Selection.link`.
    """
    with st.container(border=True, gap="small"):
        for finding in found:
            text, more = st.columns([3, 1], vertical_alignment="center", gap="small")
            text.markdown(f"**{components.plain(finding.topic)}.** {components.plain(finding.text)}")
            with more:
                components.link(finding.page, link(**finding.query), finding.page.title())


def findings_of(run: RunTables, selection: Selection) -> list[Finding]:
    """What the run shows under the chosen metric, pooling and rule for layers."""
    return _findings(run.run.folder, run.version, selection)


@st.fragment(run_every=FOLLOW)
def follow(version: Version) -> None:
    """Draws the page anew once the cache is no longer of this version."""
    if cache_version(cache_folder()) != version:
        st.rerun()
