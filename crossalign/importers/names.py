"""Task and language from the names that others give to tasks, folders and files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from crossalign.languages import language, matching_code, nearest
from crossalign.tasks import TASKS

SAFE = re.compile(r"[^A-Za-z0-9_.-]+")


class Named(NamedTuple):
    """What a task's name says.

    Attributes:
        task: one of `TASKS`, or the name without its language.
        language: code of the task's data.
        pivot_side: the texts are the pivot's version of that language's items, e.g. "xcopa_en_it".
        variant: the name that stood for a known task, where it is another, e.g. "my_xcopa"; else "".
    """

    task: str
    language: str
    pivot_side: bool
    variant: str = ""


def named(name: str, hint: str = "") -> Named | None:
    """Task and language of a task of lm-evaluation-harness.

    Args:
        name: e.g. "xcopa_it", "belebele_spa_Latn", "xcopa_en_it" (English items of the Italian set), "hellaswag_de".
        hint: the configuration's `dataset_name`, used when the name itself ends in no language.

    Returns:
        None when no known language is named.

    >>> named("xcopa_en_it")
    Named(task='xcopa', language='it', pivot_side=True, variant='')
    >>> named("hellaswag_de").task, named("arc_easy")
    ('hellaswag', None)
    """
    pieces = name.split("_")
    for position, piece in enumerate(pieces[:-1]):
        if piece in TASKS:
            found = _of_known_task(piece, "_".join(pieces[position + 1 :]))
            variant = "_".join(pieces[: position + 1])
            return found._replace(variant="" if variant == piece else variant) if found else None
    for width in (2, 1):
        code, rest = "_".join(pieces[-width:]), pieces[:-width]
        if rest and (width == 1 or "_" in code) and _is_code(code):
            return Named(safe("_".join(rest)), code, False)
    if hint in pieces and len(pieces) > 1 and _is_code(hint):
        rest = [p for p in pieces if p != hint]
        return Named(safe("_".join(rest)), hint, False)
    return None


def _of_known_task(task: str, rest: str) -> Named | None:
    codes, pivot = TASKS[task].languages, TASKS[task].pivot
    if rest.startswith(f"{pivot}_"):
        other = code_named(rest.removeprefix(f"{pivot}_"), codes)
        if other is not None and other != pivot:
            return Named(task, other, True)
    code = code_named(rest, codes)
    return Named(task, code, False) if code else None


def code_named(text: str, codes: Sequence[str]) -> str | None:
    """The code that a text means among a task's codes: a code of any system, or an English name in any spelling.

    >>> code_named("haitiancreole", ("en", "ht")), code_named("klingon", ("en", "ht"))
    ('ht', None)
    """
    spaced = text.replace("_", " ") if " " in text else text
    found = matching_code(text, codes) or matching_code(spaced, codes)
    if found is not None:
        return found
    squeezed = [c for c in codes if _is_code(c) and _letters(language(c).name) == _letters(text)]
    return squeezed[0] if len(squeezed) == 1 else None


def unknown_language(text: str, codes: Sequence[str]) -> str:
    """The sentence for a language name that means none of the codes."""
    near = ", ".join(nearest(text, codes))
    return f"{text!r} names no language of this task{f' (nearest: {near})' if near else ''}; rename the file."


def english_of(codes: Sequence[str]) -> str:
    """The English code among a task's codes; "en" when there is none."""
    return next((c for c in codes if _is_code(c) and language(c).name == "English"), "en")


def safe(name: str) -> str:
    """A name that can stand in a folder's name.

    >>> safe("../a b"), safe("m_mmlu")
    ('a-b', 'm_mmlu')
    """
    return SAFE.sub("-", name).strip(".-")[:48] or "task"


def _is_code(text: str) -> bool:
    try:
        language(text)
    except KeyError:
        return False
    return True


def _letters(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalpha())
