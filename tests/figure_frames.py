"""Small frames in the shape of the tables, and what every figure must satisfy."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from crossalign.figures.theme import Drawing

HOSTILE = (
    "<script>alert(1)</script><a href='javascript:x'>%{x}</a> $\\frac{1}{2}$ **bold**\n\u202egnp.exe " + "x" * 50_000
)

MARKUP = re.compile(r"<br>|</?b>|<span style='font-size:12px'>|</span>|<extra></extra>")
FIELDS = re.compile(r"%\{(x|y|z|text)(:[^{}<>]*)?\}")

MEGABYTE = 1_000_000


def language_rows(n: int, seed: int = 0) -> pd.DataFrame:
    """A row per language with accuracy, an alignment rate at its best layer, and categories."""
    rng = np.random.default_rng(seed)
    rate = rng.uniform(0.1, 0.9, n)
    accuracy = 0.4 + 0.5 * rate + rng.normal(0, 0.03, n)
    return pd.DataFrame(
        {
            "language": [f"l{i:02d}_Latn" for i in range(n)],
            "name": [f"Language number {i}" for i in range(n)],
            "family": [f"Family {i % 10}" for i in range(n)],
            "resource_level": pd.array([i % 6 if i % 7 else None for i in range(n)], dtype="Int8"),
            "layer": np.arange(n, dtype=np.int16) % 33,
            "n": 500,
            "rate": rate,
            "low": rate - 0.04,
            "high": rate + 0.04,
            "accuracy": accuracy,
            "accuracy_low": accuracy - 0.05,
            "accuracy_high": accuracy + 0.05,
        }
    )


def rate_rows(n: int, n_layers: int = 33, seed: int = 0) -> pd.DataFrame:
    """A row per language and layer of one metric; language i has its peak at layer i % n_layers."""
    rng = np.random.default_rng(seed)
    layers = np.arange(n_layers)
    frames = []
    for i in range(n):
        rate = np.clip(
            0.8 * np.exp(-(((layers - i % n_layers) / 9) ** 2)) - 0.002 * i + rng.uniform(0, 1e-3, n_layers), 0, 1
        )
        facts = {
            "language": f"l{i:02d}_Latn",
            "name": f"Language number {i}",
            "layer": layers.astype(np.int16),
            "rate": rate,
        }
        ends = {"low": rate - 0.02, "high": rate + 0.02, "relabelled_rate": 0.05, "tie_rate": 0.0, "n": 500}
        frames.append(pd.DataFrame(facts | ends))
    return pd.concat(frames, ignore_index=True)


def instance_rows(n: int = 900, seed: int = 0) -> pd.DataFrame:
    """A row per instance with margin, alignment, correctness and cohort."""
    rng = np.random.default_rng(seed)
    margin = rng.normal(0.01, 0.05, n)
    correct, pivot = rng.random(n) < 0.6, rng.random(n) < 0.75
    cohort = np.char.add(np.where(pivot, "EC-", "EW-"), np.where(correct, "XC", "XW"))
    kinds = {"aligned": pd.array(margin > 0, dtype="boolean"), "correct": pd.array(correct, dtype="boolean")}
    return pd.DataFrame({"instance_id": [f"q{i}" for i in range(n)], "margin": margin, "cohort": cohort} | kinds)


def texts(figure: go.Figure) -> Iterator[str]:
    """Every text of a figure that a browser would show; not customdata, which only comes back with a click."""
    # The template and the keys of plotly's encoding of arrays are not shown.
    tree = json.loads(figure.to_json())
    tree["layout"].pop("template")

    def walk(node: object, key: str = "") -> Iterator[str]:
        if isinstance(node, dict):
            for name, value in node.items():
                if name not in ("customdata", "bdata"):
                    yield from walk(value, name)
        elif isinstance(node, list):
            for value in node:
                yield from walk(value, key)
        elif isinstance(node, str):
            yield node

    return walk(tree)


def assert_sound(drawing: Drawing, limit: int = MEGABYTE) -> None:
    """What holds for every figure: alt text, size, transparency, no foreign markup, no colour for text."""
    figure = drawing.figure
    assert drawing.alt.strip() and len(drawing.alt) <= 600 and "\n" not in drawing.alt
    assert len(figure.to_json()) < limit
    assert figure.layout.paper_bgcolor == "rgba(0,0,0,0)" and figure.layout.font.color is None
    for text in texts(figure):
        rest = FIELDS.sub("", MARKUP.sub("", text))
        assert "<" not in rest and "%{" not in rest and "\u202e" not in rest, text[:200]


def is_empty(drawing: Drawing) -> bool:
    """Whether the figure only says why there is nothing to see."""
    notes = drawing.figure.layout.annotations
    return not drawing.figure.data and len(notes) == 1 and bool(notes[0].text)
