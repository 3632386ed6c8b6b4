"""The pass of a Llama over whole rows as the training needs it: no cache, no mask, and gradients in fewer steps.

On a processor a training step of so small a model spends two fifths of its time outside matrix products, going through
memory again and again. PyTorch's gradients of the root mean square norm and of the rotation go through it twice as often as
these.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention


def last_states(model: Any, ids: torch.Tensor) -> torch.Tensor:
    """Normed states after the last layer [row, token, hidden].

    Args:
        model: a `LlamaForCausalLM`.
        ids: of the tokens [row, token]; padding at the end of a row is seen by no token before it.
    """
    inner = model.model
    x = inner.embed_tokens(ids)
    # Of the angles a model has every one twice: for either half of a head's dimensions.
    angles = inner.rotary_emb(x, torch.arange(ids.shape[1])[None])
    cos, sin = (both.chunk(2, dim=-1)[0][0, :, None] for both in angles)
    for layer in inner.layers:
        x = x + _attended(layer.self_attn, _normed(layer.input_layernorm, x), cos, sin)
        x = x + layer.mlp(_normed(layer.post_attention_layernorm, x))
    return _normed(inner.norm, x)


def _normed(norm: Any, x: torch.Tensor) -> torch.Tensor:
    return rms_norm(x, norm.weight, norm.variance_epsilon)


def _attended(attention: Any, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    heads = (*x.shape[:2], -1, attention.head_dim)
    query, key = (rotated(project(x).view(heads), cos, sin) for project in (attention.q_proj, attention.k_proj))
    value = attention.v_proj(x).view(heads)
    query, key, value = (one.transpose(1, 2) for one in (query, key, value))
    seen = scaled_dot_product_attention(query, key, value, is_causal=True)
    return attention.o_proj(seen.transpose(1, 2).flatten(2))


def rms_norm(x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
    """x [..., hidden] over its root mean square, times the weights [hidden]."""
    return _Norm.apply(x, weight, epsilon)  # pyright: ignore[reportReturnType]


def rotated(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Dimensions i and i + half of x [row, token, head, dimension] turned by an angle [token, 1, i], as Llama does it.

    In the precision of the angle's cosine and sine.
    """
    return _Rotation.apply(x, cos, sin)  # pyright: ignore[reportReturnType]


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        scale = length.square_().div_(x.shape[-1]).add_(epsilon).rsqrt_()
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
        return _turned(x, cos, sin, 1)

    @staticmethod
    def backward(ctx: Any, *above: Any) -> tuple[torch.Tensor | None, ...]:
        cos, sin = ctx.saved_tensors
        return _turned(above[0], cos, sin, -1), None, None


def _turned(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, way: int) -> torch.Tensor:
    """Rotated forth (way 1) or back (-1)."""
    first, second = x.chunk(2, dim=-1)
    made = torch.empty(x.shape, dtype=cos.dtype)
    one, other = made.chunk(2, dim=-1)
    torch.mul(first, cos, out=one).addcmul_(second, sin, value=-way)
    torch.mul(second, cos, out=other).addcmul_(first, sin, value=way)
    return made
