"""A report as HTML. Every text is escaped here; the page asks nobody for anything but the three files beside it."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false

from __future__ import annotations

import html
import math
import re
from collections.abc import Sequence
from numbers import Real

import numpy as np
import pandas as pd

from crossalign.amounts import holds_p_values, p_digits
from crossalign.definitions import Definition
from crossalign.figures.standalone import script_json
from crossalign.report.blocks import Block, Citation, Code, Listing, Picture, Section, Terms, Words

MOST_ROWS = 150
"""Rows of a table that a page shows; the exported files hold all."""

LONG = 25
"""Rows from which on a table is scrolled within the page."""

POLICY = (
    "default-src 'none'; script-src 'self' file:; style-src 'self' file: 'unsafe-inline'; img-src data: blob:; "
    "form-action 'none'; base-uri 'none'"
)
"""The browser refuses scripts of the text, and requests to other hosts."""

HEADINGS = {
    "accuracy_low": "95 % from",
    "accuracy_high": "to",
    "correct_if_aligned": "accuracy if aligned",
    "correct_if_aligned_low": "95 % from",
    "correct_if_aligned_high": "to",
    "n_correct_if_aligned": "n",
    "correct_if_not": "accuracy if not",
    "correct_if_not_low": "95 % from",
    "correct_if_not_high": "to",
    "n_correct_if_not": "n",
    "low": "95 % from",
    "high": "to",
    "resource_level": "level",
    "training_share": "training share",
    "relabelled_rate": "relabelled",
    "mean_rate": "mean over layers",
    "tie_rate": "ties",
    "p_holm": "p, Holm",
    "p_bh": "p, Benjamini–Hochberg",
    "p_best": "p, best of all",
    "loglik_margin": "log-prob. margin",
}
"""Column → heading, where the column's own name in words does not do."""

ARXIV = re.compile(r"arXiv (\d{4}\.\d{4,5})")


def page(title: str, subtitle: str, sections: Sequence[Section], files: Sequence[str]) -> str:
    """The whole page.

    Args:
        title, subtitle: of the run.
        sections: from `sections.sections`.
        files: the exported tables, from the folder above.
    """
    links = "".join(f'<a href="#{s.anchor}">{html.escape(s.title)}</a>' for s in sections)
    numbered = _Numbered()
    body = "".join(
        f'<section id="{s.anchor}"><h2>{html.escape(s.title)}</h2>{"".join(numbered.block(b) for b in s.blocks)}</section>'
        for s in sections
    )
    tables = ", ".join(f'<a href="../{html.escape(f, quote=True)}">{html.escape(f)}</a>' for f in files)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>{html.escape(title)}</title>\n"
        '<link rel="stylesheet" href="report.css">\n</head>\n<body>\n'
        f"<header><h1>{html.escape(title)}</h1><p>{html.escape(subtitle)}</p><nav>{links}</nav></header>\n"
        f"<main>{body}</main>\n<footer>Written by crossalign. The tables as files: {tables}</footer>\n"
        '<script src="plotly.min.js"></script>\n<script src="report.js"></script>\n</body>\n</html>\n'
    )


class _Numbered:
    """Writes blocks and counts the figures."""

    def __init__(self) -> None:
        self.figures = 0

    def block(self, block: Block) -> str:
        match block:
            case Words(text, topic):
                return f"<p>{f'<b>{html.escape(topic)}.</b> ' if topic else ''}{html.escape(text)}</p>"
            case Picture():
                return self._picture(block)
            case Listing(table, caption):
                return _table(table, caption)
            case Terms(entries):
                return f"<dl>{''.join(_term(entry) for entry in entries)}</dl>"
            case Code(text):
                return f"<pre><code>{html.escape(text)}</code></pre>"
            case Citation(text):
                return f"<p>{_linked(text)}</p>"

    def _picture(self, picture: Picture) -> str:
        self.figures += 1
        figure, alt = picture.drawing
        height = int(figure.layout.height or 450)
        return (
            f'<figure><div class="plot" role="img" aria-label="{html.escape(alt, quote=True)}" style="height:{height}px">'
            f'<script type="application/json">{script_json(figure)}</script><noscript>{html.escape(alt)}</noscript></div>'
            f"<figcaption><b>Figure {self.figures}.</b> {html.escape(picture.caption)}</figcaption>{_twin(picture)}</figure>"
        )


def _twin(picture: Picture) -> str:
    """The numbers of a figure, folded away; where they are many, the file that has them."""
    if picture.file and not 0 < len(picture.table) <= MOST_ROWS:
        return f'<p class="note">Its numbers: <a href="../{picture.file}.csv">{picture.file}.csv</a></p>'
    return f"<details><summary>Its numbers</summary>{_table(picture.table)}</details>"


def _table(table: pd.DataFrame, caption: str = "") -> str:
    shown = table.head(MOST_ROWS).dropna(axis="columns", how="all")
    kind = {c: _kind(shown[c]) for c in shown}
    head = "".join(f'<th scope="col"{kind[c]}>{html.escape(heading(str(c)))}</th>' for c in shown)
    columns = [cells(str(c), shown[c]) for c in shown]
    rows = "".join(
        "<tr>" + "".join(f"<td{kind[c]}>{html.escape(text)}</td>" for c, text in zip(shown, row, strict=True)) + "</tr>"
        for row in zip(*columns, strict=True)
    )
    more = f" The first {MOST_ROWS} of {len(table):,} rows." if len(table) > MOST_ROWS else ""
    note = f"<caption>{html.escape(caption + more)}</caption>" if caption + more else ""
    size = "wide long" if len(shown) > LONG else "wide"
    return f'<div class="{size}" tabindex="0"><table>{note}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _kind(values: pd.Series) -> str:
    """Numbers stand at the right; long texts may be broken into lines."""
    if _is_numeric(values):
        return ' class="n"'
    return ' class="t"' if len(values) and values.astype(str).str.len().max() > 40 else ""


def heading(column: str) -> str:
    """A column's name as it is read.

    >>> heading("relative_depth"), heading("p_holm")
    ('relative depth', 'p, Holm')
    """
    return HEADINGS.get(column, column.replace("_", " "))


def cells(column: str, values: pd.Series) -> list[str]:
    """A column as it is read; "–" where it is undefined.

    >>> cells("rate", pd.Series([0.12345, -1.0, float("nan")])), cells("p", pd.Series([0.00001])), cells("n", pd.Series([1234.0]))
    (['0.123', '−1.000', '–'], ['< 0.0001'], ['1,234'])
    """
    whole = _is_whole(values)
    return ["–" if pd.isna(value) else _read(column, value, whole) for value in values.astype(object)]


def _is_whole(values: pd.Series) -> bool:
    """Whether a column counts something: whole numbers, not all of them 0 or 1 as rates may be."""
    if not _is_numeric(values) or pd.api.types.is_integer_dtype(values):
        return _is_numeric(values)
    known = values.dropna().to_numpy(float)
    return bool(len(known) and np.isfinite(known).all() and (known % 1 == 0).all() and known.max() > 1)


def _is_numeric(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _read(column: str, value: object, whole: bool) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if not isinstance(value, Real):
        return str(value)
    if holds_p_values(column):
        return p_digits(value)
    return (f"{int(value):,}" if whole else f"{float(value):.3f}").replace("-", "−").replace("inf", "∞")


def _term(entry: Definition) -> str:
    lines = [f"<dt>{html.escape(entry.label)}</dt><dd>{html.escape(entry.summary)}"]
    for name, text in entry.items:
        lines.append(f"<br>{f'<i>{html.escape(name)}</i>: ' if name else ''}{html.escape(text)}")
    if not math.isnan(entry.chance):
        lines.append(f"<br><i>Chance in this run</i>: {entry.chance:.3g}")
    return "".join(lines) + "</dd>"


def _linked(text: str) -> str:
    """A citation; numbers of arXiv become links."""
    return ARXIV.sub(r'<a href="https://arxiv.org/abs/\1">arXiv \1</a>', html.escape(text))
