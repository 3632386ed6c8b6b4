"""Writes a language's single items as the tables of a part, a batch in memory at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from crossalign.importers.samples import Sample
from crossalign.store.files import writing

BATCH_ITEMS = 64
"""Items in memory at a time; with five examples before each, an item is some tens of kilobytes."""

LISTS = ("options", "continuations", "tags")
INSTANCES = pa.schema(
    [(name, pa.string()) for name in ("instance_id", "group", "premise", "context", "prompt")]
    + [(name, pa.list_(pa.string())) for name in LISTS]
    + [("gold", pa.int8())]
)
SCORES = pa.schema(
    [("instance_id", pa.string()), ("option", pa.int8()), ("loglik", pa.float64())]
    + [(name, pa.int32()) for name in ("n_tokens", "n_characters", "n_bytes")]
)


@dataclass
class Items:
    """What stays in memory of the items written.

    Attributes:
        rows: position in the data → row of the table.
        ids, groups: by row.
        agree: items whose logged `acc` is that of the log-likelihoods; `checked` of them have one.
        right, scored: items predicted right, and predicted at all.
    """

    rows: dict[int, int] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    n_options: int = 0
    agree: int = 0
    checked: int = 0
    right: int = 0
    scored: int = 0

    def take(self, sample: Sample) -> bool:
        """Counts an item; False when its id is there already."""
        if sample.instance.instance_id in self._known:
            return False
        self._add(sample.position, sample.instance.instance_id, sample.instance.group)
        self.n_options = max(self.n_options, len(sample.logliks))
        if not np.isnan(sample.logliks).any():
            right = int(np.argmax(sample.logliks)) == sample.instance.gold
            self.scored += 1
            self.right += right
            if sample.logged == sample.logged:
                self.checked += 1
                self.agree += right == (sample.logged == 1.0)
        return True

    def _add(self, position: int, identity: str, group: str) -> None:
        self.rows[position] = len(self.ids)
        self.ids.append(identity)
        self.groups.append(group)
        self._known.add(identity)

    def add_bare(self, position: int, identity: str, group: str) -> str:
        """An item of which nothing but a decision is known; returns its id, another one when that one is taken."""
        identity = f"row {position}" if identity in self._known else identity
        self._add(position, identity, group)
        return identity

    _known: set[str] = field(default_factory=set, repr=False)


def write_items(instances: Path, scores: Path | None, samples: Iterable[Sample], items: Items, bare: Bare) -> None:
    """Writes `instances.parquet` and `scores.parquet`: the samples in their order, then the bare items.

    Args:
        scores: None when there are no samples; then no such file is written.
        bare: gives the items without samples, once all samples are known.
    """
    with writing(instances), pq.ParquetWriter(instances, INSTANCES, compression="zstd") as texts:
        if scores is not None:
            with pq.ParquetWriter(scores, SCORES, compression="zstd") as options:
                for batch in _batches(s for s in samples if items.take(s)):
                    texts.write_table(pa.table(_instance_columns(batch), schema=INSTANCES))
                    options.write_table(pa.table(score_columns(batch), schema=SCORES))
        added = [(items.add_bare(p, i, g), g) for p, i, g in bare(items)]
        columns: dict[str, Any] = {name: [None] * len(added) for name in INSTANCES.names}
        columns |= {name: [[]] * len(added) for name in LISTS}
        columns |= {"instance_id": [i for i, _ in added], "group": [g for _, g in added]}
        texts.write_table(pa.table(columns, schema=INSTANCES))


class Bare:
    """The items of which a decision but no sample is there: position, id and group.

    Ids and groups are those that another language's samples give to the position, so that languages can be joined;
    without any, the position itself.
    """

    def __init__(self, positions: Iterable[int], identities: Mapping[int, tuple[str, str]]) -> None:
        self.positions, self.identities = sorted(set(positions)), identities

    def __call__(self, items: Items) -> Iterator[tuple[int, str, str]]:
        for position in self.positions:
            if position not in items.rows:
                yield position, *self.identities.get(position, (str(position), str(position)))


def _batches(samples: Iterable[Sample]) -> Iterator[list[Sample]]:
    iterator = iter(samples)
    while batch := list(islice(iterator, BATCH_ITEMS)):
        yield batch


def _instance_columns(batch: Sequence[Sample]) -> dict[str, Any]:
    instances = [s.instance for s in batch]
    columns: dict[str, Any] = {
        name: [getattr(i, name) for i in instances] for name in ("instance_id", "group", "prompt", "gold")
    }
    columns |= {name: [getattr(i, name) or None for i in instances] for name in ("premise", "context")}
    return columns | {name: [list(getattr(i, name)) for i in instances] for name in LISTS}


def score_columns(batch: Sequence[Sample]) -> dict[str, Any]:
    """`scores.parquet`: a row per option."""
    pairs = [(s, o) for s in batch for o in range(len(s.logliks))]
    texts = [s.instance.continuations[o] for s, o in pairs]
    return {
        "instance_id": [s.instance.instance_id for s, _ in pairs],
        "option": [o for _, o in pairs],
        "loglik": [s.logliks[o] for s, o in pairs],
        "n_tokens": [None] * len(pairs),  # not in the logs
        "n_characters": [len(t) for t in texts],
        "n_bytes": [len(t.encode()) for t in texts],
    }
