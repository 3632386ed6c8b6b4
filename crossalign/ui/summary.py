"""The findings of a run for the overview."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import streamlit as st

from crossalign import findings
from crossalign.alignment import metric_label
from crossalign.findings import About, Finding
from crossalign.schema import UserError
from crossalign.ui.data import RULES, RunTables, Selection, Version, language_points, load_run
from crossalign.ui.instances import all_instance_points


@st.cache_resource(max_entries=16, show_spinner=False)
def _findings(folder: Path, version: Version, selection: Selection) -> list[Finding]:
    run = load_run(folder, version)
    about = About(metric_label(selection.metric), RULES[selection.rule], run.spec.pivot, run.n_layers)
    try:
        instances = all_instance_points(run, selection)
    except UserError:  # an imported run without single instances
        instances = pd.DataFrame()
    points, best = (language_points(run, s) for s in (selection, replace(selection, rule="max", layer=0)))
    return findings.told(run.languages, points, best, instances, about)


def findings_of(run: RunTables, selection: Selection) -> list[Finding]:
    """What the run shows under the chosen metric, pooling and rule for layers."""
    return _findings(run.run.folder, run.version, selection)
