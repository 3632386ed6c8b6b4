"""A two-dimensional map of stored states."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false, reportOptionalOperand=false
# (pandas returns unions that say nothing about the frame at hand.)

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from crossalign.figures.theme import (
    GREY,
    OTHERS,
    Drawing,
    Number,
    Style,
    canvas,
    counted,
    empty,
    faded,
    groups,
    numbers,
    plain,
    spoken,
)

WEBGL_FROM = 5_000
"""Points from which a graphics card draws them."""

MOST_LINES = 2_000
"""Translations joined at most; with more, only those of the highlighted instance are."""

SHAPES = {
    "gold": (("x-thin-open", "other option"), ("circle", "gold option")),
    "option": tuple(
        (symbol, f"option {letter}")
        for symbol, letter in zip(
            ("circle", "square", "diamond", "triangle-up", "star", "cross"), "ABCDEF", strict=True
        )
    ),
    "": (("circle", ""),),
}
"""Symbol and name of other and of gold options, or of each option in turn; "" where shape tells nothing."""


def state_map(
    points: pd.DataFrame, *, shape: str = "gold", pivot: str | None = None, highlight: str | None = None, label: str = "component", note: str = ""
) -> Drawing:  # fmt: skip
    """States of options or premises in two dimensions: language by colour, gold or option by shape; customdata is the row.

    Args:
        points: columns x, y, language, name, instance_id, option (from 0; 0 for premises), gold (is it the right
            option); a point's customdata is its position in this table, from 0.
        shape: one of `SHAPES`; "" for premises, which are no options.
        pivot: code of the pivot; translations are joined with its point by a line.
        highlight: id of an instance whose translations are joined by strong lines.
        label: name of the axes, e.g. "principal component".
        note: what the map is made from, e.g. the share of variance.
    """
    known = points.assign(row=np.arange(len(points), dtype=np.int32))
    known = known[known["x"].notna() & known["y"].notna()].sort_values(
        "language", key=lambda c: c != pivot, kind="stable"
    )
    if known.empty:
        return empty("There are no states to map.")
    scatter = go.Scattergl if len(known) > WEBGL_FROM else go.Scatter
    joined = _translations(known, pivot)
    dense = len(known) > WEBGL_FROM
    all_joined = joins_all(known, pivot)
    traces = [_lines(joined, scatter, 0.35, 1)] if all_joined else []
    names = known.drop_duplicates("language").set_index("language")["name"]
    looks = []
    # Grey others first, so that they lie behind; the pivot stands first in the table and is never among them.
    for look, part in sorted(groups(known, "language"), key=lambda g: g[0].label != OTHERS):
        one = part["language"].nunique() == 1
        looks.append(replace(look, label=plain(names[part["language"].iloc[0]], 28)) if one else look)
        traces += _clouds(part, looks[-1], shape, scatter, 5 if dense else 8)
    if highlight is not None:
        traces.append(_lines(joined[joined["instance_id"] == highlight], scatter, 1.0, 2.5))
    figure = canvas(
        [*traces, *_legend(sorted(looks, key=lambda look: look.label == OTHERS), known, shape)],
        f"First {label}",
        f"Second {label}",
        560,
        plain(note, 300),
    )
    figure.update_layout(
        showlegend=True, legend={"orientation": "v", "x": 1.01, "y": 1, "xanchor": "left", "yanchor": "top"}
    )
    figure.update_xaxes(zeroline=False, showticklabels=False, ticks="")
    figure.update_yaxes(zeroline=False, showticklabels=False, showgrid=False)
    lines = " Translations are joined with the pivot." if all_joined else ""
    alt = f"Map of {counted(len(known), 'state')} of {counted(known['instance_id'].nunique(), 'instance')} in {counted(len(names), 'language')}.{lines} {note}"
    return Drawing(figure, spoken(alt, 600))


def joins_all(points: pd.DataFrame, pivot: str | None) -> bool:
    """Whether lines join all translations with their point in the pivot: where there are any, and not too many."""
    return 0 < len(_translations(points.dropna(subset=["x", "y"]), pivot)) <= MOST_LINES


def _clouds(part: pd.DataFrame, look: Style, shape: str, scatter: type, size: int) -> list[go.Scatter | go.Scattergl]:
    """One trace per shape: its hover text is said once, so a point costs only its place and its row."""
    turn = part[shape].fillna(0).to_numpy(int) % len(SHAPES[shape]) if shape else np.zeros(len(part), int)
    traces = []
    for i in np.unique(turn).tolist():
        here = part[turn == i]
        symbol, word = SHAPES[shape][i]
        name = f"{look.label}, {word}" if word else look.label
        marker = {
            "size": size,
            "color": look.colour,
            "symbol": symbol,
            "opacity": 0.8 if size > 5 else 0.5,
            "line": {"width": 1, "color": look.colour},
        }
        traces.append(
            scatter(
                x=numbers(here["x"]), y=numbers(here["y"]), customdata=here["row"].to_numpy(np.int32), mode="markers", marker=marker,
                hovertemplate=f"{name}<extra></extra>", name=name, legendgroup=look.label,
                showlegend=False,
            )
        )  # fmt: skip
    return traces


def _legend(looks: list[Style], known: pd.DataFrame, shape: str) -> list[go.Scatter]:
    """What colours and shapes mean, as entries without points; a click on a language hides or shows its points."""
    used = sorted({int(v) % len(SHAPES[shape]) for v in known[shape].dropna().unique()}) if shape else []
    entries = [(look.label, "circle", look.colour, look.label) for look in looks]
    entries += [(SHAPES[shape][i][1], SHAPES[shape][i][0], GREY, "shape") for i in used]
    return [
        go.Scatter(x=[None], y=[None], mode="markers", name=name, legendgroup=group, hoverinfo="skip",
                   marker={"symbol": symbol, "color": colour, "size": 9, "line": {"width": 1, "color": colour}})
        for name, symbol, colour, group in entries
    ]  # fmt: skip


def _translations(known: pd.DataFrame, pivot: str | None) -> pd.DataFrame:
    """One row per translation of a point of the pivot: instance_id, x, y and the pivot's x, y."""
    columns = ["instance_id", "option", "x", "y"]
    own = known.loc[known["language"] == pivot, columns]
    others = known.loc[known["language"] != pivot, columns]
    return others.merge(own, on=["instance_id", "option"], suffixes=("", "_pivot"))


def _lines(joined: pd.DataFrame, scatter: type, opacity: float, width: Number) -> go.Scatter | go.Scattergl:
    """All lines as one trace with gaps."""
    gap = np.full(len(joined), np.nan)
    x, y = (np.column_stack([joined[f"{c}_pivot"], joined[c], gap]).ravel() for c in ("x", "y"))
    line = {"color": faded(GREY, opacity), "width": width}
    return scatter(x=numbers(x), y=numbers(y), mode="lines", line=line, hoverinfo="skip", showlegend=False)
