"""The loss of the training against PyTorch's, values and gradients."""

from __future__ import annotations

import torch

from crossalign.miniature.loss import cross_entropy


def _case(dtype: torch.dtype, scale: float = 1.0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(3)
    states = torch.randn(29, 8, generator=draw, dtype=torch.float64) * scale
    embeddings = torch.randn(17, 8, generator=draw, dtype=torch.float64)
    wanted = torch.randint(17, (29,), generator=draw)
    weights = torch.rand(29, generator=draw, dtype=torch.float64)
    return states.to(dtype).requires_grad_(), embeddings.to(dtype).requires_grad_(), wanted, weights.to(dtype)


def _reference(
    states: torch.Tensor, embeddings: torch.Tensor, wanted: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    each = torch.nn.functional.cross_entropy(states @ embeddings.T, wanted, reduction="none")
    return (each * weights).sum()


def _gradients(loss: torch.Tensor, case: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return torch.autograd.grad(loss * 3, case[:2])


def test_value_and_gradients_are_those_of_pytorch():
    case = _case(torch.float64)
    ours, reference = cross_entropy(*case, torch.float64), _reference(*case)
    torch.testing.assert_close(ours, reference, rtol=1e-12, atol=0)
    for mine, theirs in zip(_gradients(ours, case), _gradients(reference, case), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)


def test_gradients_are_the_slopes_of_the_value():
    states, embeddings, wanted, weights = _case(torch.float64)
    assert torch.autograd.gradcheck(
        lambda s, e: cross_entropy(s, e, wanted, weights, torch.float64), (states, embeddings)
    )


def test_products_in_bfloat16_give_float32_gradients_near_those_of_float32():
    case = _case(torch.float32)
    ours, reference = cross_entropy(*case, torch.bfloat16), _reference(*case)
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, reference, rtol=0.02, atol=0)
    for mine, theirs in zip(_gradients(ours, case), _gradients(reference, case), strict=True):
        assert mine.dtype == torch.float32
        assert (mine - theirs).norm() < 0.02 * theirs.norm()


def test_a_token_that_is_next_to_impossible_has_a_finite_loss_and_a_gradient():
    case = _case(torch.float32, scale=1000.0)
    loss = cross_entropy(*case, torch.float32)
    assert torch.isfinite(loss)
    assert 0 < loss.item() <= _reference(*case).item()
    for mine, theirs in zip(_gradients(loss, case), _gradients(_reference(*case), case), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-3)


def test_tied_embeddings_get_the_sum_of_both_gradients():
    """The head's weights are the embeddings: a step's gradient has a part from either."""
    _, embeddings, wanted, weights = _case(torch.float64)
    ids = torch.arange(29) % 17
    losses = (
        cross_entropy(embeddings[ids], embeddings, wanted, weights, torch.float64),
        _reference(embeddings[ids], embeddings, wanted, weights),
    )
    ours, reference = (torch.autograd.grad(loss, embeddings)[0] for loss in losses)
    torch.testing.assert_close(ours, reference, rtol=1e-10, atol=1e-12)
