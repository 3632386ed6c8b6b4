"""Figures outside the dashboard: as a page of its own, or as data for a page that draws them."""

from __future__ import annotations

import plotly.graph_objects as go

from crossalign.figures.theme import on_page

CONFIG = {"displaylogo": False, "showSendToCloud": False, "responsive": True}
"""No button that sends anything anywhere."""


def html_page(figure: go.Figure) -> str:
    """A page that opens without a network, black on white."""
    return on_page(figure).to_html(include_plotlyjs=True, config=CONFIG)


def script_json(figure: go.Figure) -> str:
    """The figure's data and layout as JSON that may stand inside a `script` element: no sign of it can end the element."""
    written = figure.to_json() or "{}"
    return written.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def plotly_js() -> str:
    """The whole of plotly.js, as it comes with the Python package."""
    from plotly.offline import get_plotlyjs  # pages need not wait for it

    return get_plotlyjs()
