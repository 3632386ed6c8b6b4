"""Work side by side: batches on a CPU, whose cores are busier with one each than with each in turn; writing and computing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from itertools import count
from typing import Any, TypeVar

import torch

from crossalign.models import LanguageModel

MOST_WORKERS = 8
"""Batches at once: a chunk is a few dozens, and its last ones would leave many workers idle."""

GPU_WORKERS = 2
"""Passes on a GPU: while one runs, the next is prepared."""

WORKERS_BYTES = 1 << 30
"""Memory for what is worked on side by side: hidden states of all layers of batches, or layers that are aligned."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def workers_for(model: LanguageModel, batch_tokens: int, device: str) -> int:
    """How many batches are run side by side: on a CPU, as many as the cores and the memory allowed.

    On an NVIDIA GPU two, so that one is prepared, and its results are put in their places, while the other one runs.

    Positions that are scaled by the length of the input (dynamic and long RoPE) are state of the model, which two
    batches of different length must not change at once.

    Args:
        device: kind of device that the model runs on, e.g. "cpu".
    """
    if device not in ("cpu", "cuda") or _rope_types(model.model.config.get_text_config()) & {"dynamic", "longrope"}:
        return 1
    if device == "cuda":
        return GPU_WORKERS
    states = 4 * batch_tokens * model.hidden_size * (model.n_layers + 1)
    threads = torch.get_num_threads()
    return threads // _ceiling(threads, min(MOST_WORKERS, max(1, WORKERS_BYTES // states)))


def side_by_side(
    work: Callable[[Item], Result], items: Iterable[Item], workers: int, device: torch.device
) -> Iterator[Result]:
    """The results in the order of the items; torch's threads are divided among the workers meanwhile."""
    if workers < 2:
        yield from map(work, items)
        return
    threads = torch.get_num_threads()
    each = max(1, threads // workers)
    torch.set_num_threads(each)
    try:
        with ThreadPoolExecutor(workers, initializer=_begin, initargs=(each, device, count())) as pool:
            yield from pool.map(work, items)
    finally:
        torch.set_num_threads(threads)


def overlapped(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """The results in the order of the items: another thread works on each while the next one is made.

    An error of the work on an item is raised once the next one is made.
    """
    with ThreadPoolExecutor(1) as pool:
        last: Future[Result] | None = None
        for item in items:
            if last:
                yield last.result()
            last = pool.submit(work, item)
        if last:
            yield last.result()


def _begin(threads: int, device: torch.device, numbers: Iterator[int]) -> None:
    """Gives a worker its threads and, on a GPU, a stream of its own, which starts after what was asked for before."""
    torch.set_num_threads(threads)
    if device.type == "cuda":
        stream = _stream(device, next(numbers))
        stream.wait_stream(torch.cuda.default_stream(device))
        torch.cuda.set_stream(stream)


@cache
def _stream(device: torch.device, number: int) -> torch.cuda.Stream:
    """The same for a worker of every chunk: memory that a stream has used is kept for that stream."""
    return torch.cuda.Stream(device)


def _ceiling(a: int, b: int) -> int:
    return -(-a // b)


def _rope_types(config: Any) -> set[str]:
    """Kinds of rotary positions, of the whole model or by kind of layer."""
    found = getattr(config, "rope_parameters", None) or {}
    return {p["rope_type"] for p in (found, *found.values()) if isinstance(p, dict) and "rope_type" in p}
