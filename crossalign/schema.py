"""The nouns of the project: frozen records that every other module passes around. Imports nothing of ours."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from typing import Any

SCHEMA_VERSION = 2
"""Version of the files in the cache. A reader refuses other versions with a clear message."""

NUMERICS_VERSION = 8
"""Raised whenever the same inputs would give other numbers; part of every run id."""

TABLES_VERSION = 2
"""Version of the exported tables' columns (see `crossalign.tables`)."""

POOLINGS = ("last_token", "weighted_mean", "mean")


class UserError(Exception):
    """Something the user can put right. The message is one sentence that says what to do; the command exits with 2."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One question of a parallel task in one language. The same `instance_id` is the same question in every language.

    Attributes:
        instance_id: unique within a language; joins languages.
        group: resampling unit; instances of one group are not independent (Belebele: the passage).
        premise: the text without options, embedded for MEXA_T (or the sentence, for MEXA).
        context: what stands before each option in the embedded text; empty for plain sentences.
        options: option texts; the embedded text of option i is `context + " " + options[i]`. Empty for sentences.
        gold: index of the right option, from 0; None for sentences.
        prompt: what stands before the scored continuation; equals `context` where scoring and embedding coincide.
        continuations: what is scored after `prompt + " "`; one per option.
        tags: what the data say about the instance, for filters (XCOPA: cause or effect).
    """

    instance_id: str
    group: str
    premise: str
    context: str = ""
    options: tuple[str, ...] = ()
    gold: int | None = None
    prompt: str = ""
    continuations: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    @property
    def option_texts(self) -> tuple[str, ...]:
        """The embedded text of each option."""
        return tuple(f"{self.context} {option}" for option in self.options)


def content_digest(instances: Iterable[Instance]) -> str:
    """SHA-256 over everything in the instances, in order: two data sources with one digest give the same run."""
    digest = hashlib.sha256()
    names = [f.name for f in fields(Instance)]
    for instance in instances:
        # What asdict would give, without its deep copies: a run looks at the digest of every language several times.
        digest.update(json.dumps({n: getattr(instance, n) for n in names}, ensure_ascii=False).encode())
        digest.update(b"\n")
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Translation:
    """What can change a number of a translation run, besides what any run has.

    Attributes:
        prompt: "plain" ("English: …" and "Spanish: …" on two lines), or "chat" (the tokenizer's template).
        shots_from: split of the few-shot examples, "dev" or "test" (then they are left out); "" without examples.
        length_ratio: a translation has at most `16 + length_ratio × characters of the source` tokens.
        bleu: tokenizer of BLEU, "flores200" or "by-script".
    """

    prompt: str
    shots_from: str
    length_ratio: float
    bleu: str


@dataclass(frozen=True, slots=True)
class RunSpec:
    """Everything that can change a number of a run. Its digest ends the run id and finds the run.

    Not in it, and recorded in `Execution` instead: what only changes rounding (batch size, kernels, library
    versions, threads). A resumed run takes these from its first start, so that it ends bit-identical.

    Attributes:
        model: Hub id or folder as the user gave it (for reading; the identity counts).
        model_identity: commit of the Hub snapshot, or SHA-256 over the files of a local folder.
        data_digest: content digest of the pivot's instances.
        limit: first N instances; None for all.
        device: kind of device, "cpu" or "cuda" (bf16 on one is not bf16 on the other).
        translation: how sentences are translated; None for a run of scores and alignment.
    """

    model: str
    model_identity: str
    task: str
    protocol: str
    pivot: str
    data_digest: str
    shots: int = 0
    connectors: str = "repaired"
    limit: int | None = None
    poolings: tuple[str, ...] = ("last_token", "weighted_mean")
    dtype: str = "float32"
    device: str = "cpu"
    numerics_version: int = NUMERICS_VERSION
    translation: Translation | None = None

    @property
    def kind(self) -> str:
        """What its parts hold: "alignment" (a language each) or "translation" (a source and target language each)."""
        return "translation" if self.translation else "alignment"

    @property
    def digest(self) -> str:
        """Hexadecimal digest of the fields that can change a number (the model's display name cannot)."""
        others = asdict(self)
        del others["model"]
        if self.translation is None:
            del others["translation"]
        return hashlib.sha256(json.dumps(others, sort_keys=True).encode()).hexdigest()

    @property
    def short_digest(self) -> str:
        """The part of the digest that ends the run id."""
        return self.digest[:12]

    @property
    def model_name(self) -> str:
        """The model for people: a Hub id as it is, of a folder the last part of its path."""
        is_folder = self.model_identity.startswith("files:")
        return self.model.rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1] if is_folder else self.model

    @property
    def run_id(self) -> str:
        """Readable and unique: task, model's last name, first 12 digits of the digest. Safe as a folder name."""
        last = self.model_name.rsplit("/", 1)[-1]
        slug = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in last).strip(".-")[:48]
        task = f"{self.task}-translation" if self.translation else self.task
        return f"{task}_{slug or 'model'}_{self.short_digest}"


@dataclass(frozen=True, slots=True)
class Execution:
    """How a run is computed: choices that may change the last bits only. Fixed at a run's first start.

    Attributes:
        batch_tokens: most tokens (padding included) of one forward pass.
        trees: True when token trees run with a 4-D mask; False for plain single-text batches.
        linear: "torch", or "onednn" for prepacked weights on a CPU.
        generation: of a translation run, "shared", "batches" or "single" (see `forward.generation`).
        why: one sentence on how trees and linear were decided, with the measured differences.
    """

    batch_tokens: int
    trees: bool
    linear: str
    why: str = ""
    generation: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a part (one language of a run) is and where it came from; written last, so it marks the part complete."""

    run_id: str
    language: str
    schema_version: int
    n: int
    n_options: int
    n_layers: int
    hidden_size: int
    content_digest: str
    counts: dict[str, int] = field(default_factory=dict)
    checksums: dict[str, str] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    digest: str = ""

    @property
    def own_digest(self) -> str:
        """SHA-256 over the other fields: what `digest` must be."""
        others = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "digest"}
        return hashlib.sha256(json.dumps(others, sort_keys=True).encode()).hexdigest()
