"""Where an output differs from its reference, word by word."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

import regex

WORD = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]\p{M}*|[\p{L}\p{M}\p{N}]+|\s+|."
)
"""A word, blanks, or another sign; in scripts without blanks between words a single sign with its marks."""

MOST_TOKENS = 600
"""Longer texts are not compared: the time grows with the square."""


class Piece(NamedTuple):
    """A piece of a text, and whether the other text has it in the same order."""

    text: str
    shared: bool


def differences(reference: str, output: str) -> tuple[list[Piece], list[Piece]] | None:
    """The pieces of a reference and of an output; joined they are the texts. None where a text is too long to compare.

    Blanks never count as a difference.

    >>> differences("The cat sat.", "The dog sat.")[1]
    [Piece(text='The ', shared=True), Piece(text='dog', shared=False), Piece(text=' sat.', shared=True)]
    """
    first, second = WORD.findall(reference), WORD.findall(output)
    if max(len(first), len(second)) > MOST_TOKENS:
        return None
    shared = SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks()
    mine = {i for block in shared for i in range(block.a, block.a + block.size)}
    theirs = {i for block in shared for i in range(block.b, block.b + block.size)}
    return _pieces(first, mine), _pieces(second, theirs)


def _pieces(tokens: Sequence[str], shared: set[int]) -> list[Piece]:
    """Neighbours of one kind together; blanks differ only between two words that do."""
    words = [index in shared for index in range(len(tokens))]
    found: list[Piece] = []
    for index, token in enumerate(tokens):
        around = words[max(0, index - 1) : index + 2 : 2] if token.isspace() else words[index : index + 1]
        same = any(around) or len(around) == 0
        if found and found[-1].shared == same:
            found[-1] = Piece(found[-1].text + token, same)
        else:
            found.append(Piece(token, same))
    return found
