"""The frame around every page: the URL in step, mistakes told in place of the page, short searches for garbage."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from crossalign.schema import UserError
from crossalign.ui import address
from crossalign.ui.components import plain


@contextmanager
def framed(page: StreamlitPage) -> Iterator[None]:
    """Runs a page inside: keeps the URL in step, and tells a `UserError` in place of the page."""
    notes = st.container()
    try:
        with address.synced(page.url_path):
            yield
    except UserError as error:
        st.error(plain(str(error)), title="This cannot be shown")
    finally:
        if dropped := address.dropped():
            notes.caption(plain(f"Left out of the link, as this run does not offer it: {', '.join(dropped[:5])}"))
        _spare_libraries(len(sys.modules))


@st.cache_resource(max_entries=1, show_spinner=False)
def _spare_libraries(modules: int) -> None:
    """Takes what has been imported out of the search for garbage, once after every view that imported more.

    Streamlit searches all of memory after every run of a page, and the libraries are nearly all of it.

    Args:
        modules: how many there are; another number is another call.
    """
    gc.collect()
    gc.freeze()
