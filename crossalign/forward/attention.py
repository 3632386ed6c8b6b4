"""Faster attention on a CPU: keys that nobody may look at are left out, and rotary positions are applied in place."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, wraps

import torch
from torch import nn
from torch.nn import functional

Rotation = Callable[..., tuple[torch.Tensor, torch.Tensor]]

QUERY_BLOCK = 32
"""Queries that share one set of keys in `without_later_keys`."""


@contextmanager
def without_later_keys() -> Iterator[None]:
    """Makes masked attention on a CPU skip the keys that come after a block of queries.

    In depth-first order a token never looks at a later one, so the mask is lower triangular; the kernel does not know
    and computes, then masks, all pairs. Any model that calls PyTorch's attention function is served, on any thread of
    this process, until the block ends.
    """
    original = functional.scaled_dot_product_attention

    def attention(query, key, value, attn_mask=None, **settings):
        length = query.shape[-2]
        if attn_mask is None or length <= 2 * QUERY_BLOCK or length != key.shape[-2] or query.device.type != "cpu":
            return original(query, key, value, attn_mask=attn_mask, **settings)
        blocks = []
        for start in range(0, length, QUERY_BLOCK):
            stop = min(start + QUERY_BLOCK, length)
            mask = attn_mask[..., start:stop, :stop]
            queries, keys, values = query[..., start:stop, :], key[..., :stop, :], value[..., :stop, :]
            blocks.append(original(queries, keys, values, attn_mask=mask, **settings))
        return torch.cat(blocks, dim=-2)

    functional.scaled_dot_product_attention = attention
    try:
        yield
    finally:
        functional.scaled_dot_product_attention = original


ROTATION = "apply_rotary_pos_emb"
"""Name of the function by which the modules of a model's library rotate queries and keys by their positions."""


@contextmanager
def rotated_in_place(model: nn.Module) -> Iterator[None]:
    """Makes float32 rotary positions on a CPU in three passes over queries and keys; models' functions make seven.

    Functions of another formula (interleaved halves) stay as they are. As with attention, any thread of this process is
    served until the block ends.
    """
    modules = {sys.modules.get(type(m).__module__) for m in model.modules()}
    with ExitStack() as stack:
        for module in modules:
            original = getattr(module, ROTATION, None)
            if original is not None and _rotates_halves(original):
                setattr(module, ROTATION, _quicker(original))
                stack.callback(setattr, module, ROTATION, original)
        yield


def _quicker(original: Rotation) -> Rotation:
    @wraps(original)
    def rotation(
        q: torch.Tensor, k: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, unsqueeze_dim: int = 1
    ) -> tuple[torch.Tensor, torch.Tensor]:
        plain = all(x.device.type == "cpu" and x.dtype == torch.float32 for x in (q, k, cos, sin))
        # Where only a part of a head is rotated, functions differ in which.
        if not plain or not q.shape[-1] == k.shape[-1] == cos.shape[-1]:
            return original(q, k, cos, sin, unsqueeze_dim)
        cos, sin = cos.unsqueeze(unsqueeze_dim), sin.unsqueeze(unsqueeze_dim)
        return rotated(q, cos, sin), rotated(k, cos, sin)

    return rotation


def rotated(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """The first half of the last dimension rotated against the second, by angles that broadcast with x."""
    half = x.shape[-1] // 2
    out = x * cos
    out[..., :half].addcmul_(x[..., half:], sin[..., :half], value=-1)
    out[..., half:].addcmul_(x[..., :half], sin[..., half:])
    return out


@cache
@torch.inference_mode()
def _rotates_halves(original: Rotation) -> bool:
    """Whether a function rotates the first half of a head against the second, by angles that may differ between them."""
    if list(inspect.signature(original).parameters) != ["q", "k", "cos", "sin", "unsqueeze_dim"]:
        return False
    q, k = (torch.linspace(-a, a + 1, 2 * 3 * 5 * 8).reshape(2, 3, 5, 8) for a in (1, 2))
    cos, sin = (torch.linspace(-a, 0.7, 2 * 5 * 8).reshape(2, 5, 8) for a in (1, 0.5))
    mine, theirs = _quicker(original)(q, k, cos, sin), original(q, k, cos, sin)
    return all(torch.allclose(a, b, rtol=1e-5, atol=1e-6) for a, b in zip(mine, theirs, strict=True))
