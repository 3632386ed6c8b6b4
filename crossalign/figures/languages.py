"""Figures with one point per language: scatter and strip."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false, reportOptionalOperand=false
# (pandas returns unions that say nothing about the frame at hand.)

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from crossalign.figures.labels import places
from crossalign.figures.marks import band, error_bars, name_rows, rows_of_dots
from crossalign.figures.theme import (
    GREY,
    PALETTE,
    SYMBOLS,
    Drawing,
    Measure,
    Style,
    canvas,
    counted,
    empty,
    groups,
    measured,
    numbers,
    plain,
    spoken,
)  # fmt: skip

ACCURACY = Measure("accuracy", "Accuracy", "accuracy_low", "accuracy_high", ends=(0.0, 1.0))
RATE = Measure("rate", "Alignment rate", "low", "high", ends=(0.0, 1.0))


def scatter(
    table: pd.DataFrame,
    x: Measure,
    y: Measure,
    *,
    colour: str | None = None,
    ranks: bool = False,
    fit: pd.DataFrame | None = None,
    note: str = "",
) -> Drawing:
    """One labelled point per language with intervals on both axes; customdata is [language].

    Args:
        table: columns language, name, those of `x` and `y`, `colour` where given; n, n_scored and layer where there.
        x, y: what the axes show. Languages in which either is undefined are left out and counted.
        colour: column of a category, e.g. script, family, resource_level.
        ranks: draws ranks from 1 (mean ranks for ties) instead of values, without intervals.
        fit: a line in the units drawn: columns x, y and, for a band, low, high; drawn as far as `y` can go.
        note: one sentence of results under the plot and in the alt text, e.g. the correlation with its interval.
    """
    shown = table[table[x.column].notna() & table[y.column].notna()].reset_index(drop=True)
    if shown.empty:
        return empty(f"No language has both {x.label} and {y.label}.")
    if ranks:
        shown, x, y = _ranked(shown, x, y)
    where = places(
        numbers(shown[x.column]),
        numbers(shown[y.column]),
        [str(c) for c in shown["language"]],
        reach=(_ends(shown, x), _ends(shown, y)),
    )
    shown = shown.assign(place=where)
    looks = groups(shown, colour)
    undefined = shown[shown[colour].isna()] if colour else shown.iloc[:0]
    if len(undefined):
        looks.append((Style("unknown", GREY, "circle-open"), undefined))
    traces = [
        *_line(fit, y),
        *(_points(part, x, y, look, 0.55 if len(shown) <= 40 else 0.2) for look, part in looks),
    ]
    figure = canvas(traces, x.label, y.label, note=plain(note, 300))
    left_out = len(table) - len(shown)
    words = f"Scatter of {y.label} against {x.label} for {counted(len(shown), 'language')}."
    words += f" {counted(left_out, 'language')} without both left out." if left_out else ""
    return Drawing(figure, spoken(f"{words} {_extremes(shown, y)} {note}", 600))


def _ends(table: pd.DataFrame, measure: Measure) -> np.ndarray:
    """Every value of a measure and of its interval."""
    return np.concatenate([numbers(table[c]) for c in (measure.column, measure.low, measure.high) if c in table])


def _ranked(table: pd.DataFrame, x: Measure, y: Measure) -> tuple[pd.DataFrame, Measure, Measure]:
    """Ranks in place of values; the values stay in the hover text."""
    hover = {f"{m.column} as text": [measured(row, m) for _, row in table.iterrows()] for m in (x, y)}
    ranked = table.assign(**{m.column: table[m.column].astype(float).rank() for m in (x, y)}, **hover)
    ends = (1.0, float(len(ranked)))
    return ranked, *(Measure(m.column, f"{m.label} (rank, 1 = lowest)", digits=1, ends=ends) for m in (x, y))


def _points(part: pd.DataFrame, x: Measure, y: Measure, look: Style, opacity: float) -> go.Scatter:
    texts = [plain(c, 20) if place else "" for c, place in zip(part["language"], part["place"], strict=True)]
    return go.Scatter(
        x=numbers(part[x.column]),
        y=numbers(part[y.column]),
        error_x=error_bars(part, x, look.colour, opacity),
        error_y=error_bars(part, y, look.colour, opacity),
        text=texts,
        textposition=[place or "top center" for place in part["place"]],
        textfont={"size": 12},
        customdata=[[code] for code in part["language"]],
        hovertext=[_about(row, x, y) for _, row in part.iterrows()],
        hoverinfo="text",
        mode="markers+text",
        marker={"size": 9, "color": look.colour, "symbol": look.symbol},
        name=look.label,
        cliponaxis=False,
    )


def _about(row: pd.Series, x: Measure, y: Measure) -> str:
    lines = [f"{plain(row['name'])} ({plain(row['language'], 20)})"]
    lines += [f"{plain(m.label, 200)}: {row.get(f'{m.column} as text', measured(row, m))}" for m in (x, y)]
    drawn = {x.column, y.column}
    if "rate" in drawn and row.get("layer", -1) >= 0:  # a mean over layers is at none
        lines.append(f"at layer {int(row['layer'])}")
    return "<br>".join([*lines, *_sizes(row, drawn)])


def _sizes(row: pd.Series, drawn: set[str]) -> list[str]:
    """How many instances are behind what is drawn: one number, or two where those with a score are others."""
    behind = {"alignment": "n"} if "rate" in drawn else {}
    if drawn - {"rate", "training_share"}:
        behind["scored"] = "n_scored" if "n_scored" in row.index else "n"
    known = {what: int(row[column]) for what, column in behind.items() if pd.notna(row.get(column))}
    if len(set(known.values())) == 1:
        return [f"n = {next(iter(known.values())):,}"]
    return [f"n ({what}) = {n:,}" for what, n in known.items()]


def _line(fit: pd.DataFrame | None, y: Measure) -> list[go.Scatter]:
    """The fit with its band, without what lies where the quantity cannot be."""
    if fit is None or fit.empty:
        return []
    least, most = y.ends or (-np.inf, np.inf)
    fit = fit.assign(y=fit["y"].where(fit["y"].between(least, most)))
    line = {"mode": "lines", "line": {"color": GREY, "width": 1.5}, "hoverinfo": "skip", "showlegend": False}
    drawn = [go.Scatter(x=numbers(fit["x"]), y=numbers(fit["y"]), **line)]
    has_band = {"low", "high"} <= set(fit)
    return [band(fit["x"], fit["low"], fit["high"], GREY, ends=y.ends), *drawn] if has_band else drawn


def _extremes(table: pd.DataFrame, measure: Measure) -> str:
    values = table[measure.column].astype(float)
    top, bottom = table.loc[values.idxmax()], table.loc[values.idxmin()]
    return (
        f"Highest {measure.label}: {spoken(top['name'])}, {measured(top, measure)}; "
        f"lowest: {spoken(bottom['name'])}, {measured(bottom, measure)}."
    )


def strip(table: pd.DataFrame, measures: list[Measure], *, highlight: str | None = None) -> Drawing:
    """One row per language, sorted by the first measure, a dot with interval per measure; customdata is [language].

    Args:
        table: columns language, name, those of the measures; n where known.
        measures: one to seven, drawn by colour and shape in one row.
        highlight: code of a language whose row is shaded.
    """
    first = measures[0]
    shown = table[table[[m.column for m in measures]].notna().any(axis=1)]
    if shown.empty:
        return empty(f"No language has a defined {first.label}.")
    order = shown[first.column].astype(float).sort_values(ascending=False, na_position="last", kind="stable").index
    shown = shown.loc[order].reset_index(drop=True)
    looks = list(zip(PALETTE, SYMBOLS, strict=True))[: len(measures)]
    label = first.label if len(measures) == 1 else ""
    figure = canvas(rows_of_dots(shown, measures, looks), label, "")
    name_rows(figure, shown["name"].tolist())
    for row in np.flatnonzero(shown["language"] == highlight):
        figure.add_hrect(y0=row - 0.5, y1=row + 0.5, fillcolor=GREY, opacity=0.25, line_width=0, layer="below")
    names = ", ".join(m.label for m in measures)
    return Drawing(figure, spoken(f"{names} for {counted(len(shown), 'language')}. {_extremes(shown, first)}", 600))
