"""Reads the world: 96 everyday scripts, written for this project in English and translated into nine languages.

A script is a premise, its ending (the consequence), and two closings (for a morning and an evening). Names and settings
vary. The texts lie in `world/` as tables; `world/README.md` says how they were written and checked.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "world"
LANGUAGES = ("en", "es", "de", "fr", "id", "tr", "sw", "ru", "ar", "zh")


@dataclass(frozen=True, slots=True)
class Script:
    """One everyday event in one language; `{name}` stands in the premise only."""

    script_id: str
    theme: str
    gender: str
    premise: str
    ending: str
    closing_morning: str
    closing_evening: str


@dataclass(frozen=True, slots=True)
class World:
    """Everything there is in one language.

    Attributes:
        names: by gender, the same order in every language.
        settings: (time, sentence), the same order in every language.
        frames: fixed strings of the task shapes by id.
        space: what stands between sentences.
    """

    language: str
    scripts: tuple[Script, ...]
    names: dict[str, tuple[str, ...]]
    settings: tuple[tuple[str, str], ...]
    frames: dict[str, str]
    space: str


@cache
def world(language: str) -> World:
    """The world in one of `LANGUAGES`."""
    facts = {row["script_id"]: row for row in _table("scripts.tsv")}
    scripts = tuple(
        Script(**row, **_without(facts[row["script_id"]], "script_id")) for row in _table(f"{language}.tsv")
    )
    people = _table("names.tsv")
    names = {g: tuple(p[language] for p in people if p["gender"] == g) for g in ("f", "m")}
    times = {row["setting_id"]: row["time"] for row in _table("settings.tsv")}
    if language == "en":
        sentences, frames = _column("settings.tsv", "setting_id", "en"), _column("frames.tsv", "frame_id", "en")
    else:
        sentences = _column(f"{language}.settings.tsv", "setting_id", "text")
        frames = _column(f"{language}.frames.tsv", "frame_id", "text")
    settings = tuple((times[key], sentences[key]) for key in times)
    return World(language, scripts, names, settings, frames, "" if language == "zh" else " ")


def _table(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def _column(name: str, key: str, value: str) -> dict[str, str]:
    return {row[key]: row[value] for row in _table(name)}


def _without(row: dict[str, str], key: str) -> dict[str, str]:
    return {k: v for k, v in row.items() if k != key}
