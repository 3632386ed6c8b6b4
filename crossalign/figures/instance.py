"""One instance: its margin over layers, and the same question in the other languages."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false, reportOptionalOperand=false
# (pandas returns unions that say nothing about the frame at hand.)

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from crossalign.figures.instances import QUANTILES
from crossalign.figures.labels import places
from crossalign.figures.layers import Depth
from crossalign.figures.marks import band, reference_line, ring
from crossalign.figures.theme import (
    BLUE,
    GREY,
    KNOWN,
    Drawing,
    Number,
    Style,
    canvas,
    counted,
    empty,
    number,
    numbers,
    plain,
    spoken,
)  # fmt: skip

MARGIN = "Alignment margin (cosine)"

ANSWERS = (Style("unknown", GREY, "circle-open"), KNOWN["correct", False], KNOWN["correct", True])
"""Rows of `at_a_glance`, from below."""


def margin_by_layer(
    instance: pd.DataFrame, depth: Depth, *, everyone: pd.DataFrame | None = None, layer: Number | None = None, noun: str = "instance",
) -> Drawing:  # fmt: skip
    """An instance's margin at every layer, filled where aligned, before all instances in grey; customdata is [layer].

    Args:
        instance: columns layer, margin.
        depth: how layers are shown.
        everyone: columns layer, margin of all instances of the language (one metric); drawn as median and bands.
        layer: the layer chosen elsewhere on the page, drawn as a line.
        noun: what an instance is called: sentence, where it is one.
    """
    known = instance[instance["margin"].notna()].sort_values("layer", kind="stable")
    if known.empty:
        return empty(f"The margin of this {noun} is not defined at any layer.")
    margin = numbers(known["margin"])
    symbols = ["circle" if m > 0 else "circle-open" for m in margin]
    hover = [
        f"layer {a}<br>margin {number(m)}<br>{'aligned' if m > 0 else 'not aligned'}"
        for a, m in zip(known["layer"], margin, strict=True)
    ]
    line = go.Scatter(
        x=depth.places(known["layer"]), y=margin, customdata=[[a] for a in known["layer"].tolist()], mode="lines+markers",
        line={"color": BLUE, "width": 2}, hovertext=hover, hoverinfo="text", name=f"this {noun}",
        marker={"size": 8, "color": BLUE, "symbol": symbols, "line": {"width": 1.5, "color": BLUE}},
    )  # fmt: skip
    figure = canvas([*_everyone(everyone, depth, noun), line], depth.label, MARGIN, 340, "filled: aligned")
    reference_line(figure, 0, "", across=True)
    if layer is not None:
        at = layer / max(1, depth.last) if depth.relative else layer
        reference_line(figure, at, f"layer {layer}", before=2 * layer > depth.last)
    aligned = f"this {noun} is aligned in {int((margin > 0).sum())} of {counted(len(known), 'layer')}"
    highest = int(known["layer"].iloc[int(margin.argmax())])
    return Drawing(figure, f"{MARGIN} over layers: {aligned}, margin highest at layer {highest}.")


def _everyone(rows: pd.DataFrame | None, depth: Depth, noun: str) -> list[go.Scatter]:
    if rows is None or not rows["margin"].notna().any():
        return []
    q = rows.astype({"margin": float}).groupby("layer")["margin"].quantile(list(QUANTILES)).unstack().dropna()
    x = depth.places(pd.Series(q.index))
    look = {"name": f"all {noun}s: 90 %, half, median", "legendgroup": "all"}
    line = go.Scatter(
        x=x,
        y=numbers(q[0.5]),
        mode="lines",
        line={"color": GREY, "width": 1.5, "dash": "dot"},
        hoverinfo="skip",
        **look,
    )
    return [
        band(x, q[0.05], q[0.95], GREY, 0.12, legendgroup="all"),
        band(x, q[0.25], q[0.75], GREY, 0.2, legendgroup="all"),
        line,
    ]


def aligned_by_layer(table: pd.DataFrame, depth: Depth, *, layer: Number | None = None) -> Drawing:
    """At which layers an instance is aligned, a row per metric, filled where it is; customdata is [layer].

    For instances of which only decisions are known; with margins `margin_by_layer` shows more.

    Args:
        table: columns metric (as it is written on screen), layer, aligned (1, 0 or undefined).
        depth: how layers are shown.
        layer: the layer chosen elsewhere on the page, drawn as a line.
    """
    known = table[table["aligned"].notna()]
    if known.empty:
        return empty("It is not known at which layers this instance is aligned.")
    metrics = list(dict.fromkeys(known["metric"]))
    traces, words = [], []
    for value, look in ((1.0, KNOWN["aligned", True]), (0.0, KNOWN["aligned", False])):
        part = known[known["aligned"] == value]
        traces.append(
            go.Scatter(
                x=depth.places(part["layer"]), y=part["metric"].map(metrics.index).to_numpy(np.int8), mode="markers",
                customdata=[[a] for a in part["layer"].tolist()], name=look.label, hoverinfo="text",
                hovertext=[f"{plain(m)}, layer {a}<br>{look.label}" for m, a in zip(part["metric"], part["layer"], strict=True)],
                marker={"size": 9, "color": look.colour, "symbol": look.symbol, "line": {"width": 1.5, "color": look.colour}},
            )
        )  # fmt: skip
    for metric in metrics:
        mine = known[known["metric"] == metric]["aligned"]
        words.append(f"{metric}: aligned in {int(mine.sum())} of {counted(len(mine), 'layer')}")
    figure = canvas(traces, depth.label, "", 150 + 40 * len(metrics))
    ticks = {"tickvals": list(range(len(metrics))), "ticktext": [plain(m) for m in metrics]}
    figure.update_yaxes(**ticks, range=[len(metrics) - 0.4, -0.6], showgrid=False)
    if layer is not None:
        reference_line(figure, layer / max(1, depth.last) if depth.relative else layer, f"layer {layer}")
    return Drawing(figure, spoken(f"Layers at which this instance is aligned. {'; '.join(words)}.", 600))


def at_a_glance(
    table: pd.DataFrame, *, current: str | None = None, value: str = "margin", label: str = "Alignment margin (cosine)"
) -> Drawing:
    """The same question in all languages: margin across, right or wrong as rows; customdata is [language].

    Args:
        table: one row per language: columns language, name, `value`, aligned, correct (true, false or undefined).
        current: code of the language on the page, ringed.
        value: what is drawn across: margin, or layers_aligned where there are no margins.
        label: for the x axis.
    """
    shown = table[table[value].notna()].reset_index(drop=True)
    if shown.empty:
        return empty("No other language has a known alignment for this question.")
    row = shown["correct"].astype(object).map({True: 2, False: 1}).astype(float).fillna(0).to_numpy(np.int8)
    must = (shown["language"] == current).to_numpy(bool)
    codes = shown["language"].astype(str).tolist()
    shown = shown.assign(row=row, place=places(numbers(shown[value]), row.astype(np.float32), codes, must, (600, 170)))
    looks = [(i, look) for i, look in enumerate(ANSWERS) if (row == i).any()]
    traces = [_languages(shown[row == i], look, value) for i, look in looks]
    figure = canvas([*traces, *ring(shown[must], value, "row")], label, "", 250)
    first = 0 if (row == 0).any() else 1
    ticks = {"tickvals": [0, 1, 2], "ticktext": [look.label for look in ANSWERS]}
    figure.update_yaxes(**ticks, range=[first - 0.6, 2.6])
    figure.update_layout(showlegend=False)
    if value == "margin":
        reference_line(figure, 0, "aligned →")
    counts = f"correct in {int((row == 2).sum())}, aligned in {int(shown['aligned'].fillna(False).sum())}"
    words = f"This question in {counted(len(shown), 'language')}: {counts}. {label} across."
    return Drawing(figure, spoken(words, 600))


def _languages(part: pd.DataFrame, look: Style, value: str) -> go.Scatter:
    what = "margin" if value == "margin" else "share of aligned layers"
    hover = [f"{plain(r['name'])}<br>{look.label}<br>{what} {number(r[value])}" for r in part.to_dict("records")]
    return go.Scatter(
        x=numbers(part[value]),
        y=part["row"].to_numpy(np.int8),
        customdata=[[code] for code in part["language"]],
        hovertext=hover,
        hoverinfo="text",
        text=[plain(code, 20) if p else "" for code, p in zip(part["language"], part["place"], strict=True)],
        textposition=[p or "top center" for p in part["place"]],
        textfont={"size": 11},
        mode="markers+text",
        name=look.label,
        cliponaxis=False,
        marker={"size": 10, "color": look.colour, "symbol": look.symbol},
    )
