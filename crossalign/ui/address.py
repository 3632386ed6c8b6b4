"""The URL holds every choice: a copied link opens the same view in a fresh session, and a change of page keeps them.

Streamlit binds a widget to the URL by itself, but leaves a value out that equals the default (so that a link changes
its meaning with the next run in the cache), and drops or refuses the values when the page changes. So it is done here,
in one place: when a control is first shown on a page its value comes from the URL, else from what was chosen before in
this session, else from its default; when the page is done, all values are written to the URL in one step. A value that
the control does not offer is dropped and named in a note. Nothing from the URL is used but to choose among the
control's own values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import StopException, get_script_run_ctx

Text = str | list[str]
"""How a value stands in the URL; a list for several values of one name."""

LONGEST_NOTE = 40


@dataclass
class _Session:
    """What one session has chosen so far.

    Attributes:
        page: page of the last run of the script.
        settled: controls shown since that page was opened; their widgets hold the value.
        chosen: control → value in this run, in the order on the page.
        remembered: control → value, over all pages.
        dropped: what the URL asked for and is not offered.
        exact: this run comes from the browser's back or forward, to a URL where what is missing was off.
        collecting: the script runs from its top, so the URL is written when it is done.
    """

    page: str = ""
    settled: set[str] = field(default_factory=set)
    chosen: dict[str, Text] = field(default_factory=dict)
    remembered: dict[str, Text] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)
    exact: bool = False
    collecting: bool = False


def _session() -> _Session:
    if "_address" not in st.session_state:
        st.session_state["_address"] = _Session()
    return st.session_state["_address"]


@contextmanager
def synced(page: str) -> Iterator[None]:
    """Runs a page inside; writes its controls to the URL when it is done."""
    session = _session()
    back_or_forward = bool(getattr(get_script_run_ctx(), "is_history_navigation", False))
    session.exact = back_or_forward and len(st.query_params) > 0
    if page != session.page or back_or_forward:
        session.settled, session.dropped = set(), []
    session.page, session.chosen, session.collecting = page, {}, True
    try:
        yield
    except StopException:
        _publish(session, st.query_params.to_dict())  # the page ended early: what it did not show stays
        raise
    else:
        _publish(session, {})
    finally:
        session.collecting = False


def _publish(session: _Session, others: dict[str, str]) -> None:
    """One step for all controls, so that one press of the back button undoes one choice.

    After back or forward the browser replaces the entry of its history instead of adding one.
    """
    wanted = others | {key: text for key, text in session.chosen.items() if text}
    now = {key: _unwrapped(st.query_params.get_all(key)) for key in st.query_params}
    if wanted != now:
        st.query_params.from_dict(wanted)


def _unwrapped(texts: list[str]) -> Text:
    return texts[0] if len(texts) == 1 else texts


def settle(key: str, read: Callable[[Text], Any], default: Any, allowed: Callable[[Any], bool]) -> bool:
    """Puts the value a control is to show into the session, before its widget is drawn under the same key.

    Args:
        read: text of the URL → value; ValueError for what it cannot read.
        default: value where neither the URL nor the session says another.
        allowed: whether the control offers a value (a browser may send any).

    Returns:
        Whether the value has just come from the URL.
    """
    session, from_url = _session(), False
    if key not in session.settled or key not in st.session_state:
        session.settled.add(key)
        st.session_state[key], from_url = _arriving(session, key, read, default, allowed)
    elif not allowed(st.session_state[key]):
        st.session_state[key] = default
    return from_url


def _arriving(
    session: _Session, key: str, read: Callable[[Text], Any], default: Any, allowed: Callable[[Any], bool]
) -> tuple[Any, bool]:
    asked = st.query_params.get_all(key)
    sources: list[tuple[bool, Text]] = [(True, _unwrapped(asked))] if asked else []
    if key in session.remembered and not session.exact:
        sources.append((False, session.remembered[key]))
    for from_url, text in sources:
        try:
            value = read(text)
        except ValueError:
            value = None
        if value is not None and allowed(value):
            return value, from_url
        if from_url:
            drop(key, text)
    return default, False


def drop(key: str, text: Text) -> None:
    """Notes that the URL asks for something that is not offered."""
    _session().dropped.append(f"{key}={str(text)[:LONGEST_NOTE]}")


def keep(key: str, text: Text) -> None:
    """Notes what a control holds; "" and [] stand for "off" and are left out of the URL."""
    session = _session()
    text = _unwrapped(text) if isinstance(text, list) else text
    session.remembered[key] = session.chosen[key] = text
    if not session.collecting:  # a fragment runs alone
        shown = {k: _unwrapped(st.query_params.get_all(k)) for k in st.query_params}
        wanted = {k: v for k, v in (shown | {key: text}).items() if v}
        if wanted != shown:
            st.query_params.from_dict(wanted)


def remember(**texts: str) -> None:
    """Chooses values for controls that another page will show; follow it with `st.switch_page(page)`.

    On the page itself, set `st.session_state[control]` in the callback of a button instead.
    """
    _session().remembered.update(texts)


def link(**changes: str) -> dict[str, Text]:
    """Query of a link to this page with what its controls hold so far, and with these changes."""
    return {key: text for key, text in (_session().chosen | changes).items() if text}


def dropped() -> list[str]:
    """What the URL asked for and no control offered, as `name=value`, cut short; text from outside, to be escaped."""
    return list(_session().dropped)
