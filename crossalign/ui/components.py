"""What pages are put together from: the run's header, figure with table, states, numbers."""

# pyright: reportIndexIssue=false
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false

from __future__ import annotations

import io
import math
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol, runtime_checkable

import pandas as pd
import streamlit as st
from streamlit.errors import StreamlitPageNotFoundError

from crossalign.amounts import in_brackets
from crossalign.figures.standalone import html_page
from crossalign.imported import missing
from crossalign.ui.data import RunTables

MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>$~:&])")

PAGES = "pages/views"

COMPUTE = "python -m crossalign run --model MODEL --task xcopa"


def plain(text: str) -> str:
    """Text from data for a place that reads Markdown: every sign that has a meaning there stays a sign."""
    return MARKDOWN.sub(r"\\\1", " ".join(text.split()))


# --- the run -----------------------------------------------------------------------------------------------------


def run_labels(runs: pd.DataFrame) -> dict[str, str]:
    """Run id → label for a list: model and task; where several are equal, also the protocol, then the end of the id."""
    labels = dict.fromkeys(runs["run"], "")
    for more in (
        lambda r: f"{r.model.rsplit('/', 1)[-1]} · {r.task}",
        lambda r: f" · {r.protocol}",
        lambda r: f" · {r.run.rsplit('_', 1)[-1][:6]}",
    ):
        taken = list(labels.values())
        for row in runs.itertuples():
            if taken.count(labels[row.run]) > 1 or not labels[row.run]:
                labels[row.run] += more(row)
    return labels


def run_header(run: RunTables) -> None:
    """What is on screen, under the title: model, task, protocol, pivot, size, provenance; warnings where due."""
    spec, facts = run.spec, run.facts
    shots = f", {spec.shots}-shot" if spec.shots else ""
    layers = f" · {run.n_layers} layers" if run.n_layers else ""
    st.markdown(
        f"**{plain(spec.model_name)}** on **{plain(spec.task)}** "
        + plain(
            f"({spec.protocol}{shots}) · {facts.get('n')} instances × {len(run.languages)} languages · "
            f"pivot {run.name(spec.pivot)}{layers}"
        )
    )
    if note := facts.get("note"):
        st.caption(plain(str(note)))
    if lacks := missing(run.run):
        things = "a thing" if len(lacks) == 1 else f"{len(lacks)} things"
        with st.expander(f"This run lacks {things} that other runs have", icon=":material/info:"):
            for sentence in lacks:
                st.caption(plain(sentence))
    if run.missing:
        st.info(
            plain(
                f"Not computed yet: {', '.join(run.name(c) for c in run.missing)}. The same command goes on with them."
            ),
            title=f"Partial: {len(run.languages)} of {len(run.languages) + len(run.missing)} languages",
        )


def provenance(run: RunTables) -> None:
    """Where the numbers on screen come from, in one line at the end of a page."""
    spec, facts = run.spec, run.facts
    identity = spec.model_identity.removeprefix("files:").removeprefix("commit:")[:12]
    if spec.model_identity.startswith("named:"):
        identity = "known by name only"
    how = "imported" if "imported" in facts else f"{spec.dtype} on {spec.device} · computed"
    at = f"{str(facts.get('created', ''))[:16].replace('T', ' ')} UTC on {facts.get('where')}"
    st.caption(plain(f"Run {run.run_id} · weights {identity} · {how} {at}"))


def empty_cache(problems: list[str]) -> None:
    """The cache holds nothing that can be read: says why, and what to do."""
    for problem in problems:
        st.warning(plain(problem))
    st.info("Compute a run from the command line, then reload this page.", title="No runs are cached yet")
    st.code(COMPUTE, language="bash")


def only_pivot(run: RunTables) -> None:
    """The run has no alignment: no language but the pivot so far, or imported accuracy alone."""
    if run.codes:
        st.info(
            "Compute the same model and task with `crossalign run`, then add this accuracy to it with "
            "`crossalign import lm-eval DIR --run RUN`.",
            title="This run holds accuracy only, no alignment",
        )
        show_table(run.languages, key="accuracy")
        with st.container(horizontal=True, gap="small"):
            files(run.languages, f"{run.run_id}_accuracy")
        return
    st.info(
        plain(f"Alignment needs at least one language beside {run.name(run.spec.pivot)}. Compute one, then reload."),
        title="Only the pivot is computed so far",
    )


def link(page: str, query: dict[str, str], label: str = "") -> None:
    """A link to another page of the app that opens a certain view; nothing where the app has no such page."""
    with suppress(StreamlitPageNotFoundError):
        st.page_link(f"{PAGES}/{page}.py", label=f"{label or f'Look at {page}'} →", query_params=query)


# --- numbers -----------------------------------------------------------------------------------------------------


def estimate(value: float, low: float = math.nan, high: float = math.nan, n: int | None = None, digits: int = 2) -> str:
    """An estimate as it is read: "0.81 [0.76, 0.86], n = 500"; "undefined" where it is NaN.

    >>> estimate(0.812, 0.761, 0.858, 500)
    '0.81 [0.76, 0.86], n = 500'
    >>> estimate(float("nan"), n=2)
    'undefined, n = 2'
    """
    size = "" if n is None else f", n = {n:,}"
    if math.isnan(value):
        return "undefined" + size
    written = f"{{:.{digits}f}}".format
    return f"{written(value)}{in_brackets(low, high, written)}{size}"


# --- figure, table, files ----------------------------------------------------------------------------------------


@runtime_checkable
class Drawing(Protocol):
    """A plotly figure and what it shows in words (see `crossalign.figures`)."""

    @property
    def figure(self) -> Any: ...
    @property
    def alt(self) -> str: ...


def show(
    drawing: Drawing,
    table: pd.DataFrame,
    name: str,
    run: RunTables,
    *,
    click: bool = False,
    on_click: Callable[[Any], None] | None = None,
    by: Sequence[str] = (),
) -> list[Any]:
    """A figure with its table twin and its files: CSV and Parquet of the table, HTML of the figure.

    Args:
        name: of the files, after the run's id; also the key of the chart, so it occurs once per page.
        click: whether points can be chosen; then call inside a fragment.
        on_click: gets the customdata of a point that was chosen, before the page runs again; it may set the session's
            value of a control.
        by: columns of the table that say what customdata says; then a row can be chosen, too, for the keyboard.

    Returns:
        The customdata of the chosen points and rows; empty without `click`.
    """
    event = st.plotly_chart(
        drawing.figure,
        width="stretch",
        key=name,
        alt=drawing.alt,
        on_select=(lambda: _clicked(name, on_click)) if on_click else "rerun" if click else "ignore",
        selection_mode="points",
        config={"displaylogo": False, "showSendToCloud": False},
    )
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        hint = "The numbers of the figure" + (". Choose a row (Shift + Space) instead of a point" if by else "")
        shown = st.toggle("Table", key=f"{name}-table", help=hint)
        files(table, f"{run.run_id}_{name}", drawing.figure)
    chosen = _customdata(event) if click else []
    return chosen + _chosen_rows(table, name, by) if shown else chosen


def _chosen_rows(table: pd.DataFrame, name: str, by: Sequence[str]) -> list[Any]:
    """Shows the table; where columns `by` are given a row of it can be chosen, and what they say there is returned."""
    choose = {"on_select": "rerun", "selection_mode": "single-row"} if by else {}
    event = show_table(table, key=f"{name}-rows", **choose)
    rows = [row for row in event["selection"]["rows"] if row < min(MOST_ROWS, len(table))] if by else []
    return table[list(by)].iloc[rows].to_numpy().tolist()


def _customdata(event: Any) -> list[Any]:
    return [p["customdata"] for p in event["selection"]["points"] if "customdata" in p]


def _clicked(name: str, on_click: Callable[[Any], None]) -> None:
    for chosen in _customdata(st.session_state[name])[:1]:
        on_click(chosen)


def files(table: pd.DataFrame, name: str, figure: Any = None) -> None:
    """Download buttons; a file is made when it is asked for."""
    kinds = [("CSV", "csv", "text/csv", lambda: table.to_csv(index=False).encode())]
    kinds += [("Parquet", "parquet", "application/vnd.apache.parquet", lambda: _parquet(table))]
    if figure is not None:
        kinds += [("HTML", "html", "text/html", lambda: html_page(figure))]
    for label, ending, mime, make in kinds:
        st.download_button(
            label, make, f"{name}.{ending}", mime, key=f"{name}-{ending}", type="tertiary", on_click="ignore",
            icon=":material/download:", help=f"{'The figure' if ending == 'html' else 'The table'} as {label}",
        )  # fmt: skip


MOST_ROWS = 1000

P_VALUES = {
    "p": "p",
    "p_holm": "p, Holm",
    "p_bh": "p, Benjamini–Hochberg",
    "p_best": "p, best of all",
    "mcnemar": "p, McNemar exact",
}
"""Columns of p values in tables and their headings."""


def show_table(table: pd.DataFrame, **settings: Any) -> Any:
    """A table with at most 1,000 rows on screen, readable headings, and without columns that hold nothing."""
    if len(table) > MOST_ROWS:
        st.caption(f"The first {MOST_ROWS:,} of {len(table):,} rows; the files hold all.")
    shown = table.head(MOST_ROWS).dropna(axis="columns", how="all")
    # A p value too small for a number has become 0, which none is: the smallest number stands for it.
    shown = shown.assign(**{c: shown[c].clip(lower=sys.float_info.min) for c in P_VALUES if c in shown})
    config = {c: v for c, v in _headings(shown).items() if c in shown} | settings.pop("column_config", {})
    return st.dataframe(shown, hide_index=True, width="stretch", column_config=config, placeholder="–", **settings)


def _headings(table: pd.DataFrame) -> dict[str, Any]:
    """How columns that many tables share are shown."""
    number = st.column_config.NumberColumn
    # Of what the interval is needs saying only where the table holds another one, too.
    of = "rate: " if "rate" in table and any(str(c).endswith("_low") for c in table) else ""
    # Two significant digits: a column stays one of numbers, which can be sorted, and no small p is written as 0.
    return {column: number(text, format="%.2g") for column, text in P_VALUES.items()} | {
        "accuracy": number("accuracy", format="%.3f"),
        "pivot_accuracy": number("pivot accuracy", format="%.3f"),
        "accuracy_low": number("95 % from", format="%.3f"),
        "accuracy_high": number("to", format="%.3f"),
        "layer": number("layer", help="0 = embeddings; −1 = mean over all layers"),
        "rate": number("rate", format="%.3f", help="share of aligned instances"),
        "low": number(f"{of}95 % from", format="%.3f"),
        "high": number(f"{of}to", format="%.3f"),
        "relabelled_rate": number("relabelled", format="%.3f", help="the same rule when no pair is a translation"),
        "relative_depth": number("relative depth", format="%.2f", help="layer / last layer"),
        "mean_rate": number("mean over layers", format="%.3f"),
        "tie_rate": number("ties", format="%.3f"),
        "loglik_margin": number("log-prob. margin", format="%.3f", help="mean, in nats"),
    }


def _parquet(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.to_parquet(buffer, compression="zstd", index=False)
    return buffer.getvalue()
