"""A table of estimates with intervals, p values and n, as pages show it."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from crossalign.relations import worded
from crossalign.ui import components
from crossalign.ui.data import RunTables


def show_estimates(table: pd.DataFrame, value: str, label: str, name: str, run: RunTables) -> None:
    """A table of one estimate per row, and its files.

    Args:
        table: columns `value`, low, high, n; p values as in `components.P_VALUES` where there.
        value: column of the estimate.
        label: its heading.
        name: of the files, after the run's id; also the key of the table.
    """
    number = st.column_config.NumberColumn
    config = {"low": number("95 % from", format="%.2f"), "high": number("to", format="%.2f")}
    config |= {
        "r": number("r", format="%.2f"),
        value: number(label, format="%.2f"),
        "held_fixed": st.column_config.TextColumn("held fixed"),
    }
    components.show_table(worded(table), column_config={c: v for c, v in config.items() if c in table}, key=name)
    with st.container(horizontal=True, gap="small"):
        components.files(table, f"{run.run_id}_{name}")
