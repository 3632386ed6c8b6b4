"""The list of instances and its filter, which the page of one instance shares."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
import streamlit as st

from crossalign import instance_search
from crossalign.figures.theme import counted, number, spoken
from crossalign.instance_search import InstanceFilter
from crossalign.statistics import COHORTS
from crossalign.ui import components, controls, instances
from crossalign.ui.data import RunTables

PREVIOUS, NEXT = "Alt+PageUp", "Alt+PageDown"
"""Keys of the buttons: with arrows Alt is the browser's way back, or moves by words in a field."""

SIDES = {"any": "", "right": "yes", "wrong": "no"}
ALIGNED = {"any": "", "aligned": "yes", "not aligned": "no"}


def choose_filter(run: RunTables, points: pd.DataFrame, language: str) -> InstanceFilter:
    """Search and filter in one row; only what the instances can be told apart by is offered."""
    asked: dict = {}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        asked["words"] = controls.choose_text(
            "Search",
            "find",
            placeholder="words in id, texts and options",
            help='In the language and in the pivot; "several words" in quotes stand next to each other.',
        )
        with st.popover("Filter", icon=":material/filter_list:"):
            if points["correct"].notna().any():
                asked["correct"] = SIDES[controls.choose_one("Answer", list(SIDES), "answer")]
                asked["cohorts"] = controls.choose_several("Cohort", COHORTS, "cohorts", help=COHORT_HELP)
            asked["aligned"] = ALIGNED[controls.choose_one("Alignment", list(ALIGNED), "aligned")]
            if points["margin"].notna().any():
                asked["margin_from"] = controls.choose_amount("Alignment margin from", "from")
                asked["margin_to"] = controls.choose_amount("Alignment margin to", "to")
            tags = sorted({tag for found in instances.texts_of(run, language)["tags"] for tag in found})
            if tags:
                asked["tags"] = controls.choose_several("Tags", tags, "tags", help="What the data say about them.")
    return InstanceFilter(**asked)


COHORT_HELP = "E: English or another pivot, X: the language; C: right, W: wrong."


def step(points: pd.DataFrame, kept: np.ndarray) -> int:
    """The instance to look at, and buttons to the failure before and after it among those kept by the filter; its row."""
    ids = points["instance_id"].tolist()
    failed = instance_search.failures(points) & kept
    noun = "wrong answer" if points["correct"].notna().any() else "unaligned instance"
    with st.container(horizontal=True, vertical_alignment="bottom"):
        row = ids.index(controls.choose_one("Instance", ids, "instance", format_func=spoken))
        before, after = instance_search.neighbours(failed, row)
        go_buttons(noun, "instance", before, after, ids)
    count = int(failed.sum())
    place = f"{noun} {int(failed[: row + 1].sum())} of {count}" if failed[row] else counted(count, noun)
    outside = "" if kept[row] else "; this one is outside the filter"
    st.caption(f"{place} among the {int(kept.sum()):,} of {len(ids):,} instances that the filter lets through{outside}")
    return row


def go_buttons(noun: str, key: str, before: int | None, after: int | None, ids: list[str]) -> None:
    """Buttons to the row before and the row after; they stay side by side on a narrow screen."""
    with st.container(horizontal=True, width="content"):
        _go_button(f"Previous {noun}", key, before, ids, PREVIOUS, "left")
        _go_button(f"Next {noun}", key, after, ids, NEXT, "right")


def _go_button(
    label: str, key: str, row: int | None, ids: list[str], shortcut: str, side: Literal["left", "right"]
) -> None:
    """A button that gives a control of ids that of another row; off where there is none."""

    def go() -> None:
        if row is not None:
            st.session_state[key] = ids[row]

    icon = f":material/chevron_{side}:"
    st.button(label, key=shortcut, on_click=go, disabled=row is None, icon=icon, icon_position=side, shortcut=shortcut)


def facts(point: pd.Series, tags: Sequence[str]) -> list[str]:
    """What is known of an instance at its layer, a phrase each."""
    decided = {1.0: "aligned", 0.0: "not aligned"}.get(point["aligned"], "alignment undefined")
    said = [decided if pd.isna(point["margin"]) else f"{decided}, margin {number(point['margin'], 4)}"]
    said += [f"aligned at {point['layers_aligned']:.0%} of the layers"] if pd.notna(point["layers_aligned"]) else []
    said += [f"cohort {point['cohort']}"] if pd.notna(point["cohort"]) else []
    if pd.notna(point["logprob_margin"]):
        said.append(f"log-probability margin {number(point['logprob_margin'], 2)} nats")
    return [*said, *(["tags: " + ", ".join(tags)] if tags else [])]


def pick_instance(run: RunTables, listed: pd.DataFrame, name: str) -> str | None:
    """The list, from `instance_search.listing`; gives the id of the instance that was clicked, or chosen and opened."""
    columns = {"text": st.column_config.TextColumn("text", width="large")} | {
        c: st.column_config.NumberColumn(label, format="%.3f", help=about) for c, label, about in NUMBERS
    }
    return pick_row(listed, columns, "instance", f"{run.run_id}_{name}")


def pick_row(listed: pd.DataFrame, column_config: dict, noun: str, files: str) -> str | None:
    """A list with its files; gives the instance_id of the row that was clicked, or chosen and opened by keyboard."""
    if listed.empty:
        st.info("Take a filter away or look for fewer words.", title=f"No {noun} is like this")
        return None
    # A row is chosen by its place, so another list is another table: a click on what is no longer there chooses nothing.
    key = f"rows-{zlib.crc32(chr(10).join(listed['instance_id']).encode()):08x}"
    event = components.show_table(
        listed, key=key, on_select="rerun", selection_mode="single-row", column_config=column_config
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(f"{noun.capitalize()} to open", listed["instance_id"], key="to-open", width=320)
        opened = st.button("Open", icon=":material/open_in_new:", key="open")
        components.files(listed, files)
    rows = event["selection"]["rows"]
    return listed["instance_id"].iloc[rows[0]] if rows else chosen if opened else None


NUMBERS = (
    ("margin", "margin", "alignment margin in cosine units, at the layer chosen above; aligned means above 0"),
    ("layers_aligned", "aligned layers", "share of all layers at which the instance is aligned"),
    ("logprob_margin", "log-prob. margin", "log-likelihood of the gold option less that of the best other, in nats"),
)
