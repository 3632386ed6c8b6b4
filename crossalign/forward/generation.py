"""Greedy generation in batches: the prompts' common beginning is run once, finished rows leave their batch."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from transformers import Cache, DynamicLayer

from crossalign.models import LanguageModel

MIN_SHARED = 16
"""A shorter common beginning of the prompts is not worth a cache of its own."""

DROP_SHARE = 8
"""Finished rows are taken out when they make up one in so many: each time copies the keys and values of the rest."""

Tokens = tuple[int, ...]


class Generated(NamedTuple):
    """What a model wrote after a prompt.

    Attributes:
        tokens: with the token that holds the newline, without the end-of-text token.
        stop: "newline", "end" (end-of-text token), "length" (the limit was reached: the text is cut), or "nonfinite"
            (the logits were NaN or infinite).
    """

    tokens: Tokens
    stop: str


class Job(NamedTuple):
    """A prompt, and the largest number of tokens that may follow it."""

    prompt: Tokens
    limit: int


class Shared(NamedTuple):
    """The beginning that all prompts have in common, and its keys and values, [1, head, token, size] by layer."""

    tokens: Tokens
    keys_values: list[tuple[torch.Tensor, torch.Tensor] | None]


class _Layer(DynamicLayer):
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
        self.layers = [_Layer(self.mask.shape[1]) for _ in range(model.n_layers)]
        for layer, states in zip(self.layers, shared.keys_values if shared else [], strict=False):
            if states is not None:  # some models share one layer's keys and values with later layers
                layer.update(*(x.expand(len(prompts), -1, -1, -1) for x in states))
        self.cache = Cache(layers=[*self.layers])
        self.filled = start
        self.logits = self._pass(ids.to(model.device), positions.to(model.device))

    def step(self, tokens: Sequence[int]) -> None:
        """Appends a token to every row and computes the logits of the next."""
        ids = torch.tensor(tokens, device=self.model.device)[:, None]
        self.logits = self._pass(ids, self.positions[:, -1:] + 1)

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


class Generator:
    """Continues prompts greedily until a newline, the end of the text, or each prompt's limit.

    Args:
        budget: most tokens whose keys and values are held at once: rows × (prompt + limit), padding included.
        way: "shared" (the prompts' beginning once), "batches" (whole prompts), or "single" (transformers' own
            `generate`, a prompt at a time, for models whose memory is not made of keys and values).
    """

    def __init__(self, model: LanguageModel, budget: int, way: str = "shared") -> None:
        self.model, self.budget, self.way = model, budget, way
        self._newlines: dict[int, bool] = {}

    @cached_property
    def ends(self) -> frozenset[int]:
        """Ids of the tokens that end a text, from the generation settings and the tokenizer."""
        settings = getattr(self.model.model, "generation_config", None)
        named = getattr(settings, "eos_token_id", None)
        ids = named if isinstance(named, list) else [named]
        return frozenset(i for i in [*ids, self.model.tokenizer.eos_token_id] if i is not None)

    def has_newline(self, token: int) -> bool:
        """Whether a token's text holds a newline."""
        if token not in self._newlines:
            self._newlines[token] = "\n" in self.model.tokenizer.decode([token])
        return self._newlines[token]

    def text(self, generated: Generated) -> str:
        """The first line of what was written, without the blanks around it."""
        decoded = self.model.tokenizer.decode(
            list(generated.tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return decoded.split("\n")[0].strip()

    @torch.inference_mode()
    def shared(self, prompts: Sequence[Tokens]) -> Shared | None:
        """Runs the beginning that all prompts have in common, where it is long enough to pay."""
        length = shared_length(prompts)
        if self.way != "shared" or length < MIN_SHARED:
            return None
        tokens = prompts[0][:length]
        layers = [_Layer(length) for _ in range(self.model.n_layers)]
        ids = torch.tensor([tokens], device=self.model.device)
        self.model.decoder(input_ids=ids, past_key_values=Cache(layers=[*layers]), use_cache=True)
        return Shared(tokens, [x.states for x in layers])

    def batches(self, jobs: Sequence[Job]) -> list[list[int]]:
        """Indices of the jobs that are run together, longest prompts first."""
        order = sorted(range(len(jobs)), key=lambda i: (-len(jobs[i].prompt), -jobs[i].limit, i))
        result: list[list[int]] = []
        widest = room = 0
        for index in order:
            room = max(room, jobs[index].limit)
            if not result or (len(result[-1]) + 1) * (widest + room) > self.budget:
                result.append([])
                widest, room = len(jobs[index].prompt), jobs[index].limit
            result[-1].append(index)
        return result

    def decoding(self, jobs: Sequence[Job], shared: Shared | None) -> Decoding:
        """Prompts that are run together, ready to be continued.

        Sliding windows count places in the cache, so padding inside a row would shift them: where a row may come to
        fill a window, whole prompts are run, padded on the left.
        """
        window, room = self.model.window, max(job.limit for job in jobs)
        longest = max(len(job.prompt) for job in jobs) + room
        fits = window is None or longest < window
        return Decoding(self.model, [job.prompt for job in jobs], shared if fits else None, room)

    def run(self, jobs: Sequence[Job], shared: Shared | None = None) -> list[Generated]:
        """Continues prompts that are run together."""
        if self.way == "single":
            return [self._single(job) for job in jobs]
        decoding = self.decoding(jobs, shared)
        written: list[list[int]] = [[] for _ in jobs]
        stops = [""] * len(jobs)
        rows = list(range(len(jobs)))
        while True:
            best, chosen = decoding.logits.max(-1)
            tokens = chosen.tolist()
            for row, token, finite in zip(rows, tokens, best.isfinite().tolist(), strict=True):
                if not stops[row]:
                    stops[row] = self._take(written[row], token, finite, jobs[row].limit)
            going = [place for place, row in enumerate(rows) if not stops[row]]
            if not going:
                return [Generated(tuple(w), stop) for w, stop in zip(written, stops, strict=True)]
            if (len(rows) - len(going)) * DROP_SHARE >= len(rows):
                decoding.keep(going)
                rows, tokens = [rows[p] for p in going], [tokens[p] for p in going]
            decoding.step(tokens)

    def _take(self, written: list[int], token: int, finite: bool, limit: int) -> str:
        """Appends a token; the reason to stop, or nothing."""
        if not finite:
            return "nonfinite"
        if token in self.ends:
            return "end"
        written.append(token)
        if self.has_newline(token):
            return "newline"
        return "length" if len(written) >= limit else ""

    @cached_property
    def _stopping(self) -> Any:
        """Settings for transformers' own `generate`: greedy, nothing else of the model's settings."""
        from transformers import GenerationConfig

        vocabulary = self.model.model.config.get_text_config().vocab_size
        stops = [*self.ends, *(i for i in range(vocabulary) if self.has_newline(i))]
        return GenerationConfig(do_sample=False, num_beams=1, eos_token_id=stops, pad_token_id=0)

    @torch.inference_mode()
    def _single(self, job: Job) -> Generated:
        ids = torch.tensor([job.prompt], device=self.model.device)
        settings = copy.copy(self._stopping)
        settings.max_new_tokens = job.limit
        output = self.model.model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=settings)
        written: list[int] = []
        for token in output[0, len(job.prompt) :].tolist():
            if stop := self._take(written, token, True, job.limit):
                return Generated(tuple(written), stop)
        return Generated(tuple(written), "length")


def shared_length(prompts: Sequence[Tokens]) -> int:
    """Tokens that all prompts begin with, leaving at least one to each."""
    if len(prompts) < 2:
        return 0
    first, last = min(prompts), max(prompts)
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return min(same, min(len(p) for p in prompts) - 1)
