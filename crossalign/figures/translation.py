"""Translation quality against alignment, per sentence; per language `languages.scatter` draws it."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false, reportOptionalOperand=false
# (pandas returns unions that say nothing about the frame at hand.)

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from crossalign.figures.instances import distribution
from crossalign.figures.marks import band, error_bars, reference_line
from crossalign.figures.theme import (
    BLUE,
    VERMILION,
    Drawing,
    Measure,
    canvas,
    counted,
    empty,
    estimate,
    measured,
    number,
    numbers,
    plain,
    spoken,
)  # fmt: skip

MARGIN = "Alignment margin (cosine)"


def quality_by_margin(
    bins: pd.DataFrame, quality: Measure, *, by: str = "margin", smooth: pd.DataFrame | None = None, label: str = MARGIN,
    zero: str = "aligned →",
) -> Drawing:  # fmt: skip
    """Mean quality in bins of the margin with intervals, a point's area by its sentences, and a smooth curve.

    Args:
        bins: columns `by` (the bin's middle or mean), from, to, n, and those of `quality`.
        quality: e.g. chrF++ or COMET, with its interval.
        by: another continuous measure of alignment.
        smooth: columns x, y and, for a band, low, high.
        label: for the x axis.
        zero: what the line at 0 says.
    """
    known = bins[bins[quality.column].notna() & bins[by].notna()].sort_values(by, kind="stable")
    if known.empty:
        return empty(f"No sentence has both {label} and {quality.label}.")
    hover = [
        f"{plain(label)}: {estimate(row[by])}"
        + _ends(row)
        + f"<br>{plain(quality.label)}: {measured(pd.Series(row), quality)}<br>n = {int(row['n']):,}"
        for row in known.to_dict("records")
    ]
    n = numbers(known["n"])
    points = go.Scatter(
        x=numbers(known[by]), y=numbers(known[quality.column]), error_y=error_bars(known, quality, BLUE), mode="markers",
        marker={"size": numbers(6 + 12 * np.sqrt(n / n.max())), "color": BLUE, "symbol": "circle"}, hovertext=hover,
        hoverinfo="text", name="mean of a bin",
    )  # fmt: skip
    figure = canvas([*_smooth(smooth, quality), points], label, quality.label)
    low, high = known[by].min(), known[by].max()
    if low < 0 < high:
        reference_line(figure, 0, zero)
    first, last = known.iloc[0], known.iloc[-1]
    alt = (
        f"{quality.label} by {label} in {counted(len(known), 'bin')} of {counted(int(n.sum()), 'sentence')}: "
        f"{measured(first, quality)} in the lowest, {measured(last, quality)} in the highest."
    )
    return Drawing(figure, spoken(alt, 600))


def _ends(row: dict) -> str:
    return f", from {number(row['from'])} to {number(row['to'])}" if {"from", "to"} <= set(row) else ""


def _smooth(curve: pd.DataFrame | None, quality: Measure) -> list[go.Scatter]:
    if curve is None or curve.empty:
        return []
    line = {"color": VERMILION, "width": 2, "dash": "dash"}
    drawn = [
        go.Scatter(
            x=numbers(curve["x"]), y=numbers(curve["y"]), mode="lines", line=line, hoverinfo="skip", name="smooth"
        )
    ]
    return (
        [band(curve["x"], curve["low"], curve["high"], VERMILION, 0.12, quality.ends), *drawn]
        if {"low", "high"} <= set(curve)
        else drawn
    )


def quality_by_alignment(sentences: pd.DataFrame, quality: Measure) -> Drawing:
    """Quality of aligned and of not aligned sentences side by side, as violins with median and quartiles.

    Args:
        sentences: one row per sentence: columns aligned and that of `quality`.
        quality: e.g. chrF++ or COMET.
    """
    return distribution(sentences, quality.column, "aligned", kind="violin", label=quality.label)
