"""Distributions over instances: alignment margins, log-probability margins, shares of aligned layers."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false, reportOptionalOperand=false
# (pandas returns unions that say nothing about the frame at hand.)

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from crossalign.figures import densities
from crossalign.figures.marks import reference_line
from crossalign.figures.theme import Drawing, Style, canvas, counted, empty, faded, groups, numbers, short, spoken

BINS = 40
"""About how many a histogram has."""

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

Group = tuple[Style, np.ndarray]


def distribution(
    table: pd.DataFrame, value: str, by: str | None = "correct", *, kind: str = "histogram", label: str = "Alignment margin (cosine)",
) -> Drawing:  # fmt: skip
    """How a value is distributed over instances, by group; only bins, steps or a density reach the browser.

    Args:
        table: one row per instance, columns `value` and `by`.
        value: e.g. margin, logprob_margin, rate of aligned layers, translation quality.
        by: correct, aligned, cohort, language or any category; None for one group.
        kind: histogram (of shares within each group, so that groups of different size compare), ecdf or violin.
        label: the value in words.

    Raises:
        KeyError: an unknown kind.
    """
    draw = {"histogram": _histogram, "ecdf": _ecdf, "violin": _violin}[kind]
    parts = _values(table, value, by)
    if not parts:
        return empty(f"No instance has a defined {label}.")
    figure = draw(parts, label)
    everything = np.concatenate([values for _, values in parts])
    if everything.min() < 0 < everything.max():
        if kind == "violin":
            reference_line(figure, 0, "", across=True)
        else:
            reference_line(figure, 0, "")
    words = "; ".join(f"{look.label}: median {short(np.median(v))}, n = {len(v):,}" for look, v in parts)
    return Drawing(figure, spoken(f"{KINDS[kind]} of {label}. {words}.", 600))


KINDS = {"histogram": "Histogram", "ecdf": "Cumulative distribution", "violin": "Violin plot"}
"""The kinds of `distribution`, in words."""


def _values(table: pd.DataFrame, value: str, by: str | None) -> list[Group]:
    """Each group's defined values; groups without any are left out."""
    found = []
    for look, part in groups(table, by):
        values = pd.to_numeric(part[value], errors="coerce").to_numpy(float, na_value=np.nan)
        values = values[np.isfinite(values)]
        if len(values):
            found.append((look, values))
    return found


def _named(look: Style, values: np.ndarray) -> str:
    return f"{look.label} (n = {len(values):,})"


def _histogram(parts: list[Group], label: str) -> go.Figure:
    edges = densities.edges(np.concatenate([values for _, values in parts]), BINS)
    traces = []
    for look, values in parts:
        counts = np.histogram(values, edges)[0]
        height = counts / len(values)
        hover = [
            f"{short(a)} to {short(b)}<br>{look.label}: {c:,} of {len(values):,} ({c / len(values):.1%})"
            for a, b, c in zip(edges[:-1], edges[1:], counts, strict=True)
        ]
        # Steps through the bins' edges; the hover text sits on markers at the bins' middles.
        steps = {"x": numbers(np.repeat(edges, 2)), "y": numbers(np.concatenate([[0], np.repeat(height, 2), [0]]))}
        line = {"color": look.colour, "width": 1.8, "dash": look.dash}
        traces.append(
            go.Scatter(
                **steps,
                mode="lines",
                line=line,
                fill="tozeroy",
                fillcolor=faded(look.colour, 0.16),
                name=_named(look, values),
                legendgroup=look.label,
                hoverinfo="skip",
            )
        )
        middles = {"x": numbers((edges[:-1] + edges[1:]) / 2), "y": numbers(height)}
        traces.append(
            go.Scatter(
                **middles,
                mode="markers",
                marker={"size": 5, "opacity": 0, "color": look.colour},
                hovertext=hover,
                hoverinfo="text",
                showlegend=False,
                legendgroup=look.label,
            )
        )
    figure = canvas(traces, label, "Share of the group")
    figure.update_yaxes(rangemode="tozero")
    return figure


def _ecdf(parts: list[Group], label: str) -> go.Figure:
    traces = []
    for look, values in parts:
        at, below = densities.ecdf(values)
        line = {"color": look.colour, "width": 2, "dash": look.dash, "shape": "hv"}
        hover = f"{look.label}<br>%{{y:.1%}} at or below %{{x:.3f}}<extra></extra>"
        place = {"x": numbers(np.append(at[:1], at)), "y": numbers(np.append(0.0, below))}
        traces.append(go.Scatter(**place, mode="lines", line=line, hovertemplate=hover, name=_named(look, values)))
    figure = canvas(traces, label, "Share at or below")
    figure.update_yaxes(range=[0, 1.02])
    return figure


def _violin(parts: list[Group], label: str) -> go.Figure:
    everything = np.concatenate([values for _, values in parts])
    spread = float(np.ptp(everything)) or 1.0
    grid = np.linspace(everything.min() - 0.05 * spread, everything.max() + 0.05 * spread, 120)
    shapes = [densities.density(values, grid) for _, values in parts]
    tallest = max(float(s.max()) for s in shapes) or 1.0
    traces = [
        t
        for i, ((look, values), s) in enumerate(zip(parts, shapes, strict=True))
        for t in _one_violin(i, look, values, grid, s / tallest)
    ]
    figure = canvas(traces, "", label)
    names = ["<br>".join([*look.label.split(": "), f"n = {len(values):,}"]) for look, values in parts]
    figure.update_xaxes(tickvals=list(range(len(parts))), ticktext=names, tickangle=0, range=[-0.6, len(parts) - 0.4])
    figure.update_layout(showlegend=False)
    return figure


def _one_violin(place: int, look: Style, values: np.ndarray, grid: np.ndarray, shape: np.ndarray) -> list[go.Scatter]:
    """The mirrored density, from the lowest to the highest value, with quartiles as a bar and the median as a mark."""
    inside = (grid >= values.min()) & (grid <= values.max())
    half, at = 0.42 * shape[inside], grid[inside]
    line = {"color": look.colour, "width": 1.2}
    body = go.Scatter(
        x=numbers(np.concatenate([place + half, (place - half)[::-1]])), y=numbers(np.concatenate([at, at[::-1]])),
        mode="lines", line=line, fill="toself", fillcolor=faded(look.colour, 0.3), hoverinfo="skip", name=look.label,
    )  # fmt: skip
    low, q1, median, q3, high = np.quantile(values, QUANTILES)
    hover = (
        f"{look.label}<br>median {short(median)}<br>half between {short(q1)} and {short(q3)}"
        f"<br>90 % between {short(low)} and {short(high)}<br>mean {short(values.mean())}<br>n = {len(values):,}"
    )
    bar = {"x": [place, place], "y": numbers([q1, q3]), "mode": "lines", "hoverinfo": "skip", "showlegend": False}
    mark = {"size": 11, "symbol": look.symbol, "color": look.colour, "line": {"width": 1.5, "color": "white"}}
    dot = go.Scatter(
        x=[place], y=numbers([median]), mode="markers", marker=mark, hovertext=hover, hoverinfo="text", showlegend=False
    )
    return [body, go.Scatter(**bar, line={"color": look.colour, "width": 6}), dot]


def aligned_layers(table: pd.DataFrame, n_layers: int, by: str | None = "correct") -> Drawing:
    """In how many layers instances are aligned: the share of each group with 0, 1, … layers.

    Args:
        table: one row per instance, columns layers_aligned (the share of aligned layers) and `by`.
        n_layers: layers compared, L + 1 with the embeddings.
        by: as in `distribution`.
    """
    parts = [(look, np.rint(share * n_layers)) for look, share in _values(table, "layers_aligned", by)]
    if not parts:
        return empty("No instance has a known number of aligned layers.")
    traces = []
    for look, values in parts:
        counts = densities.counts_up_to(values.astype(int), n_layers)
        hover = f"{look.label}<br>aligned in %{{x}} of {n_layers} layers: %{{y:.1%}} of {len(values):,}<extra></extra>"
        marker = {
            "color": faded(look.colour, 0.75),
            "line": {"width": 1, "color": look.colour},
            "pattern": {"shape": PATTERNS.get(look.dash, "")},
        }
        traces.append(
            go.Bar(
                x=np.arange(n_layers + 1, dtype=np.int16),
                y=numbers(counts / len(values)),
                marker=marker,
                hovertemplate=hover,
                name=_named(look, values),
            )
        )
    figure = canvas(traces, f"Aligned layers of {n_layers}", "Share of the group")
    figure.update_layout(barmode="group", bargap=0.15)
    words = "; ".join(
        f"{look.label}: mean {v.mean():.1f} of {counted(n_layers, 'layer')}, n = {len(v):,}" for look, v in parts
    )
    return Drawing(figure, spoken(f"Number of aligned layers per instance. {words}.", 600))


PATTERNS = {"dash": "/", "dot": ".", "dashdot": "x"}
"""Hatching of bars for groups whose line is not solid."""
