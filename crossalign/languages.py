"""Facts about the languages that occur in the benchmark data.

The table `languages.csv` holds every FLORES-200 code, the romanised codes of Belebele, every ISO 639-1
code but the withdrawn "bh", and some codes of FLORES+. Its comment lines give the source of each column.
The resource classes are those of Joshi et al. 2020, "The State and Fate of Linguistic Diversity and
Inclusion in the NLP World" (doi:10.18653/v1/2020.acl-main.560), as released in `lang2tax.txt`.
"""

import csv
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path

# ISO 15924 codes of the scripts that are written from right to left.
RIGHT_TO_LEFT = frozenset({"Adlm", "Arab", "Avst", "Hebr", "Nkoo", "Rohg", "Samr", "Syrc", "Thaa"})

# Regions in which Chinese is written in traditional characters; a tag such as zh-TW names no script.
TRADITIONAL_CHINESE_REGIONS = frozenset({"HK", "MO", "TW"})

# Below this similarity (0..1) a suggestion confuses more than it helps; it is difflib's own default.
SUGGESTION_CUTOFF = 0.6

_TAG = re.compile(r"([a-z]{2,3})(?:[-_]([a-z]{4}))?(?:[-_]([a-z]{2}|[0-9]{3}))?", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True)
class Language:
    """What is known about the language that a code stands for.

    Attributes:
        code: the code exactly as it was given.
        name: English name, e.g. "Modern Standard Arabic". A code for a group of varieties has the name
            of the group: "qu" is "Quechua", "quy" is "Ayacucho Quechua".
        script: ISO 15924 code; where `code` names no script, the usual one.
        direction: "ltr" or "rtl".
        family: top-level family after Glottolog, "isolate", or "constructed". Niger-Congo stands for
            Glottolog's Atlantic-Congo; a creole stands with the family of its main source of words.
        branch: a well-known group inside the family, e.g. "Bantu".
        resource_level: class of Joshi et al. 2020, from 0 (no data) to 5 (most data); None where their
            list does not name the language. It is a class of the language, so Hindi in Latin script has
            the class of Hindi.
    """

    code: str
    name: str
    script: str
    direction: str
    family: str
    branch: str
    resource_level: int | None


@dataclass(frozen=True)
class _Variant:
    """One row of the table: a language in one script.

    Attributes:
        code: ISO 639-3 code and ISO 15924 script joined by "_".
        name: English name of the variant.
        family: as in `Language`.
        branch: as in `Language`.
        resource_level: as in `Language`.
        codes: bare codes, without script, of this variant.
        general_name: English name of the wider language, "" where there is none.
        general_codes: bare codes of the wider language, of which this variant is the usual one.
        other_names: further English names.
    """

    code: str
    name: str
    family: str
    branch: str
    resource_level: int | None
    codes: tuple[str, ...]
    general_name: str
    general_codes: tuple[str, ...]
    other_names: tuple[str, ...]

    @property
    def base(self) -> str:
        """The ISO 639-3 part of the code."""
        return self.code.partition("_")[0]

    @property
    def script(self) -> str:
        """The ISO 15924 part of the code."""
        return self.code.partition("_")[2]


def language(code: str) -> Language:
    """Look up the language that a code stands for.

    Args:
        code: a FLORES-200 or Belebele code ("swh_Latn"), a bare ISO 639 code of two or three letters
            ("sw", "swa", "swh"), or a tag with script or region ("zh-Hant", "pt-BR", "af_za"). Case does
            not matter. The region is used only to choose the script of Chinese.

    Returns:
        The facts, with `code` kept as given.

    Raises:
        KeyError: `code` is not a code of a known language, or names a script that the table does not
            have for that language.
    """
    variant = _variant(code)
    if variant is None:
        raise KeyError(f"{code!r} is not a known language code.")
    return Language(
        code=code,
        name=_name_under(code, variant),
        script=variant.script,
        direction="rtl" if variant.script in RIGHT_TO_LEFT else "ltr",
        family=variant.family,
        branch=variant.branch,
        resource_level=variant.resource_level,
    )


def matching_code(text: str, codes: Iterable[str]) -> str | None:
    """Find the code that a text means among the codes at hand.

    Tried in this order: the same spelling; the same spelling but for case; another code of the same
    variant ("sw" for "swh_Latn"); the English name of a variant; a wider or further English name. A bare
    code means the usual script only, so "hi" never finds "hin_Latn"; a name such as "Chinese" that several
    of the codes bear finds none of them.

    Args:
        text: a code of any supported system or an English name, in any case and word order.
        codes: the codes to choose from; those that are no language codes match by spelling only.

    Returns:
        The one member of `codes` that is meant, or None when there is none or more than one.
    """
    available = list(dict.fromkeys(codes))
    if text in available:
        return text
    wanted, words, variant = text.strip().casefold(), _words(text), _variant(text.strip())
    own, further = _variants_by_name()
    readings = (
        [code for code in available if code.casefold() == wanted],
        [code for code in available if variant is not None and _variant(code) == variant],
        [code for code in available if _variant_code(code) in own.get(words, set())],
        [code for code in available if _variant_code(code) in further.get(words, set())],
    )
    # The first reading that fits decides: going on after an ambiguous one would guess.
    found = next(filter(None, readings), [])
    return found[0] if len(found) == 1 else None


def nearest(text: str, codes: Iterable[str], n: int = 3) -> list[str]:
    """Suggest codes for a text that matched none, for use in an error message.

    A code is as near as the most similar of its spellings: the code itself, its equivalents in other code
    systems, and its English names. All words of `text` in a name count as nearly equal, so that
    "levantine" finds "North Levantine Arabic".

    Args:
        text: what the user wrote.
        codes: the codes to choose from.
        n: the largest number of suggestions, at least 1.

    Returns:
        At most `n` of the codes, nearest first, ties in the order of `codes`; empty when nothing is near.

    Raises:
        ValueError: `n` is below 1.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, not {n}.")
    words = _words(text)
    scores = {code: max(_similarity(words, label) for label in _labels(code)) for code in dict.fromkeys(codes)}
    ranked = sorted(scores, key=lambda code: -scores[code])
    return [code for code in ranked if scores[code] >= SUGGESTION_CUTOFF][:n]


@cache
def _table() -> dict[str, _Variant]:
    """Read the packaged table once.

    Returns:
        The variants by their code.
    """
    path = Path(__file__).with_name("languages.csv")
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return {row["code"]: _variant_of_row(row) for row in rows}


def _variant_of_row(row: dict[str, str]) -> _Variant:
    """Turn one row of the table into a variant."""
    return _Variant(
        code=row["code"],
        name=row["name"],
        family=row["family"],
        branch=row["branch"],
        resource_level=int(row["resource_level"]) if row["resource_level"] else None,
        codes=tuple(row["codes"].split()),
        general_name=row["general_name"],
        general_codes=tuple(row["general_codes"].split()),
        other_names=tuple(filter(None, row["other_names"].split(";"))),
    )


@cache
def _variants_by_bare_code() -> dict[str, _Variant]:
    """Give the usual variant of every code without script."""
    return {bare: variant for variant in _table().values() for bare in variant.codes + variant.general_codes}


@cache
def _variants_by_name() -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Index the English names.

    Returns:
        Two maps from a name's words to variant codes: by the variant's own name, and by the wider or
        further names, which several variants may share.
    """
    own: dict[str, set[str]] = {}
    further: dict[str, set[str]] = {}
    for variant in _table().values():
        own.setdefault(_words(variant.name), set()).add(variant.code)
        for name in (variant.general_name, *variant.other_names):
            if name:
                further.setdefault(_words(name), set()).add(variant.code)
    return own, further


@cache
def _variant(code: str) -> _Variant | None:
    """Resolve a code of any system to its row of the table, None when it has none."""
    tag = _TAG.fullmatch(code)
    usual = _variants_by_bare_code().get(tag[1].lower()) if tag else None
    if tag is None or usual is None:
        return None
    script = tag[2]
    if script is None and usual.base == "zho" and (tag[3] or "").upper() in TRADITIONAL_CHINESE_REGIONS:
        script = "Hant"
    return usual if script is None else _table().get(f"{usual.base}_{script.title()}")


def _variant_code(code: str) -> str | None:
    """Give the table's own code for a code of any system, None when it has none."""
    variant = _variant(code)
    return variant.code if variant else None


def _name_under(code: str, variant: _Variant) -> str:
    """Choose the English name that fits a code: the wider one where the code names the wider language."""
    tag = _TAG.fullmatch(code)
    # "zho_Hans" must stay "Chinese (Simplified)", so only a code without script has the wider name.
    names_wider_language = tag is not None and tag[2] is None and tag[1].lower() in variant.general_codes
    return variant.general_name if names_wider_language else variant.name


def _words(text: str) -> str:
    """Reduce a name to its words in a fixed order.

    Case, accents, punctuation and the order of the words carry no meaning here: "Chinese (Simplified)"
    and "simplified chinese" become the same text.
    """
    letters = unicodedata.normalize("NFKD", text.casefold().replace("romanised", "romanized"))
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return " ".join(sorted(re.findall(r"[^\W_]+", re.sub("['\u2019\u02bc]", "", plain))))


@cache
def _labels(code: str) -> tuple[str, ...]:
    """List what a user may have written for a code, as words in a fixed order."""
    variant = _variant(code)
    if variant is None:
        return (_words(code),)
    usual = _variants_by_bare_code()[variant.base]
    names = (variant.name, variant.general_name, *variant.other_names)
    spellings = (code, variant.code, *usual.codes, *usual.general_codes, *names)
    return tuple(dict.fromkeys(_words(spelling) for spelling in spellings if spelling))


def _similarity(words: str, label: str) -> float:
    """Measure how alike two texts are, from 0 to 1."""
    if words and set(words.split()) < set(label.split()):
        return 0.9
    return SequenceMatcher(None, words, label).ratio()
