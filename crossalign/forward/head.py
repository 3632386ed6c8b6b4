"""A model's output head by itself: logits of chosen states only."""

from __future__ import annotations

import copy
import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

Head = Callable[[Any, torch.Tensor], torch.Tensor]
"""A pass's output, and hidden states of some positions → their logits."""


@contextmanager
def head_alone(model: Any, decoder: Any) -> Iterator[Head]:
    """Hidden states → logits by the model's own output head, whatever it does (scaling, soft-capping).

    The model is called with a decoder that gives an earlier output again, but with the given states, so no class of
    model needs a branch here, and vocabulary-sized logits exist only for the positions where a token is scored. Every
    thread has its own output to give; without one the decoder runs as ever.
    """
    given = threading.local()
    had_own = "forward" in vars(decoder)
    original = decoder.forward

    @functools.wraps(original)
    def forward(*args: Any, **kwargs: Any) -> Any:
        output = getattr(given, "output", None)
        return original(*args, **kwargs) if output is None else output

    def logits(output: Any, states: torch.Tensor) -> torch.Tensor:
        given.output = copy.copy(output)
        given.output.last_hidden_state = states[None]
        ids = torch.zeros(1, len(states), dtype=torch.long, device=states.device)
        try:
            return model(input_ids=ids, use_cache=False).logits[0]
        finally:
            given.output = None

    decoder.forward = forward
    try:
        yield logits
    finally:
        if had_own:
            decoder.forward = original
        else:
            del decoder.forward
