"""What a run would cost, before its model is loaded: tokens, memory, disk and time."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from crossalign import models
from crossalign.alignment import ALIGNMENT_METRICS
from crossalign.alignment_tables import layer_bytes
from crossalign.amounts import bytes_in_words, seconds_in_words
from crossalign.chunks import CHUNK_BYTES, instance_bytes
from crossalign.forward.encoding import Encoder, Prefix
from crossalign.forward.texts import requests_of, tokenized
from crossalign.forward.workers import workers_for
from crossalign.planning import Observer, Plan, RunRequest, plan
from crossalign.schema import Instance

COUNTED_LANGUAGES, COUNTED_INSTANCES = 6, 200
"""Most languages, and most instances of each, whose tokens are counted; the rest is taken to be like them."""

CPU_EFFICIENCY, GPU_EFFICIENCY = 0.85, 0.55
"""Speed of a run's forward passes and alignment ÷ `matrix_speed`. Of the runs in README on two cores .79 to .98, asked
twice for each; on an H200 that of an 8-billion-parameter model's passes."""

LIBRARIES_BYTES = 700_000_000
"""Memory of a process with the libraries, the texts and small arrays, and without a model."""

LIVE_TENSORS = 12
"""Tensors of a layer's size, besides the states of all layers, that are alive at once in a forward pass."""

TABLES_BYTES = 24_000
"""Tables and manifest of a language beside its texts."""


class Cost(NamedTuple):
    """What a run takes. Tokens, memory and time are estimates; `how` says from what.

    Attributes:
        languages: to compute, the pivot included.
        instances: of each language.
        texts: embedded or scored, each counted once.
        tokens: of all texts, each by itself.
        tokens_run: the same after texts with a common beginning share it, padding included.
        parameters: of the model.
        memory: bytes while it runs, of the process or of the GPU.
        memory_there: bytes that the machine or its GPUs have.
        disk: bytes that the finished run takes.
        disk_meanwhile: bytes that unfinished languages take in addition while it runs.
        disk_free: bytes free where the cache lies.
        seconds: of computing, without loading the model.
        how: one sentence.
    """

    languages: int
    instances: int
    texts: int
    tokens: int
    tokens_run: int
    parameters: int
    memory: int
    memory_there: int
    disk: int
    disk_meanwhile: int
    disk_free: int
    seconds: float
    how: str

    def described(self) -> dict[str, str]:
        """Name → value, for people."""
        return {
            "Texts": f"{self.texts:,} ({self.instances:,} instances in {self.languages:,} languages)",
            "Tokens to run": f"about {self.tokens_run:,} ({self.tokens:,} before sharing)",
            "Memory": f"about {bytes_in_words(self.memory)} of {bytes_in_words(self.memory_there)}, for "
            f"{self.parameters:,} parameters",
            "Disk": f"{bytes_in_words(self.disk)}, and {bytes_in_words(self.disk_meanwhile)} while it runs; "
            f"{bytes_in_words(self.disk_free)} are free",
            "Time": f"about {seconds_in_words(self.seconds)}, plus loading the model",
            "How": self.how,
        }

    def warnings(self) -> list[str]:
        """What stands in the way, one sentence each."""
        found = []
        if self.memory > self.memory_there:
            found.append("This model is likely too large for the memory here: choose a smaller dtype or model.")
        if self.disk + self.disk_meanwhile > self.disk_free:
            found.append("The disk has too little room: free some, choose fewer languages, or do not keep states.")
        return found


class _Counted(NamedTuple):
    """Sums over the texts of one language."""

    texts: float
    tokens: float
    run: float
    scored: float


def cost(request: RunRequest, observer: Observer | None = None) -> Cost:
    """What the request would take if nothing of it were in the cache yet.

    Raises:
        UserError: anything for which the run itself would refuse the request before its model is loaded.
    """
    planned = plan(request, observer)
    models.check_device(planned.device)
    # Batches depend on where the model will be.
    model = replace(models.outline(request.model), device=_place(planned.device))
    encoder = Encoder(model, planned.spec.poolings, planned.batch_tokens, with_trees=model.takes_trees)
    chosen = _spread(planned.languages, COUNTED_LANGUAGES)
    planned.observer.stage("counting tokens", len(chosen), "languages")
    counts, n = [], len(planned.pivot.instances)
    for code in chosen:
        counts.append(_count(planned.load(code).instances, encoder))
        planned.observer.advance(1)
    sums = _Counted(*(np.mean(counts, axis=0) * len(planned.languages)))
    parameters = sum(p.numel() for p in model.model.parameters())
    dtype = models.DTYPES[planned.spec.dtype]
    speed = matrix_speed(model.hidden_size, planned.device, dtype)
    efficiency = CPU_EFFICIENCY if model.device.type == "cpu" else GPU_EFFICIENCY
    return Cost(
        languages=len(planned.languages),
        instances=n,
        texts=round(sums.texts),
        tokens=round(sums.tokens),
        tokens_run=round(sums.run),
        parameters=parameters,
        memory=parameters * dtype.itemsize + _working_memory(planned, model, dtype.itemsize),
        memory_there=_memory_there(planned.device),
        disk=_disk(planned, model),
        disk_meanwhile=2 * _states_bytes(planned, model, 4),
        disk_free=shutil.disk_usage(_existing(request.cache)).free,
        seconds=_operations(model, sums) / (efficiency * speed),
        how=_how(len(chosen), len(planned.languages), n, model.takes_trees, efficiency, speed),
    )


def _spread(items: Sequence, most: int) -> list:
    """At most `most` of the items, evenly spaced, the first among them."""
    if len(items) <= most:
        return list(items)
    return [items[i] for i in np.linspace(0, len(items) - 1, most).astype(int)]


def _count(instances: Sequence[Instance], encoder: Encoder) -> _Counted:
    """Counts on some of the groups and scales up to all instances; what instances share by chance grows with their number."""
    groups = [list(members) for _, members in groupby(instances, key=lambda i: i.group)]
    size = len(instances) / len(groups)
    some = [i for group in _spread(groups, max(1, int(COUNTED_INSTANCES / size))) for i in group]
    model = encoder.model
    made = [requests_of(t, i, model.max_length)[0] for i, t in enumerate(tokenized(some, model.tokenize, model.end))]
    everything = [r for requests in made for r in requests]
    beginning = encoder.shared_beginning(everything) if any(r.pooled < 0 for r in everything) else ()
    batches = encoder.plan(everything, Prefix(beginning, []) if beginning else None)
    scored = sum(len(r.tokens) - r.start for r in everything if r.scored >= 0)
    sums = (len(everything), sum(len(r.run) for r in everything), sum(b.padded for b, _ in batches), scored)
    return _Counted(*(total * len(instances) / len(some) for total in sums))


def _operations(model: models.LanguageModel, sums: _Counted) -> float:
    """Two per weight and token; the output head only where a token is scored."""
    linear = model.linear_to_attention * 2 * model.n_layers * model.hidden_size  # see `LanguageModel`
    head = model.hidden_size * int(model.model.get_input_embeddings().weight.shape[0])
    return 2 * (linear * sums.run + head * sums.scored)


def matrix_speed(hidden: int, device: str, dtype: torch.dtype, seconds: float = 0.3) -> float:
    """Operations per second of the fastest of the products, like those of a model's layers, done in so many seconds.

    On a CPU they are short enough to be done between two turns of other work.
    """
    place = _place(device)
    left = torch.randn(64 if place.type == "cpu" else 4096, hidden, device=place, dtype=dtype)
    right = torch.randn(hidden, 4 * hidden, device=place, dtype=dtype)
    (left @ right).sum().item()  # waits for the device
    best, end = float("inf"), time.perf_counter() + seconds
    while best == float("inf") or time.perf_counter() < end:
        began = time.perf_counter()
        (left @ right)[0, 0].item()
        best = min(best, time.perf_counter() - began)
    return 8 * left.shape[0] * hidden**2 / best


def _place(device: str) -> torch.device:
    return torch.device("cuda" if device == "auto" else device)


def _states_bytes(planned: Plan, model: models.LanguageModel, size: int) -> int:
    """Pooled states of one language, `size` bytes a number."""
    return len(planned.pivot.instances) * instance_bytes(model, planned.task.n_options, planned.spec.poolings, size)


def _working_memory(planned: Plan, model: models.LanguageModel, size: int) -> int:
    """Activations of the passes that are run side by side, and the states of two chunks; or a chunk and an aligned layer."""
    activations = planned.batch_tokens * model.hidden_size * size * (model.n_layers + 1 + LIVE_TENSORS)
    passes = workers_for(model, planned.batch_tokens, planned.spec.device)
    chunk = min(CHUNK_BYTES, _states_bytes(planned, model, 4))
    running = passes * activations + 2 * chunk
    aligning = chunk + layer_bytes(len(planned.pivot.instances), planned.task.n_options, model.hidden_size)
    return max(running, aligning) + LIBRARIES_BYTES


def _memory_there(device: str) -> int:
    if device == "auto":
        return sum(torch.cuda.mem_get_info(i)[1] for i in range(torch.cuda.device_count()))
    if device.startswith("cuda"):
        return torch.cuda.mem_get_info(torch.device(device))[1]
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _disk(planned: Plan, model: models.LanguageModel) -> int:
    """Cosines, margins, texts and, where they are kept, states."""
    n, k = len(planned.pivot.instances), planned.task.n_options
    metrics = sum(m.margin is not None for m in ALIGNMENT_METRICS.values()) * bool(k) + 1
    numbers = n * (model.n_layers + 1) * (8 * (3 * k * k + 3) + 4 * metrics)
    texts = sum(len(t.encode()) for i in planned.pivot.instances for t in (i.premise, *i.options))
    kept = {"float16": 2, "float32": 4}.get(planned.request.keep_states, 0)
    others = (len(planned.languages) - 1) * len(planned.spec.poolings) * numbers
    return others + len(planned.languages) * (texts + TABLES_BYTES + _states_bytes(planned, model, kept))


def _existing(path: Path) -> Path:
    """The nearest folder on the way to `path` that is there."""
    return next(p for p in (path.absolute(), *path.absolute().parents) if p.is_dir())


def _how(counted: int, languages: int, n: int, trees: bool, efficiency: float, speed: float) -> str:
    part = counted < languages or n > COUNTED_INSTANCES
    what = f"on at most {COUNTED_INSTANCES} instances in {counted} of {languages} languages" if part else "on all texts"
    return (
        f"Tokens counted {what}, {'as token trees' if trees else 'text by text'}; time at {efficiency:.0%} of the speed of this machine's matrix "
        f"products ({speed / 1e9:,.0f} billion operations a second just now). It takes longer beside other work, and "
        "with a model of few parameters."
    )
