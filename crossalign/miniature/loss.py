"""Cross-entropy of output embeddings and its gradients from one softmax.

The logits of a step are its largest tensor by far: of 1,000 tokens, with a vocabulary of 6,144, they are 25 MB. By way of
`torch.nn.functional.cross_entropy` three more tensors of that size are filled; here it is one.
"""

from __future__ import annotations

from typing import Any

import torch


def cross_entropy(
    states: torch.Tensor, embeddings: torch.Tensor, wanted: torch.Tensor, weights: torch.Tensor, products: torch.dtype
) -> torch.Tensor:
    """Weighted sum of the cross-entropy in nats; a token that is less likely than the smallest float counts as that.

    Args:
        states: of the tokens that count [token, hidden].
        embeddings: the head's weights [vocabulary, hidden].
        wanted: id of the right next token [token].
        weights: in the sum [token].
        products: precision of the matrix products; softmax and sum are taken in the precision of `states`.
    """
    return _CrossEntropy.apply(states, embeddings, wanted, weights, products)  # pyright: ignore[reportReturnType]


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        states: torch.Tensor,
        embeddings: torch.Tensor,
        wanted: torch.Tensor,
        weights: torch.Tensor,
        products: torch.dtype,
    ) -> torch.Tensor:
        logits = states.to(products) @ embeddings.to(products).T
        # Of the logits the gradient of the unweighted loss is the softmax, less 1 at the wanted token.
        error = torch.softmax(logits, dim=-1, dtype=states.dtype)
        likely = error.gather(1, wanted[:, None])
        error.scatter_add_(1, wanted[:, None], torch.full_like(likely, -1.0))
        ctx.save_for_backward(states, embeddings, error.to(products), weights)
        return -(likely[:, 0].clamp(min=torch.finfo(likely.dtype).tiny).log() * weights).sum()

    @staticmethod
    def backward(ctx: Any, *above: Any) -> tuple[torch.Tensor | None, ...]:
        states, embeddings, error, weights = ctx.saved_tensors
        weights, products = (above[0] * weights)[:, None], error.dtype
        of_states = (error @ embeddings.to(products)).to(states.dtype) * weights
        of_embeddings = (error.T @ (states * weights).to(products)).to(embeddings.dtype)
        return of_states, of_embeddings, None, None, None
