"""Rows of text that a model continues together, with the keys and values of what is there."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from transformers import Cache, DynamicLayer

from crossalign.models import LanguageModel

Tokens = tuple[int, ...]


class Shared(NamedTuple):
    """The beginning that all prompts have in common, and its keys and values, [1, head, token, size] by layer."""

    tokens: Tokens
    keys_values: list[tuple[torch.Tensor, torch.Tensor] | None]


class Layer(DynamicLayer):
    """Keys and values of one layer in memory that is taken once: growing by a token copies nothing."""

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self.capacity, self.length = capacity, 0
        self.buffers: tuple[torch.Tensor, ...] = ()

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        new = (key_states, value_states)
        if not self.is_initialized:
            self.lazy_initialization(*new)
            self.buffers = tuple(x.new_empty(*x.shape[:2], self.capacity, x.shape[3]) for x in new)
        end = self.length + key_states.shape[2]
        for buffer, states in zip(self.buffers, new, strict=True):
            buffer[:, :, self.length : end] = states
        self.length = end
        self.keys, self.values = (buffer[:, :, :end] for buffer in self.buffers)
        return self.keys, self.values

    @property
    def states(self) -> tuple[torch.Tensor, torch.Tensor] | None:
        """What the layer holds; None where another layer's keys and values serve."""
        return None if self.keys is None or self.values is None else (self.keys, self.values)

    def keep(self, rows: torch.Tensor) -> None:
        if self.is_initialized:
            self.buffers = tuple(buffer.index_select(0, rows.to(buffer.device)) for buffer in self.buffers)
            self.keys, self.values = (buffer[:, :, : self.length] for buffer in self.buffers)


class Decoding:
    """Rows that are continued together, a token at a time.

    The rows of the cache are: the shared beginning, padding, the rest of each prompt, what was generated. Positions
    count real tokens only. `logits` are those of the next token of each row, float32.

    Args:
        room: tokens that will be generated at most.
    """

    def __init__(self, model: LanguageModel, prompts: Sequence[Tokens], shared: Shared | None, room: int) -> None:
        self.model = model
        parameters = inspect.signature(model.model.forward).parameters
        self._takes = {name for name in ("position_ids", "logits_to_keep") if name in parameters}
        start = len(shared.tokens) if shared else 0
        lengths = torch.tensor([len(p) - start for p in prompts])
        width = int(lengths.max())
        ids = torch.zeros(len(prompts), width, dtype=torch.long)
        for row, prompt in enumerate(prompts):
            ids[row, width - len(prompt) + start :] = torch.tensor(prompt[start:])
        real = torch.arange(width)[None, :] >= width - lengths[:, None]
        self.mask = torch.ones(len(prompts), start + width + room, dtype=torch.long)
        self.mask[:, start : start + width] = real
        self.mask = self.mask.to(model.device)
        positions = (real.cumsum(1) - 1).clamp(min=0) + start
        self.layers = [Layer(self.mask.shape[1]) for _ in range(model.n_layers)]
        for layer, states in zip(self.layers, shared.keys_values if shared else [], strict=False):
            if states is not None:  # some models share one layer's keys and values with later layers
                layer.update(*(x.expand(len(prompts), -1, -1, -1) for x in states))
        self.cache = Cache(layers=[*self.layers])
        self.filled = start
        self.logits = self._pass(ids.to(model.device), positions.to(model.device))

    def step(self, tokens: Sequence[int]) -> None:
        """Appends a token to every row and computes the logits of the next."""
        ids = torch.tensor(tokens, device=self.model.device)[:, None]
        # A row that has reached its limit is run until it is dropped: no model has a position for what follows.
        self.logits = self._pass(ids, (self.positions[:, -1:] + 1).clamp(max=self.model.max_length - 1))

    def keep(self, rows: Sequence[int]) -> None:
        """Goes on with these rows only; their logits come with the next step."""
        index = torch.tensor(rows, device=self.mask.device)
        self.mask, self.positions = self.mask[index], self.positions[index]
        for layer in self.layers:
            layer.keep(index)

    @torch.inference_mode()
    def _pass(self, ids: torch.Tensor, positions: torch.Tensor) -> Float[torch.Tensor, "row vocabulary"]:
        self.filled += ids.shape[1]
        self.positions = positions
        optional = {"position_ids": positions, "logits_to_keep": 1}
        output = self.model.model(
            input_ids=ids,
            attention_mask=self.mask[:, : self.filled],
            past_key_values=self.cache,
            use_cache=True,
            **{name: optional[name] for name in self._takes},
        )
        return output.logits[:, -1].float()
