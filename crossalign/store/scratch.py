"""Chunks of a language while it is computed: what a killed run resumes from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from safetensors import SafetensorError, safe_open

from crossalign.store.files import ArrayPlace, array_places, reading, write_arrays


class Chunk(NamedTuple):
    """Results of consecutive instances start…stop-1 of a language; n of them, K options.

    Attributes:
        states: pooling → float32 [layer, n, K + 1, hidden], the options and then the premise.
        logliks: float64 [n, K], nats.
        too_long: 1 where a text of the instance was longer than the model takes.
        undefined: 1 where a state or log-likelihood is NaN or infinite, or was not computed.
        tokens: real tokens run, the same with padding, and what separate texts would have taken.
    """

    start: int
    stop: int
    states: dict[str, Float[np.ndarray, "layer n text hidden"]]
    logliks: Float[np.ndarray, "n option"]
    too_long: Int[np.ndarray, "n"]
    undefined: Int[np.ndarray, "n"]
    tokens: Int[np.ndarray, "3"]


def _path(folder: Path, start: int) -> Path:
    return folder / f"chunk-{start:08d}.safetensors"


def save_chunk(folder: Path, key: str, chunk: Chunk) -> None:
    """Writes a chunk whole.

    `key` says what it was computed from; a chunk with another key is not used.
    """
    arrays = chunk.states | {name: getattr(chunk, name) for name in ("logliks", "too_long", "undefined", "tokens")}
    digest = hashlib.sha256()
    for array in arrays.values():
        digest.update(np.ascontiguousarray(array).data)
    metadata = {"key": key, "stop": str(chunk.stop), "sha256": digest.hexdigest()}
    write_arrays(_path(folder, chunk.start), arrays, metadata)


def has_chunk(folder: Path, key: str, start: int, stop: int) -> bool:
    """Whether a sound chunk of exactly these instances is there; a damaged one counts as absent."""
    path = _path(folder, start)
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError):
        return False
    named = metadata.get("key") == key and metadata.get("stop") == str(stop)
    return named and metadata.get("sha256") == _payload_digest(path)


def _payload_digest(path: Path) -> str:
    """SHA-256 of what follows the header of a safetensors file."""
    with path.open("rb") as file:
        file.seek(8 + int.from_bytes(file.read(8), "little"))
        return hashlib.file_digest(file, "sha256").hexdigest()


class _File:
    """A chunk in a file, opened for each reading: a mapping that stays open keeps what was read of it in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def _places(self) -> dict[str, ArrayPlace]:
        return array_places(self.path)

    def shape(self, pooling: str) -> tuple[int, ...]:
        return self._places[pooling].shape

    def read(self, pooling: str, layer: int, into: np.ndarray) -> None:
        with reading(self.path), self.path.open("rb") as file:
            file.seek(self._places[pooling].offset + layer * into.nbytes)
            if file.readinto(into.data) < into.nbytes:
                raise OSError("it is shorter than it was")

    def small(self, name: str) -> np.ndarray:
        with safe_open(self.path, framework="np") as file:
            return file.get_tensor(name)


class _Held:
    """The same of a chunk in memory."""

    def __init__(self, chunk: Chunk) -> None:
        self.chunk = chunk

    def shape(self, pooling: str) -> tuple[int, ...]:
        return self.chunk.states[pooling].shape

    def read(self, pooling: str, layer: int, into: np.ndarray) -> None:
        into[:] = self.chunk.states[pooling][layer]

    def small(self, name: str) -> np.ndarray:
        return getattr(self.chunk, name)


class Scratch:
    """Reads a language's chunks as if they were one array, a layer at a time.

    Args:
        held: a chunk that is in memory, not in a file.
    """

    def __init__(self, folder: Path, bounds: Sequence[tuple[int, int]], held: Chunk | None = None) -> None:
        self.held_instances = held.stop - held.start if held else 0
        self._chunks = [
            _Held(held) if held and start == held.start else _File(_path(folder, start)) for start, _ in bounds
        ]

    def layer(self, pooling: str, layer: int) -> Float[np.ndarray, "instance text hidden"]:
        """float32 states of all instances at one layer, the options and then the premise; read into one array."""
        shapes = [chunk.shape(pooling) for chunk in self._chunks]
        states = np.empty((sum(shape[1] for shape in shapes), *shapes[0][2:]), np.float32)
        start = 0
        for chunk, shape in zip(self._chunks, shapes, strict=True):
            chunk.read(pooling, layer, states[start : start + shape[1]])
            start += shape[1]
        return states

    def small(self, name: str) -> np.ndarray:
        """ "logliks" [N, K], "too_long" [N] or "undefined" [N] of all instances."""
        return np.concatenate([chunk.small(name) for chunk in self._chunks])

    def tokens(self) -> Int[np.ndarray, "3"]:
        """Token counts summed over the chunks."""
        return np.sum([chunk.small("tokens") for chunk in self._chunks], axis=0)
