"""The cosines between the options of one instance, and the two among them that decide whether it is aligned."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float
from plotly.subplots import make_subplots

from crossalign.figures.theme import GREY, SEQUENTIAL, TEAL, TEMPLATE, VERMILION, Drawing, number, plain, spoken
from crossalign.similarity import TIE, OptionCosines

Cosines = Float[np.ndarray, "option option"]

PANELS = ("pivot × language", "within the pivot", "within the language")


COMPARED = ("dali", "dali_s", "dali_rowwise", "dali_gold")
"""Metrics that compare the options of an instance."""

MATCH, RIVAL = "●", "▲"
"""Signs of the two cells that decide, in the cells and in the sentence."""


class Cell(NamedTuple):
    """A cosine: its block (0 cross, 1 pivot, 2 language), row, column and value."""

    block: int
    row: int
    column: int
    value: float


class Verdict(NamedTuple):
    """The two cosines that decide whether an instance is aligned: the matched one must be the larger."""

    matched: Cell
    rival: Cell

    @property
    def words(self) -> str:
        """The decision as a sentence; a tie is not aligned."""
        margin = self.matched.value - self.rival.value
        if np.isnan(margin):
            return "undefined: a state is not finite"
        sign, decision = (">", "aligned") if margin > TIE else ("<", "not aligned")
        if abs(margin) <= TIE:
            return f"not aligned, a tie: match and rival are both {number(self.rival.value, 4)}"
        values = f"{MATCH} weakest match {number(self.matched.value, 4)} {sign} {RIVAL} strongest rival {number(self.rival.value, 4)}"
        return f"{decision}, margin {number(margin, 4)}: {values}"


def verdict(cosines: OptionCosines, metric: str, gold: int) -> Verdict:
    """Finds the two cosines that decide.

    Args:
        cosines: of one instance at one layer, [option, option] each.
        metric: dali, dali_s, dali_rowwise or dali_gold.
        gold: the right option, for dali_gold.

    Raises:
        KeyError: a metric that does not compare options.
    """
    n = len(cosines.cross)
    one_row = {"dali": None, "dali_s": None, "dali_rowwise": _weakest_row(cosines.cross), "dali_gold": gold}[metric]
    rows = range(n) if one_row is None else [one_row]
    matched = [Cell(0, i, i, float(cosines.cross[i, i])) for i in rows]
    rivals = [
        Cell(b, i, j, float(block[i, j]))
        for b, block in enumerate(cosines if metric == "dali_s" else cosines[:1])
        for i in rows
        for j in range(n)
        if i != j
    ]
    undefined = [c for c in (*matched, *rivals) if np.isnan(c.value)]
    if undefined:
        return Verdict(undefined[0], undefined[0])
    return Verdict(min(matched, key=lambda c: c.value), max(rivals, key=lambda c: c.value))


def _weakest_row(cross: Cosines) -> int:
    """The pivot option whose own translation is least ahead of the others."""
    others = np.where(np.eye(len(cross), dtype=bool), -np.inf, cross).max(axis=1)
    return int(np.argmin(np.diagonal(cross) - others))


def similarity(cosines: OptionCosines, metric: str = "dali", gold: int = 0) -> Drawing:
    """The cosines between the options at one layer, with the two that decide marked and framed.

    Args:
        cosines: of one instance at one layer, [option, option] each. Matched pairs lie on the diagonal of the first.
        metric: whose verdict is shown: dali, dali_s, dali_rowwise, dali_gold; dali_s also looks within both languages.
        gold: the right option, from 0.
    """
    decided = verdict(cosines, metric, gold)
    n = len(cosines.cross)
    three = metric == "dali_s"
    # A text's cosine with itself is 1 and says nothing, so it is left blank.
    inside = [np.where(np.eye(n, dtype=bool), np.nan, b) for b in cosines[1:]] if three else []
    shown = [cosines.cross, *inside]
    layout = {"column_widths": [0.4, 0.3, 0.3], "subplot_titles": PANELS, "horizontal_spacing": 0.03} if three else {}
    figure = make_subplots(rows=1, cols=len(shown), shared_yaxes=True, **layout)
    names = [f"{chr(65 + i)}{' gold' if i == gold else ''}" for i in range(n)]
    for k, block in enumerate(shown):
        figure.add_trace(_cells(block, k, names, decided), row=1, col=k + 1)
        _outline(figure, k, decided, n)
    _frame(figure, np.concatenate([b.ravel() for b in shown]), names)
    note = {
        "text": plain(decided.words, 200).replace(": ", ":<br>", 1),
        "align": "left",
        "font": {"size": 12},
        "showarrow": False,
        "xref": "paper",
        "yref": "paper",
    }
    figure.add_annotation(**note, x=0, xanchor="left", y=1, yanchor="bottom", yshift=28 if three else 6)
    return Drawing(figure, spoken(f"Cosines between {n} options. {decided.words}.", 600))


def _frame(figure: go.Figure, values: np.ndarray, names: list[str]) -> None:
    """Common colours for all panels, options by letter on the axes."""
    finite = values[np.isfinite(values)]
    ends = {"cmin": float(finite.min()), "cmax": float(finite.max())} if len(finite) else {}
    bar = {"title": {"text": "cosine", "side": "right"}, "thickness": 14, "outlinewidth": 0}
    figure.update_layout(
        template=TEMPLATE,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        height=166 + 60 * len(names),
        margin={"l": 8, "r": 8, "t": 78, "b": 8},
        coloraxis={"colorscale": SEQUENTIAL, "colorbar": bar} | ends,
    )
    axis = {"tickvals": list(range(len(names))), "ticktext": names, "showgrid": False, "ticks": ""}
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis, range=[len(names) - 0.5, -0.5])
    figure.update_xaxes(title={"text": "Option in the language"}, col=1)
    figure.update_yaxes(title={"text": "Option in the pivot"}, col=1)


def _cells(block: Cosines, k: int, names: list[str], decided: Verdict) -> go.Heatmap:
    text = [["" if np.isnan(v) else number(v) for v in row] for row in block]
    for cell, sign in ((decided.matched, MATCH), (decided.rival, RIVAL)):
        if cell.block == k and not np.isnan(cell.value):
            text[cell.row][cell.column] = f"{sign}<br>{number(cell.value)}"
    sides = (("pivot", "language"), ("pivot", "pivot"), ("language", "language"))[k]
    hover = [
        [f"{sides[0]} {a}, {sides[1]} {b}<br>cosine {number(block[i, j], 4)}" for j, b in enumerate(names)]
        for i, a in enumerate(names)
    ]
    return go.Heatmap(
        z=block.astype(np.float32), text=text, texttemplate="%{text}", hovertext=hover, hoverinfo="text", coloraxis="coloraxis",
        xgap=2, ygap=2, textfont={"size": 12},
    )  # fmt: skip


def _outline(figure: go.Figure, k: int, decided: Verdict, n: int) -> None:
    """Frames: thin and dotted round matched pairs, thick round the two cells that decide."""
    frames = [(i, i, GREY, "dot", 1.5) for i in range(n)] if k == 0 else []
    frames += [
        (c.row, c.column, colour, "solid", 3.5)
        for c, colour in ((decided.matched, TEAL), (decided.rival, VERMILION))
        if c.block == k
    ]
    for row, column, colour, dash, width in frames:
        line = {"color": colour, "dash": dash, "width": width}
        ends = {"x0": column - 0.48, "x1": column + 0.48, "y0": row - 0.48, "y1": row + 0.48}
        figure.add_shape(type="rect", **ends, line=line, row=1, col=k + 1)
