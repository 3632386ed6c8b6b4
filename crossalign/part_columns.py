"""The columns of a part's tables, from instances and their log-likelihoods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas  # noqa: F401  pyarrow imports it with the first column, which would lie in a language's time
import pyarrow as pa
from jaxtyping import Float, Int

from crossalign.forward.texts import TokenizedInstance
from crossalign.schema import Instance


def group_numbers(instances: Sequence[Instance]) -> Int[np.ndarray, "instance"]:
    """The instances' groups as integers from 0."""
    return np.unique([i.group for i in instances], return_inverse=True)[1]


def instance_columns(instances: Sequence[Instance]) -> dict[str, Any]:
    """`instances.parquet`: a row per instance, texts as they were embedded and scored."""
    columns: dict[str, Any] = {
        name: pa.array([getattr(i, name) for i in instances], pa.string())
        for name in ("instance_id", "group", "premise", "context", "prompt")
    }
    for name in ("options", "continuations", "tags"):
        columns[name] = pa.array([list(getattr(i, name)) for i in instances], pa.list_(pa.string()))
    return columns | {"gold": pa.array([i.gold for i in instances], pa.int8())}


def score_columns(
    instances: Sequence[Instance], texts: Sequence[TokenizedInstance], logliks: Float[np.ndarray, "instance option"]
) -> dict[str, Any]:
    """`scores.parquet`: a row per option, in the order of the instances."""
    k = logliks.shape[1]
    flat = [c for i in instances for c in i.continuations]
    tokens = [len(ids) - first for t in texts for ids, first in zip(t.scored, t.starts, strict=True)]
    return {
        "instance_id": pa.array([i.instance_id for i in instances for _ in range(k)]),
        "option": pa.array(list(range(k)) * len(instances), pa.int8()),
        "loglik": pa.array(logliks.reshape(-1), pa.float64()),
        "n_tokens": pa.array(tokens, pa.int32()),
        "n_characters": pa.array([len(c) for c in flat], pa.int32()),
        "n_bytes": pa.array([len(c.encode()) for c in flat], pa.int32()),
    }
