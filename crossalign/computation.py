"""Computes one language of a run: chunks of states and log-likelihoods, then its alignment with the pivot."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from crossalign import tasks
from crossalign.alignment_tables import AlignedLayers, aligned_layers, layer_bytes, rate_table
from crossalign.chunks import EncodedChunk, chunk_bounds, instance_bytes
from crossalign.forward.agreement import choose_trees
from crossalign.forward.encoding import Encoder
from crossalign.forward.kernels import choose_linear, keep_heap, prepack
from crossalign.forward.texts import TokenizedInstance, requests_of, tokenized
from crossalign.forward.workers import WORKERS_BYTES, overlapped, workers_for
from crossalign.margins import margin_arrays
from crossalign.memory import FULL_AT_START, enough_memory
from crossalign.part_columns import group_numbers, instance_columns, score_columns
from crossalign.planning import CHECKED_INSTANCES, Plan
from crossalign.provenance import provenance
from crossalign.schema import SCHEMA_VERSION, Execution, Manifest, content_digest
from crossalign.store import parts
from crossalign.store.files import write_arrays, write_table
from crossalign.store.locks import lock
from crossalign.store.runs import Run
from crossalign.store.scratch import Chunk, Scratch, has_chunk, save_chunk
from crossalign.store.states import write_states

_FULL = (
    "The memory does not hold a pass of {} tokens: run the same command again with --batch-tokens {}; finished languages "
    "are kept."
)

KEY_DIGITS = 12
"""Of what a chunk was computed from: processes with other batches keep their chunks apart."""


def start(plan: Plan) -> tuple[Execution, dict[str, Any]]:
    """Loads the model and decides how the run is computed; called once in a run's life."""
    model = plan.model
    sample = tokenized(plan.pivot.instances[:CHECKED_INSTANCES], model.tokenize, model.end)
    with enough_memory(FULL_AT_START):
        with_trees, why = choose_trees(model, plan.spec.poolings, sample)
    linear, reason = choose_linear(model.decoder, plan.batch_tokens)
    execution = Execution(plan.batch_tokens, with_trees, linear, f"{why}; {reason}")
    plan.observer.say(f"Token trees: {'yes' if with_trees else 'no'} ({why}). Linear layers: {linear} ({reason}).")
    facts = {
        "n_layers": model.n_layers,
        "hidden_size": model.hidden_size,
        "n_options": plan.task.n_options,
        "n": len(plan.pivot.instances),
        "parameters": sum(p.numel() for p in model.model.parameters()),
        "max_length": model.max_length,
        "languages": plan.languages,
        "data": str(plan.request.data or ""),
        "note": plan.request.note,
        "training_shares": model.training_shares,
    }
    return execution, facts


class LanguageStates(NamedTuple):
    """Everything the forward pass gave for one language."""

    loaded: tasks.Loaded
    texts: list[TokenizedInstance]
    scratch: Scratch
    seconds: float


class Computation:
    """Fills a run, language by language; the pivot's states are computed once and kept as chunks meanwhile."""

    def __init__(self, run: Run, plan: Plan) -> None:
        self.run, self.plan = run, plan
        self.observer = plan.observer
        # Asked for anew, the batch size counts for what is still to be computed; each part records its own.
        self.execution = replace(run.execution, batch_tokens=plan.request.batch_tokens or run.execution.batch_tokens)

    @cached_property
    def encoder(self) -> Encoder:
        model, execution = self.plan.model, self.execution
        keep_heap()
        if execution.linear == "onednn":
            # The head's weight is used by blocks of columns (see `Head`); packed it would also be a second copy of the
            # embeddings it is tied to.
            prepack(model.model, execution.batch_tokens, but=model.model.get_output_embeddings())
        workers = workers_for(model, execution.batch_tokens, self.plan.spec.device)
        return Encoder(model, self.plan.spec.poolings, execution.batch_tokens, execution.trees, workers)

    @cached_property
    def pivot(self) -> LanguageStates:
        """The pivot's states; computed under its lock when another language needs them first."""
        pivot = self.plan.spec.pivot
        path = self.run.work / f"{pivot}.lock"
        with lock(path, wait=False) as mine:
            if mine:
                return self.states(pivot)
        self.observer.say(f"Waiting for another process that computes {pivot}")
        with lock(path):
            return self.states(pivot)

    def language(self, language: str) -> None:
        """Computes a language and leaves its complete part in the cache. The caller holds the language's lock."""
        began = time.perf_counter()
        is_pivot = language == self.plan.spec.pivot
        states = self.states(language)
        if is_pivot:
            self.pivot = states
        pivot = self.pivot
        aligning = time.perf_counter()
        counts = _counts(states)
        with parts.writing_part(self.run, language) as folder:
            write_table(folder / "instances.parquet", instance_columns(states.loaded.instances))
            if self.plan.task.n_options:
                columns = score_columns(states.loaded.instances, states.texts, states.scratch.small("logliks"))
                write_table(folder / "scores.parquet", columns)
            nonfinite = self._nonfinite(states, counts)
            if not is_pivot:
                self._align(folder, pivot, states)
            self._keep_states(folder, language, states)
            seconds = {"forward": round(states.seconds, 3), "alignment": round(time.perf_counter() - aligning, 3)}
            record = provenance(self.plan.device, self.execution.batch_tokens, time.perf_counter() - began)
            manifest = Manifest(
                run_id=self.run.run_id,
                language=language,
                schema_version=SCHEMA_VERSION,
                n=len(states.loaded.instances),
                n_options=self.plan.task.n_options,
                n_layers=self.plan.model.n_layers,
                hidden_size=self.plan.model.hidden_size,
                content_digest=content_digest(states.loaded.instances),
                counts=counts,
                provenance=record
                | {"stages": seconds, "nonfinite_instances": nonfinite, "states": self.plan.request.keep_states},
            )
            parts.finish_part(self.run, folder, manifest)
        if states.scratch.held_instances:
            self.observer.advance(states.scratch.held_instances)
        if not is_pivot:
            shutil.rmtree(self.run.work / language, ignore_errors=True)

    def states(self, language: str) -> LanguageStates:
        """Runs the model over a language's texts, except for the chunks that are there already."""
        loaded = self.plan.load(language)
        texts = tokenized(loaded.instances, self.plan.model.tokenize, self.plan.model.end)
        execution = self.execution
        size = instance_bytes(self.plan.model, self.plan.task.n_options, self.plan.spec.poolings)
        bounds = list(chunk_bounds(loaded.instances, texts, size, execution.batch_tokens, execution.trees))
        key = self._key(loaded)
        folder = self.run.work / language / key[:KEY_DIGITS]
        missing = [b for b in bounds if not has_chunk(folder, key, *b)]
        began = time.perf_counter()
        held = self._run_chunks(language, texts, missing, folder, key) if missing else None
        return LanguageStates(loaded, texts, Scratch(folder, bounds, held), time.perf_counter() - began)

    def _run_chunks(
        self,
        language: str,
        texts: list[TokenizedInstance],
        missing: Sequence[tuple[int, int]],
        folder: Path,
        key: str,
    ) -> Chunk | None:
        """Saves chunks while the next ones are made, and returns the last one unless other languages need it too.

        It is aligned at once, and so not written first: it is run again only if the process is killed just then.
        """
        held = None if language == self.plan.spec.pivot else missing[-1]

        def keep(one: EncodedChunk) -> Chunk | None:
            chunk = one.shaped()
            return chunk if (one.start, one.stop) == held else save_chunk(folder, key, chunk)

        limit, encoder = self.plan.model.max_length, self.encoder
        everything = [r for i, one in enumerate(texts) for r in requests_of(one, i, limit)[0]]
        with enough_memory(_FULL.format(encoder.batch_tokens, max(1, encoder.batch_tokens // 4))):
            prefix = encoder.prefix(everything) if self.plan.request.shots else None
            self.observer.stage(language, sum(stop - start for start, stop in missing), "instances")
            done = (self._encoded(texts, start, stop, prefix) for start, stop in missing)
            for (start, stop), chunk in zip(missing, overlapped(keep, done), strict=True):
                if chunk is not None:
                    return chunk
                self.observer.advance(stop - start)
        return None

    def _encoded(self, texts: Sequence[TokenizedInstance], start: int, stop: int, prefix: Any) -> EncodedChunk:
        n, k = stop - start, self.plan.task.n_options
        made = [requests_of(texts[start + i], i, self.plan.model.max_length) for i in range(n)]
        requests = [r for some, _ in made for r in some]
        encoded = self.encoder.encode(requests, n * (k + 1), n * k, prefix)
        separate = sum(len(r.run) for r in requests)
        return EncodedChunk(start, stop, encoded, [left_out for _, left_out in made], separate)

    def _key(self, loaded: tasks.Loaded) -> str:
        """What a chunk was computed from; another key means another computation."""
        execution = {k: v for k, v in asdict(self.execution).items() if k != "why"}
        parts_of_it = [SCHEMA_VERSION, self.plan.spec.digest, content_digest(loaded.instances), execution]
        return hashlib.sha256(json.dumps(parts_of_it, sort_keys=True).encode()).hexdigest()

    def _nonfinite(self, states: LanguageStates, counts: dict[str, int]) -> list[str]:
        """Ids of instances with a NaN or infinite state or log-likelihood; said, counted, and left as NaN."""
        bad = (states.scratch.small("undefined") == 1) & (states.scratch.small("too_long") == 0)
        names = [states.loaded.instances[i].instance_id for i in np.flatnonzero(bad)]
        counts["nonfinite"] = len(names)
        if names:
            self.observer.say(
                f"{len(names)} instances have NaN or infinite values and are left out: {', '.join(names[:5])}"
            )
        return names

    def _align(self, folder: Path, pivot: LanguageStates, states: LanguageStates) -> None:
        gold = np.array([i.gold or 0 for i in states.loaded.instances])
        groups = group_numbers(states.loaded.instances)
        n_layers, name = self.plan.model.n_layers, self.plan.spec.pivot
        size = layer_bytes(len(gold), self.plan.task.n_options, self.plan.model.hidden_size)
        workers = max(1, min(torch.get_num_threads(), WORKERS_BYTES // size))
        for pooling in self.plan.spec.poolings:
            layers: AlignedLayers = aligned_layers(
                pivot.scratch,
                states.scratch,
                pooling,
                n_layers,
                self.plan.task.n_options,
                workers,
                torch.get_num_threads(),
            )
            write_arrays(folder / parts.alignment_file(name, pooling), layers.arrays())
            write_arrays(folder / parts.margins_file(name, pooling), margin_arrays(layers, gold))
            columns = rate_table(layers, gold, groups, pooling)
            write_table(folder / parts.rates_file(name, pooling), columns)

    def _keep_states(self, folder: Path, language: str, states: LanguageStates) -> None:
        dtype = self.plan.request.keep_states
        if dtype == "none":
            return
        shape = (len(states.loaded.instances), self.plan.task.n_options, self.plan.model.hidden_size)
        beyond = 0
        for pooling in self.plan.spec.poolings:
            path, layer = folder / parts.states_file(pooling), partial(states.scratch.layer, pooling)
            beyond += write_states(path, dtype, shape, self.plan.model.n_layers, layer)
        if beyond:
            self.observer.say(
                f"{language}: {beyond:,} values of the kept states are too large for {dtype} and were kept as infinite: use "
                "--keep-states float32."
            )


def _counts(states: LanguageStates) -> dict[str, int]:
    run, padded, separate = (int(v) for v in states.scratch.tokens())
    return states.loaded.counts | {
        "too_long": int(states.scratch.small("too_long").sum()),
        "tokens_run": run,
        "tokens_with_padding": padded,
        "tokens_of_separate_texts": separate,
    }
