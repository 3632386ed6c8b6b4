"""How a correlation over languages behaves: over layers, and without each language."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false, reportOptionalOperand=false
# (pandas returns unions that say nothing about the frame at hand.)

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from crossalign.amounts import p_value
from crossalign.figures.marks import band, name_rows, reference_line, rows_of_dots
from crossalign.figures.theme import (
    BLUE,
    GREY,
    VERMILION,
    Drawing,
    Measure,
    Number,
    Style,
    canvas,
    empty,
    estimate,
    groups,
    numbers,
    plain,
    spoken,
)

MOST_SHOWN = 30
"""Rows of the influence plot: the languages whose absence changes most."""


def correlation_by_layer(
    table: pd.DataFrame, *, series: str | None = None, best: pd.DataFrame | None = None, threshold: Number | None = None,
    label: str = "Correlation with accuracy",
) -> Drawing:  # fmt: skip
    """The correlation over languages at each layer with its interval; customdata is [layer].

    Args:
        table: columns layer, r, low, high, n, and `series` where given.
        series: column with one curve per value, e.g. metric.
        best: the best layer after correction for having chosen it: columns layer, r, p; drawn as stars.
        threshold: |r| that the largest over all layers exceeds by chance in 5 % of permutations.
        label: for the y axis.
    """
    defined = table[table["r"].notna()].sort_values("layer", kind="stable")
    if defined.empty:
        return empty("No layer has a defined correlation: at least 4 languages with different values are needed.")
    traces, words = [], []
    for look, part in groups(defined, series):
        traces += [band(part["layer"], part["low"], part["high"], look.colour, 0.15), _curve(part, look)]
        top = part.loc[part["r"].astype(float).idxmax()]
        words.append(f"{look.label}: highest {_r(top)} at layer {int(top['layer'])}.")
    known = threshold is not None and not np.isnan(threshold)
    figure = canvas([*traces, *_stars(best), *(_threshold() if known else [])], "Layer (0 = embeddings)", label)
    figure.update_yaxes(range=[-1.05, 1.05])
    for value in (0, *((threshold,) if threshold is not None and known else ())):
        reference_line(figure, value, "", across=True)
    return Drawing(figure, spoken(f"{label} over languages by layer. {' '.join(words)}", 600))


def _threshold() -> list[go.Scatter]:
    """Names the dashed line in the legend: beside the line its name would cover the curve, which is near it."""
    line = {"color": GREY, "width": 1.2, "dash": "dash"}
    return [go.Scatter(x=[None], y=[None], mode="lines", line=line, name="5 % by chance, best of all layers")]


def _r(row: pd.Series | dict) -> str:
    return estimate(row["r"], row["low"], row["high"], 2)


def _curve(part: pd.DataFrame, look: Style) -> go.Scatter:
    hover = [f"layer {row['layer']}<br>r = {_r(row)}<br>n = {row['n']:,}" for row in part.to_dict("records")]
    return go.Scatter(
        x=part["layer"].to_numpy(np.int16),
        y=numbers(part["r"]),
        customdata=[[layer] for layer in part["layer"].tolist()],
        hovertext=hover,
        hoverinfo="text",
        mode="lines+markers",
        line={"color": look.colour, "dash": look.dash, "width": 2},
        marker={"symbol": look.symbol, "size": 6, "color": look.colour},
        name=look.label,
    )


def _stars(best: pd.DataFrame | None) -> list[go.Scatter]:
    if best is None or best.empty:
        return []
    hover = [f"best layer {r.layer}<br>r = {r.r:.2f}<br>corrected {plain(p_value(r.p))}" for r in best.itertuples()]
    place = {"x": best["layer"].to_numpy(np.int16), "y": numbers(best["r"])}
    click = [[layer] for layer in best["layer"].tolist()]
    look = {"symbol": "star", "size": 15, "color": VERMILION, "line": {"width": 1, "color": "white"}}
    words = {"hovertext": hover, "hoverinfo": "text", "name": "best layer, corrected"}
    return [go.Scatter(**place, **words, customdata=click, mode="markers", marker=look)]


def influence(table: pd.DataFrame, whole: Number, label: str = "Correlation without the language") -> Drawing:
    """Leave-one-out: the correlation without each language, the most influential on top; customdata is [language].

    Args:
        table: columns language, name, r, low, high (each without that language), and n.
        whole: the correlation over all languages, drawn as a line.
        label: for the x axis.
    """
    change = (table["r"].astype(float) - whole).abs()
    defined = table[change.notna()].loc[change.dropna().sort_values(ascending=False, kind="stable").index]
    if defined.empty:
        return empty("Influence needs at least 5 languages with a defined correlation.")
    shown = defined.head(MOST_SHOWN)
    note = f"the {len(shown)} most influential of {len(defined)} languages" if len(shown) < len(defined) else ""
    figure = canvas(
        rows_of_dots(shown, [Measure("r", "r without it", "low", "high", 2)], [(BLUE, "circle")]), label, "", note=note
    )
    name_rows(figure, shown["name"].tolist())
    reference_line(figure, whole, f"all languages: {whole:.2f}")
    first = shown.iloc[0]
    alt = (
        f"Correlation without each language in turn; with all it is {whole:.2f}. Most influential: "
        f"{spoken(first['name'])}, without which it is {estimate(first['r'], first['low'], first['high'], 2)}. {note}"
    )
    return Drawing(figure, spoken(alt, 600))
