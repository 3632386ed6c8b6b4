"""Chunks of a language while it is computed: what a killed run resumes from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from safetensors import SafetensorError, safe_open

from crossalign.store.files import write_arrays


class Chunk(NamedTuple):
    """Results of consecutive instances start…stop-1 of a language; n of them, K options.

    Attributes:
        options: pooling → float32 [layer, n, K, hidden].
        premises: pooling → float32 [layer, n, hidden].
        logliks: float64 [n, K], nats.
        too_long: 1 where a text of the instance was longer than the model takes.
        tokens: real tokens run, the same with padding, and what separate texts would have taken.
    """

    start: int
    stop: int
    options: dict[str, Float[np.ndarray, "layer n option hidden"]]
    premises: dict[str, Float[np.ndarray, "layer n hidden"]]
    logliks: Float[np.ndarray, "n option"]
    too_long: Int[np.ndarray, "n"]
    tokens: Int[np.ndarray, "3"]


def _path(folder: Path, start: int) -> Path:
    return folder / f"chunk-{start:08d}.safetensors"


def save_chunk(folder: Path, key: str, chunk: Chunk) -> None:
    """Writes a chunk whole. `key` says what it was computed from; a chunk with another key is not used."""
    arrays: dict[str, np.ndarray] = {"logliks": chunk.logliks, "too_long": chunk.too_long, "tokens": chunk.tokens}
    for pooling, states in chunk.options.items():
        arrays[f"{pooling}.options"] = states
    for pooling, states in chunk.premises.items():
        arrays[f"{pooling}.premises"] = states
    write_arrays(_path(folder, chunk.start), arrays, {"key": key, "stop": str(chunk.stop)})


def has_chunk(folder: Path, key: str, start: int, stop: int) -> bool:
    """Whether a sound chunk of exactly these instances is there; a damaged one counts as absent."""
    try:
        with safe_open(_path(folder, start), framework="np") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError):
        return False
    return metadata.get("key") == key and metadata.get("stop") == str(stop)


class Scratch:
    """Reads a language's chunks as if they were one array, a layer at a time."""

    def __init__(self, folder: Path, bounds: Sequence[tuple[int, int]]) -> None:
        self._files = [safe_open(_path(folder, start), framework="np") for start, _ in bounds]

    def layer(self, pooling: str, what: str, layer: int) -> np.ndarray:
        """float32 states of all instances at one layer: "options" [N, K, hidden] or "premises" [N, hidden]."""
        return np.concatenate([f.get_slice(f"{pooling}.{what}")[layer] for f in self._files])

    def small(self, name: str) -> np.ndarray:
        """ "logliks" [N, K] or "too_long" [N] of all instances."""
        return np.concatenate([f.get_tensor(name) for f in self._files])

    def tokens(self) -> Int[np.ndarray, "3"]:
        """Token counts summed over the chunks."""
        return np.sum([f.get_tensor("tokens") for f in self._files], axis=0)
