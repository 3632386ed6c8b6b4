"""Few-shot prompts for translation, as text and as a chat."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from crossalign.languages import language
from crossalign.schema import UserError

LENGTH_CONSTANT = 16
"""Tokens that even the shortest source may become."""

LENGTH_RATIO = 3.0
"""Tokens of the translation per character of the source: scripts that a tokenizer splits into bytes need up to three."""


class Pair(NamedTuple):
    """A sentence and its translation."""

    source: str
    target: str


class Direction(NamedTuple):
    """Codes of the languages that are translated from and to."""

    source: str
    target: str

    @property
    def part(self) -> str:
        """What the store calls it."""
        return f"{self.source}-{self.target}"


def direction_of(part: str) -> Direction:
    """The inverse of `Direction.part`; codes of tasks hold no hyphen."""
    return Direction(*part.split("-", 1))


def language_name(code: str) -> str:
    """English name of a language, as prompts have it.

    Raises:
        UserError: the code names no known language.
    """
    try:
        return language(code).name
    except KeyError:
        raise UserError(
            f"The language {code!r} has no English name here, so no prompt can be written: use a known code."
        ) from None


def plain_prompt(direction: Direction, shots: Sequence[Pair], source: str) -> str:
    r"""The prompt of the paper: solved examples, then the source, each on a line of its own after its language.

    Source: Ravisankar et al. 2025, arXiv 2504.09378, machine translation.

    >>> print(plain_prompt(Direction("eng_Latn", "spa_Latn"), [Pair("Yes.", "Sí.")], "No."))
    English: Yes.
    Spanish: Sí.
    <BLANKLINE>
    English: No.
    Spanish:
    """
    names = [language_name(code) for code in direction]
    shown = "".join(f"{names[0]}: {s.source}\n{names[1]}: {s.target}\n\n" for s in shots)
    return f"{shown}{names[0]}: {source}\n{names[1]}:"


def chat_messages(direction: Direction, shots: Sequence[Pair], source: str) -> list[dict[str, str]]:
    """The same as turns of a chat: the user asks, the assistant gives the translation only."""
    names = [language_name(code) for code in direction]

    def question(text: str) -> dict[str, str]:
        asked = f"Translate from {names[0]} to {names[1]}. Answer with the translation only, on one line.\n"
        return {"role": "user", "content": f"{asked}{names[0]}: {text}\n{names[1]}:"}

    turns = [t for s in shots for t in (question(s.source), {"role": "assistant", "content": s.target})]
    return [*turns, question(source)]


def most_tokens(source: str, ratio: float) -> int:
    """Largest number of tokens that the translation of a sentence may have.

    >>> most_tokens("Good morning.", 3.0)
    55
    """
    return LENGTH_CONSTANT + math.ceil(ratio * len(source))
