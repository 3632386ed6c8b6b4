"""Alignment and being right, cell by cell: confidence in eight cells, and the pivot's answers against a language's."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false, reportOptionalOperand=false
# (pandas returns unions that say nothing about the frame at hand.)

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from crossalign.figures.association import ALIGNED, NOT_ALIGNED
from crossalign.figures.instances import PATTERNS
from crossalign.figures.marks import name_rows, reference_line, rows_of_dots
from crossalign.figures.theme import (
    KNOWN,
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
from crossalign.statistics import COHORTS

COUNTS = dict(zip(("both", "pivot_only", "language_only", "neither"), COHORTS, strict=True))
"""Column of counts → the cohort it counts."""


def confidence(table: pd.DataFrame) -> Drawing:
    """Mean log-probability margin of aligned and of not aligned instances in each cohort: eight cells, four rows.

    Args:
        table: columns cohort, aligned (boolean), n, mean, low, high; a row per cell.
    """
    if not table["n"].sum():
        return empty("No instance has a known alignment, answers in both languages and scores.")
    rows, words = [], []
    for cohort in COHORTS:
        row: dict[str, object] = {"language": cohort, "name": KNOWN["cohort", cohort].label}
        for measure, aligned in ((ALIGNED, True), (NOT_ALIGNED, False)):
            cell = table[(table["cohort"] == cohort) & (table["aligned"] == aligned)].iloc[0]
            ends = {measure.column: cell["mean"], measure.low: cell["low"], measure.high: cell["high"]}
            row |= ends | {f"n_{measure.column}": cell["n"]}
            words.append(
                f"{cohort} {measure.label} {estimate(cell['mean'], cell['low'], cell['high'], 2)}, n = {cell['n']}"
            )
        rows.append(row)
    looks = [(KNOWN["aligned", a].colour, KNOWN["aligned", a].symbol) for a in (False, True)]
    shown = pd.DataFrame(rows)
    figure = canvas(rows_of_dots(shown, [NOT_ALIGNED, ALIGNED], looks), "Mean log-probability margin (nats)", "")
    name_rows(figure, shown["name"].tolist())
    reference_line(figure, 0, "right →")
    return Drawing(figure, spoken(f"Mean log-probability margin in eight cells. {'; '.join(words)}.", 600))


def against_pivot(table: pd.DataFrame) -> Drawing:
    """The four cohorts as shares of each language's instances, most right in the language first; customdata is [language].

    Args:
        table: columns language, name, n, accuracy, and the counts named in `COUNTS`.
    """
    known = table[table["n"] > 0].sort_values("accuracy", ascending=False, kind="stable").reset_index(drop=True)
    if known.empty:
        return empty("No instance was answered both in the pivot and in a language.")
    traces = [_bars(known, column, KNOWN["cohort", cohort]) for column, cohort in COUNTS.items()]
    figure = canvas(traces, "Share of instances", "")
    name_rows(figure, known["name"].tolist())
    figure.update_layout(barmode="stack", bargap=0.25, legend={"traceorder": "normal"})
    figure.update_xaxes(range=[0, 1], tickformat=".0%")
    first = known.loc[0]
    counts = ", ".join(f"{KNOWN['cohort', c].label} {int(first[column]):,}" for column, c in COUNTS.items())
    alt = (
        f"Answers in the pivot against answers in {counted(len(known), 'language')}. {spoken(first['name'])}: {counts}."
    )
    return Drawing(figure, spoken(alt, 600))


def _bars(table: pd.DataFrame, column: str, look: Style) -> go.Bar:
    share = table[column] / table["n"]
    hover = [
        f"{plain(row['name'])}<br>{look.label}: {int(row[column]):,} of {int(row['n']):,} ({row[column] / row['n']:.1%})"
        for row in table.to_dict("records")
    ]
    return go.Bar(
        x=numbers(share), y=np.arange(len(table), dtype=np.int16), orientation="h", name=look.label, hovertext=hover,
        hoverinfo="text", customdata=[[code] for code in table["language"]],
        marker={"color": faded(look.colour, 0.75), "line": {"width": 1, "color": look.colour},
                "pattern": {"shape": PATTERNS.get(look.dash, "")}},
    )  # fmt: skip
