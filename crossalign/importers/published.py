"""Imports the released results of the DALI paper, and whatever is laid out the same way.

Layout: `accuracy_outputs/<model>/<task>_<setting>/<language>/…` (logs of lm-evaluation-harness),
`alignment_outputs/<model>/<task>_<metric>/<language>.json`, `translation_outputs/<model>/<data>/<field>/…`; the folder
of the model may be absent. Source: github.com/Kartik21/XLingAlignment and its precursor DALI_MATS.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from crossalign.importers.evaluations import Evaluation, find_evaluations
from crossalign.importers.importing import import_sources
from crossalign.importers.lm_eval import conditions, newest, place, shown_model
from crossalign.importers.names import Named, code_named, named, unknown_language
from crossalign.importers.quality import is_quality
from crossalign.importers.report import Report, files_below
from crossalign.importers.sources import LanguageSource, RunSource
from crossalign.planning import Observer, Silent
from crossalign.schema import UserError
from crossalign.tasks import TASKS

ORIGIN = "released results in the layout of the DALI paper"
AREAS = ("accuracy_outputs", "alignment_outputs", "translation_outputs")
METRICS = {"dali": "dali", "dali_strong": "dali_s", "dalistrong": "dali_s", "dali_s": "dali_s", "dali_st": "dali_s",
           "mexa": "mexa_t"}  # fmt: skip
METRIC_FOLDER = re.compile(r"([a-z]+)_([a-z_]+?)(?:_(\d)option)?")
DECISIONS_FILE = re.compile(r"(?:(?:DALI|BAS|MEXA)_)?(.+?)(?:_(lasttoken|weighted|mean))?\.json")
POOLINGS = {None: "last_token", "lasttoken": "last_token", "weighted": "weighted_mean", "mean": "mean"}
"""Files that name no pooling are of the last token, as in the paper."""


@dataclass
class Release:
    """The files below a folder, by model and task.

    Attributes:
        evaluations: (model folder, setting folder) → evaluations.
        decisions: (model folder, task, reduced number of options or "") → language → files.
        quality: (model folder, task) → files.
    """

    folder: Path
    evaluations: dict[tuple[str, str], list[Evaluation]] = field(default_factory=dict)
    decisions: dict[tuple[str, str, str], dict[str, LanguageSource]] = field(default_factory=dict)
    quality: dict[tuple[str, str], list[Path]] = field(default_factory=dict)


def import_release(folder: Path, cache: Path, observer: Observer | None = None) -> Report:
    """Imports every model, task and setting below a folder as a run of its own; any part of a release will do.

    Raises:
        UserError: no released results there.
    """
    report = Report()
    sources = find_sources(folder, report)
    import_sources(sources, cache, report, observer or Silent())
    return report


def find_sources(folder: Path, report: Report) -> list[RunSource]:
    """The runs that a release gives: accuracy and decisions of a task together, a run per setting."""
    release = find_release(folder, report)
    sources = []
    with_accuracy: set[tuple[str, str]] = set()
    for (model, setting), evaluations in sorted(release.evaluations.items()):
        for source in _by_condition(release, model, setting, evaluations, report):
            with_accuracy.add((model, source.task))
            _add_decisions(source, release.decisions.get((model, source.task, ""), {}))
            source.quality = release.quality.get((model, source.task), [])
            sources.append(source)
    bare = {(m, t, o) for m, t, o in release.decisions if o or (m, t) not in with_accuracy}
    bare |= {(m, t, "") for m, t in release.quality if (m, t) not in with_accuracy}
    for model, task, options in sorted(bare):
        protocol = f"{options} options" if options else TASKS[task].protocols[0]
        source = RunSource(ORIGIN, release.folder, _model_of(release, model), task, TASKS[task].pivot, protocol)
        source.n_options = int(options) if options else 0
        _add_decisions(source, release.decisions.get((model, task, options), {}))
        source.quality = [] if options else release.quality.get((model, task), [])
        sources.append(source)
    if not sources:
        raise UserError(f"No released results below {folder}: it should hold one of {', '.join(AREAS)}.")
    return sources


def find_release(folder: Path, report: Report) -> Release:
    """Sorts the files below a folder (or of the release that the folder is a part of)."""
    if not folder.is_dir():
        raise UserError(f"The folder {folder} does not exist: give the folder of the released results.")
    release, logs = Release(folder.resolve()), []
    for path in files_below(release.folder):
        area = next((a for a in AREAS if a in path.parts), None)
        if area is None:
            continue
        inside = path.parts[len(path.parts) - path.parts[::-1].index(area) :]
        if area == AREAS[0]:
            logs.append((inside, path))
        elif area == AREAS[1]:
            _sort_decisions(release, inside, path, report)
        else:
            _sort_quality(release, inside, path, report)
    _sort_logs(release, dict((p, i) for i, p in logs), report)
    return release


def _split(inside: tuple[str, ...]) -> tuple[str, tuple[str, ...]] | None:
    """(model folder, the rest from the folder that begins with a task's name on)."""
    for position, part in enumerate(inside[:-1]):
        if part.split("_")[0] in TASKS:
            return "/".join(inside[:position]), inside[position:]
    return None


def _sort_logs(release: Release, inside: dict[Path, tuple[str, ...]], report: Report) -> None:
    for evaluation in find_evaluations(inside, report):
        split = _split(inside[evaluation.results])
        if split is None:
            report.leave_out(evaluation.results, f"its folders name none of the tasks {', '.join(TASKS)}.")
            continue
        model, rest = split
        folders, task = rest[1:-1], rest[0].split("_")[0]
        name, told = named(evaluation.task), named(f"{task}_{folders[0]}") if folders else None
        if name is not None and (name.task != task or (told is not None and told[:3] != name[:3])):
            report.leave_out(evaluation.results, f"it is of {evaluation.task!r}, but lies in {'/'.join(rest[:2])!r}.")
            continue
        release.evaluations.setdefault((model, rest[0]), []).append(evaluation)


def _sort_decisions(release: Release, inside: tuple[str, ...], path: Path, report: Report) -> None:
    split = _split(inside)
    match = METRIC_FOLDER.fullmatch(split[1][0]) if split and len(split[1]) == 2 else None
    name = DECISIONS_FILE.fullmatch(path.name)
    if split is None or match is None or name is None or match[2] not in METRICS:
        known = ", ".join(METRICS)
        report.leave_out(path.parent, f"the folder should be named <task>_<metric>, with a metric of {known}.")
        return
    task = match[1]
    code = code_named(name[1], TASKS[task].languages)
    if name[1].startswith("DAS_"):
        report.leave_out(path.parent / "DAS_*", "these files hold scores, not decisions of 0 or 1.")
    elif code is None:
        report.leave_out(path, unknown_language(name[1], TASKS[task].languages))
    elif code == TASKS[task].pivot:
        report.notes.append(f"{path}: the pivot with itself says nothing and is not imported.")
    else:
        metric = "mexa" if task == "flores" and match[2] == "mexa" else METRICS[match[2]]
        languages = release.decisions.setdefault((split[0], task, match[3] or ""), {})
        mine = languages.setdefault(code, LanguageSource()).decisions
        kept = mine.setdefault((metric, POOLINGS[name[2]]), path)
        if kept != path:
            report.leave_out(path, f"{kept.name} beside it is of the same language, metric and pooling.")


def _sort_quality(release: Release, inside: tuple[str, ...], path: Path, report: Report) -> None:
    split = _split(inside)
    if split is None or not is_quality(path):
        report.leave_out(path, "its name says neither a score nor a direction of translation of a known task.")
        return
    release.quality.setdefault((split[0], split[1][0].split("_")[0]), []).append(path)


def _model_of(release: Release, folder: str) -> str:
    """The model that most evaluations of a model folder name; without any, the folder's name."""
    names = Counter(e.model for (m, _), found in release.evaluations.items() if m == folder for e in found)
    return shown_model(names.most_common(1)[0][0]) if names else folder or "unknown model"


def _by_condition(
    release: Release, model: str, setting: str, evaluations: Iterable[Evaluation], report: Report
) -> Iterable[RunSource]:
    """The runs of one setting folder; evaluations of another model than the folder's are left out."""
    expected = _model_of(release, model)
    sources: dict[tuple, RunSource] = {}
    for evaluation, name in newest(evaluations, report):
        if shown_model(evaluation.model) != expected:
            report.leave_out(
                evaluation.results, f"it is of {shown_model(evaluation.model)}, the others here of {expected}."
            )
            continue
        _check_shots(evaluation, setting, report)
        key = (evaluation.commit, name.task, *conditions(evaluation))
        if key not in sources:
            sources[key] = _source(release, expected, setting, evaluation, name)
        place(sources[key], evaluation, name)
    return sources.values()


def _check_shots(evaluation: Evaluation, setting: str, report: Report) -> None:
    """Notes a log whose folder says another number of shots; the log counts."""
    match = re.search(r"_(\d+)shot", setting)
    if match and int(match[1]) != evaluation.shots:
        report.notes.append(
            f"{evaluation.results}: its folder says {match[1]} shots, the log {evaluation.shots}; it is kept apart."
        )


def _source(release: Release, model: str, setting: str, evaluation: Evaluation, name: Named) -> RunSource:
    words = re.sub(r"_?\d+shot", "", setting.removeprefix(name.task)).strip("_").replace("_", " ")
    protocol = ", ".join(w for w in (words or "harness", evaluation.prompting) if w)
    return RunSource(
        ORIGIN, release.folder, model, name.task, TASKS[name.task].pivot, protocol, evaluation.shots, evaluation.limit
    )


def _add_decisions(source: RunSource, languages: dict[str, LanguageSource]) -> None:
    for code, files in languages.items():
        mine = source.of(code)
        source.languages[code] = replace(mine, decisions=dict(files.decisions))
