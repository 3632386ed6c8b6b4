"""Pooled hidden states that a run keeps: a file per pooling, two arrays per layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import numpy as np
from jaxtyping import Float

from crossalign.store.files import stream_arrays

LayerStates = Callable[[int], Float[np.ndarray, "instance text hidden"]]
"""Layer → float32 states of all instances, the options and then the premise."""


def write_states(path: Path, dtype: str, shape: tuple[int, int, int], n_layers: int, states: LayerStates) -> int:
    """Writes `options.L` [instance, option, hidden] and `premises.L` [instance, hidden] of layers 0 to n_layers.

    Args:
        dtype: "float16" or "float32".
        shape: instances, options and hidden size.

    Returns:
        How many finite values are too large for the dtype; they are kept as infinite.
    """
    layers, (n, k, d) = range(n_layers + 1), shape
    layout: dict[str, tuple[str, tuple[int, ...]]] = {f"options.{i}": (dtype, (n, k, d)) for i in layers}
    layout |= {f"premises.{i}": (dtype, (n, d)) for i in layers}
    beyond = 0

    def arrays() -> Iterator[np.ndarray]:
        nonlocal beyond
        for texts, layer in product((slice(-1), -1), layers):
            values = states(layer)[:, texts]
            kept = values.astype(dtype)
            beyond += int((np.isinf(kept) & np.isfinite(values)).sum())
            yield kept

    with np.errstate(over="ignore"):  # counted
        stream_arrays(path, layout, arrays())
    return beyond
