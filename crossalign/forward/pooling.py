"""Pools the hidden states of a batch of token trees into one vector per text, layer by layer, in float32."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float

from crossalign.forward.batching import Batch

Pooled = dict[str, Float[np.ndarray, "layer text hidden"]]


class Pooler:
    """The pooling of one batch: which states are summed with which weights for each wanted text.

    last_token: the state of the text's last token. weighted_mean: the t-th token of n weighs t / (1 + … + n)
    (position is the rank among real tokens, so padding never matters). mean: every token weighs 1 / n.
    Source: last token as in Ravisankar et al. 2025; weights as in Kargaran et al. 2024 (MEXA), after Muennighoff 2022.
    """

    def __init__(self, batch: Batch, poolings: Sequence[str]) -> None:
        wanted = [
            (row, request.pooled, path)
            for row, tree in enumerate(batch.rows)
            for request, path in zip(tree.requests, tree.paths, strict=True)
            if request.pooled >= 0
        ]
        self.poolings = tuple(poolings)
        self.slots = np.array([slot for _, slot, _ in wanted], dtype=np.int64)
        self.rows = torch.tensor([row for row, _, _ in wanted], dtype=torch.long)
        self.last = torch.tensor([int(path[-1]) for _, _, path in wanted], dtype=torch.long)
        self.weights = {p: self._weights(p, wanted, batch) for p in self.poolings if p != "last_token"}
        self.columns = self._columns()

    def _columns(self) -> torch.Tensor:
        """Index of each text within its row."""
        counts: dict[int, int] = {}
        columns = []
        for row in self.rows.tolist():
            columns.append(counts.get(row, 0))
            counts[row] = columns[-1] + 1
        return torch.tensor(columns, dtype=torch.long)

    def _weights(self, pooling: str, wanted: list, batch: Batch) -> torch.Tensor:
        """[row, text of the row, token] weights that sum to 1 over each text's tokens."""
        most = max((sum(r.pooled >= 0 for r in tree.requests) for tree in batch.rows), default=0)
        weights = torch.zeros(len(batch.rows), max(1, most), batch.width)
        counts = [0] * len(batch.rows)
        for row, _, path in wanted:
            ranks = torch.arange(1, len(path) + 1, dtype=torch.float64)
            values = ranks if pooling == "weighted_mean" else torch.ones_like(ranks)
            weights[row, counts[row], torch.from_numpy(path)] = (values / values.sum()).float()
            counts[row] += 1
        return weights

    def __call__(self, states: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Layers of [row, token, hidden] → pooling → float32 [layer, text, hidden], where the first layer's states are."""
        pooled: dict[str, list[torch.Tensor]] = {p: [] for p in self.poolings}
        for state in states:
            rows = self.rows.to(state.device)
            for pooling in self.poolings:
                if pooling == "last_token":
                    vectors = state[rows, self.last.to(state.device)].float()
                else:
                    sums = torch.bmm(self.weights[pooling].to(state.device), state.float())
                    vectors = sums[rows, self.columns.to(state.device)]
                pooled[pooling].append(vectors)
        # Layers may lie on several GPUs.
        return {p: torch.stack([v.to(layers[0].device) for v in layers]) for p, layers in pooled.items()}


def all_finite(values: torch.Tensor) -> bool:
    """Whether no value is NaN or infinite: both reach the extremes, which are found many times as fast as by `isfinite`."""
    return bool(torch.stack(values.aminmax()).isfinite().all())


def on_cpu(values: torch.Tensor) -> np.ndarray:
    """The values in the CPU's memory; of a CUDA device by way of page-locked memory, several times as fast."""
    if values.device.type != "cuda":
        return values.cpu().numpy()
    try:
        locked = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    except RuntimeError:  # the system allows no more
        return values.cpu().numpy()
    return locked.copy_(values).numpy()
