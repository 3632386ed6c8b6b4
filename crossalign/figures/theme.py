"""What all figures share: colours, shapes, text from data, and the frame a figure is drawn in.

Backgrounds are transparent and no text has a colour of its own, so a figure suits a light and a dark page; every
colour here keeps a contrast of at least 3 against both. What colour tells is also told by shape, dash or words.
"""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false, reportOptionalOperand=false
# (pandas returns unions that say nothing about the frame at hand.)

from __future__ import annotations

import html
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

BLUE, VERMILION, TEAL, PLUM = "#1f77c9", "#d55e00", "#009e80", "#73608b"
BROWN, PINK, TAN, GREY = "#9b5435", "#ff437d", "#d37847", "#888888"

PALETTE = (BLUE, VERMILION, TEAL, PLUM, BROWN, PINK, TAN)
"""Told apart with any of the three kinds of colour blindness, too; GREY is for what stands behind."""

SYMBOLS = ("circle", "diamond", "square", "triangle-up", "x", "star", "triangle-down")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot", "solid")
SEQUENTIAL = "Cividis"

Number = float | int | np.number
"""What callers may pass where one number is meant."""

FONT = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', sans-serif"

_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


class Drawing(NamedTuple):
    """A figure and what it shows in words, for readers who do not see it."""

    figure: go.Figure
    alt: str


@dataclass(frozen=True, slots=True)
class Measure:
    """A column with its 95 % interval, and its name in words.

    Attributes:
        column: the column's name.
        label: for axes and hover text.
        low, high: columns of the interval's ends; None where there is none.
        digits: decimals shown.
        ends: the least and the most that the quantity can be; None where it can be anything.
    """

    column: str
    label: str
    low: str | None = None
    high: str | None = None
    digits: int = 3
    ends: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Style:
    """How one group looks: by colour, by shape, by line and by name."""

    label: str
    colour: str
    symbol: str
    dash: str = "solid"


KNOWN: dict[tuple[str, Any], Style] = {
    ("correct", True): Style("correct", BLUE, "circle"),
    ("correct", False): Style("incorrect", VERMILION, "x", "dash"),
    ("aligned", True): Style("aligned", TEAL, "circle"),
    ("aligned", False): Style("not aligned", PLUM, "circle-open", "dash"),
    ("cohort", "EC-XC"): Style("EC-XC: both right", BLUE, "circle"),
    ("cohort", "EC-XW"): Style("EC-XW: only pivot right", VERMILION, "x", "dash"),
    ("cohort", "EW-XC"): Style("EW-XC: only language right", TEAL, "diamond", "dot"),
    ("cohort", "EW-XW"): Style("EW-XW: both wrong", PLUM, "square", "dashdot"),
    ("cell", "aligned, correct"): Style("aligned: correct", BLUE, "circle"),
    ("cell", "aligned, incorrect"): Style("aligned: incorrect", VERMILION, "x", "dash"),
    ("cell", "not aligned, correct"): Style("not aligned: correct", TEAL, "circle-open", "dot"),
    ("cell", "not aligned, incorrect"): Style("not aligned: incorrect", PLUM, "x-open", "dashdot"),
}
"""Groups that look the same in every figure, by column and value."""

OTHERS = "others"

TEMPLATE = go.layout.Template(
    layout={
        "colorway": list(PALETTE),
        "font": {"family": FONT, "size": 13},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "xaxis": {"automargin": True, "showgrid": False, "zeroline": False, "ticks": "outside"},
        "yaxis": {"automargin": True, "gridcolor": "rgba(136,136,136,0.25)", "zeroline": False},
        "hoverlabel": {"align": "left"},
    }
)


def plain(text: object, limit: int = 60) -> str:
    """Text from data for labels and hover text: every sign stays a sign.

    Plotly reads a part of HTML, `%{...}` in templates and `$...$` where MathJax is loaded. Signs that steer the
    direction of writing are dropped, white space becomes one blank, and long text is cut with "…".

    >>> plain("<b>50 %{x}</b>")
    '&lt;b&gt;50 &#37;{x}&lt;/b&gt;'
    """
    escaped = html.escape(spoken(text, limit), quote=False)
    return escaped.replace("%", "&#37;").replace("$", "&#36;")


def spoken(text: object, limit: int = 60) -> str:
    """Text from data for an alt text: one line, no control signs, cut at the limit.

    >>> spoken("two\\nlines", 6)
    'two l…'
    """
    line = " ".join(_CONTROL.sub("", str(text)[: 20 * limit]).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def number(value: Number, digits: int = 3) -> str:
    """A number as it is read; "–" where it is undefined."""
    return "–" if pd.isna(value) else f"{float(value):.{digits}f}".replace("-", "−")


def estimate(value: Number, low: Number = math.nan, high: Number = math.nan, digits: int = 3) -> str:
    """A value with its interval where there is one.

    >>> estimate(0.9, 0.62, 0.98, 2)
    '0.90 [0.62, 0.98]'
    """
    if pd.isna(low) or pd.isna(high):
        return number(value, digits)
    return f"{number(value, digits)} [{number(low, digits)}, {number(high, digits)}]"


def short(value: Number) -> str:
    """A value of any size: three decimals for cosines and shares, one from 10 on.

    >>> short(0.12345), short(54.321)
    ('0.123', '54.3')
    """
    return number(value, 1 if abs(value) >= 10 else 3)


def measured(row: pd.Series, measure: Measure) -> str:
    """A row's value of a measure with its interval."""
    low, high = (row.get(c, math.nan) if c else math.nan for c in (measure.low, measure.high))
    return estimate(row[measure.column], low, high, measure.digits)


def counted(n: int, noun: str) -> str:
    """A count with its noun.

    >>> counted(1, "language"), counted(3, "language")
    ('1 language', '3 languages')
    """
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def numbers(values: object) -> np.ndarray:
    """Values as float32, which is what a screen can show at half the size; undefined is NaN."""
    return pd.to_numeric(pd.Series(values), errors="coerce").to_numpy(np.float32, na_value=np.nan)


def faded(colour: str, opacity: float) -> str:
    """A colour of the palette, see-through.

    >>> faded("#1f77c9", 0.2)
    'rgba(31,119,201,0.2)'
    """
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def groups(table: pd.DataFrame, by: str | None) -> list[tuple[Style, pd.DataFrame]]:
    """The rows of each group with its look; known groups first, undefined left out.

    With more groups than colours the smallest become one grey group of others.
    """
    if by is None or table.empty:
        return [(Style("all", BLUE, "circle"), table)]
    # Through objects, so that True of a boolean column and "True" of text stay apart and null is null.
    keys = table[by].astype(object).where(table[by].notna(), None)
    sizes = keys.value_counts()
    known = [value for column, value in KNOWN if column == by and value in sizes.index]
    if known:
        return [(KNOWN[by, value], table[(keys == value).to_numpy(bool)]) for value in known]
    shown = sorted(sizes.index[: len(PALETTE)], key=str)
    looks = zip(shown, PALETTE, SYMBOLS, DASHES, strict=False)
    found = [(Style(plain(v, 40), c, s, d), table[(keys == v).to_numpy(bool)]) for v, c, s, d in looks]
    rest = table[(keys.notna() & ~keys.isin(shown)).to_numpy(bool)]
    return found if rest.empty else [*found, (Style(OTHERS, GREY, "circle-open", "dot"), rest)]


LEGEND_ABOVE = {"orientation": "h", "yref": "container", "yanchor": "top", "y": 1, "xanchor": "left", "x": 0}
"""At the top of the figure: one that stands on the plot is left inside it when a narrower window moves the plot."""


def canvas(traces: Sequence[go.Scatter | Any], x: str, y: str, height: int = 420, note: str = "") -> go.Figure:
    """A figure with titled axes, whose labels may hold names from data; `note`, in plotly's markup, stands under the x axis."""
    x, y = plain(x, 200), plain(y, 200)
    entries = sum(t.showlegend is not False and t.name is not None for t in traces)
    below = f"{x}<br><span style='font-size:12px'>{note}</span>" if note else x
    # All at once: every later change of a figure is checked as a whole again.
    layout = {
        "template": TEMPLATE,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 8, "r": 12, "t": 12, "b": 8},
        "height": height,
        "showlegend": entries > 1,
        "legend": {"font": {"size": 12}} | (LEGEND_ABOVE if entries <= 5 else {"x": 1.01, "y": 1}),
        "xaxis": {"title": {"text": below}},
        "yaxis": {"title": {"text": y}},
    }
    return go.Figure(list(traces), layout=layout)


def empty(reason: str, height: int = 200) -> Drawing:
    """A figure that says why there is nothing to see."""
    figure = canvas([], "", "", height)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    figure.add_annotation(text=plain(reason, 200), x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False)
    return Drawing(figure, reason)


def on_page(figure: go.Figure) -> go.Figure:
    """A copy for a page of its own, outside the dashboard: with a background and a text colour."""
    back, text = "#ffffff", "#262730"
    copy = go.Figure(figure)
    copy.update_layout(paper_bgcolor=back, font={"color": text}, hoverlabel={"bgcolor": back, "font": {"color": text}})
    return copy
