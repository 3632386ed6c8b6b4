"""Released translations and their quality by COMET and COMETKIWI."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from crossalign.importers.names import code_named, unknown_language
from crossalign.importers.report import Faults, Report, read_sound

SCORES = re.compile(r"(entoxx|xxtoen)_.+_(COMETKIWI|COMET)(_sample)?\.json")
INTO = re.compile(r"english_.+--(.+)\.json")
FROM = re.compile(r"(.+)--.+--english\.json")
DIRECTIONS = {"entoxx": "en-xx", "xxtoen": "xx-en"}


class Score(NamedTuple):
    """One external score; no sentence stands for all sentences together (their mean, or "_median")."""

    field: str
    direction: str
    metric: str
    sentence_id: str | None
    score: float


class Translated(NamedTuple):
    """One translated sentence."""

    field: str
    direction: str
    sentence_id: str
    source: str
    translation: str
    reference: str


class Quality(NamedTuple):
    """What is there of one language."""

    scores: list[Score]
    translations: list[Translated]


def read_quality(paths: Iterable[Path], codes: Sequence[str], report: Report) -> dict[str, Quality]:
    """Language → scores and translations. The files' folder names the field of the data, e.g. "sentence".

    Languages go by their English names there; one that is none of the codes is left out and named.
    """
    found: dict[str, Quality] = {}
    for path in sorted(paths):
        faults = Faults(path)
        for name, scores, texts in read_sound(path, lambda p, f=faults: list(_entries(p, f)), report) or ():
            code = code_named(name.replace("_", " "), codes)
            if code is None:
                faults.add(unknown_language(name, codes).removesuffix("; rename the file."))
                continue
            mine = found.setdefault(code, Quality([], []))
            mine.scores.extend(scores)
            mine.translations.extend(texts)
        faults.tell(report)
    return found


def _entries(path: Path, faults: Faults) -> Iterator[tuple[str, list[Score], list[Translated]]]:
    """(language name, scores, translations) of a file."""
    record = json.loads(path.read_text(encoding="utf-8"))
    if match := SCORES.fullmatch(path.name):
        direction, metric = DIRECTIONS[match[1]], match[2].lower()
        for name, value in record.items():
            try:
                yield name, list(_scores(path.parent.name, direction, metric, value)), []
            except (TypeError, ValueError, KeyError, IndexError):
                faults.add(f"{name!r} has no scores")
        return
    into, of = INTO.fullmatch(path.name), FROM.fullmatch(path.name)
    match = into or of
    if match is None:
        raise ValueError("its name says neither a score nor a direction of translation")
    yield match[1], [], list(_texts(path.parent.name, "en-xx" if into else "xx-en", record, faults))


def _scores(field: str, direction: str, metric: str, value: Any) -> Iterator[Score]:
    if isinstance(value, Mapping):
        for i, score in enumerate(value["scores"]):
            yield Score(field, direction, metric, str(i), float(score))
        return
    mean, median = value
    yield Score(field, direction, metric, None, float(mean))
    yield Score(field, direction, f"{metric}_median", None, float(median))


def _texts(field: str, direction: str, record: Sequence[Any], faults: Faults) -> Iterator[Translated]:
    for i, row in enumerate(record):
        try:
            texts = [row[name] for name in ("src", "mt", "ref")]
            "".join(texts).encode()
        except (KeyError, TypeError, UnicodeEncodeError):
            faults.add(f"sentence {i} has no src, mt and ref")
            continue
        yield Translated(field, direction, str(i), *texts)


def is_quality(path: Path) -> bool:
    """Whether a file's name is one of the release's names for translations and their scores."""
    return any(pattern.fullmatch(path.name) for pattern in (SCORES, INTO, FROM))
