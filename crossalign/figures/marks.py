"""Marks that several families draw: intervals, bands, rows of dots, reference lines."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false, reportOptionalOperand=false
# (pandas returns unions that say nothing about the frame at hand.)

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from crossalign.figures.theme import GREY, VERMILION, Measure, Number, faded, measured, numbers, plain

ROW, LOW_ROW = 22, 15
"""Pixels of a row of dots: usually, and where there are more than 40."""


def error_bars(table: pd.DataFrame, measure: Measure, colour: str, opacity: float = 0.55) -> dict | None:
    """The interval of a measure for `error_x` or `error_y`, as far as the quantity can go; None where there is none."""
    if measure.low not in table or measure.high not in table:
        return None
    value, low, high = (numbers(table[c]) for c in (measure.column, measure.low, measure.high))
    low, high = _within(low, measure.ends), _within(high, measure.ends)
    above, below = np.clip(high - value, 0, None), np.clip(value - low, 0, None)
    look = {"thickness": 1.2, "width": 0, "color": faded(colour, opacity)}
    return {"type": "data", "array": above, "arrayminus": below} | look


def band(
    x: object, low: object, high: object, colour: str, opacity: float = 0.18, ends: tuple[float, float] | None = None, **more: object
) -> go.Scatter:  # fmt: skip
    """A filled band between two curves; it has a gap where either is undefined, and stays within `ends`."""
    across, down, up = numbers(x), numbers(low), numbers(high)
    down, up = _within(down, ends), _within(up, ends)
    defined = ~(np.isnan(across) | np.isnan(down) | np.isnan(up))
    xs, ys = [], []
    for part in _runs(defined):
        xs += [across[part], across[part][::-1], [np.nan]]
        ys += [up[part], down[part][::-1], [np.nan]]
    look = {"mode": "lines", "line": {"width": 0}, "fill": "toself", "fillcolor": faded(colour, opacity)}
    where = {
        "x": np.concatenate(xs, dtype=np.float32) if xs else [],
        "y": np.concatenate(ys, dtype=np.float32) if ys else [],
    }
    return go.Scatter(**(look | where | {"hoverinfo": "skip", "showlegend": False} | more))


def _within(values: np.ndarray, ends: tuple[float, float] | None) -> np.ndarray:
    return values if ends is None else np.clip(values, *ends)


def _runs(defined: np.ndarray) -> list[np.ndarray]:
    """Indices of each unbroken run of True."""
    index = np.flatnonzero(defined)
    return [r for r in np.split(index, np.flatnonzero(np.diff(index) > 1) + 1) if len(r)]


def rows_of_dots(
    table: pd.DataFrame, measures: Sequence[Measure], looks: Sequence[tuple[str, str]], link: bool = False
) -> list[go.Scatter]:
    """One row per language, from the top, one dot per measure, with its interval; customdata starts with the code.

    Args:
        table: columns language, name, the measures', and n where known.
        measures: what the dots stand for.
        looks: colour and symbol of each measure.
        link: joins the dots of a row by a line.
    """
    traces = [_links(table, measures)] if link else []
    positions = np.arange(len(table), dtype=np.int16)
    for k, (measure, (colour, symbol)) in enumerate(zip(measures, looks, strict=True)):
        shift = 0 if link else 0.16 * (k - (len(measures) - 1) / 2)
        hover = [_hover(row, measure) for _, row in table.iterrows()]
        traces.append(
            go.Scatter(
                x=numbers(table[measure.column]),
                y=(positions + shift).astype(np.float32),
                error_x=error_bars(table, measure, colour),
                customdata=[[code] for code in table["language"]],
                hovertext=hover,
                hoverinfo="text",
                mode="markers",
                marker={"size": 9, "color": colour, "symbol": symbol},
                name=measure.label,
            )
        )
    return traces


def _hover(row: pd.Series, measure: Measure) -> str:
    n = f"n_{measure.column}" if f"n_{measure.column}" in row.index else "n"
    count = f"<br>n = {int(row[n]):,}" if n in row.index and pd.notna(row[n]) else ""
    return f"{plain(row['name'])}<br>{measure.label}: {measured(row, measure)}{count}"


def _links(table: pd.DataFrame, measures: Sequence[Measure]) -> go.Scatter:
    """One line per row from the smallest to the largest of its dots."""
    values = np.stack([numbers(table[m.column]) for m in measures])
    gap = np.full(len(table), np.nan, np.float32)
    both = ~np.isnan(values).any(axis=0)
    low, high = (np.where(both, f(values, axis=0), np.nan) for f in (np.min, np.max))
    rows = np.arange(len(table), dtype=np.float32)
    return go.Scatter(
        x=np.column_stack([low, high, gap]).reshape(-1).astype(np.float32),
        y=np.column_stack([rows, rows, gap]).reshape(-1).astype(np.float32),
        mode="lines",
        line={"color": faded(GREY, 0.6), "width": 2},
        hoverinfo="skip",
        showlegend=False,
    )


def ring(rows: pd.DataFrame, x: str, y: str) -> list[go.Scatter]:
    """A ring round the points chosen elsewhere on the page; nothing where there are none."""
    if rows.empty:
        return []
    look = {"size": 18, "symbol": "circle-open", "color": VERMILION, "line": {"width": 2.5}}
    place = {"x": numbers(rows[x]), "y": numbers(rows[y])}
    return [go.Scatter(**place, mode="markers", marker=look, hoverinfo="skip", showlegend=False)]


def name_rows(figure: go.Figure, names: Sequence[str]) -> None:
    """Writes the languages' names at the rows, first on top, and makes the figure high enough for them."""
    row = ROW if len(names) <= 40 else LOW_ROW
    figure.update_layout(height=110 + row * max(3, len(names)))
    figure.update_yaxes(
        title=None,
        tickmode="array",
        tickvals=list(range(len(names))),
        ticktext=[plain(name, 28) for name in names],
        tickfont={"size": 12 if row == ROW else 11},
        range=[len(names) - 0.4, -1.1],
        showgrid=False,
    )
    figure.update_xaxes(showgrid=True, gridcolor=faded(GREY, 0.25))


def reference_line(figure: go.Figure, value: Number, text: str, across: bool = False, before: bool = False) -> None:
    """A dashed line at a value that matters, with its name; vertical, or horizontal where `across`.

    A vertical line has its name on the right; on the left with `before`, for lines near the right end.
    """
    look = {"line": {"color": GREY, "width": 1.2, "dash": "dash"}, "layer": "below"}
    figure.add_shape(
        type="line",
        **look,
        **(
            {"x0": 0, "x1": 1, "xref": "x domain", "y0": value, "y1": value}
            if across
            else {"y0": 0, "y1": 1, "yref": "y domain", "x0": value, "x1": value}
        ),
    )
    if not text:
        return
    note = {"text": text, "showarrow": False, "font": {"size": 11}}
    if across:
        figure.add_annotation(**note, x=1, xref="paper", xanchor="right", y=value, yanchor="bottom")
    else:
        # On a logarithmic axis plotly counts annotations, but not lines, in powers of ten.
        place = math.log10(value) if figure.layout.xaxis.type == "log" else value
        side = "right" if before else "left"
        figure.add_annotation(**note, x=place, y=1, yref="paper", yanchor="top", xanchor=side)
