"""Reads the world: 96 everyday scripts, written for this project in English and translated into nine languages.

A script is a premise, its ending (the consequence), and two closings (for a morning and an evening). Names, settings and
interludes vary. The texts lie in `world/` as tables, with the design of the controlled experiment beside them: each
language's share of the training text and the themes whose facts are withheld from it. `world/README.md` says how they
were written and checked.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "world"
LANGUAGES = ("en", "es", "de", "fr", "id", "tr", "sw", "ru", "ar", "zh")
PIVOT = "en"

SEEN, BRIDGED, UNLINKED = "seen", "bridged", "unlinked"
LINKS = (SEEN, BRIDGED, UNLINKED)
"""How a language knows that an ending follows from its premise: from its own training text; only from lines that begin
in the language and end in the pivot; from no line at all."""


@dataclass(frozen=True, slots=True)
class Script:
    """One everyday event in one language; `{name}` stands in the premise only."""

    script_id: str
    number: int
    theme: str
    gender: str
    premise: str
    ending: str
    closing_morning: str
    closing_evening: str

    def closing(self, time: str) -> str:
        """The closing that fits a setting's time, "morning" or "evening"."""
        return self.closing_morning if time == "morning" else self.closing_evening


@dataclass(frozen=True, slots=True)
class World:
    """Everything there is in one language.

    Attributes:
        scripts: the same order in every language; `Script.number` is the position.
        names: by gender, the same order in every language.
        settings: (time, sentence), the same order in every language.
        interludes: sentences that may stand between setting and premise and change nothing.
        frames: fixed strings of the task shapes by id.
        space: what stands between sentences.
        share: of the training lines, between 0 and 1.
        links: by theme, one of `LINKS`.
    """

    language: str
    scripts: tuple[Script, ...]
    names: dict[str, tuple[str, ...]]
    settings: tuple[tuple[str, str], ...]
    interludes: tuple[str, ...]
    frames: dict[str, str]
    space: str
    share: float
    links: dict[str, str]

    def link(self, script: Script) -> str:
        """How this language knows the script's facts, one of `LINKS`."""
        return self.links[script.theme]

    def joined(self, *sentences: str) -> str:
        """Sentences as running text."""
        return self.space.join(sentences)


@cache
def world(language: str) -> World:
    """The world in one of `LANGUAGES`."""
    facts = {row["script_id"]: row for row in _table("scripts.tsv")}
    scripts = tuple(
        Script(**row, **_without(facts[row["script_id"]], "script_id"), number=number)
        for number, row in enumerate(_table(f"{language}.tsv"))
    )
    people = _table("names.tsv")
    names = {g: tuple(p[language] for p in people if p["gender"] == g) for g in ("f", "m")}
    times = {row["setting_id"]: row["time"] for row in _table("settings.tsv")}
    if language == PIVOT:
        sentences, frames = _column("settings.tsv", "setting_id", "en"), _column("frames.tsv", "frame_id", "en")
    else:
        sentences = _column(f"{language}.settings.tsv", "setting_id", "text")
        frames = _column(f"{language}.frames.tsv", "frame_id", "text")
    settings = tuple((times[key], sentences[key]) for key in times)
    interludes = tuple(row[language] for row in _table("interludes.tsv"))
    share, links = _design(language)
    space = "" if language == "zh" else " "
    return World(language, scripts, names, settings, interludes, frames, space, share, links)


def _design(language: str) -> tuple[float, dict[str, str]]:
    """Share of training lines, and the link of each theme: the first so many themes are withheld, so sets are nested."""
    mine = next(row for row in _table("languages.tsv") if row["language"] == language)
    withheld = int(mine["withheld_themes"])
    themes = enumerate(_table("themes.tsv"))
    links = {row["theme"]: row["withheld_fact"] if position < withheld else SEEN for position, row in themes}
    return float(mine["share"]), links


def _table(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def _column(name: str, key: str, value: str) -> dict[str, str]:
    return {row[key]: row[value] for row in _table(name)}


def _without(row: dict[str, str], key: str) -> dict[str, str]:
    return {k: v for k, v in row.items() if k != key}
