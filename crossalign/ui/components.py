"""Small pieces of interface: labels, captions, the table of languages."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false, reportOptionalOperand=false
# (pandas and Streamlit return unions that say nothing about the frame at hand.)

from __future__ import annotations

import re

import pandas as pd
import streamlit as st

from crossalign.alignment import ALIGNMENT_METRICS
from crossalign.tables import best_layers
from crossalign.ui.data import RunTables

COUNTED = {"n": "instances", "n_layers": "layers"}
MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>$~:&])")


def plain(text: str) -> str:
    """Text from data for a place that reads Markdown: every sign that has a meaning there stays a sign."""
    return MARKDOWN.sub(r"\\\1", text)


def metric_label(name: str) -> str:
    """The metric as the field writes it."""
    return ALIGNMENT_METRICS[name].label


def description(tables: RunTables) -> str:
    """One sentence on what is on screen."""
    missing = [code for code in tables.wanted if code not in set(tables.languages["language"])]
    rest = f" Not computed yet: {', '.join(missing)}." if missing else ""
    note = f" {tables.facts['note']}" if tables.facts.get("note") else ""
    counted = [f"{tables.facts[name]} {what}" for name, what in COUNTED.items() if tables.facts.get(name)]
    about = ", ".join([f"{tables.model} on {tables.task} ({tables.protocol})", f"pivot {tables.pivot}", *counted])
    return plain(f"{about}.{rest}{note}")


def language_table(tables: RunTables, metric: str, pooling: str) -> pd.DataFrame:
    """Languages with accuracy and the metric's best layer, the largest rate first."""
    best = best_layers(tables.rates)
    chosen = best[(best["metric"] == metric) & (best["pooling"] == pooling)]
    facts = tables.languages[["language", "name", "accuracy", "accuracy_low", "accuracy_high"]]
    wanted = ["language", "layer", "rate", "low", "high", "relabelled_rate", "mean_rate", "tie_rate", "n"]
    merged = facts.merge(chosen[wanted], on="language", how="inner")
    return merged.sort_values("rate", ascending=False, ignore_index=True)


def columns() -> dict:
    """How the table's columns are shown."""
    number = st.column_config.NumberColumn
    return {
        "accuracy": number("accuracy", format="%.3f"),
        "accuracy_low": number("95 % from", format="%.3f"),
        "accuracy_high": number("to", format="%.3f"),
        "layer": number("best layer", help="0 = embeddings"),
        "rate": number("rate there", format="%.3f"),
        "low": number("95 % from ", format="%.3f"),
        "high": number("to ", format="%.3f"),
        "relabelled_rate": number("relabelled", format="%.3f", help="the same rule when no pair is a translation"),
        "mean_rate": number("mean over layers", format="%.3f"),
        "tie_rate": number("ties", format="%.3f"),
    }


def reading_aid(tables: RunTables, metric: str) -> str:
    """What the numbers mean, under the table."""
    options = int(tables.facts.get("n_options") or 0)
    competing = options if metric not in ("mexa", "mexa_t") else int(tables.facts.get("n") or 2)
    chance = ALIGNMENT_METRICS[metric].chance(max(2, competing))
    compare = "; compare it with the relabelled rate" if tables.rates["relabelled_rate"].notna().any() else ""
    return (
        f"Chance for {metric_label(metric)} if all similarities were exchangeable: {chance:.4f}. The best layer is "
        f"chosen on the instances it is shown for, so its rate is optimistic{compare}."
    )
