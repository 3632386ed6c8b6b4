"""Figures with one point per language."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false, reportOptionalOperand=false
# (pandas and Streamlit return unions that say nothing about the frame at hand.)

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go


def accuracy_by_alignment(table: pd.DataFrame, metric: str) -> go.Figure:
    """Accuracy against the alignment rate at the best layer, with 95 % intervals on both.

    Args:
        table: columns language, name, accuracy, accuracy_low, accuracy_high, rate, low, high, layer, n.
        metric: the metric's label, for the axis.
    """
    hover = (
        "%{customdata[0]}<br>rate %{x:.3f} at layer %{customdata[1]}<br>accuracy %{y:.3f}"
        "<br>n = %{customdata[2]}<extra></extra>"
    )
    trace = go.Scatter(
        x=table["rate"],
        y=table["accuracy"],
        error_x=_bars(table["rate"], table["low"], table["high"]),
        error_y=_bars(table["accuracy"], table["accuracy_low"], table["accuracy_high"]),
        text=table["language"],
        customdata=table[["name", "layer", "n"]].to_numpy(),
        mode="markers+text",
        textposition="top right",
        marker={"size": 9},
        hovertemplate=hover,
    )
    figure = go.Figure(trace)
    figure.update_layout(margin={"l": 10, "r": 10, "t": 10, "b": 10}, height=420, showlegend=False)
    figure.update_xaxes(title=f"{metric}: highest rate over layers")
    figure.update_yaxes(title="accuracy")
    return figure


def _bars(value: pd.Series, low: pd.Series, high: pd.Series) -> dict:
    return {"type": "data", "array": high - value, "arrayminus": value - low, "thickness": 1, "width": 0}
