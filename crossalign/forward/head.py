"""A model's output head by itself: log-probabilities of chosen tokens after chosen states."""

from __future__ import annotations

import copy
import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import nn

CPU_ROWS, GPU_ROWS = (64, 256), 1024
"""Positions whose logits exist at once: for a CPU at least and at most, for a GPU few enough for any vocabulary. A CPU
reads all weights of the head anew for each block, so that few positions cost nearly as much as many."""

CPU_LOGITS_BYTES = 1 << 26
"""Memory that decides between the least and the most: fresh pages for larger blocks cost more than they save."""

COLUMN_ROWS, COLUMN_BYTES = 512, 1 << 22
"""Positions whose logits are computed together by columns at most, and the bytes of a block of columns: few enough to stay
in a core's cache from the product to the sum."""

States = Float[torch.Tensor, "position hidden"]
Places = Int[torch.Tensor, "token"]


class Head:
    """States → log-probabilities by the model's own output head, whatever it does (scaling, soft-capping).

    The model is called with a decoder that gives an earlier output again, but with the given states, so no class of
    model needs a branch here, and vocabulary-sized logits exist only for the positions where a token is scored. Every
    thread has its own output to give; without one the decoder runs as ever.

    On a CPU a head that is a float32 linear layer and nothing more, as most are, is computed by blocks of columns, so that
    no logits reach the memory; whether it is one is tried on the first states.
    """

    def __init__(self, model: Any, decoder: Any) -> None:
        self._model, self._decoder = model, decoder
        self._given = threading.local()
        self._linear: nn.Linear | None = None
        self._tried = False

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Makes the decoder give again what it is given, until the block ends."""
        decoder, given = self._decoder, self._given
        had_own = "forward" in vars(decoder)
        original = decoder.forward

        @functools.wraps(original)
        def forward(*args: Any, **kwargs: Any) -> Any:
            output = getattr(given, "output", None)
            return original(*args, **kwargs) if output is None else output

        decoder.forward = forward
        try:
            yield
        finally:
            if had_own:
                decoder.forward = original
            else:
                del decoder.forward

    def logprobs(self, output: Any, states: States, rows: Places, tokens: Places) -> Float[torch.Tensor, "token"]:
        """float64 log-probabilities, nats, of a token after a state, for each pair; called while `alone`.

        Args:
            output: of the decoder's pass.
            states: last hidden states of some positions.
            rows, tokens: index of the state, and id of the token, of each pair.
        """
        linear = self._plain(output, states) if states.device.type == "cpu" else None
        most = COLUMN_ROWS if linear is not None else self._most_rows(states.device)
        # In blocks of one size: a small last one would take nearly as long as a full one.
        size = -(-len(states) // -(-len(states) // most))
        chosen = torch.empty(len(rows), dtype=torch.float64)
        for start in range(0, len(states), size):
            here = (rows >= start) & (rows < start + size)
            block, places = states[start : start + size], (rows[here] - start, tokens[here])
            if linear is not None:
                chosen[here] = _by_columns(linear, block, *places)
                continue
            # Fused on every device, and several times as fast on a CPU as logsumexp of the same logits.
            logprobs = self._logits(output, block).float().log_softmax(-1)
            chosen[here] = logprobs[tuple(p.to(logprobs.device) for p in places)].cpu().double()
        return chosen

    def _logits(self, output: Any, states: torch.Tensor) -> torch.Tensor:
        self._given.output = copy.copy(output)
        self._given.output.last_hidden_state = states[None]
        ids = torch.zeros(1, len(states), dtype=torch.long, device=states.device)
        try:
            return self._model(input_ids=ids, use_cache=False).logits[0]
        finally:
            self._given.output = None

    def _most_rows(self, device: torch.device) -> int:
        if device.type != "cpu":
            return GPU_ROWS
        least, most = CPU_ROWS
        return max(least, min(most, CPU_LOGITS_BYTES // (4 * self._model.config.get_text_config().vocab_size)))

    def _plain(self, output: Any, states: torch.Tensor) -> nn.Linear | None:
        """The linear layer that alone is the head, if there is one."""
        if not self._tried:
            linear = self._model.get_output_embeddings()
            if _weight_suffices(linear) and self._does_no_more_than(linear, output, states):
                self._linear = linear
            self._tried = True
        return self._linear

    def _does_no_more_than(self, linear: nn.Linear, output: Any, states: torch.Tensor) -> bool:
        # So small and so large that a bias, a scale and a cap would show.
        sizes = torch.logspace(-2, 4, 4, dtype=states.dtype)[:, None]
        tried = sizes * torch.linspace(-1, 2, states.shape[-1], dtype=states.dtype)
        theirs, mine = self._logits(output, tried), linear(tried)
        if theirs.shape != mine.shape:
            return False
        return bool(((theirs - mine).abs().amax(-1) <= 1e-5 * mine.abs().amax(-1)).all())


def _weight_suffices(layer: Any) -> bool:
    """Whether a layer is known by its weight and bias: a float32 `nn.Linear` without hooks, as accelerate's."""
    hooks = ("_hf_hook", "_forward_hooks", "_forward_pre_hooks")
    return (
        type(layer) is nn.Linear and layer.weight.dtype == torch.float32 and not any(vars(layer).get(h) for h in hooks)
    )


def _by_columns(linear: nn.Linear, states: States, rows: Places, tokens: Places) -> Float[torch.Tensor, "token"]:
    """`logprobs` of a linear head on a CPU, a block of the vocabulary at a time."""
    vocabulary = len(linear.weight)
    parts = -(-4 * len(states) * vocabulary // COLUMN_BYTES)
    size = -(-vocabulary // parts)
    starts = range(0, vocabulary, size)
    order = tokens.argsort()
    bounds = torch.searchsorted(tokens[order], torch.tensor([*starts, vocabulary])).tolist()
    chosen = torch.empty(len(rows), dtype=torch.float64)
    totals = torch.empty(len(starts), len(states), dtype=torch.float64)
    memory = states.new_empty(len(states) * size)
    for i, start in enumerate(starts):
        weight = linear.weight[start : start + size]
        logits = memory[: len(states) * len(weight)].view(len(states), len(weight))
        torch.mm(states, weight.t(), out=logits)
        if linear.bias is not None:
            logits += linear.bias[start : start + size]
        here = order[bounds[i] : bounds[i + 1]]
        chosen[here] = logits[rows[here], tokens[here] - start].double()
        highest = logits.amax(-1, keepdim=True)
        totals[i] = logits.sub_(highest).exp_().sum(-1).double().log_() + highest[:, 0]
    return chosen - totals.logsumexp(0)[rows]
