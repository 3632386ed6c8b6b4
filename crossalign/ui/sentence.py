"""One translated sentence: its texts with the differences marked, its alignment, the other languages."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from crossalign.figures.languages import strip
from crossalign.figures.theme import Drawing, number, spoken
from crossalign.instance_record import plain_values
from crossalign.instance_search import neighbours
from crossalign.schema import UserError
from crossalign.translation.differences import Piece, differences
from crossalign.translation.sentences import FAULTS, SCALES, Decided, faults
from crossalign.ui import components, controls
from crossalign.ui.instance_list import go_buttons
from crossalign.ui.reading import LONG, TEXT
from crossalign.ui.sentences import points_of, texts_of
from crossalign.ui.translations import DIRECTIONS, Translated, View

MARKS = {
    "reference": ("del", "text-decoration:underline dashed 2px;text-underline-offset:3px;opacity:.85"),
    "output": ("ins", "text-decoration:underline solid 2px;text-underline-offset:3px;font-weight:600"),
}
"""How words that only the reference, or only the output, has are marked: element and style."""

LEGEND = (
    "Dashed line: words that only the reference has. Solid line and bold: words that only the output has. Word order "
    "counts; a difference need not be a mistake."
)


def step(points: pd.DataFrame, kept: np.ndarray, view: View) -> int:
    """The sentence to look at, and buttons to the one before and after among those kept by the filter; its row."""
    ids = points["instance_id"].tolist()
    if not ids:
        raise UserError(f"No sentence {DIRECTIONS[view.direction]} is known of this language, only scores of all.")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        row = ids.index(controls.choose_one("Sentence", ids, "sentence", format_func=spoken))
        before, after = neighbours(kept, row)
        go_buttons("sentence", "sentence", before, after, ids)
    outside = "" if kept[row] else "; this one is outside the filter"
    st.caption(f"{int(kept.sum()):,} of {len(ids):,} sentences {DIRECTIONS[view.direction]} pass the filter{outside}")
    return row


def show_texts(run: Translated, view: View, language: str, texts: pd.Series) -> None:
    """Source, reference and output, one below the other, with the differences between the last two marked."""
    codes = [run.spec.pivot, language] if view.direction == "en-xx" else [language, run.spec.pivot]
    source, reference, output = (
        None if pd.isna(texts[c]) else str(texts[c]) for c in ("source", "reference", "output")
    )
    _show(f"Source ({run.name(codes[0])})", [Piece(source, True)] if source else None, codes[0], "")
    found = differences(reference, output) if reference and output else None
    sides = {"reference": reference, "output": output}
    for place, (role, text) in enumerate(sides.items()):
        pieces = found[place] if found else [Piece(text, True)] if text else None
        _show(f"{role.capitalize()} ({run.name(codes[1])})", pieces, codes[1], role)
    if found:
        st.caption(LEGEND)
    elif reference and output:
        st.caption("The texts are too long to mark their differences.")


def _show(label: str, pieces: Sequence[Piece] | None, code: str, role: str) -> None:
    st.caption(components.plain(label))
    long = pieces is not None and sum(len(p.text) for p in pieces) > LONG
    with st.container(border=True, height=320 if long else "content"):
        st.html(marked_html(pieces or [Piece("–", True)], code, role))


def marked_html(pieces: Sequence[Piece], code: str, role: str = "") -> str:
    """A text, escaped, in the direction of its own script, the pieces that the other text lacks marked by line and weight."""
    element, style = MARKS.get(role, ("span", ""))
    lang = html.escape(code.replace("_", "-"), quote=True)
    body = "".join(
        html.escape(p.text) if p.shared else f'<{element} style="{style}">{html.escape(p.text)}</{element}>'
        for p in pieces
    )
    return f'<div dir="auto" lang="{lang}" style="{TEXT}">{body}</div>'


def facts(point: pd.Series, view: View) -> list[str]:
    """What is known of a sentence, a phrase each."""
    said = [
        f"{label} {number(point[s], 3 if 'comet' in s else 1)}" for s, label in SCALES.items() if pd.notna(point[s])
    ]
    decided = {1.0: "aligned", 0.0: "not aligned"}.get(point["aligned"], "alignment undefined")
    said.append(decided + (f", margin {number(point['margin'], 4)}" if pd.notna(point["margin"]) else ""))
    if pd.notna(point["layers_aligned"]):
        said.append(f"aligned at {point['layers_aligned']:.0%} of the layers")
    wrong = faults(pd.DataFrame([point])).iloc[0]
    return [*said, *(f"output: {FAULTS[f]}" for f in wrong)]


def margins(found: Decided | None, instance_id: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """layer and margin of a sentence, and of all sentences of its language; empty where no margin is known."""
    nothing = pd.DataFrame({"layer": [], "margin": []})
    place = np.flatnonzero(found.ids == instance_id) if found is not None else []
    if found is None or not len(place) or np.isnan(found.margin).all():
        return nothing, nothing
    n_layers, n = found.margin.shape
    layers = np.arange(n_layers, dtype=np.int16)
    mine = pd.DataFrame({"layer": layers, "margin": found.margin[:, place[0]].astype(float)})
    everyone = pd.DataFrame({"layer": np.repeat(layers, n), "margin": found.margin.reshape(-1)})
    return mine, everyone


def without_margins(found: Decided | None) -> str:
    """Why a sentence has no curve of margins."""
    if found is None:
        return "This language has no alignment here: compute it with `crossalign run` on the same task."
    return "The alignment was imported as decisions, or does not hold this sentence."


def elsewhere(run: Translated, view: View, instance_id: str) -> pd.DataFrame:
    """The same sentence in all languages: language, name, each score, aligned, margin, layers_aligned; best first."""
    points = points_of(run, view)
    found = points[(points["instance_id"] == instance_id).to_numpy(bool)]
    columns = ["language", *SCALES, "aligned", "margin", "layers_aligned"]
    frame = found[columns].sort_values(view.score, ascending=False, ignore_index=True)
    frame.insert(1, "name", [run.name(code) for code in frame["language"]])
    aligned = frame["aligned"].map({1.0: "aligned", 0.0: "not aligned"})
    return frame.assign(aligned=aligned)


def glance(others: pd.DataFrame, view: View, language: str) -> Drawing:
    """The score of the sentence in every language, a row each."""
    return strip(others, [view.measure], highlight=language)


def record(run: Translated, view: View, language: str, row: int) -> dict[str, Any]:
    """All that is known of a sentence in a language, ready for JSON."""
    point, texts = points_of(run, view, language).iloc[row], texts_of(run, view, language).iloc[row]
    whole = {
        "run": run.run_id,
        "alignment_run": run.alignment.run_id if run.alignment else None,
        "model": run.spec.model_name,
        "task": run.spec.task,
        "direction": view.direction,
        "pooling": view.selection.pooling,
        **{name: None if pd.isna(texts[name]) else texts[name] for name in ("source", "reference", "output")},
        **{name: None if pd.isna(value) else value for name, value in point.items()},
        "languages": elsewhere(run, view, point["instance_id"]).to_dict("records"),
    }
    return plain_values(whole)
