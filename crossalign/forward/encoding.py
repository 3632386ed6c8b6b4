"""Runs token trees through a causal language model: one pass gives log-likelihoods and pooled states of all layers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from crossalign.forward.attention import blocks, in_blocks, rotated_in_place, skips_unseen_keys, without_unseen_keys
from crossalign.forward.batching import Batch, balanced, batches, filled
from crossalign.forward.head import Head
from crossalign.forward.pooling import Pooled, Pooler, all_finite, on_cpu
from crossalign.forward.token_tree import Request, TokenTree, chains, common_prefix, trees
from crossalign.forward.workers import side_by_side
from crossalign.models import LanguageModel

MIN_PREFIX = 32
"""Shorter common beginnings of prompts are not worth a cache of keys and values."""


class Encoded(NamedTuple):
    """What one pass gives.

    Attributes:
        pooled: pooling → float32 [layer, text, hidden], layer 0 = embeddings; NaN where a text was not run.
        logliks: float64 [score] in nats, summed over the continuation's tokens; NaN where not run.
        tokens: real tokens run, and the same with padding.
    """

    pooled: Pooled
    logliks: Float[np.ndarray, "score"]
    tokens: tuple[int, int]


class Prefix(NamedTuple):
    """Keys and values of the beginning that all prompts of a language share (few-shot examples), run once."""

    tokens: tuple[int, ...]
    keys_values: list[tuple[torch.Tensor, torch.Tensor]]


class Encoder:
    """A model ready to run requests.

    Args:
        with_trees: token trees under a 4-D mask; False runs every text by itself in padded batches.
        batch_tokens: most tokens of a forward pass, padding included.
        workers: passes that are run side by side.
    """

    def __init__(
        self, model: LanguageModel, poolings: Sequence[str], batch_tokens: int, with_trees: bool, workers: int = 1
    ) -> None:
        self.model, self.poolings, self.workers = model, tuple(poolings), workers
        self.batch_tokens, self.with_trees = batch_tokens, with_trees
        self.head = Head(model.model, model.decoder)

    def prefix(self, requests: Sequence[Request]) -> Prefix | None:
        """Runs the beginning that all score-only requests share, if it is long enough to pay."""
        tokens = self.shared_beginning(requests)
        if not tokens:
            return None
        ids = torch.tensor([tokens], device=self.model.device)
        with torch.inference_mode():
            cache = self.model.decoder(input_ids=ids, use_cache=True).past_key_values
        layers = [(layer.keys, layer.values) for layer in cache.layers]
        return Prefix(tokens, layers)

    def shared_beginning(self, requests: Sequence[Request]) -> tuple[int, ...]:
        """The tokens that all score-only requests begin with; empty where running them once does not pay."""
        length = common_prefix([r for r in requests if r.pooled < 0])
        longest = max((len(r.run) for r in requests), default=0)
        if not self.with_trees or length < MIN_PREFIX or not self._within_window(longest) or self._is_long(longest):
            return ()
        return next(r for r in requests if r.pooled < 0).tokens[:length]

    def plan(
        self, requests: Sequence[Request], prefix: Prefix | None, in_one_row: bool = False
    ) -> list[tuple[Batch, Prefix | None]]:
        """The batches for the requests.

        Args:
            in_one_row: all trees that may share a row do, up to as many tokens as the model has positions.
        """
        ratio = self.model.linear_to_attention
        prefixed: list[TokenTree] = []
        if prefix is not None:
            length = len(prefix.tokens)
            after = [r._replace(tokens=r.tokens[length:], start=r.start - length) for r in requests if r.pooled < 0]
            prefixed = trees(after, ratio, self.batch_tokens) if after else []
        kinds_of: dict[tuple[bool, bool], list[Request]] = {}
        for r in requests:
            if prefix is None or r.pooled >= 0:
                merged = self.with_trees and self._within_window(len(r.run))
                kinds_of.setdefault((merged, self._is_long(len(r.run))), []).append(r)
        whole = {
            kind: trees(some, ratio, self.batch_tokens) if kind[0] else chains(some) for kind, some in kinds_of.items()
        }
        # Kinds are never mixed in a batch: one tree would take a long text's own (windowed) mask away, and one long text
        # would give the others its position factors.
        kinds = [*((rows, None, merged) for (merged, _), rows in whole.items()), (prefixed, prefix, True)]
        return [
            (batch, shared)
            for rows, shared, merged in kinds
            for batch in self._batches(rows, shared, merged, in_one_row)
        ]

    def _batches(self, rows: Sequence[TokenTree], prefix: Prefix | None, merged: bool, in_one_row: bool) -> list[Batch]:
        budget, most = self.batch_tokens, self.model.max_length
        if not merged:
            return batches(rows, budget, most)
        if in_one_row:
            return filled(rows, most, most, most)
        # Without a prefix a tree then pays for no other one in its row.
        if skips_unseen_keys(self.model) and prefix is None:
            return balanced(rows, budget, most)
        return batches(rows, budget, most, self.model.linear_to_attention)

    def encode(
        self,
        requests: Sequence[Request],
        n_pooled: int,
        n_scored: int,
        prefix: Prefix | None = None,
        in_one_row: bool = False,
    ) -> Encoded:
        """Runs all requests.

        Args:
            requests: in any order; what their texts share is run once.
            n_pooled, n_scored: sizes of the results; requests say which of them they fill.
            prefix: from `prefix`, over all requests of the language.
            in_one_row: see `plan`.
        """
        shape = (self.model.n_layers + 1, n_pooled, self.model.hidden_size)
        pooled = {p: np.empty(shape, dtype=np.float32) for p in self.poolings}
        absent = np.setdiff1d(np.arange(n_pooled), [r.pooled for r in requests])
        for states in pooled.values():
            states[:, absent] = np.nan
        logliks = np.full(n_scored, np.nan)
        real = padded = 0
        attention = without_unseen_keys() if self.with_trees else nullcontext()
        rotation = rotated_in_place(self.model.decoder)
        with attention, rotation, self.head.alone():

            def run(planned: tuple[Batch, Prefix | None]) -> Batch:
                self._run(*planned, pooled, logliks)
                return planned[0]

            planned = self.plan(requests, prefix, in_one_row)
            for batch in side_by_side(run, planned, self.workers, self.model.device):
                real, padded = real + sum(len(row) for row in batch.rows), padded + batch.padded
        return Encoded(pooled, logliks, (real, padded))

    def _run(self, batch: Batch, prefix: Prefix | None, pooled: Pooled, logliks: Float[np.ndarray, "score"]) -> None:
        """Fills in the results of one batch.

        One text with a NaN makes NaN of whatever shares its tree or batch (0 times NaN is NaN), so the texts of such
        a batch are run again, each by itself.
        """
        pooler = Pooler(batch, self.poolings)
        scores, states = self._forward(batch, prefix, pooler)
        finite = all(np.isfinite(score) for _, score in scores) and all(map(all_finite, states.values()))
        requests = [r for row in batch.rows for r in row.requests]
        if not finite and len(requests) > 1:
            for request in requests:
                self._run(Batch((chains([request])[0],), batch.most), prefix, pooled, logliks)
            return
        for pooling, values in states.items():
            pooled[pooling][:, pooler.slots] = on_cpu(values)
        for slot, value in scores:
            logliks[slot] = value

    def _within_window(self, length: int) -> bool:
        """Sliding-window layers see a whole text only while it is shorter than the window."""
        return self.model.window is None or length < self.model.window

    def _is_long(self, length: int) -> bool:
        """Whether a text has the position factors of long texts."""
        return self.model.short_length is not None and length > self.model.short_length

    @torch.inference_mode()
    def _forward(
        self, batch: Batch, prefix: Prefix | None, pooler: Pooler
    ) -> tuple[list[tuple[int, float]], dict[str, torch.Tensor]]:
        scored = _ScoredPositions(batch)
        wanted = len(pooler.slots) > 0
        with in_blocks(blocks(batch.rows, batch.width, len(prefix.tokens) if prefix else 0)):
            output = self.model.decoder(**self._arguments(batch, prefix), output_hidden_states=wanted)
        scores: list[tuple[int, float]] = []
        if scored.slots:
            last = output.last_hidden_state
            states = last.reshape(-1, last.shape[-1])[scored.positions.to(last.device)]
            scores = scored.logliks(self.head.logprobs(output, states, scored.rows, scored.targets))
        return scores, pooler(output.hidden_states) if wanted else {}

    def _arguments(self, batch: Batch, prefix: Prefix | None) -> dict[str, Any]:
        device = self.model.device
        rows, width = batch.rows, batch.width
        # A row is filled up with its own last token: another one could have a NaN for its state.
        ids = np.stack([np.pad(row.tokens, (0, width - len(row)), mode="edge") for row in rows])
        arguments: dict[str, Any] = {"input_ids": torch.from_numpy(ids).to(device)}
        chain = all(int(row.depths[-1]) == len(row) - 1 for row in rows)
        if prefix is None and (not self.with_trees or chain):
            lengths = torch.tensor([len(row) for row in rows])
            mask = (torch.arange(width)[None, :] < lengths[:, None]).long()
            return arguments | {"attention_mask": mask.to(device), "use_cache": False}
        shared = len(prefix.tokens) if prefix else 0
        positions = np.zeros((len(rows), width), dtype=np.int64)
        allowed = np.zeros((len(rows), 1, width, shared + width), dtype=bool)
        allowed[:, :, :, :shared] = True
        # A padded position sees itself: a row without any key would turn into NaN and spread.
        allowed[:, 0, np.arange(width), shared + np.arange(width)] = True
        for i, row in enumerate(rows):
            positions[i, : len(row)] = row.depths + shared
            allowed[i, 0, : len(row), shared : shared + len(row)] = row.mask()
        dtype = self.model.model.dtype
        mask = torch.zeros(allowed.shape, dtype=dtype, device=device)
        mask.masked_fill_(torch.from_numpy(~allowed).to(device), torch.finfo(dtype).min)
        arguments |= {"attention_mask": mask, "position_ids": torch.from_numpy(positions).to(device)}
        if prefix is None:
            return arguments | {"use_cache": False}
        return arguments | {"past_key_values": _expanded(prefix, len(rows)), "use_cache": True}


def _expanded(prefix: Prefix, rows: int) -> Any:
    """The prefix's keys and values for a batch of rows."""
    from transformers import DynamicCache

    cache = DynamicCache()
    for layer, (keys, values) in enumerate(prefix.keys_values):
        cache.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), layer)
    return cache


class _ScoredPositions:
    """Which states of a batch predict a scored token, and how their logits become log-likelihoods."""

    def __init__(self, batch: Batch) -> None:
        flat: list[int] = []
        targets: list[int] = []
        lengths: list[int] = []
        self.slots: list[int] = []
        for row, tree in enumerate(batch.rows):
            for request, path in zip(tree.requests, tree.paths, strict=True):
                if request.scored < 0:
                    continue
                continuation = request.tokens[request.start :]
                first = request.start - 1
                flat += (path[first : first + len(continuation)] + row * batch.width).tolist()
                targets += continuation
                lengths.append(len(continuation))
                self.slots.append(request.scored)
        unique, inverse = np.unique(np.array(flat, dtype=np.int64), return_inverse=True)
        self.positions = torch.from_numpy(unique)
        self.rows, self.targets = torch.from_numpy(inverse), torch.tensor(targets, dtype=torch.long)
        self._firsts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)

    def logliks(self, logprobs: Float[torch.Tensor, "token"]) -> list[tuple[int, float]]:
        """(slot, log-likelihood in nats) of every scored request, from the log-probability of each of its tokens."""
        return list(zip(self.slots, np.add.reduceat(logprobs.numpy(), self._firsts).tolist(), strict=True))
