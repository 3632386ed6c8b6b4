"""Parallel tasks as declarations, and the one way their instances are loaded and checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from crossalign.languages import matching_code, nearest
from crossalign.schema import Instance, UserError
from crossalign.tasks import belebele, flores, miniature, xcopa, xstorycloze
from crossalign.tasks.records import Prepared, Read, Rows, Task, few_shot_prefix
from crossalign.tasks.source import local_languages, reader

__all__ = [
    "TASKS",
    "Loaded",
    "Task",
    "find_language",
    "find_task",
    "load_language",
    "load_pivot",
    "local_languages",
    "reader",
]

TASKS: dict[str, Task] = {t.TASK.name: t.TASK for t in (xcopa, xstorycloze, belebele, flores, miniature)}


class Loaded(NamedTuple):
    """Instances of one language in the run's order, and what was repaired or left out on the way."""

    instances: tuple[Instance, ...]
    counts: dict[str, int]


def find_task(name: str) -> Task:
    """The task called `name`; raises UserError with the nearest names."""
    if name in TASKS:
        return TASKS[name]
    raise UserError(f"There is no task {name!r}; there are: {', '.join(TASKS)}.")


def find_language(task: Task, text: str) -> str:
    """The code of the task's data that `text` means: the code itself, another system's code, or the English name.

    Raises:
        UserError: no such language, or an ambiguous name; the nearest codes are offered.
    """
    code = matching_code(text, task.languages)
    if code is None:
        near = ", ".join(nearest(text, task.languages)) or ", ".join(task.languages[:12])
        raise UserError(f"{task.title} has no language {text!r}; nearest: {near}.")
    return code


def load_pivot(
    task: Task, read: Read, pivot: str, protocol: str, connectors: str, limit: int | None, shots: int
) -> Loaded:
    """The pivot's instances: they fix which instances the run has, their order and their groups."""
    instances, counts = _load(task, read, pivot, protocol, connectors, shots)
    if not instances:
        raise UserError(f"{task.title} has no instances in {pivot}: the data are empty.")
    return Loaded(_grouped(instances[:limit]), counts)


def _grouped(instances: Sequence[Instance]) -> tuple[Instance, ...]:
    """Instances of a group side by side, groups in order of appearance, so that their texts can share tokens."""
    first: dict[str, int] = {}
    for position, instance in enumerate(instances):
        first.setdefault(instance.group, position)
    return tuple(sorted(instances, key=lambda i: first[i.group]))


def load_language(
    task: Task, read: Read, language: str, pivot: Loaded, protocol: str, connectors: str, limited: bool, shots: int
) -> Loaded:
    """One language's instances joined to the pivot's by id, in the pivot's order and with its groups.

    Args:
        limited: the run uses only a part of the instances, so more of them here are no error.
    """
    instances, counts = _load(task, read, language, protocol, connectors, shots)
    by_id = {instance.instance_id: instance for instance in instances}
    wanted = {instance.instance_id for instance in pivot.instances}
    missing = [i for i in wanted if i not in by_id]
    extra = [] if limited else [i for i in by_id if i not in wanted]
    if missing or extra:
        first = sorted(missing or extra)[0]
        what = f"lacks {len(missing)}" if missing else f"has {len(extra)} more"
        raise UserError(
            f"{task.title}: {language} {what} of the instances of the pivot (the first is {first!r}); "
            "all languages of a run need the same instances."
        )
    joined = (replace(by_id[p.instance_id], group=p.group) for p in pivot.instances)
    return Loaded(tuple(joined), counts)


def _load(
    task: Task, read: Read, language: str, protocol: str, connectors: str, shots: int
) -> tuple[list[Instance], dict[str, int]]:
    prepared = _prepare(task, read, language, "test", connectors)
    rows, counts = prepared.rows, prepared.counts
    examples = rows[:shots]
    if shots and task.dev:
        examples = _prepare(task, read, language, "dev", connectors).rows[:shots]
    elif shots:
        rows, counts = rows[shots:], counts | {"used_as_shots": shots}
    if len(examples) < shots:
        raise UserError(f"{task.title} has only {len(examples)} examples for --shots {shots} in {language}.")
    prefix = few_shot_prefix(_instances(task, examples, language, protocol))
    instances = _instances(task, rows, language, protocol)
    _check(task, language, instances)
    return [replace(i, prompt=prefix + i.prompt) for i in instances] if prefix else instances, counts


def _prepare(task: Task, read: Read, language: str, split: str, connectors: str) -> Prepared:
    rows = read(language, split)
    if task.prepare is None or connectors == "data":
        return Prepared(rows, {})
    return task.prepare(rows, language, split, read)


def _instances(task: Task, rows: Rows, language: str, protocol: str) -> list[Instance]:
    instances = []
    for row in rows:
        try:
            instances.append(task.instance(row, language, protocol))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(
                f"{task.title}, {language}, row {row['row_index'] + 1} is not in the upstream schema "
                f"({type(error).__name__}: {error}); its fields are {', '.join(k for k in row if k != 'row_index')}."
            ) from None
    return instances


def _check(task: Task, language: str, instances: Sequence[Instance]) -> None:
    repeated = [i for i, n in Counter(x.instance_id for x in instances).items() if n > 1]
    if repeated:
        raise UserError(f"{task.title}, {language}: the id {repeated[0]!r} occurs twice; ids must be unique.")
    for instance in instances:
        name = f"{task.title}, {language}, instance {instance.instance_id!r}"
        if not instance.premise.strip() or not all(o.strip() for o in instance.options):
            raise UserError(f"{name} has an empty text: every premise and option needs at least one character.")
        if len(instance.options) != task.n_options:
            raise UserError(f"{name} has {len(instance.options)} options, not {task.n_options}.")
        if instance.options and not 0 <= (instance.gold if instance.gold is not None else -1) < task.n_options:
            raise UserError(f"{name} has gold {instance.gold}: it must be one of its {task.n_options} options.")
