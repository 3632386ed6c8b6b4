"""Greedy generation in batches: the prompts' common beginning is run once, finished rows leave their batch."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, NamedTuple

import torch
from transformers import Cache, LogitsProcessor

from crossalign.forward.decoding import Decoding, Layer, Shared, Tokens
from crossalign.models import LanguageModel

MIN_SHARED = 16
"""A shorter common beginning of the prompts is not worth a cache of its own."""

DROP_SHARE = 8
"""Finished rows are taken out when they make up one in so many: each time copies the keys and values of the rest."""


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
        layers = [Layer(length) for _ in range(self.model.n_layers)]
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
        """Continues prompts, together where the way allows it."""
        alone = [self.way == "single" or self._grows_long(job) for job in jobs]
        together = [job for job, by_itself in zip(jobs, alone, strict=True) if not by_itself]
        done = iter(self._together(together, shared) if together else ())
        return [self._single(job) if by_itself else next(done) for job, by_itself in zip(jobs, alone, strict=True)]

    def _together(self, jobs: Sequence[Job], shared: Shared | None) -> list[Generated]:
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

    def _grows_long(self, job: Job) -> bool:
        """Whether a text may outgrow the position factors that its first keys were made with."""
        return self.model.short_length is not None and len(job.prompt) + job.limit > self.model.short_length

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
        finite = _Finite()
        with _bare(self.model.model):
            output = self.model.model.generate(
                ids, attention_mask=torch.ones_like(ids), generation_config=settings, logits_processor=[finite]
            )
        written: list[int] = []
        for token, sound in zip(output[0, len(job.prompt) :].tolist(), finite.steps, strict=True):
            if stop := self._take(written, token, sound, job.limit):
                return Generated(tuple(written), stop)
        return Generated(tuple(written), "length")


class _Finite(LogitsProcessor):
    """Notes of each step of `generate` whether its logits are finite, and changes nothing."""

    def __init__(self) -> None:
        self.steps: list[bool] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self.steps.append(bool(scores.max().isfinite()))
        return scores


@contextmanager
def _bare(model: Any) -> Iterator[None]:
    """The model without generation settings of its own, with which `generate` fills what it is not told."""
    from transformers import GenerationConfig

    own = model.generation_config
    model.generation_config = GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = own


def shared_length(prompts: Sequence[Tokens]) -> int:
    """Tokens that all prompts begin with, leaving at least one to each."""
    if len(prompts) < 2:
        return 0
    first, last = min(prompts), max(prompts)
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return min(same, min(len(p) for p in prompts) - 1)
