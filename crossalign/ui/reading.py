"""Texts of instances as they are read: every sign stays a sign, in the direction of its script."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

import streamlit as st

from crossalign.instance_record import Option, Side, letter

GOLD, PREDICTED = "★\u00a0gold", "▶\u00a0predicted"

VERDICTS = {
    True: ":material/check_circle: right",
    False: ":material/cancel: wrong",
    None: ":material/help: not answered",
}
"""Sign and word, in Markdown."""

LONG = 1500
"""Signs from which a text gets a box of its own to scroll in."""

TEXT = "white-space:pre-wrap;overflow-wrap:anywhere;line-height:1.6;unicode-bidi:isolate"
NOTE = "font-size:.875rem;overflow-wrap:anywhere;margin-top:.2rem"
CELL = "padding:.45rem .6rem;border-top:1px solid rgba(128,128,128,.35);vertical-align:top;text-align:start"


def text_html(text: str, side: Side) -> str:
    """A text, escaped, with its language and direction."""
    lang = html.escape(side.language.replace("_", "-"), quote=True)
    return f'<div dir="{side.direction}" lang="{lang}" style="{TEXT}">{html.escape(text)}</div>'


def show_text(text: str, side: Side) -> None:
    """A text in a frame; a long one can be scrolled."""
    with st.container(border=True, height=320 if len(text) > LONG else "content"):
        st.html(text_html(text or "–", side))


def show_facts(facts: Mapping[str, str]) -> None:
    """Names and values in two columns; a long value without blanks is broken, so that all of it can be read."""
    small = f"{CELL};font-size:.875rem;overflow-wrap:anywhere"
    rows = "".join(
        f'<tr><th scope="row" style="{small};font-weight:400;opacity:.7;white-space:nowrap">{html.escape(name)}</th>'
        f'<td style="{small}">{html.escape(value)}</td></tr>'
        for name, value in facts.items()
    )
    st.html(f'<table style="width:100%;border-collapse:collapse"><tbody>{rows}</tbody></table>')


def show_options(sides: Sequence[Side]) -> None:
    """The options in all the languages, side by side, with log-likelihoods; gold and prediction by sign and word."""
    heads = "".join(f'<th style="{CELL}">{html.escape(s.name)}</th>' for s in sides)
    body = "".join(_row(i, sides) for i in range(max(len(s.options) for s in sides)))
    st.html(
        f'<table style="width:100%;border-collapse:collapse;table-layout:fixed"><thead><tr>'
        f'<th style="{CELL};width:4rem">Option</th>{heads}</tr></thead><tbody>{body}</tbody></table>'
    )


def _row(index: int, sides: Sequence[Side]) -> str:
    cells = (_cell(s.options[index], s) if index < len(s.options) else "" for s in sides)
    return (
        f'<tr><th style="{CELL}">{letter(index)}</th>'
        + "".join(f'<td style="{CELL}">{c}</td>' for c in cells)
        + "</tr>"
    )


def _cell(option: Option, side: Side) -> str:
    marks = [word for shown, word in ((option.gold, GOLD), (option.predicted, PREDICTED)) if shown]
    said = [_loglik(option), *(f"<b>{word}</b>" for word in marks)]
    if option.continuation not in ("", option.text):
        said.append(f"scored: {html.escape(option.continuation)}")
    return f'{text_html(option.text, side)}<div style="{NOTE}">{" · ".join(said)}</div>'


def _loglik(option: Option) -> str:
    if math.isnan(option.loglik):
        return "not scored"
    tokens = "" if option.n_tokens is None else f" ({option.n_tokens} token{'s' * (option.n_tokens != 1)})"
    return f"{option.loglik:.2f}".replace("-", "−") + f" nats{tokens}"
