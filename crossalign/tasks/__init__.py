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
    "load_sentences",
    "local_languages",
    "reader",
]

_MINIATURE = (miniature.COPA, miniature.STORY, miniature.READING, miniature.PARALLEL)
TASKS: dict[str, Task] = {t.name: t for t in (xcopa.TASK, xstorycloze.TASK, belebele.TASK, flores.TASK, *_MINIATURE)}


class Loaded(NamedTuple):
    """Instances of one language in the run's order, and what was repaired or left out on the way."""

    instances: tuple[Instance, ...]
    counts: dict[str, int]
    shots: tuple[str, ...] = ()
    """Ids of the few-shot examples."""
    beyond: frozenset[str] = frozenset()
    """Ids of the instances that the limit has left out."""


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
    everything = _load(task, read, pivot, "test", protocol, connectors)
    examples = _load(task, read, pivot, "dev", protocol, connectors) if shots and task.dev else everything
    if not everything.instances:
        raise UserError(f"{task.title} has no instances in {pivot}: the data are empty.")
    if len(examples.instances) < shots + (not task.dev):
        raise UserError(f"{task.title} has only {len(examples.instances)} examples for --shots {shots} in {pivot}.")
    shown = tuple(i.instance_id for i in examples.instances[:shots])
    instances, counts = _with_shots(task, everything, examples, shown)
    beyond = frozenset(i.instance_id for i in instances[limit:]) if limit else frozenset()
    return Loaded(_grouped(instances[:limit]), counts, shown, beyond)


def _grouped(instances: Sequence[Instance]) -> tuple[Instance, ...]:
    """Instances of a group side by side, groups in order of appearance, so that their texts can share tokens."""
    first: dict[str, int] = {}
    for position, instance in enumerate(instances):
        first.setdefault(instance.group, position)
    return tuple(sorted(instances, key=lambda i: first[i.group]))


def load_language(
    task: Task, read: Read, language: str, pivot: Loaded, protocol: str, connectors: str, shots: int
) -> Loaded:
    """One language's instances joined to the pivot's by id, in the pivot's order and with its groups.

    What lies beyond the pivot's limit is left out, and may be absent here.
    """
    everything = _load(task, read, language, "test", protocol, connectors)
    examples = _load(task, read, language, "dev", protocol, connectors) if shots and task.dev else everything
    instances, counts = _with_shots(task, everything, examples, pivot.shots)
    by_id = {instance.instance_id: instance for instance in instances}
    wanted = {instance.instance_id for instance in pivot.instances}
    missing = [i for i in wanted if i not in by_id]
    extra = [i for i in by_id if i not in wanted and i not in pivot.beyond]
    if missing or extra:
        first = sorted(missing or extra)[0]
        what = f"lacks {len(missing)}" if missing else f"has {len(extra)} more"
        raise UserError(
            f"{task.title}: {language} {what} of the instances of the pivot (the first is {first!r}); "
            "all languages of a run need the same instances."
        )
    joined = tuple(replace(by_id[p.instance_id], group=p.group) for p in pivot.instances)
    _check_same_gold(task, language, pivot.instances, joined)
    return Loaded(joined, counts)


def _check_same_gold(task: Task, language: str, pivot: Sequence[Instance], instances: Sequence[Instance]) -> None:
    """Alignment sets option i beside the pivot's option i: another place of the right one tells of another order."""
    other = [mine.instance_id for p, mine in zip(pivot, instances, strict=True) if p.gold != mine.gold]
    if other:
        raise UserError(
            f"{task.title}: in {language} the right option of {len(other)} instances is another than in the pivot (the first "
            f"is {other[0]!r}); option i must be the same answer in every language: mend the data."
        )


def _load(task: Task, read: Read, language: str, split: str, protocol: str, connectors: str) -> Loaded:
    """All instances of a language and split, in the order of the rows."""
    prepared = Prepared(read(language, split), {})
    # The pivot's own repair gives it gold; it has no connector to repair.
    if task.prepare is not None and (connectors == "repaired" or language == task.pivot):
        prepared = task.prepare(prepared.rows, language, split, read)
    instances = _instances(task, prepared.rows, language, protocol)
    _check(task, language, instances)
    return Loaded(tuple(instances), prepared.counts)


def load_sentences(task: Task, read: Read, language: str, split: str) -> list[Instance]:
    """All sentences of a language and split in the order of the rows; empty ones too, so that line n stays line n."""
    instances = _instances(task, read(language, split), language, task.protocols[0])
    _check_ids(task, language, instances)
    for instance in instances:
        _check_texts(f"{task.title}, {language}, sentence {instance.instance_id!r}", instance)
    return instances


def _with_shots(
    task: Task, everything: Loaded, examples: Loaded, shown: Sequence[str]
) -> tuple[list[Instance], dict[str, int]]:
    """The instances behind the solved examples of these ids, which are left out where there is no other split."""
    if not shown:
        return list(everything.instances), everything.counts
    by_id = {i.instance_id: i for i in examples.instances}
    missing = [i for i in shown if i not in by_id]
    if missing:
        raise UserError(f"{task.title} lacks the few-shot example {missing[0]!r} in one of the languages.")
    prefix = few_shot_prefix([by_id[i] for i in shown])
    left = [i for i in everything.instances if task.dev or i.instance_id not in shown]
    counts = everything.counts if task.dev else everything.counts | {"used_as_shots": len(shown)}
    return [replace(i, prompt=prefix + i.prompt) for i in left], counts


def _instances(task: Task, rows: Rows, language: str, protocol: str) -> list[Instance]:
    instances = []
    for row in rows:
        try:
            instances.append(task.instance(row, language, protocol))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise UserError(
                f"{task.title}, {language}, row {row['row_index'] + 1} is not in the upstream schema "
                f"({type(error).__name__}: {error}); its fields are {', '.join(k for k in row if k != 'row_index')}."
            ) from None
    return instances


def _check_ids(task: Task, language: str, instances: Sequence[Instance]) -> None:
    repeated = [i for i, n in Counter(x.instance_id for x in instances).items() if n > 1]
    if repeated:
        raise UserError(f"{task.title}, {language}: the id {repeated[0]!r} occurs twice; ids must be unique.")


def _check(task: Task, language: str, instances: Sequence[Instance]) -> None:
    _check_ids(task, language, instances)
    for instance in instances:
        name = f"{task.title}, {language}, instance {instance.instance_id!r}"
        _check_texts(name, instance)
        if not instance.premise.strip() or not all(o.strip() for o in instance.options):
            raise UserError(f"{name} has an empty text: every premise and option needs at least one character.")
        if len(instance.options) != task.n_options:
            raise UserError(f"{name} has {len(instance.options)} options, not {task.n_options}.")
        gold = instance.gold
        if instance.options and not (isinstance(gold, int) and 0 <= gold < task.n_options):
            raise UserError(f"{name} has gold {instance.gold}: it must be one of its {task.n_options} options.")


def _check_texts(name: str, instance: Instance) -> None:
    texts = (instance.instance_id, instance.group, instance.premise, instance.context, instance.prompt)
    try:
        "".join((*texts, *instance.options, *instance.continuations, *instance.tags)).encode()
    except TypeError:
        raise UserError(f"{name} has a text that is none: every text must be a string.") from None
    except UnicodeEncodeError:
        raise UserError(f"{name} has half a surrogate pair, which is no character: mend the text.") from None
