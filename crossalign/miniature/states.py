"""The pass of a Llama over whole rows as the training needs it: no cache, no mask, and gradients in fewer steps.

On a processor a training step of so small a model spends two fifths of its time outside matrix products, going through
memory again and again. Here the root mean square norm and the rotation of queries and keys have gradients of their own, which
need fewer such passes: norm and gradient together take half to two thirds of the time of transformers' norm.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

from crossalign.forward.attention import rotated
from crossalign.forward.kernels import inverse_rms


def last_states(model: Any, ids: torch.Tensor) -> torch.Tensor:
    """Normed states after the last layer [row, token, hidden].

    Args:
        model: a `LlamaForCausalLM`.
        ids: of the tokens [row, token]; padding at the end of a row is seen by no token before it.
    """
    inner = model.model
    x = inner.embed_tokens(ids)
    cos, sin = (angles[0, :, None] for angles in inner.rotary_emb(x, torch.arange(ids.shape[1])[None]))
    for layer in inner.layers:
        x = x + _attended(layer.self_attn, _normed(layer.input_layernorm, x), cos, sin)
        x = x + layer.mlp(_normed(layer.post_attention_layernorm, x))
    return _normed(inner.norm, x)


def _normed(norm: Any, x: torch.Tensor) -> torch.Tensor:
    return rms_norm(x, norm.weight, norm.variance_epsilon)


def _attended(attention: Any, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    heads = (*x.shape[:2], -1, attention.head_dim)
    query, key = (rotary(project(x).view(heads), cos, sin) for project in (attention.q_proj, attention.k_proj))
    value = attention.v_proj(x).view(heads)
    query, key, value = (one.transpose(1, 2) for one in (query, key, value))
    seen = scaled_dot_product_attention(query, key, value, is_causal=True)
    return attention.o_proj(seen.transpose(1, 2).flatten(2))


def rms_norm(x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
    """x [..., hidden] over its root mean square, times the weights [hidden]."""
    return _Norm.apply(x, weight, epsilon)  # pyright: ignore[reportReturnType]


def rotary(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Queries or keys [row, token, head, dimension] rotated by their positions.

    Args:
        cos, sin: of the angles [token, 1, dimension], the same for both halves of the dimensions.
    """
    return _Rotation.apply(x, cos, sin)  # pyright: ignore[reportReturnType]


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
        scale = inverse_rms(x, epsilon)
        unit = x * scale
        ctx.save_for_backward(unit, scale, weight)
        return unit * weight

    @staticmethod
    def backward(ctx: Any, *above: Any) -> tuple[torch.Tensor | None, ...]:
        unit, scale, weight = ctx.saved_tensors
        each = (above[0] * unit).flatten(0, -2)
        along = (each @ weight).view_as(scale) / unit.shape[-1]
        return (above[0] * weight).addcmul_(unit, along, value=-1).mul_(scale), each.sum(0), None


class _Rotation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(cos, sin)
        return rotated(x, cos, sin)

    @staticmethod
    def backward(ctx: Any, *above: Any) -> tuple[torch.Tensor | None, ...]:
        cos, sin = ctx.saved_tensors
        return rotated(above[0], cos, -sin), None, None
