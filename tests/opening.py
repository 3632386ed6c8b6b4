"""Opens a page of the dashboard without a browser, and says what stands on it."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).parents[1]


def opened(cache: Path, page: str, **query: str | list[str]) -> AppTest:
    """A page in a fresh session, as a link opens it."""
    os.environ["CROSSALIGN_CACHE"] = str(cache)
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    app.switch_page(f"pages/views/{page}.py")
    app.query_params.update(query)
    return app.run()


def figure(app: AppTest, key: str) -> go.Figure:
    """The chart with this key."""
    chart = next(c for c in app.get("plotly_chart") if c.proto.id.endswith(f"-{key}"))
    return go.Figure(_decoded(json.loads(chart.proto.spec)))


def _decoded(spec: Any) -> Any:
    """Plotly's typed arrays as lists."""
    if isinstance(spec, list):
        return [_decoded(v) for v in spec]
    if isinstance(spec, dict) and "bdata" in spec:
        shape = [int(n) for n in spec.get("shape", "-1").split(",")]
        return np.frombuffer(base64.b64decode(spec["bdata"]), spec["dtype"]).reshape(shape).tolist()
    return {k: _decoded(v) for k, v in spec.items()} if isinstance(spec, dict) else spec


def numbers(values: Any) -> np.ndarray:
    """An array of a chart that was opened by `figure`, however it travels."""
    if isinstance(values, dict):
        flat = np.frombuffer(base64.b64decode(values["bdata"]), dtype=values["dtype"])
        return flat.astype(float)
    return np.asarray(values, dtype=float)


def chosen(app: AppTest, key: str, **selection: list[Any]) -> AppTest:
    """The page after a click in the chart (points=) or table (rows=) with this key."""
    app.session_state[key] = {"selection": {"points": [], "rows": [], "columns": [], "cells": []} | selection}
    return app.run()


def table_key(app: AppTest) -> str:
    """Key of the list of instances or sentences, which is another table for every other list."""
    ids = (frame.proto.id for frame in app.dataframe)
    return next(f"rows-{found[2]}" for found in (i.rpartition("-rows-") for i in ids) if found[1])


def said(app: AppTest) -> str:
    """All text of the page that comes in Markdown or as a message."""
    elements = (*app.markdown, *app.caption, *app.info, *app.warning, *app.error, *app.title, *app.subheader)
    return "\n".join(str(e.value) for e in elements)


def changed(cache: Path, **facts: object) -> None:
    """Rewrites facts of the only run of a cache."""
    path = next(cache.glob("*/run.json"))
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"facts": record["facts"] | facts}))
