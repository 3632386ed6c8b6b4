"""What a reader takes along from a view: its address, and a record as a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from crossalign.ui import address


def copy_link() -> None:
    """The address of this very view, to be copied; call it after all controls of the page."""
    with st.popover("Copy link", icon=":material/link:"):
        query = urlencode(address.link(), doseq=True)
        st.code(f"{st.context.url or ''}?{query}", language=None, wrap_lines=True)
        st.caption("Opens this view in any session on this cache.")


def json_file(make: Callable[[], dict[str, Any]], name: str) -> None:
    """A download button for a record, which is made when it is asked for."""

    def whole() -> bytes:
        return json.dumps(make(), ensure_ascii=False, indent=1, allow_nan=False).encode()

    st.download_button(
        "JSON", whole, f"{name}.json", "application/json", key=f"{name}-json", on_click="ignore",
        icon=":material/download:", help=f"All that is known of this {name}, as JSON",
    )  # fmt: skip
