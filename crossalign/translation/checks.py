"""What is wrong with a translation, apart from its quality: language, script, copied, empty, cut."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np
import regex
from jaxtyping import Float

from crossalign.languages import language, matching_code

RECOGNISED = 0.5
"""The identifier is believed for a language when it recognises at least this share of its reference translations."""

KEPT = 1 << 13
"""Texts whose language is remembered: the references into the pivot are the same for every source, and a good translation
is its reference."""

SCRIPT_GROUPS = {
    "Hans": ("Hani", "Bopo"),
    "Hant": ("Hani", "Bopo"),
    "Jpan": ("Hani", "Hira", "Kana"),
    "Kore": ("Hang",),
}
"""ISO 15924 codes that stand for several scripts, or for a style of one, by their Unicode scripts."""


class LanguageCheck(NamedTuple):
    """Which outputs are in a wrong language or script; 1.0, 0.0, or NaN for a text without letters.

    Attributes:
        off_target: the identified language is neither the target nor that of the sentence's reference, or the script
            is wrong.
        wrong_script: less than half of the letters are of the target's script.
        identified: ISO 639 code of each output, "" without letters.
        references: share of the references that are off target by the same rule for language alone: the identifier's
            own errors.
        method: "language", or "script" where the identifier does not know the target.
    """

    off_target: Float[np.ndarray, "sentence"]
    wrong_script: Float[np.ndarray, "sentence"]
    identified: list[str]
    references: float
    method: str


def script_share(text: str, code: str) -> float:
    """Share of a text's letters that are of a language's script; NaN without letters.

    >>> script_share("Привет, Anna", "rus_Cyrl")
    0.6
    """
    letters = regex.sub(r"[^\p{L}\p{M}]", "", text)
    script = language(code).script
    allowed = "".join(rf"\p{{Script={name}}}" for name in SCRIPT_GROUPS.get(script, (script,)))
    inherited = len(regex.findall(r"[\p{Script=Inherited}\p{Script=Common}]", letters))
    n = len(letters) - inherited
    return len(regex.findall(f"[{allowed}]", letters)) / n if n else float("nan")


@lru_cache(KEPT)
def identified_language(text: str) -> str:
    """ISO 639 code of the language that a text is most likely in, by py3langid (139 languages, its data included)."""
    return str(_identifier().classify(text)[0])


def check_languages(outputs: Sequence[str], references: Sequence[str], target: str) -> LanguageCheck:
    """Finds outputs in another language than the target.

    Close varieties (Malay and Indonesian, Mandarin and Wu) are confused by any identifier, so an output counts as
    right when it is identified as the target or as whatever its own reference is. The language alone is asked where
    the identifier recognises most references; elsewhere only the script is.
    """
    shares = np.array([script_share(text, target) for text in outputs])
    wrong_script = np.where(np.isnan(shares), np.nan, (shares < 0.5).astype(float))
    mine = [identified_language(text) if not np.isnan(s) else "" for text, s in zip(outputs, shares, strict=True)]
    theirs = [identified_language(text) for text in references]
    missed = np.array([not _is_target(label, target) for label in theirs], dtype=float)
    share = float(missed.mean()) if len(missed) else float("nan")
    if not 1 - share >= RECOGNISED:
        return LanguageCheck(wrong_script.copy(), wrong_script, mine, share, "script")
    other = [not _is_target(a, target) and a != b for a, b in zip(mine, theirs, strict=True)]
    off_target = np.where(np.isnan(shares), np.nan, np.maximum(other, np.nan_to_num(wrong_script)))
    return LanguageCheck(off_target, wrong_script, mine, share, "language")


def is_copy(output: str, source: str, reference: str) -> bool:
    """Whether the output is the source again, but for case, blanks and punctuation, where the reference is not."""
    words = _words(output)
    return bool(words) and words == _words(source) != _words(reference)


def _words(text: str) -> str:
    return regex.sub(r"[^\p{L}\p{M}\p{N}]+", " ", unicodedata.normalize("NFC", text).casefold()).strip()


@cache
def _is_target(label: str, target: str) -> bool:
    """Whether an identifier's label names the target; scripts are looked at separately."""
    return matching_code(label, [target]) is not None or matching_code(label, [target.split("_")[0]]) is not None


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE)
