"""What a user asks for, checked before anything heavy is loaded."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

from crossalign import tasks
from crossalign.schema import POOLINGS, RunSpec, UserError, content_digest

CHECKED_INSTANCES = 3
"""Instances on which the fast pass is compared with plain ones before a run."""

CPU_BATCH_TOKENS, GPU_BATCH_TOKENS = 1024, 8192
"""Default tokens of a pass: on a CPU the activations of a layer should stay in its caches, but the weights be read for many
tokens; on a GPU two passes run side by side, and larger ones are no faster."""


@runtime_checkable
class Observer(Protocol):
    """Hears how a run gets on."""

    def say(self, text: str) -> None:
        """Something worth a line."""

    def ahead(self, parts: Sequence[str], size: int) -> None:
        """These parts are still to be computed, of at most `size` units each."""

    def stage(self, name: str, total: int, unit: str) -> None:
        """A stage begins; `total` units of work are ahead."""

    def advance(self, amount: int) -> None:
        """So many units are done."""


class Silent:
    """Hears nothing."""

    def say(self, text: str) -> None:
        pass

    def ahead(self, parts: Sequence[str], size: int) -> None:
        pass

    def stage(self, name: str, total: int, unit: str) -> None:
        pass

    def advance(self, amount: int) -> None:
        pass


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What the user asks for; None means the default.

    Attributes:
        languages: codes besides the pivot; empty for all that the data hold.
        limit: first N instances; None for the task's default, 0 for all.
        keep_states: "none", "float16" or "float32".
        note: a sentence about the run, shown with it.
    """

    model: str
    task: str
    languages: tuple[str, ...] = ()
    pivot: str | None = None
    data: Path | None = None
    limit: int | None = None
    shots: int = 0
    protocol: str | None = None
    connectors: str = "repaired"
    poolings: tuple[str, ...] = ("last_token", "weighted_mean")
    dtype: str | None = None
    device: str | None = None
    batch_tokens: int | None = None
    keep_states: str = "none"
    cache: Path = Path("cache")
    note: str = ""


R = TypeVar("R", bound=RunRequest)


def request_of(kind: type[R], options: Namespace) -> R:
    """The request that a command line asks for: an option has the name of its field, a field without one its default."""
    return kind(**{f.name: getattr(options, f.name) for f in fields(kind) if f.name in options})


@dataclass
class Plan:
    """A checked request: the instances are loaded and the run's spec is known; the model is loaded when needed."""

    default_tokens: ClassVar = (CPU_BATCH_TOKENS, GPU_BATCH_TOKENS)

    request: RunRequest
    task: tasks.Task
    read: Any
    pivot: tasks.Loaded
    languages: list[str]
    spec: RunSpec
    device: str
    observer: Observer = field(default_factory=Silent)

    @cached_property
    def model(self) -> Any:
        """The loaded model; loading takes seconds, and a finished run never asks for it."""
        from crossalign import models
        from crossalign.forward.kernels import fuse_layers

        self.observer.say(f"Loading {self.request.model} ({self.spec.dtype}, {self.device})")
        kind, _, commit = self.spec.model_identity.partition(":")
        model = models.load(self.request.model, self.spec.dtype, self.device, commit if kind == "commit" else None)
        fuse_layers(model.model)
        return model

    @property
    def batch_tokens(self) -> int:
        """Tokens that are held at once: as asked, or the default of the device."""
        return self.request.batch_tokens or self.default_tokens[self.spec.device != "cpu"]

    def load(self, language: str) -> tasks.Loaded:
        """The instances of a language in the pivot's order."""
        if language == self.spec.pivot:
            return self.pivot
        r, s = self.request, self.spec
        return tasks.load_language(self.task, self.read, language, self.pivot, s.protocol, s.connectors, r.shots)


def plan(request: RunRequest, observer: Observer | None = None) -> Plan:
    """Checks everything that can be checked before a model is loaded.

    Raises:
        UserError: anything in the request that cannot be done.
    """
    observer = observer or Silent()
    task = tasks.find_task(request.task)
    pivot = tasks.find_language(task, request.pivot or task.pivot)
    _check(request, task)
    read = tasks.reader(task, request.data)
    protocol = request.protocol or task.protocols[0]
    limit = (task.default_limit if request.limit is None else request.limit) or None
    observer.say(f"Reading {task.title}")
    loaded = tasks.load_pivot(task, read, pivot, protocol, request.connectors, limit, request.shots)
    device, dtype, identity = numerics(request)
    spec = RunSpec(
        model=request.model,
        model_identity=identity,
        task=task.name,
        protocol=protocol,
        pivot=pivot,
        data_digest=content_digest(loaded.instances),
        shots=request.shots,
        connectors=request.connectors,
        limit=limit,
        poolings=tuple(p for p in POOLINGS if p in request.poolings),
        dtype=dtype,
        device=device.split(":")[0].replace("auto", "cuda"),
    )
    return Plan(request, task, read, loaded, _languages(request, task, pivot), spec, device, observer)


def numerics(request: RunRequest) -> tuple[str, str, str]:
    """Device, dtype and model identity, as asked for or by default."""
    from crossalign import models, weights

    device = models.chosen_device(request.device)
    dtype = request.dtype or models.default_dtype(device)
    return device, dtype, weights.identity(request.model, request.cache / ".model-digests.json")


def _check(request: RunRequest, task: tasks.Task) -> None:
    if request.limit is not None and request.limit < 0:
        raise UserError(f"--limit {request.limit}: give a positive number of instances.")
    if request.shots < 0:
        raise UserError(f"--shots {request.shots}: give 0 or more.")
    if request.shots and not task.n_options:
        raise UserError(f"{task.title} has no questions, so --shots has no meaning there.")
    if request.protocol and request.protocol not in task.protocols:
        raise UserError(f"{task.title} has no protocol {request.protocol!r}; there are: {', '.join(task.protocols)}.")
    unknown = [p for p in request.poolings if p not in POOLINGS]
    if unknown or not request.poolings:
        raise UserError(f"There is no pooling {', '.join(unknown) or 'named'}; there are: {', '.join(POOLINGS)}.")
    if request.batch_tokens is not None and request.batch_tokens < 1:
        raise UserError(f"--batch-tokens {request.batch_tokens}: give a positive number of tokens.")


def _languages(request: RunRequest, task: tasks.Task, pivot: str) -> list[str]:
    """The languages to compute, pivot first, each once."""
    wanted = [tasks.find_language(task, code) for code in request.languages]
    if not wanted:
        wanted = tasks.local_languages(task, request.data) if request.data else list(task.languages)
    return list(dict.fromkeys([pivot, *wanted]))
