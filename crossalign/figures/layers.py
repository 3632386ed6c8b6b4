"""Alignment over layers: curves, one per language or cohort, and the heat map of languages by layers."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false, reportOptionalOperand=false
# (pandas returns unions that say nothing about the frame at hand.)

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from crossalign.figures.marks import ROW, band, name_rows
from crossalign.figures.theme import (
    DASHES,
    GREY,
    KNOWN,
    PALETTE,
    SEQUENTIAL,
    SYMBOLS,
    Drawing,
    Style,
    canvas,
    counted,
    empty,
    estimate,
    faded,
    numbers,
    plain,
    spoken,
)  # fmt: skip

MANY = 12
"""More curves than this are drawn grey, and those of the highlighted languages in colour above them."""


COLOUR_BAR = {"lenmode": "pixels", "len": 220, "y": 1, "yanchor": "top"}
"""Keeps the scale of a high heat map in sight."""


UNDER_LEGEND = {"borderwidth": 8, "bordercolor": "rgba(0,0,0,0)"}
"""With the 8 pixels that plotly leaves, a line for the words over marked layers, under however many lines a legend has."""


class Depth(NamedTuple):
    """How layers are shown.

    Attributes:
        last: number of the last layer, L; layer 0 is the embeddings.
        relative: shows layer / L from 0 to 1 instead of the layer.
        degenerate: layers whose states cannot tell texts apart, e.g. 0 with last-token pooling.
        after_norm: the last layer comes after the final norm, so it does not compare with the others.
    """

    last: int
    relative: bool = False
    degenerate: tuple[int, ...] = ()
    after_norm: bool = False

    @property
    def label(self) -> str:
        """The axis title."""
        return "Relative depth (layer / last layer)" if self.relative else "Layer (0 = embeddings)"

    def places(self, layers: pd.Series, last: pd.Series | None = None) -> np.ndarray:
        """Layers as drawn; `last` where they are of models of different depth."""
        whole = max(1, self.last) if last is None else last
        return numbers(layers.astype(float) / whole) if self.relative else layers.to_numpy(np.int16)


def curves(
    rates: pd.DataFrame, depth: Depth, *, series: str = "language", value: str = "rate", label: str = "Alignment rate",
    highlight: Sequence[str] = (), intervals: bool = True, relabelled: bool = True,
) -> Drawing:  # fmt: skip
    """A value by layer, one curve per language or cohort, a star at its peak; customdata is [series, layer].

    With more than 12 curves all are grey and the first seven of `highlight` (the highest where it is empty) in colour.

    Args:
        rates: one row per series and layer of one metric and pooling: columns `series`, layer, `value`; low and high
            for the ribbons, relabelled_rate for the dashed curve, name and n where there; last, the number of the last
            layer, where the curves are of models of different depth.
        depth: how layers are shown and which are marked.
        series: column with one curve per value: language or cohort.
        value, label: what is drawn, e.g. rate, or a mean margin.
        highlight: series to draw in colour when there are many, and above the others when there are few.
        intervals: draws the 95 % ribbon of highlighted curves, or of all where none is highlighted and there are at most 4.
        relabelled: draws the same rule when no pair is a translation: per curve where there are one or two, else the
            mean over them. Not where the curves are of models of different depth, which have no mean.
    """
    known = rates[rates[value].notna()].sort_values("layer", kind="stable", ignore_index=True)
    if known.empty:
        return empty(f"No layer has a defined {label}.")
    parts = dict(tuple(known.groupby(series, sort=False)))
    names = {key: str(part["name"].iloc[0]) if "name" in part else str(key) for key, part in parts.items()}
    # One row per series, its first highest layer; for all at once, as there may be 122 series.
    peaks = known.loc[known[value].astype(float).groupby(known[series], sort=False, observed=True).idxmax()]
    tops = dict(zip(peaks[series], peaks[value].astype(float), strict=True))
    coloured = _coloured(tops, highlight)
    # Colours follow the table, not the highlight, so that a curve keeps its look when another is chosen.
    looks = {key: _look(series, key, i, names[key]) for i, key in enumerate(k for k in parts if k in coloured)}
    traces = _grey([(k, parts[k], names[k]) for k in parts if k not in looks], depth, value, series)
    relabelled = (
        relabelled
        and "last" not in known
        and "relabelled_rate" in known
        and bool(known["relabelled_rate"].notna().any())
    )
    traces += _relabelled(known, coloured, looks, depth, series) if relabelled else []
    ribbons = _with_ribbon(coloured, highlight) if intervals and {"low", "high"} <= set(known) else []
    for key in coloured:
        part, look = parts[key], looks[key]
        if key in ribbons:
            place = depth.places(part["layer"], part.get("last"))
            traces.append(band(place, part["low"], part["high"], look.colour, 0.14, legendgroup=look.label))
        traces += [_curve(part, look, depth, value, key), _peak(peaks[peaks[series] == key], look, depth, value, key)]
    figure = canvas(traces, depth.label, label)
    _mark_layers(figure, depth)
    return Drawing(figure, _in_words(tops, peaks["layer"], names, label))


def _coloured(tops: dict[Any, float], highlight: Sequence[str]) -> list:
    """The series drawn in colour, the last on top."""
    if len(tops) > MANY:
        wanted = [k for k in highlight if k in tops]
        return (wanted or sorted(tops, key=lambda k: -tops[k]))[: len(PALETTE)]
    return [k for k in tops if k not in highlight] + [k for k in tops if k in highlight]


def _with_ribbon(coloured: Sequence, highlight: Sequence[str]) -> list:
    """The highlighted curves; all where none is and they are few enough for their ribbons to be told apart."""
    return [k for k in coloured if k in highlight] or (list(coloured) if len(coloured) <= 4 else [])


def _look(series: str, key: object, i: int, name: str) -> Style:
    """A known group's own look; otherwise shapes and dashes go on where colours begin again."""
    turn = i // len(PALETTE)
    symbol, dash = SYMBOLS[(i + 3 * turn) % len(SYMBOLS)], DASHES[(i + turn) % len(DASHES)] if turn else "solid"
    return KNOWN.get((series, key), Style(plain(name, 28), PALETTE[i % len(PALETTE)], symbol, dash))


def _hover(part: pd.DataFrame, value: str, name: str) -> list[str]:
    has = {"low", "high"} <= set(part)
    return [
        f"{name}<br>layer {row['layer']}<br>{estimate(row[value], row['low'] if has else np.nan, row['high'] if has else np.nan)}"
        + (f"<br>relabelled {row['relabelled_rate']:.3f}" if pd.notna(row.get("relabelled_rate", np.nan)) else "")
        + (f"<br>n = {int(row['n']):,}" if pd.notna(row.get("n", np.nan)) else "")
        for row in part.to_dict("records")
    ]


def _curve(part: pd.DataFrame, look: Style, depth: Depth, value: str, key: object) -> go.Scatter:
    return go.Scatter(
        x=depth.places(part["layer"], part.get("last")),
        y=numbers(part[value]),
        customdata=[[key, layer] for layer in part["layer"].tolist()],
        hovertext=_hover(part, value, look.label),
        hoverinfo="text",
        mode="lines+markers",
        line={"color": look.colour, "dash": look.dash, "width": 2},
        marker={"symbol": look.symbol, "size": 5, "color": look.colour},
        name=look.label,
        legendgroup=look.label,
    )


def _peak(top: pd.DataFrame, look: Style, depth: Depth, value: str, key: object) -> go.Scatter:
    marker = {"symbol": "star", "size": 13, "color": look.colour, "line": {"width": 1, "color": "white"}}
    return go.Scatter(
        x=depth.places(top["layer"], top.get("last")), y=numbers(top[value]), customdata=[[key, int(top["layer"].iloc[0])]], mode="markers",
        marker=marker, hovertext=[f"peak: {text}" for text in _hover(top, value, look.label)], hoverinfo="text",
        showlegend=False, legendgroup=look.label,
    )  # fmt: skip


def _grey(parts: Sequence[tuple], depth: Depth, value: str, series: str) -> list[go.Scatter]:
    """All other curves as one trace with gaps, so that 122 languages are drawn as fast as one."""
    if not parts:
        return []
    xs, ys, data, hover = [], [], [], []
    for key, part, name in parts:
        xs += [depth.places(part["layer"], part.get("last")).astype(np.float32), [np.nan]]
        ys += [numbers(part[value]), [np.nan]]
        data += [[key, layer] for layer in part["layer"].tolist()] + [[None, None]]
        hover += [f"{plain(name, 28)}, layer {a}: {b:.3f}" for a, b in zip(part["layer"], part[value], strict=True)] + [
            ""
        ]
    return [
        go.Scatter(
            x=np.concatenate(xs, dtype=np.float32), y=np.concatenate(ys, dtype=np.float32), customdata=np.array(data, object), hovertext=np.array(hover, object),
            hoverinfo="text", mode="lines+markers", line={"color": faded(GREY, 0.3), "width": 1},
            marker={"size": 2.5, "color": faded(GREY, 0.3)}, name=counted(len(parts), f"other {series}"), legendrank=3000,
        )
    ]  # fmt: skip


def _relabelled(known: pd.DataFrame, coloured: Sequence, looks: dict, depth: Depth, series: str) -> list[go.Scatter]:
    if len(coloured) > 2:
        mean = known.groupby("layer")["relabelled_rate"].mean().reset_index()
        return [_dashed(mean, GREY, "relabelled, mean", depth)]
    chosen = ((looks[k], known[known[series] == k]) for k in coloured)
    return [_dashed(part, look.colour, f"{look.label}, relabelled", depth) for look, part in chosen]


def _dashed(part: pd.DataFrame, colour: str, name: str, depth: Depth) -> go.Scatter:
    hover = [f"{name}<br>layer {a}: {b:.3f}" for a, b in zip(part["layer"], part["relabelled_rate"], strict=True)]
    line = {"color": faded(colour, 0.9), "dash": "dot", "width": 1.8}
    place = {"x": depth.places(part["layer"]), "y": numbers(part["relabelled_rate"])}
    return go.Scatter(**place, mode="lines", line=line, hovertext=hover, hoverinfo="text", name=name, legendrank=2000)


def _mark_layers(figure: go.Figure, depth: Depth) -> None:
    """Shades layers that are not to be read like the others, and says why above the plot, where no curve can be."""
    marks = [(layer, "ties") for layer in depth.degenerate] + ([(depth.last, "after norm")] if depth.after_norm else [])
    scale = 1 / max(1, depth.last) if depth.relative else 1
    for layer, why in marks:
        left, right = (layer - 0.5) * scale, (layer + 0.5) * scale
        figure.add_vrect(x0=left, x1=right, fillcolor=GREY, opacity=0.18, line_width=0, layer="below")
        if (layer - 1, why) in marks:
            continue  # one word for neighbours
        ends = {0: ("left", left), depth.last: ("right", right)}
        side, x = ends.get(layer, ("center", layer * scale))
        text = {
            "text": why,
            "showarrow": False,
            "font": {"size": 11},
            "yref": "paper",
            "yanchor": "bottom",
            "borderpad": 0,
        }
        figure.add_annotation(**text, x=x, xanchor=side, y=1)
    if marks:
        beside = figure.layout.legend.orientation != "h"
        figure.update_layout({"margin": {"t": 24}} if beside else {"legend": UNDER_LEGEND})


def _in_words(tops: dict[Any, float], layers: pd.Series, names: dict, label: str) -> str:
    """Of the highest and the lowest peak; `layers` are those of the peaks, in the same order."""
    peaks = dict(zip(tops, layers.tolist(), strict=True))
    first, last = max(tops, key=tops.__getitem__), min(tops, key=tops.__getitem__)
    return spoken(
        f"{label} by layer, {counted(len(tops), 'curve')}. Highest peak: {names[first]}, {tops[first]:.3f} at layer "
        f"{peaks[first]}; lowest peak: {names[last]}, {tops[last]:.3f} at layer {peaks[last]}. "
        f"The median peak layer is {int(np.median(list(peaks.values())))}.",
        600,
    )


def heatmap(rates: pd.DataFrame, depth: Depth, *, value: str = "rate", label: str = "Alignment rate") -> Drawing:
    """Languages by layers as colours, a mark at each language's peak; customdata of the marks is [language, layer].

    The language with the highest peak is on top.

    Args:
        rates: columns language, name, layer and `value`, of one metric and pooling.
        depth: how layers are shown and which are marked.
        value, label: what the colours mean.
    """
    known = rates[rates[value].notna()]
    if known.empty:
        return empty(f"No layer has a defined {label}.")
    grid = known.astype({value: float}).pivot_table(index="language", columns="layer", values=value, sort=False)
    grid = grid.sort_index(axis=1)
    grid = grid.loc[grid.max(axis=1).sort_values(ascending=False, kind="stable").index]
    names = known.drop_duplicates("language").set_index("language")["name"].loc[grid.index]
    rows = [plain(n, 28) for n in names]
    x = depth.places(pd.Series(grid.columns))
    cells = go.Heatmap(
        x=x, y=np.arange(len(grid), dtype=np.int16), z=grid.to_numpy(np.float32), colorscale=SEQUENTIAL,
        colorbar={"thickness": 14, "outlinewidth": 0} | COLOUR_BAR | {"len": min(220, 30 + ROW * max(3, len(grid)))},
        hovertemplate="%{text}<br>" + f"{'depth' if depth.relative else 'layer'} %{{x}}: %{{z:.3f}}<extra></extra>",
        text=np.repeat(np.array(rows, object)[:, None], grid.shape[1], axis=1),
    )  # fmt: skip
    peaks = grid.idxmax(axis=1)
    marks = go.Scatter(
        x=depth.places(peaks), y=np.arange(len(grid), dtype=np.int16), mode="markers",
        marker={"symbol": "circle", "size": 7, "color": "white", "line": {"width": 1.5, "color": "black"}},
        customdata=[[code, int(layer)] for code, layer in peaks.items()],
        hovertext=[f"{row}<br>peak {top:.3f} at layer {layer}" for row, layer, top in zip(rows, peaks, grid.max(axis=1), strict=True)],
        hoverinfo="text", showlegend=False,
    )  # fmt: skip
    figure = canvas([cells, marks], depth.label, "", note=f"colour: {plain(label)}; circle: the language's peak")
    name_rows(figure, names.tolist())
    figure.update_xaxes(showgrid=False)
    return Drawing(figure, _in_words(grid.max(axis=1).to_dict(), peaks, names.to_dict(), label))
