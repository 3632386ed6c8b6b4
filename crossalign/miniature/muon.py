"""Muon, the optimizer of the layers' matrices, with its products in the precision that is faster on the machine.

PyTorch's own, `torch.optim.Muon`, always multiplies in bfloat16, which takes twice as long as float32 on processors without
units for it: a sixth of the phase that uses it. With bfloat16 the two give the same bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

import torch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the odd polynomial of degree five that is applied `STEPS` times: singular values between 0 and 1 end between about
0.7 and 1.2. Keller Jordan, "Muon: An optimizer for hidden layers in neural networks", 2024."""

STEPS = 5

AT_ONCE = 6
"""Matrices of a shape in one call: on two cores six take a fifth less time than one by one, and 24 at once no less."""


class Muon(torch.optim.Optimizer):
    """Descends along the gradient's momentum with all its singular values made about 1.

    Args:
        matrices: parameters of two dimensions.
        lr: learning rate; in matrices with more rows than columns it grows with the root of their ratio.
        products: precision of the matrix products; momentum and weights keep theirs.
    """

    def __init__(
        self,
        matrices: Iterable[torch.nn.Parameter],
        lr: float,
        weight_decay: float,
        products: torch.dtype,
        momentum: float = 0.95,
    ) -> None:
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "products": products})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One step along the gradients, with Nesterov's look ahead."""
        for group in self.param_groups:
            for alike in _alike(group["params"]):
                self._descend(alike, group)

    def _descend(self, matrices: Sequence[torch.nn.Parameter], group: dict[str, Any]) -> None:
        """One step of matrices of one shape."""
        lr, momentum, ahead = group["lr"], group["momentum"], []
        for matrix in matrices:
            if not self.state[matrix]:
                self.state[matrix]["momentum"] = torch.zeros_like(matrix)
            gradient = cast(torch.Tensor, matrix.grad)
            mean = self.state[matrix]["momentum"].lerp_(gradient, 1 - momentum)
            ahead.append(gradient.lerp(mean, momentum))
        updates = orthogonal(torch.stack(ahead).to(group["products"]))
        rows, columns = matrices[0].shape
        for matrix, update in zip(matrices, updates, strict=True):
            matrix.mul_(1 - lr * group["weight_decay"])
            matrix.add_(update, alpha=-lr * max(1, rows / columns) ** 0.5)


def _alike(matrices: Iterable[torch.nn.Parameter]) -> Iterator[Sequence[torch.nn.Parameter]]:
    """The matrices by shape, at most `AT_ONCE` together."""
    by_shape: dict[torch.Size, list[torch.nn.Parameter]] = {}
    for matrix in matrices:
        by_shape.setdefault(matrix.shape, []).append(matrix)
    for some in by_shape.values():
        yield from (some[start : start + AT_ONCE] for start in range(0, len(some), AT_ONCE))


def orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """Matrices [matrix, row, column] with all singular values between about 0.7 and 1.2, by Newton–Schulz iterations.

    They are multiplied in their own precision.
    """
    linear, cubic, quintic = COEFFICIENTS
    x = matrices / matrices.flatten(1).norm(dim=1).clamp(min=1e-7)[:, None, None]
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    for _ in range(STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=cubic, alpha=quintic), x, beta=linear)
    return x.mT if tall else x
