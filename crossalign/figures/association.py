"""How alignment and being right go together: the 2×2 table, accuracy of aligned against not, forests of effects."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false, reportOptionalOperand=false
# (pandas returns unions that say nothing about the frame at hand.)

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from crossalign.amounts import p_value
from crossalign.figures.marks import name_rows, reference_line, rows_of_dots
from crossalign.figures.theme import (
    BLUE,
    GREY,
    KNOWN,
    TEAL,
    VERMILION,
    Drawing,
    Measure,
    Number,
    canvas,
    counted,
    empty,
    estimate,
    faded,
    measured,
    numbers,
    plain,
    spoken,
)  # fmt: skip

ALIGNED = Measure("aligned", "aligned", "aligned_low", "aligned_high")
NOT_ALIGNED = Measure("not_aligned", "not aligned", "not_aligned_low", "not_aligned_high")


def two_by_two(counts: pd.DataFrame) -> Drawing:
    """Mosaic of aligned × correct: a column's width is its share of instances, a tile's height its share of the column.

    Args:
        counts: columns aligned, correct (both true or false) and n; missing cells count 0.
    """
    known = counts.dropna(subset=["aligned", "correct"])
    cell = {(a, c): 0 for a in (True, False) for c in (True, False)}
    for row in known.itertuples():
        cell[bool(row.aligned), bool(row.correct)] += int(row.n)
    total = sum(cell.values())
    if not total:
        return empty("No instance has both a known alignment and a known answer.")
    figure = canvas([], "Share of instances", "Share right and wrong", 360)
    left, words = 0.0, []
    for aligned in (True, False):
        width = (cell[aligned, True] + cell[aligned, False]) / total
        _column(figure, left, width, aligned, cell, total)
        left += width
        right, all_of_it = cell[aligned, True], cell[aligned, True] + cell[aligned, False]
        share = f"{right / all_of_it:.1%}" if all_of_it else "none"
        words.append(f"{KNOWN['aligned', aligned].label}: {right:,} of {all_of_it:,} right ({share})")
    figure.update_xaxes(range=[0, 1], tickformat=".0%")
    figure.update_yaxes(range=[0, 1], tickformat=".0%", showgrid=False)
    figure.update_layout(margin={"t": 30})
    return Drawing(
        figure, spoken(f"Alignment and correctness of {counted(total, 'instance')}. {'; '.join(words)}.", 600)
    )


def _column(
    figure: go.Figure, left: float, width: float, aligned: bool, cell: dict[tuple[bool, bool], int], total: int
) -> None:
    """The two tiles of aligned, or of not aligned, instances."""
    column = cell[aligned, True] + cell[aligned, False]
    if not column:
        return
    name, gap, bottom = KNOWN["aligned", aligned].label, 0.004, 0.0
    side = {"x": 0, "xanchor": "left"} if aligned else {"x": 1, "xanchor": "right"}
    figure.add_annotation(text=f"{name}: {column:,}", **side, y=1, yanchor="bottom", showarrow=False)
    for correct in (True, False):
        look, n = KNOWN["correct", correct], cell[aligned, correct]
        height = n / column
        hover = f"{name} and {look.label}<br>{n:,} of {total:,} ({n / total:.1%})<br>{height:.1%} of {name}"
        x, y = [left + gap, left + width - gap], [bottom + gap, bottom + height - gap]
        figure.add_scatter(
            x=[x[0], x[1], x[1], x[0], x[0]], y=[y[0], y[0], y[1], y[1], y[0]], mode="lines", fill="toself",
            fillcolor=faded(look.colour, 0.35), line={"color": look.colour, "width": 1.5}, text=hover, hoverinfo="text",
            hoveron="fills", showlegend=False,
        )  # fmt: skip
        if width > 0.14 and height > 0.1:
            text = f"{look.label}<br><b>{n:,}</b> ({height:.0%})"
            figure.add_annotation(text=text, x=left + width / 2, y=bottom + height / 2, showarrow=False)
        bottom += height


def aligned_versus_not(
    table: pd.DataFrame, label: str = "Accuracy", measures: tuple[Measure, Measure] = (ALIGNED, NOT_ALIGNED),
    ends: tuple[float, float] | None = (0.0, 1.0),
) -> Drawing:  # fmt: skip
    """Accuracy (or quality) of aligned and of not aligned instances, a row per language; customdata is [language].

    The language with the largest difference comes first.

    Args:
        table: columns language, name, and for both measures the measure, its interval's ends and n_<measure>; a row
            without language, over all of them, comes last.
        label: the quantity in words.
        measures: the two that are compared, by default columns aligned and not_aligned; others are e.g. the alignment
            rates of right and of wrong instances.
        ends: the least and the most that the quantity can be: no interval is drawn past them.
    """
    one, other = (replace(measure, ends=ends) for measure in measures)
    known = table[table[[one.column, other.column]].notna().any(axis=1)]
    if known.empty:
        return empty("No language has instances with known alignment and answer.")
    difference = known[one.column].astype(float) - known[other.column].astype(float)
    order = difference.sort_values(ascending=False, na_position="last", kind="stable")
    shown = known.loc[order.index].reset_index(drop=True)
    shown = shown.iloc[np.argsort((shown["language"] == "").to_numpy(), kind="stable")].reset_index(drop=True)
    traces = rows_of_dots(shown, [other, one], [(GREY, "circle-open"), (TEAL, "circle")], link=True)
    figure = canvas(traces, label, "")
    name_rows(figure, shown["name"].tolist())
    more = int((difference > 0).sum())
    alt = (
        f"{label} of {one.label} and {other.label} instances for {counted(len(shown), 'row')}; {one.label} instances are "
        f"higher in {more}. First row: {spoken(shown['name'][0])}, {one.label} {measured(shown.loc[0], one)}, "
        f"{other.label} {measured(shown.loc[0], other)}."
    )
    return Drawing(figure, spoken(alt, 600))


def forest(
    table: pd.DataFrame, label: str, *, null: Number = 0.0, log: bool = False, pooled: pd.DataFrame | None = None
) -> Drawing:
    """Forest plot: an effect with its interval per language, the pooled one as a diamond below; customdata is [language].

    The largest effect comes first.

    Args:
        table: columns language, name, estimate, low, high; n and p are shown where there. A language whose
            interval leaves out `null` has a filled mark.
        label: the effect in words, e.g. "Odds ratio of being right".
        null: the value of no effect: 0.5 for AUC, 1 for an odds ratio, 0 for a difference.
        log: logarithmic axis, for ratios; values of 0 and infinity are drawn at the border.
        pooled: the effect over all languages: columns name, estimate, low, high; one diamond per row.
    """
    known = table[table["estimate"].notna()]
    pools = pooled[pooled["estimate"].notna()] if pooled is not None else table.iloc[:0]
    if known.empty and pools.empty:
        return empty(f"No language has a defined value of: {label}.")
    known = known.loc[known["estimate"].astype(float).sort_values(ascending=False, kind="stable").index]
    everything = pd.concat([known, pools]) if len(pools) else known
    border = _border(everything, log)
    clear = (known["low"] > null) | (known["high"] < null)
    traces = [
        _effects(known, clear, border),
        _arrows(known, border),
        *(_diamond(row, len(known) + i, border) for i, (_, row) in enumerate(pools.iterrows())),
    ]
    figure = canvas(traces, label, "", note="filled: interval leaves out no effect")
    name_rows(figure, [*known["name"], *(pools["name"] if len(pools) else ())])
    figure.update_layout(showlegend=False)
    if log:
        ticks = [m * 10.0**e for e in range(-4, 5) for m in (1, 2, 5)]
        figure.update_xaxes(type="log", tickvals=ticks, ticktext=[f"{t:g}" for t in ticks])
    reference_line(figure, null, "no effect")
    words = [
        f"{spoken(row['name'])}: {estimate(row['estimate'], row['low'], row['high'], 2)}" for _, row in pools.iterrows()
    ]
    alt = f"{label} for {counted(len(known), 'language')}; the interval leaves out {null:g} in {int(clear.sum())}. {'; '.join(words)}"
    return Drawing(figure, spoken(alt, 600))


def _border(table: pd.DataFrame, log: bool) -> tuple[float, float]:
    """The range drawn: all estimates, and as much of the intervals as keeps them readable."""
    values = table[["estimate", "low", "high"]].to_numpy(float)
    fine = values[np.isfinite(values) & ((values > 0) | (not log))]
    if not len(fine):
        return (0.1, 10.0) if log else (-1.0, 1.0)
    if not log:
        return float(fine.min()), float(fine.max())
    centres = table["estimate"].to_numpy(float)
    centres = centres[np.isfinite(centres) & (centres > 0)]
    low, high = (centres.min(), centres.max()) if len(centres) else (1.0, 1.0)
    return float(max(fine.min(), low / 10)), float(min(fine.max(), high * 10))


def _effects(table: pd.DataFrame, clear: pd.Series, border: tuple[float, float]) -> go.Scatter:
    value, low, high = (np.clip(table[c].to_numpy(float), *border) for c in ("estimate", "low", "high"))
    hover = []
    for _, row in table.iterrows():
        lines = [plain(row["name"]), estimate(row["estimate"], row["low"], row["high"])]
        lines += [plain(p_value(row["p"]))] if "p" in row.index else []
        lines += [f"n = {int(row['n']):,}"] if "n" in row.index and pd.notna(row["n"]) else []
        hover.append("<br>".join(lines))
    bars = {
        "type": "data",
        "array": numbers(high - value),
        "arrayminus": numbers(value - low),
        "thickness": 1.3,
        "width": 0,
        "color": faded(BLUE, 0.6),
    }
    symbols = ["square" if c else "square-open" for c in clear]
    return go.Scatter(
        x=numbers(value), y=np.arange(len(table), dtype=np.int16), error_x=bars, customdata=[[c] for c in table["language"]],
        hovertext=hover, hoverinfo="text", mode="markers", marker={"size": 9, "color": BLUE, "symbol": symbols, "line": {"width": 1.5}},
        showlegend=False,
    )  # fmt: skip


def _diamond(row: pd.Series, place: int, border: tuple[float, float]) -> go.Scatter:
    value, low, high = (
        float(np.clip(row[c], *border)) if not math.isnan(row[c]) else float(np.clip(row["estimate"], *border))
        for c in ("estimate", "low", "high")
    )
    hover = f"{plain(row['name'])}<br>{estimate(row['estimate'], row['low'], row['high'])}"
    return go.Scatter(
        x=numbers([low, value, high, value, low]), y=numbers([place, place - 0.3, place, place + 0.3, place]), mode="lines",
        fill="toself", fillcolor=faded(VERMILION, 0.6), line={"color": VERMILION, "width": 1.5}, text=hover, hoverinfo="text",
        hoveron="fills", showlegend=False,
    )  # fmt: skip


def _arrows(table: pd.DataFrame, border: tuple[float, float]) -> go.Scatter:
    """Marks the ends of intervals that lie beyond the border."""
    beyond = [
        (table["low"] < border[0], border[0], "triangle-left"),
        (table["high"] > border[1], border[1], "triangle-right"),
    ]
    ends = [(edge, i, symbol) for out, edge, symbol in beyond for i in np.flatnonzero(out.to_numpy(bool))]
    marker = {"symbol": [s for _, _, s in ends], "size": 8, "color": BLUE}
    x, y = numbers([e for e, _, _ in ends]), numbers([i for _, i, _ in ends])
    return go.Scatter(x=x, y=y, mode="markers", marker=marker, hoverinfo="skip", showlegend=False)
