"""Faster attention on a CPU: keys that no query looks at are left out, and rotary positions are applied in place."""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache, wraps
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from crossalign.forward.token_tree import TokenTree
from crossalign.models import LanguageModel

Rotation = Callable[..., tuple[torch.Tensor, torch.Tensor]]

QUERY_BLOCK = 32
"""Queries that share one set of keys."""

_pass = threading.local()
"""`blocks` of the pass that this thread runs."""


class Block(NamedTuple):
    """Queries start…stop-1 of a pass, none of which looks at another key than first…last-1."""

    start: int
    stop: int
    first: int
    last: int


def blocks(rows: Sequence[TokenTree], width: int, before: int = 0) -> tuple[Block, ...]:
    """The blocks of a batch of rows, each padded to `width` tokens.

    In depth-first order a token looks at no later one, and a row's trees stand after one another.

    Args:
        before: keys that come before those of the rows, and that all queries see.
    """
    index = np.arange(width)
    begins = [np.flatnonzero(row.depths == 0) for row in rows]
    firsts = np.min([begin[np.searchsorted(begin, index, side="right") - 1] for begin in begins], axis=0)
    bounds = [(start, min(start + QUERY_BLOCK, width)) for start in range(0, width, QUERY_BLOCK)]
    return tuple(Block(start, stop, 0 if before else int(firsts[start]), before + stop) for start, stop in bounds)


@contextmanager
def in_blocks(made: Sequence[Block]) -> Iterator[None]:
    """Tells `without_unseen_keys` the blocks of the pass that this thread runs."""
    _pass.blocks = made
    try:
        yield
    finally:
        _pass.blocks = ()


def skips_unseen_keys(model: LanguageModel) -> bool:
    """Whether `without_unseen_keys` serves a model: it is on a CPU and attends by PyTorch's function."""
    return model.device.type == "cpu" and getattr(model.decoder.config, "_attn_implementation", None) == "sdpa"


@contextmanager
def without_unseen_keys() -> Iterator[None]:
    """Makes masked attention on a CPU skip the keys that no query of a block looks at.

    The kernel does not know that most of the mask is closed and computes, then masks, all pairs. Any model that calls
    PyTorch's attention function is served, in passes that are run `in_blocks`, until the context ends.
    """
    original = functional.scaled_dot_product_attention

    def attention(query, key, value, attn_mask=None, **settings):
        made, shape = getattr(_pass, "blocks", ()), (query.shape[-2], key.shape[-2])
        fitting = len(made) > 1 and shape == (made[-1].stop, made[-1].last) and query.dim() == 4
        if attn_mask is None or not fitting or query.device.type != "cpu":
            return original(query, key, value, attn_mask=attn_mask, **settings)
        # Models put the heads of a token side by side next, which is how they lie here.
        result = query.new_empty(len(query), shape[0], query.shape[1], value.shape[-1]).transpose(1, 2)
        for start, stop, first, last in made:
            queries, mask = query[..., start:stop, :], attn_mask[..., start:stop, first:last]
            keys, values = key[..., first:last, :], value[..., first:last, :]
            result[..., start:stop, :] = original(queries, keys, values, attn_mask=mask, **settings)
        return result

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
