"""Widgets whose value stands in the URL (see `address`). Each returns a value it offers, whatever a browser sends."""

# pyright: reportReturnType=false
# pyright: reportArgumentType=false

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

import streamlit as st

from crossalign.ui import address
from crossalign.ui.components import plain

T = TypeVar("T", str, int)

LONGEST_SEARCH = 200
FEW = 5
NARROW = 30
"""Most options, and letters in their labels, that stand side by side as buttons."""


def choose_one(
    label: str,
    options: Sequence[T],
    key: str,
    *,
    default: T | None = None,
    format_func: Callable[[Any], str] = str,
    help: str | None = None,  # noqa: A002 (Streamlit's name)
    width: int | Literal["stretch"] = "stretch",
    buttons: bool = False,
    follow: bool = False,
) -> T:
    """One of several options: buttons for a few, a list with search for more.

    Args:
        key: name of the control, in the session and in the URL.
        default: the first option where it is None or not offered.
        buttons: always buttons, in as many rows as they need.
        follow: the value moves with the default for as long as it is the default, unless a link asks for it.
    """
    first = default if default in options else options[0]
    offered = {str(option): option for option in options}
    asked = address.settle(key, lambda text: offered.get(_one(text)), first, lambda value: value in options)
    if follow:
        _follow(key, first, asked)
    settings = {"format_func": format_func, "key": key, "help": help, "width": width}
    if buttons or (len(options) <= FEW and sum(len(format_func(o)) for o in options) <= NARROW):
        # Buttons, unlike a list, read Markdown.
        settings["format_func"] = lambda option: plain(format_func(option))
        value = st.segmented_control(label, options, required=True, wrap=buttons, **settings)
    else:
        value = st.selectbox(label, options, **settings)
    value = value if value in options else first
    address.keep(key, str(value))
    return value


def _follow(key: str, default: T, asked: bool) -> None:
    """Moves a control that is at its old default to the new one; not where a link has just asked for its value."""
    before, st.session_state[f"{key}-default"] = st.session_state.get(f"{key}-default"), default
    if st.session_state[key] == before and not asked:
        st.session_state[key] = default


def choose_several(
    label: str,
    options: Sequence[str],
    key: str,
    *,
    default: Sequence[str] = (),
    most: int | None = None,
    format_func: Callable[[str], str] = str,
    help: str | None = None,  # noqa: A002
    placeholder: str = "all",
    width: int | Literal["stretch"] = "stretch",
) -> tuple[str, ...]:
    """Any number of options, in the order chosen; none means no restriction."""

    def fits(values: list[str]) -> bool:
        return all(v in options for v in values) and (most is None or len(values) <= most)

    address.settle(key, lambda text: _several(key, text, options)[:most], [v for v in default if v in options], fits)
    values = st.multiselect(
        label,
        options,
        format_func=format_func,
        key=key,
        help=help,
        max_selections=most,
        placeholder=placeholder,
        width=width,
    )
    chosen = [v for v in values if v in options][:most]
    address.keep(key, chosen)
    return tuple(chosen)


def choose_number(
    label: str, low: int, high: int, key: str, *, default: int | None = None, follow: bool = False, **settings: Any
) -> int:
    """A whole number from `low` to `high`, by a slider; with one value only there is nothing to move.

    Args:
        follow: the value moves with the default for as long as it is the default, unless a link asks for it; without, it
            stays as near as it can where other values are offered than before.
    """
    start = low if default is None else min(max(default, low), high)
    if not follow and isinstance(shown := st.session_state.get(key), int):
        st.session_state[key] = min(max(shown, low), high)
    asked = address.settle(key, lambda text: int(_one(text)), start, lambda v: isinstance(v, int) and low <= v <= high)
    if low == high:
        return low
    if follow:
        _follow(key, start, asked)
    value = int(st.slider(label, low, high, key=key, **settings))
    address.keep(key, str(value))
    return min(max(value, low), high)


def choose_amount(label: str, key: str, *, help: str | None = None, placeholder: str = "any") -> float | None:  # noqa: A002
    """Any number, typed in; None, the start, where there is none."""

    def fits(value: object) -> bool:
        return value is None or (isinstance(value, int | float) and math.isfinite(value))

    address.settle(key, lambda text: float(_one(text)), None, fits)
    value = st.number_input(label, value=None, step=0.01, format="%g", key=key, help=help, placeholder=placeholder)
    value = None if value is None or not math.isfinite(value) else float(value)
    address.keep(key, "" if value is None else repr(value))
    return value


def choose_switch(label: str, key: str, *, help: str | None = None) -> bool:  # noqa: A002
    """On or off; off at first."""
    address.settle(key, lambda text: _one(text) == "1", False, lambda v: isinstance(v, bool))
    value = bool(st.toggle(label, key=key, help=help))
    address.keep(key, "1" if value else "")
    return value


def choose_text(
    label: str,
    key: str,
    *,
    placeholder: str = "",
    help: str | None = None,  # noqa: A002
    most: int = LONGEST_SEARCH,
) -> str:
    """A line of text, cut at 200 characters or `most`; empty at first."""
    address.settle(key, lambda text: _one(text)[:most], "", lambda v: isinstance(v, str))
    value = st.text_input(label, key=key, max_chars=most, placeholder=placeholder, help=help) or ""
    address.keep(key, value[:most])
    return value[:most]


def _one(text: address.Text) -> str:
    return text if isinstance(text, str) else text[-1]


def _several(key: str, text: address.Text, options: Sequence[str]) -> list[str]:
    """Those of the texts that are offered; ValueError where none is."""
    texts = [text] if isinstance(text, str) else text
    values = list(dict.fromkeys(t for t in texts if t in options))
    if not values:
        raise ValueError(text)
    for unknown in set(texts) - set(values):
        address.drop(key, unknown)
    return values
