"""Single items that lm-evaluation-harness has logged, one JSON line each, read as a stream."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from crossalign.importers.report import Faults
from crossalign.schema import Instance
from crossalign.store.files import reading
from crossalign.tasks import TASKS, Task


class Sample(NamedTuple):
    """One logged item.

    Attributes:
        position: its row in the evaluated data, from 0 (`doc_id`).
        instance: id, group, texts and gold. What was embedded for an alignment is not in a log, so `context` is empty.
        logliks: one per option, nats; NaN where the log says so.
        logged: the harness's own `acc`, NaN where absent.
    """

    position: int
    instance: Instance
    logliks: tuple[float, ...]
    logged: float


def read_samples(path: Path, task: str, language: str, faults: Faults) -> Iterator[Sample]:
    """The sound items of a file, a line in memory at a time; UserError where it cannot be read to its end.

    Lines that are cut, lack a field, repeat an item, or have a gold that is none of the options are left out and
    counted in `faults`.

    Args:
        task: one of `TASKS` gives ids, groups and texts as a run has them; for others the id is the row's number.
        language: code of the task's data.
    """
    seen: set[int] = set()
    first_filter = None
    with reading(path), path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                first_filter = row.get("filter") if first_filter is None else first_filter
                if row.get("filter", first_filter) != first_filter:
                    continue  # the same item again, behind another filter
                sample = _sample(row, TASKS.get(task), language)
            except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
                faults.add(f"line {number} {_reason(error, line)}")
                continue
            if sample.position in seen:
                faults.add(f"line {number} repeats the item {sample.position}")
                continue
            seen.add(sample.position)
            yield sample


def _reason(error: Exception, line: bytes) -> str:
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        cut = "" if line.endswith(b"\n") else " (the file is cut there)"
        return f"is no valid JSON{cut}"
    if isinstance(error, KeyError):
        return f"lacks {error}"
    return f"is not in the harness's schema ({error})"


def _sample(row: Mapping[str, Any], task: Task | None, language: str) -> Sample:
    prompts, continuations, logliks = _requests(row)
    gold = _gold(row["target"], continuations)
    position = int(row["doc_id"])
    prompt, continuations = _common(prompts, continuations)
    of_task = _of_task(row.get("doc"), task, language)
    if of_task is not None and of_task.gold in range(len(logliks)) and of_task.gold != gold:
        raise ValueError(f"its target {gold} is not the right option of its row, {of_task.gold}")
    base = of_task or Instance(str(position), str(position), "", options=tuple(continuations))
    made = replace(base, context="", gold=gold, prompt=prompt, continuations=tuple(continuations))
    "".join((prompt, base.premise, *base.options, *continuations)).encode()  # half a surrogate pair is no text
    logged = row.get("acc")
    return Sample(position, made, logliks, float(logged) if isinstance(logged, int | float) else math.nan)


def _requests(row: Mapping[str, Any]) -> tuple[list[str], list[str], tuple[float, ...]]:
    """Prompt, continuation and log-likelihood of each option."""
    arguments, responses = row["arguments"], row["resps"]
    pairs = [tuple(a.values())[:2] if isinstance(a, dict) else tuple(a)[:2] for a in _listed(arguments)]
    values = tuple(_loglik(r) for r in responses)
    if len(pairs) != len(values):
        raise ValueError(f"{len(pairs)} requests but {len(values)} answers")
    half = len(pairs) // 2
    if half and len(pairs) == 2 * half and pairs[0][0] and all(p[0] == "" for p in pairs[half:]):
        pairs, values = pairs[:half], values[:half]  # with acc_mutual_info each option is also scored alone
    if len(pairs) < 2 or not all(isinstance(t, str) for p in pairs for t in p):
        raise ValueError("it has no two options with texts")
    return [p[0] for p in pairs], [p[1].removeprefix(" ") for p in pairs], values


def _listed(arguments: Any) -> Sequence[Any]:
    return list(arguments.values()) if isinstance(arguments, dict) else arguments


def _loglik(response: Any) -> float:
    """From [["-1.5", "False"]] or ["-1.5", "False"]."""
    while isinstance(response, list):
        response = response[0]
    if isinstance(response, bool) or not isinstance(response, str | int | float):
        raise ValueError(f"an answer is {type(response).__name__}, no log-likelihood")
    return float(response)


def _gold(target: Any, continuations: Sequence[str]) -> int:
    """The right option: logged as its index, or as its text."""
    texts = [c.strip() for c in continuations]
    if isinstance(target, str) and not target.strip().isdigit():
        if texts.count(target.strip()) != 1:
            raise ValueError("its target is none of the options")
        return texts.index(target.strip())
    gold = int(target)
    if not 0 <= gold < len(texts):
        raise ValueError(f"its target {gold} is none of its {len(texts)} options")
    return gold


def _common(prompts: Sequence[str], continuations: Sequence[str]) -> tuple[str, list[str]]:
    """One prompt for all options; what differs between prompts (as in Winograd tasks) goes to the continuations."""
    if len(set(prompts)) == 1:
        return prompts[0], list(continuations)
    low, high = min(prompts), max(prompts)
    shared = low[: next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))]
    return shared, [f"{p.removeprefix(shared)} {c}" for p, c in zip(prompts, continuations, strict=True)]


def _of_task(doc: Any, task: Task | None, language: str) -> Instance | None:
    """The item as the task's own reader would make it; None when the logged row is in another schema."""
    if task is None or not isinstance(doc, dict):
        return None
    try:
        return task.instance(doc, language, task.protocols[0])
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        return None
