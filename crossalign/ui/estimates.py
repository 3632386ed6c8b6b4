"""A table of estimates with intervals, p values and n, as pages show it."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from crossalign.ui import components
from crossalign.ui.data import RULES, RunTables
from crossalign.ui.selection import metric_label

P_VALUES = {
    "p": "p",
    "p_holm": "p, Holm",
    "p_bh": "p, Benjamini–Hochberg",
    "p_best": "p, best of all",
    "mcnemar": "p, McNemar exact",
}

WORDS = {"metric": metric_label, "rule": RULES.get, "coefficient": str.title}
"""Column → how its values are written on screen; the files keep the names."""


def show_estimates(table: pd.DataFrame, value: str, label: str, name: str, run: RunTables) -> None:
    """A table of one estimate per row, and its files.

    Args:
        table: columns `value`, low, high, n; p values as in `P_VALUES` where there.
        value: column of the estimate.
        label: its heading.
        name: of the files, after the run's id; also the key of the table.
    """
    number = st.column_config.NumberColumn
    config = {column: number(text, format="%.4f") for column, text in P_VALUES.items()}
    config |= {"low": number("95 % from", format="%.2f"), "high": number("to", format="%.2f")}
    config |= {value: number(label, format="%.2f"), "held_fixed": st.column_config.TextColumn("held fixed")}
    shown = table.assign(**{c: table[c].map(WORDS[c]) for c in WORDS if c in table})
    components.show_table(shown, column_config={c: v for c, v in config.items() if c in table}, key=name)
    with st.container(horizontal=True, gap="small"):
        components.files(table, f"{run.run_id}_{name}")
