"""Two runs, or two conditions, on the same instances."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false, reportOptionalOperand=false
# (pandas returns unions that say nothing about the frame at hand.)

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from crossalign.amounts import p_value
from crossalign.figures.layers import Depth
from crossalign.figures.marks import band, error_bars, name_rows, rows_of_dots
from crossalign.figures.theme import (
    BLUE,
    GREY,
    LEGEND_ABOVE,
    PALETTE,
    SYMBOLS,
    TEAL,
    TEMPLATE,
    VERMILION,
    Drawing,
    Measure,
    canvas,
    counted,
    empty,
    estimate,
    numbers,
    plain,
    spoken,
)  # fmt: skip

DIFFERENCE = Measure("difference", "Difference", "low", "high")

FEW = 4
"""Languages overlaid where none is asked for: eight curves can still be told apart."""

MOST_RIBBONS = 2
"""Languages up to which intervals are drawn in the overlay: more ribbons of two runs cannot be told apart."""

OUTCOMES = ("both", "a_only", "b_only", "neither")
"""Columns of the four outcomes, in the order they are stacked."""


def differences(table: pd.DataFrame, runs: tuple[str, str], label: str = "Accuracy") -> Drawing:
    """Both runs' values per language, and beside them the paired difference with its interval; customdata is [language].

    The largest difference comes first.

    Args:
        table: columns language, name, a, b, difference (A − B), low, high; a_low, a_high, b_low, b_high, n and p
            where known. A difference whose interval leaves out 0 has a filled mark.
        runs: names of A and B.
        label: the quantity in words.
    """
    known = table[table["difference"].notna()]
    if known.empty:
        return empty("No language is in both runs with a defined difference.")
    order = known["difference"].astype(float).sort_values(ascending=False, kind="stable").index
    shown = known.loc[order].reset_index(drop=True)
    first, second = (plain(run, 40) for run in runs)
    sides = [Measure("b", f"B: {second}", "b_low", "b_high"), Measure("a", f"A: {first}", "a_low", "a_high")]
    figure = make_subplots(rows=1, cols=2, shared_yaxes=True, column_widths=[0.55, 0.45], horizontal_spacing=0.03)
    for trace in rows_of_dots(shown, sides, [(VERMILION, "diamond-open"), (BLUE, "circle")], link=True):
        figure.add_trace(trace, row=1, col=1)
    figure.add_trace(_paired(shown), row=1, col=2)
    figure.update_layout(
        template=TEMPLATE, paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", margin={"l": 8, "r": 12, "t": 12, "b": 8},
        legend=LEGEND_ABOVE | {"traceorder": "reversed"},
    )  # fmt: skip
    name_rows(figure, shown["name"].tolist())
    line = {"color": GREY, "width": 1.2, "dash": "dash"}
    figure.add_shape(type="line", x0=0, x1=0, y0=0, y1=1, xref="x2", yref="y2 domain", line=line, layer="below")
    figure.update_xaxes(title={"text": label}, col=1)
    figure.update_xaxes(
        title={"text": "Difference, A − B<br><span style='font-size:12px'>filled: interval leaves out 0</span>"},
        col=2,
    )
    clear = _clear(shown)
    top = shown.loc[0]
    alt = (
        f"{label} of {spoken(runs[0])} and {spoken(runs[1])} for {counted(len(shown), 'language')}; the interval of the paired "
        f"difference leaves out 0 in {int(clear.sum())}. First row: {spoken(top['name'])}, {estimate(top['difference'], top['low'], top['high'])}."
    )
    return Drawing(figure, spoken(alt, 600))


def _clear(table: pd.DataFrame) -> pd.Series:
    return (table["low"] > 0) | (table["high"] < 0)


def _paired(table: pd.DataFrame) -> go.Scatter:
    hover = []
    for row in table.to_dict("records"):
        lines = [plain(row["name"]), f"difference {estimate(row['difference'], row['low'], row['high'])}"]
        lines += [plain(p_value(row["p"]))] if "p" in row else []
        lines += [f"n = {int(row['n']):,}"] if pd.notna(row.get("n", np.nan)) else []
        hover.append("<br>".join(lines))
    symbols = ["square" if c else "square-open" for c in _clear(table)]
    return go.Scatter(
        x=numbers(table["difference"]), y=np.arange(len(table), dtype=np.int16), error_x=error_bars(table, DIFFERENCE, TEAL),
        customdata=[[c] for c in table["language"]], hovertext=hover, hoverinfo="text", mode="markers", showlegend=False,
        marker={"size": 9, "symbol": symbols, "color": TEAL, "line": {"width": 1.5}}, name="difference",
    )  # fmt: skip


def outcomes(table: pd.DataFrame, runs: tuple[str, str], words: tuple[str, str] = ("right", "wrong")) -> Drawing:
    """Shares of instances that both, only A, only B or neither got right, a bar per language; customdata is [language].

    Also for one run: A the pivot and B the language.

    Args:
        table: columns language, name, and the counts both, a_only, b_only, neither.
        runs: names of A and B.
        words: what an instance is on a side, and what it is otherwise, e.g. "aligned" and "not aligned".
    """
    total = table[list(OUTCOMES)].sum(axis=1)
    shown = table[total > 0]
    if shown.empty:
        return empty("No language has instances that both sides answered.")
    shown = shown.assign(total=total[total > 0]).assign(share=lambda t: t["both"] / t["total"])
    shown = shown.sort_values("share", ascending=False, kind="stable").reset_index(drop=True)
    first, second = (plain(run, 40) for run in runs)
    yes, no = words
    names = (f"both {yes}", f"only {first} {yes}", f"only {second} {yes}", f"both {no}")
    looks = ((BLUE, ""), (TEAL, "/"), (VERMILION, "\\"), (GREY, "."))
    traces = [_stack(shown, *pair) for pair in zip(OUTCOMES, names, looks, strict=True)]
    figure = canvas(traces, "Share of instances", "")
    figure.update_layout(barmode="stack", bargap=0.15, legend={"traceorder": "normal"})
    name_rows(figure, shown["name"].tolist())
    figure.update_xaxes(range=[0, 1], tickformat=".0%")
    whole = shown[list(OUTCOMES)].sum()
    told = (f"both {yes}", f"only {runs[0]} {yes}", f"only {runs[1]} {yes}", f"both {no}")
    parts = ", ".join(f"{spoken(n)} {whole[c] / whole.sum():.1%}" for c, n in zip(OUTCOMES, told, strict=True))
    return Drawing(figure, spoken(f"Outcomes for {counted(len(shown), 'language')}, all together: {parts}.", 600))


def _stack(table: pd.DataFrame, column: str, name: str, look: tuple[str, str]) -> go.Bar:
    colour, pattern = look
    share = table[column] / table["total"]
    hover = [f"{plain(row['name'])}<br>{name}: {row[column]:,} of {row['total']:,}" for row in table.to_dict("records")]
    room = len(table) <= 40
    text = [f"{c:,}" if room and s > 0.04 else "" for c, s in zip(table[column], share, strict=True)]
    shape = {"shape": pattern, "size": 6, "solidity": 0.25, "fillmode": "overlay", "fgcolor": "rgba(255,255,255,0.45)"}
    return go.Bar(
        x=numbers(share), y=np.arange(len(table), dtype=np.int16), orientation="h", customdata=[[c] for c in table["language"]],
        hovertext=hover, hoverinfo="text", name=name, text=text, textposition="inside", insidetextanchor="middle", textangle=0,
        constraintext="none", textfont={"size": 11, "color": "white"},
        marker={"color": colour, "line": {"color": colour, "width": 1}, "pattern": shape},
    )  # fmt: skip


def curves_overlaid(
    a: pd.DataFrame, b: pd.DataFrame, depths: tuple[Depth, Depth], runs: tuple[str, str], *, highlight: Sequence[str] = (),
    label: str = "Alignment rate",
) -> Drawing:  # fmt: skip
    """Layer curves of two runs for the same languages: A solid, B dashed; customdata is [language, layer].

    Languages that both runs have: the first seven of `highlight`, or the first four of the table. Where the runs have
    different numbers of layers, relative depth is shown. One or two languages have the ribbons of their intervals.

    Args:
        a, b: columns language, name, layer, rate, low, high, of one metric and pooling each.
        depths: the layers of A and B.
        runs: names of A and B.
        highlight: codes of the languages wanted.
        label: what is drawn.
    """
    known = [t[t["rate"].notna()].sort_values("layer", kind="stable") for t in (a, b)]
    shared = [c for c in known[0]["language"].unique() if c in set(known[1]["language"])]
    chosen = ([c for c in highlight if c in shared] or shared[:FEW])[: len(PALETTE)]
    if not chosen:
        return empty("The two runs have no language with a defined curve in common.")
    relative = depths[0].last != depths[1].last or depths[0].relative
    traces, words = [], []
    for run, table, depth, dash, mark in zip(runs, known, depths, ("solid", "dash"), ("", "-open"), strict=True):
        shown = depth._replace(relative=relative)
        for code, colour, symbol in zip(chosen, PALETTE, SYMBOLS, strict=False):
            part = table[table["language"] == code]
            name, look = f"{plain(part['name'].iloc[0], 28)}, {plain(run, 30)}", (colour, dash, symbol + mark)
            traces += _run_curve(part, shown, name, look, len(chosen) <= MOST_RIBBONS)
            top = part.loc[part["rate"].astype(float).idxmax()]
            words.append(
                f"{spoken(top['name'], 30)} in {spoken(run, 30)} highest {top['rate']:.3f} at layer {int(top['layer'])}"
            )
    title = "Relative depth (layer / last layer)" if relative else depths[0].label
    figure = canvas(traces, title, label)
    shown_of = f" {len(chosen)} of {len(shared)} languages shown." if len(chosen) < len(shared) else ""
    return Drawing(figure, spoken(f"{label} by layer in two runs. {'; '.join(words)}.{shown_of}", 600))


def _run_curve(
    part: pd.DataFrame, depth: Depth, name: str, look: tuple[str, str, str], ribbons: bool
) -> list[go.Scatter]:
    colour, dash, symbol = look
    x = depth.places(part["layer"])
    ribbons = ribbons and {"low", "high"} <= set(part)
    ribbon = [band(x, part["low"], part["high"], colour, 0.1, legendgroup=name)] if ribbons else []
    hover = [
        f"{name}<br>layer {r['layer']}: {estimate(r['rate'], r.get('low', np.nan), r.get('high', np.nan))}"
        + (f"<br>n = {int(r['n']):,}" if pd.notna(r.get("n", np.nan)) else "")
        for r in part.to_dict("records")
    ]
    line = go.Scatter(
        x=x, y=numbers(part["rate"]), customdata=[[r, layer] for r, layer in zip(part["language"], part["layer"].tolist(), strict=True)],
        hovertext=hover, hoverinfo="text", mode="lines+markers", line={"color": colour, "dash": dash, "width": 2},
        marker={"symbol": symbol, "size": 6, "color": colour}, name=name, legendgroup=name,
    )  # fmt: skip
    return [*ribbon, line]
