"""The findings of a run for the overview: one after the other, each left out where the run cannot tell it."""

# pyright: reportGeneralTypeIssues=false
# (pandas returns unions that say nothing about the frame at hand.)

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from crossalign import findings
from crossalign.findings import Finding
from crossalign.schema import UserError
from crossalign.ui.data import RULES, RunTables, Selection, Version, language_points, load_run
from crossalign.ui.instances import all_instance_points
from crossalign.ui.selection import metric_label


@st.cache_resource(max_entries=16, show_spinner=False)
def _findings(folder: Path, version: Version, selection: Selection) -> list[Finding]:
    run = load_run(folder, version)
    label, pivot = metric_label(selection.metric), run.spec.pivot
    points = language_points(run, selection)
    told = [
        findings.accuracy(run.languages, pivot),
        findings.association(points, label, RULES[selection.rule]),
    ]
    try:
        instances = all_instance_points(run, selection)
    except UserError:  # an imported run without single instances
        instances = pd.DataFrame()
    if len(instances) and instances["correct"].notna().any():
        told.append(findings.separation(findings.separations(instances), label, run.names))
        told.append(findings.largest_gap(findings.gaps(instances), run.names, pivot))
    told.append(
        findings.peak(
            language_points(run, Selection(run.run_id, selection.metric, selection.pooling)), label, run.n_layers
        )
    )
    return [finding for finding in told if finding is not None]


def findings_of(run: RunTables, selection: Selection) -> list[Finding]:
    """What the run shows under the chosen metric, pooling and rule for layers."""
    return _findings(run.run.folder, run.version, selection)
