"""Muon: PyTorch's own where the products are in bfloat16, nearer to the exact one in float32."""

from __future__ import annotations

import pytest
import torch

from crossalign.miniature.muon import Muon, orthogonal

SHAPES = [(12, 12), (24, 12), (12, 24)]


def descended(make, shape: tuple[int, int]) -> torch.Tensor:
    drawn = torch.Generator().manual_seed(5)
    matrix = torch.nn.Parameter(torch.randn(shape, generator=drawn))
    optimizer = make([matrix])
    for step in range(4):
        matrix.grad = torch.randn(shape, generator=drawn)
        optimizer.param_groups[0]["lr"] = 0.03 / (step + 1)
        optimizer.step()
    return matrix.detach()


@pytest.mark.parametrize("shape", SHAPES)
def test_with_bfloat16_every_weight_is_that_of_pytorch(shape: tuple[int, int]) -> None:
    ours = descended(lambda p: Muon(p, 0.03, 0.1, torch.bfloat16), shape)
    theirs = descended(lambda p: torch.optim.Muon(p, lr=0.03, weight_decay=0.1, momentum=0.95), shape)
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("shape", SHAPES)
def test_singular_vectors_stay_and_singular_values_end_near_one(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    turned = left.T @ orthogonal(matrix) @ right.T
    assert torch.allclose(turned, torch.diag(torch.diagonal(turned)), atol=1e-9)
    # A value far below the largest rises by 3.4445 in each of five steps: more than 1/300 of the norm is enough.
    assert values.min() > matrix.norm() / 300
    assert torch.diagonal(turned).min() > 0.6 and torch.diagonal(turned).max() < 1.25


def test_float32_is_nearer_to_the_exact_direction_than_bfloat16() -> None:
    matrix = torch.randn(16, 32, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    exact = orthogonal(matrix)
    off = {d: (orthogonal(matrix.to(d)).double() - exact).norm() for d in (torch.float32, torch.bfloat16)}
    assert off[torch.float32] < 1e-3 * off[torch.bfloat16]
