"""Margins of every instance by metric and layer: small, and stored layer by layer, so that one layer is one slice.

They follow from the cosines of a part (20 times as large); a part without them gets them when they are first asked for.
"""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from jaxtyping import Float, Int

from crossalign.alignment_tables import AlignedLayers, from_arrays
from crossalign.schema import UserError
from crossalign.store import parts
from crossalign.store.files import write_arrays
from crossalign.store.runs import Run

Stored = dict[str, Float[np.ndarray, "layer instance"]]


def margin_arrays(layers: AlignedLayers, gold: Int[np.ndarray, "instance"]) -> Stored:
    """Metric → margins as stored, float32.

    A margin keeps its sign and its zero: the smallest that is not a tie is 1e-12, far above what float32 rounds to 0.
    """
    return {name: np.ascontiguousarray(m.T, dtype=np.float32) for name, m in layers.margins(gold).items()}


def read_margins(run: Run, language: str, pooling: str) -> Stored:
    """Metric → margins of a language, read-only, instances in the order of `instances.parquet`.

    Empty for the pivot, and for a part that holds no cosines (imported results).

    Raises:
        UserError: the part is damaged.
    """
    name, source = parts.margins_file(run.spec.pivot, pooling), parts.alignment_file(run.spec.pivot, pooling)
    if parts.has_file(run, language, name):
        return _read_only(parts.read_arrays(run, language, name))
    if not parts.has_file(run, language, source):
        return {}
    gold = parts.read_table(run, language, "instances.parquet", ["gold"])["gold"].to_pylist()
    layers = from_arrays(parts.read_arrays(run, language, source))
    margins = margin_arrays(layers, np.array([g or 0 for g in gold]))
    with suppress(UserError):  # a cache that may only be read: they are computed again next time
        parts.add_file(run, language, name, lambda path: write_arrays(path, margins))
    return _read_only(margins)


def _read_only(arrays: Stored) -> Stored:
    for array in arrays.values():
        array.flags.writeable = False
    return arrays
