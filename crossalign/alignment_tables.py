"""Alignment of a language with its pivot over all layers: the stored cosines, and the rates with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int
from threadpoolctl import threadpool_limits

from crossalign.alignment import ALIGNMENT_METRICS, aligned, mexa, option_margins, relabelled_rate, ties
from crossalign.similarity import ROWS, Matches, OptionCosines, option_cosines, sentence_matches
from crossalign.statistics import rate


@runtime_checkable
class LayerReader(Protocol):
    """Gives the states of all instances at one layer (see `crossalign.store.scratch.Scratch`)."""

    def layer(self, pooling: str, layer: int) -> np.ndarray: ...


@dataclass(frozen=True, slots=True)
class AlignedLayers:
    """What is stored of a language's alignment; float64, N instances, L + 1 layers, K options.

    Attributes:
        cosines: [N, L+1, K, K] each; None for plain sentences.
        matched, best_in_row, best_in_column: premises, [N, L+1].
        premise_relabelled: relabelled MEXA rate, [L+1].
    """

    cosines: OptionCosines | None
    matched: Float[np.ndarray, "instance layer"]
    best_in_row: Float[np.ndarray, "instance layer"]
    best_in_column: Float[np.ndarray, "instance layer"]
    premise_relabelled: Float[np.ndarray, "layer"]

    def arrays(self) -> dict[str, np.ndarray]:
        """Name → array, as stored."""
        named = {name: getattr(self, name) for name in PREMISE_ARRAYS}
        return named | (dict(self.cosines._asdict()) if self.cosines else {})

    @property
    def premise_metric(self) -> str:
        """MEXA_T on a task's premises, MEXA on parallel sentences."""
        return "mexa_t" if self.cosines else "mexa"

    def margins(self, gold: Int[np.ndarray, "instance"]) -> Mapping[str, Float[np.ndarray, "instance layer"]]:
        """Metric → margins, [N, L+1]."""
        premise = {self.premise_metric: mexa(self.matched, self.best_in_row, self.best_in_column)}
        return (dict(option_margins(self.cosines, gold)) if self.cosines else {}) | premise


PREMISE_ARRAYS = ("matched", "best_in_row", "best_in_column", "premise_relabelled")


def from_arrays(arrays: Mapping[str, np.ndarray]) -> AlignedLayers:
    """The inverse of `AlignedLayers.arrays`."""
    cosines = OptionCosines(*(arrays[n] for n in OptionCosines._fields)) if "cross" in arrays else None
    return AlignedLayers(cosines, *(arrays[n] for n in PREMISE_ARRAYS))


def aligned_layers(
    pivot: LayerReader,
    language: LayerReader,
    pooling: str,
    n_layers: int,
    n_options: int,
    workers: int = 1,
    threads: int = 1,
) -> AlignedLayers:
    """Reads both languages' states a layer at a time and keeps only cosines.

    Args:
        workers: layers that are in work, and in memory, at once (see `layer_bytes`).
        threads: of the machine, divided among the workers' matrix products.
    """

    def one(layer: int) -> tuple[OptionCosines | None, Matches]:
        e, x = (side.layer(pooling, layer) for side in (pivot, language))
        cosines = option_cosines(e[:, :-1], x[:, :-1]) if n_options else None
        return cosines, sentence_matches(e[:, -1], x[:, -1])

    # With all threads for each product they would wait for each other.
    with threadpool_limits(max(1, threads // workers), "blas"), ThreadPoolExecutor(workers) as pool:
        found, matches = zip(*pool.map(one, range(n_layers + 1)), strict=True)
    cosines = [block for block in found if block is not None]
    matched, row, column = (np.stack([m[i] for m in matches], axis=1) for i in range(3))
    relabelled = np.array([m.relabelled_rate for m in matches])
    blocks = OptionCosines._make(np.stack(b, axis=1) for b in zip(*cosines, strict=True)) if cosines else None
    return AlignedLayers(blocks, matched, row, column, relabelled)


def layer_bytes(n: int, n_options: int, hidden: int) -> int:
    """Memory of a layer in work: both languages' states, those of the premises in float64 twice, a block of cosines."""
    return 8 * n * hidden * (n_options + 1) + 32 * n * hidden + 32 * min(n, ROWS) * n


def rate_table(
    layers: AlignedLayers, gold: Int[np.ndarray, "instance"], groups: Int[np.ndarray, "instance"], pooling: str
) -> dict[str, list[Any]]:
    """Columns pooling, metric, layer, rate, low, high, relabelled_rate, tie_rate, n; a row per metric and layer."""
    columns: dict[str, list[Any]] = {
        name: [] for name in ("pooling", "metric", "layer", "rate", "low", "high", "relabelled_rate", "tie_rate", "n")
    }
    for name, margins in layers.margins(gold).items():
        metric = ALIGNMENT_METRICS[name].margin
        relabelled = layers.premise_relabelled
        if metric is not None and layers.cosines is not None:
            relabelled = relabelled_rate(metric, layers.cosines, gold)
        decisions, tied = aligned(margins), ties(margins)
        for layer in range(margins.shape[1]):
            values = (pooling, name, layer, *rate(decisions[:, layer], groups)[:3], relabelled[layer], tied[layer])
            for column, value in zip(columns, (*values, int((~np.isnan(margins[:, layer])).sum())), strict=True):
                columns[column].append(value)
    return columns
