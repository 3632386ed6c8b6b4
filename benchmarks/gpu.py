"""What a GPU gives: tokens a second, share of the bf16 ceiling, memory, and agreement with plain passes.

    python benchmarks/gpu.py                               an 8B-shaped Llama in bfloat16 on the GPU, a minute
    python benchmarks/gpu.py --size tiny --device cpu      the same on a CPU with a tiny model, some seconds

The model's weights and the texts are random and made on the device: nothing is downloaded. The texts have the shape of
Belebele: passages with questions, four options each, embedded and scored by letters. The ceiling is the fastest plain
matrix product of that precision on this device. Exits with 1 when token trees disagree with plain single-text passes.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from crossalign.cost import matrix_speed
from crossalign.forward.agreement import difference, reference
from crossalign.forward.encoding import Encoder
from crossalign.forward.kernels import fuse_layers
from crossalign.forward.texts import TokenizedInstance, requests_of
from crossalign.forward.token_tree import Request
from crossalign.forward.workers import workers_for
from crossalign.models import DTYPES, LanguageModel, describe
from crossalign.schema import POOLINGS

SIZES = {
    "8B": {
        "vocab_size": 128_256,
        "hidden_size": 4096,
        "intermediate_size": 14_336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
    },
    "tiny": {
        "vocab_size": 512,
        "hidden_size": 64,
        "intermediate_size": 192,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    },
}
PASSAGE, QUESTION, OPTION, QUESTIONS, K = 200, 20, 8, 2, 4
"""Tokens of a passage, a question and an option; questions on a passage; options of a question."""

Groups = list[list[Request]]


def build(size: str, dtype: str, device: str) -> LanguageModel:
    """A random Llama, made on the device in the precision asked for."""
    torch.manual_seed(0)
    config = LlamaConfig(**SIZES[size], max_position_embeddings=8192, tie_word_embeddings=False)
    before = torch.get_default_dtype()
    torch.set_default_dtype(DTYPES[dtype])
    try:
        with torch.device(device):
            model = LlamaForCausalLM(config)
    finally:
        torch.set_default_dtype(before)
    if device.startswith("cuda"):  # as a run does
        fuse_layers(model)
    return describe(model.eval(), None, dtype)


def texts(model: LanguageModel, passages: int) -> Groups:
    """The requests of each passage, with random tokens."""
    vocabulary = model.model.config.vocab_size
    rng = np.random.default_rng(0)

    def some(count: int) -> tuple[int, ...]:
        return tuple(rng.integers(8, vocabulary, count).tolist())

    groups: Groups = []
    for index in range(passages):
        passage, group = some(PASSAGE), []
        for question in range(QUESTIONS):
            premise, options = (1, *passage, *some(QUESTION)), [some(OPTION) for _ in range(K)]
            prompt = (1, 2, *premise[1:], *(token for option in options for token in option))
            one = TokenizedInstance(
                options=tuple(premise + option for option in options),
                premise=premise,
                scored=tuple((*prompt, 3 + letter) for letter in range(K)),
                starts=(len(prompt),) * K,
            )
            group += requests_of(one, index * QUESTIONS + question, model.max_length)[0]
        groups.append(group)
    return groups


def flat(groups: Groups) -> list[Request]:
    """The requests of all passages."""
    return [request for group in groups for request in group]


def sizes(groups: Groups) -> tuple[int, int]:
    """How many pooled states and log-likelihoods the requests fill."""
    n = len(groups) * QUESTIONS
    return n * (K + 1), n * K


def operations(model: LanguageModel, tokens: int, groups: Groups) -> float:
    """Of the matrix products of the layers, and of the head where a token is scored (once a prompt)."""
    linear = model.linear_to_attention * 2 * model.n_layers * model.hidden_size  # see `LanguageModel`
    head = model.hidden_size * model.model.config.vocab_size
    return 2 * (linear * tokens + head * len(groups) * QUESTIONS)


def peak_bytes(device: str) -> int:
    """Most memory held at once: of the device, or of this process on a CPU."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def timed(encoder: Encoder, groups: Groups) -> tuple[float, int, int]:
    """Seconds of a pass after one that warms up every worker, tokens, and tokens with padding."""
    encoder.encode(flat(groups[: len(groups) // 4 + 1]), *sizes(groups))
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    encoded = encoder.encode(flat(groups), *sizes(groups))  # ends with a copy to the CPU, so the device is done
    return time.perf_counter() - began, *encoded.tokens


def agrees(model: LanguageModel, groups: Groups) -> bool:
    """Prints how far trees are from plain single-text passes."""
    few = groups[:3]
    expected = reference(model, POOLINGS, flat(few), *sizes(few))
    budget = max(len(r.run) for r in flat(few))
    encoder = Encoder(model, POOLINGS, budget, True, workers_for(model, budget, model.device.type))
    found = difference(encoder.encode(flat(few), *sizes(few)), expected)
    print(f"trees against plain passes: {found}; {'within' if found.within(model.dtype) else 'OUTSIDE'} the tolerances")
    return found.within(model.dtype)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a line for each batch size; 1 when the passes disagree."""
    parser = argparse.ArgumentParser(description="Measure the forward pass on a GPU.")
    parser.add_argument("--size", choices=SIZES, default="8B")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", choices=DTYPES, default="bfloat16")
    parser.add_argument("--passages", type=int, default=256)
    parser.add_argument("--batch-tokens", type=int, nargs="+", default=[4096, 8192, 16384])
    parser.add_argument("--workers", type=int, nargs="+", help="passes side by side; as in a run where not given")
    options = parser.parse_args(arguments)
    model = build(options.size, options.dtype, options.device)
    groups = texts(model, options.passages)
    separate = sum(len(r.run) for r in flat(groups))
    ceiling = max(matrix_speed(model.hidden_size, options.device, DTYPES[options.dtype], 1.0) for _ in range(3))
    print(f"{_name(options.device)}, torch {torch.__version__}: {ceiling / 1e12:.3g} TFLOP/s in {options.dtype}")
    print(f"{sum(p.numel() for p in model.model.parameters()) / 1e9:.3g} billion parameters")
    sound = agrees(model, groups)
    for budget, asked in product(options.batch_tokens, options.workers or [None]):
        workers = asked or workers_for(model, budget, model.device.type)
        encoder = Encoder(model, POOLINGS, budget, True, workers)
        seconds, run, padded = timed(encoder, groups)
        share = operations(model, run, groups) / seconds / ceiling
        print(
            f"{workers} x batches of {budget}: {run / seconds:,.0f} tokens/s ({separate / seconds:,.0f} of separate texts), "
            f"{share:.0%} of the ceiling, padding {padded / run - 1:.1%}, peak {peak_bytes(options.device) / 1e9:.2f} GB"
        )
    return 0 if sound else 1


def _name(device: str) -> Any:
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else "CPU"


if __name__ == "__main__":
    sys.exit(main())
