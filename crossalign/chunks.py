"""Chunks of a language: which instances make one, and what the forward pass gave for them put into its shape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np

from crossalign.forward.encoding import Encoded
from crossalign.forward.texts import TokenizedInstance
from crossalign.forward.token_tree import merged_size
from crossalign.models import LanguageModel
from crossalign.schema import Instance
from crossalign.store.scratch import Chunk

CHUNK_BATCHES = 48
CHUNK_BYTES = 1 << 29
"""A chunk, the unit that is resumed, holds at most so many batches and so many bytes of states."""


def instance_bytes(model: LanguageModel, n_options: int, poolings: Sequence[str], size: int = 4) -> int:
    """Pooled states of an instance, options and premise, all poolings and layers; `size` bytes a number."""
    return size * (n_options + 1) * (model.n_layers + 1) * model.hidden_size * len(poolings)


class EncodedChunk(NamedTuple):
    """What the pass gave for instances start…stop-1, before it is put into shape and written.

    Attributes:
        too_long: whether a text of the instance was left out.
        separate: tokens of all texts, each by itself.
    """

    start: int
    stop: int
    encoded: Encoded
    too_long: list[bool]
    separate: int

    def shaped(self) -> Chunk:
        """The same by instance, undefined ones marked."""
        n, encoded = self.stop - self.start, self.encoded
        k = len(encoded.logliks) // n
        states = {p: s.reshape(s.shape[0], n, k + 1, s.shape[2]) for p, s in encoded.pooled.items()}
        logliks = np.where(np.isfinite(encoded.logliks), encoded.logliks, np.nan).reshape(n, k)
        finite = [np.isfinite(logliks).all(axis=1), *(np.isfinite(s).all(axis=(0, 2, 3)) for s in states.values())]
        undefined = (~np.logical_and.reduce(finite)).astype(np.int64)
        too_long, tokens = np.array(self.too_long, dtype=np.int64), np.array([*encoded.tokens, self.separate])
        return Chunk(self.start, self.stop, states, logliks, too_long, undefined, tokens)


def chunk_bounds(
    instances: Sequence[Instance],
    texts: Sequence[TokenizedInstance],
    state_bytes: int,
    batch_tokens: int,
    merged: bool,
) -> Iterator[tuple[int, int]]:
    """Ranges of instances that make a chunk; instances of one group stay together, as what they share is run once.

    Args:
        state_bytes: of an instance, see `instance_bytes`.
        merged: whether texts share what they begin with.
    """
    most_instances, most_tokens = max(1, CHUNK_BYTES // state_bytes), CHUNK_BATCHES * batch_tokens
    start = position = tokens = 0
    for _, members in groupby(range(len(instances)), key=lambda i: instances[i].group):
        group = list(members)
        everything = [t for i in group for t in (texts[i].premise, *texts[i].options, *texts[i].scored)]
        size = merged_size(everything) if merged else sum(map(len, everything))
        if position > start and (tokens + size > most_tokens or group[-1] + 1 - start > most_instances):
            yield start, position
            start, tokens = position, 0
        position, tokens = group[-1] + 1, tokens + size
    yield start, position
