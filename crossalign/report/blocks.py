"""What a report is made of. Texts are plain; `page` escapes them."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from crossalign.definitions import Definition
from crossalign.figures.theme import Drawing


class Words(NamedTuple):
    """A paragraph, with a word or two in bold before it where there is a topic."""

    text: str
    topic: str = ""


class Picture(NamedTuple):
    """A figure, what to read in it, and its numbers; `file` is the exported table that has more of them."""

    drawing: Drawing
    caption: str
    table: pd.DataFrame
    file: str = ""


class Listing(NamedTuple):
    """A table that is always shown."""

    table: pd.DataFrame
    caption: str = ""


class Terms(NamedTuple):
    """Definitions, one after the other."""

    entries: tuple[Definition, ...]


class Code(NamedTuple):
    """A command line."""

    text: str


class Citation(NamedTuple):
    """Who to cite; the only block whose addresses become links."""

    text: str


Block = Words | Picture | Listing | Terms | Code | Citation


class Section(NamedTuple):
    """A part of the report under a heading; `anchor` is its place in a link."""

    anchor: str
    title: str
    blocks: tuple[Block, ...]
