"""Muon: PyTorch's own where the products are in bfloat16, nearer to the exact one in float32."""

from __future__ import annotations

import pytest
import torch

from crossalign.miniature.muon import AT_ONCE, Muon, orthogonal

SHAPES = [(12, 12), (24, 12), (12, 24)]


def descended(make, shapes: list[tuple[int, int]]) -> list[torch.Tensor]:
    drawn = torch.Generator().manual_seed(5)
    matrices = [torch.nn.Parameter(torch.randn(shape, generator=drawn)) for shape in shapes]
    optimizer = make(matrices)
    for step in range(4):
        for matrix in matrices:
            matrix.grad = torch.randn(matrix.shape, generator=drawn)
        optimizer.param_groups[0]["lr"] = 0.03 / (step + 1)
        optimizer.step()
    return [matrix.detach() for matrix in matrices]


@pytest.mark.parametrize("count", [1, 2, AT_ONCE, 2 * AT_ONCE + 1])
def test_with_bfloat16_every_weight_is_that_of_pytorch(count: int) -> None:
    shapes = SHAPES * count
    ours = descended(lambda p: Muon(p, 0.03, 0.1, torch.bfloat16), shapes)
    theirs = descended(lambda p: torch.optim.Muon(p, lr=0.03, weight_decay=0.1, momentum=0.95), shapes)
    assert all(map(torch.equal, ours, theirs))


@pytest.mark.parametrize("shape", SHAPES)
def test_singular_vectors_stay_and_singular_values_end_near_one(shape: tuple[int, int]) -> None:
    matrices = torch.randn((3, *shape), generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    left, values, right = torch.linalg.svd(matrices, full_matrices=False)
    turned = left.mT @ orthogonal(matrices) @ right.mT
    made = turned.diagonal(dim1=1, dim2=2)
    assert torch.allclose(turned, torch.diag_embed(made), atol=1e-9)
    # A value far below the largest rises by 3.4445 in each of five steps: more than 1/300 of the norm is enough.
    assert (values.amin(1) > matrices.flatten(1).norm(dim=1) / 300).all()
    assert made.min() > 0.6 and made.max() < 1.25


def test_float32_is_nearer_to_the_exact_direction_than_bfloat16() -> None:
    matrix = torch.randn(2, 16, 32, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    exact = orthogonal(matrix)
    off = {d: (orthogonal(matrix.to(d)).double() - exact).norm() for d in (torch.float32, torch.bfloat16)}
    assert off[torch.float32] < 1e-3 * off[torch.bfloat16]
