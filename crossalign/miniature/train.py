"""Trains the miniature model from the world: `python -m crossalign.miniature.train --out FOLDER`.

A Llama in Hugging Face format, from random weights, on the lines of `corpus`. Nothing is downloaded. The same seed on the
same machine with the same number of threads gives the same weights. A training that is stopped goes on after its last
whole phase.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_model, save_model

from crossalign.forward.kernels import keep_heap, seconds
from crossalign.miniature.corpus import lines
from crossalign.miniature.loss import cross_entropy
from crossalign.miniature.muon import Muon
from crossalign.miniature.recipe import Phase, Recipe
from crossalign.miniature.states import last_states
from crossalign.miniature.world import FOLDER as WORLD
from crossalign.miniature.world import LANGUAGES, world

SPECIAL = ("<pad>", "<s>", "</s>")
PAD, BOS, EOS = range(3)

TOLD: tuple[str, ...] = ("seconds", "threads", "products")
"""What is kept of how a phase was trained."""

LARGEST_NORM = 1.0
"""Of the gradients together; larger ones are scaled down to it."""


def train_tokenizer(vocabulary: int) -> Any:
    """Byte-level BPE over the world's texts, each once in each language; a Han character is a word of its own."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    apart = pre_tokenizers.Split(Regex(r"\p{Han}"), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([apart, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(_every_text(), trainer)
    bos, eos = SPECIAL[BOS], SPECIAL[EOS]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, BOS)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=SPECIAL[PAD], bos_token=bos, eos_token=eos)


def _every_text() -> Iterator[str]:
    for code in LANGUAGES:
        w = world(code)
        for script in w.scripts:
            yield from (script.premise, script.ending, script.closing_morning, script.closing_evening)
        yield from (sentence for _, sentence in w.settings)
        yield from (*w.interludes, *w.frames.values())
        yield from (f" {name}" for names in w.names.values() for name in names)


def batches(recipe: Recipe, phase: int, tokenizer: Any) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Token ids and their weights in the loss [row, token] of each step; one line a row, BOS before and EOS after."""
    mine, seed = recipe.phases[phase], recipe.stream_seed(phase)
    stream, rng = islice(lines(seed, mine.mixture, mine.lesson), mine.lines), Random(seed)
    while pool := list(islice(stream, recipe.pool)):
        texts = tokenizer([line.text for line in pool])
        cues = (texts.char_to_token(row, len(line.cue)) for row, line in enumerate(pool))
        rows = [([*ids, EOS], cue) for ids, cue in zip(texts["input_ids"], cues, strict=True)]
        rng.shuffle(rows)
        rows.sort(key=lambda row: -(-len(row[0]) // recipe.bucket))
        steps: list[list[tuple[list[int], int]]] = [[]]
        for row in rows:
            longest = max(len(ids) for ids, _ in [*steps[-1], row])
            if longest * (len(steps[-1]) + 1) > mine.batch_tokens:
                steps.append([])
            steps[-1].append(row)
        rng.shuffle(steps)
        for step in steps:
            longest = max(len(ids) for ids, _ in step)
            padded = torch.tensor([ids + [PAD] * (longest - len(ids)) for ids, _ in step])
            place = torch.arange(longest)
            cue = place < torch.tensor([[told] for _, told in step])
            yield padded, torch.where(cue, mine.cue_weight, 1.0).masked_fill(padded == PAD, 0.0)


def new_model(recipe: Recipe) -> Any:
    """A Llama with random weights from the recipe's seed."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=recipe.vocabulary,
        hidden_size=recipe.hidden,
        intermediate_size=recipe.intermediate,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        max_position_embeddings=recipe.positions,
        tie_word_embeddings=True,
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
    )
    # Read by the engine: what is known of the training text is a fact of the model, not of a task.
    config.training_shares = recipe.expected_shares()
    torch.manual_seed(recipe.seed)
    return LlamaForCausalLM(config)


def faster_products() -> torch.dtype:
    """float32 or bfloat16, whichever multiplies matrices of a step's size faster; processors differ in which."""
    x, weight = torch.randn(1024, 512), torch.randn(512, 512)
    with torch.inference_mode():
        taken = {
            dtype: seconds(partial(torch.mm, x.to(dtype), weight.to(dtype)))
            for dtype in (torch.float32, torch.bfloat16)
        }
    return min(taken, key=lambda dtype: taken[dtype])


def train(
    recipe: Recipe, tokenizer: Any, products: torch.dtype, kept: Path, report: Callable[[str], object] = print
) -> tuple[Any, list[dict[str, str]]]:
    """The model after all phases, and of each phase its seconds, threads and products.

    Args:
        products: precision of matrix products, float32 or bfloat16; weights are float32.
        kept: folder for the weights after each phase; phases of the same recipe that are there are not trained again.
    """
    model = new_model(recipe).train()
    told = []
    for phase in range(len(recipe.phases)):
        weights = kept / f"{_digest(recipe.until(phase))}.safetensors"
        if weights.exists():
            report(f"Phase {phase + 1} is there already")
            load_model(model, weights)
        else:
            start = time.monotonic()
            _train_phase(model, recipe, phase, tokenizer, products, report)
            taken, precision = f"{time.monotonic() - start:.0f}", str(products).removeprefix("torch.")
            facts = dict(zip(TOLD, (taken, str(torch.get_num_threads()), precision), strict=True))
            kept.mkdir(parents=True, exist_ok=True)
            unfinished = weights.with_suffix(".tmp")
            save_model(model, str(unfinished), facts)
            unfinished.rename(weights)
        with safe_open(weights, "pt") as file:
            # The file also says which tensors are one.
            told.append({name: file.metadata()[name] for name in TOLD})
    return model.eval(), told


def _digest(recipe: Recipe) -> str:
    """Of the recipe and the texts: weights after a phase of another world are not these."""
    made = hashlib.sha256(json.dumps(asdict(recipe), sort_keys=True).encode())
    for path in sorted(WORLD.glob("*.tsv")):
        made.update(path.read_bytes())
    return made.hexdigest()[:16]


def _train_phase(
    model: Any, recipe: Recipe, phase: int, tokenizer: Any, products: torch.dtype, report: Callable[[str], object]
) -> None:
    mine = recipe.phases[phase]
    optimizers = _optimizers(model, mine, recipe.weight_decay, products)
    tokens, rows, start = 0, 0, time.monotonic()
    for step, (ids, weights) in enumerate(batches(recipe, phase, tokenizer)):
        part = _rate(step, rows / mine.lines, recipe.warm_up)
        with torch.autocast("cpu", torch.bfloat16, enabled=products == torch.bfloat16):
            loss = _loss(model, ids, weights, products)
        loss.backward()
        norm = torch.nn.utils.get_total_norm([p.grad for p in model.parameters()])
        if norm > LARGEST_NORM:
            torch.nn.utils.clip_grads_with_norm_(model.parameters(), LARGEST_NORM, norm)
        for optimizer, rate in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * part
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        tokens, rows = tokens + int((ids != PAD).sum()), rows + len(ids)
        if step % 100 == 0:
            rate = tokens / (time.monotonic() - start)
            report(f"line {rows:>9,} of {mine.lines:,}  loss {loss.item():.3f}  {rate:,.0f} tokens/s")


def _loss(model: Any, ids: torch.Tensor, weights: torch.Tensor, products: torch.dtype) -> torch.Tensor:
    """Weighted mean of the cross-entropy in nats; logits are computed only where a token counts."""
    states = last_states(model, ids)
    rows, places = (weights[:, 1:] > 0).nonzero(as_tuple=True)
    before = states.flatten(0, 1).index_select(0, rows * ids.shape[1] + places)
    wanted, weight = ids[rows, places + 1], weights[rows, places + 1]
    return cross_entropy(before, model.lm_head.weight, wanted, weight / weight.sum(), products)


def _optimizers(
    model: Any, phase: Phase, weight_decay: float, products: torch.dtype
) -> list[tuple[torch.optim.Optimizer, float]]:
    """Optimizers with their learning rates: AdamW, with Muon for the layers' matrices where the phase asks for it.

    With Muon the facts are learned from about half the tokens that AdamW alone needs.
    """
    matrices = [p for p in model.model.layers.parameters() if p.ndim == 2] if phase.matrix_rate else []
    inside = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in inside]
    decay = 0.0 if matrices else weight_decay
    adam = torch.optim.AdamW(others, lr=phase.learning_rate, betas=(0.9, 0.98), weight_decay=decay, fused=True)
    if not matrices:
        return [(adam, phase.learning_rate)]
    muon = Muon(matrices, phase.matrix_rate, weight_decay, products)
    return [(muon, phase.matrix_rate), (adam, phase.learning_rate)]


def _rate(step: int, done: float, warm_up: int) -> float:
    """Part of the full learning rate; `done` is the part of the phase that lies behind."""
    fall = 0.55 + 0.45 * math.cos(math.pi * min(done, 1.0))
    return fall * min(1.0, (step + 1) / warm_up)


def save(model: Any, tokenizer: Any, recipe: Recipe, phases: list[dict[str, str]], folder: Path) -> None:
    """Weights in float16, tokenizer, the recipe, and how its phases were trained, in Hugging Face's layout."""
    folder.mkdir(parents=True, exist_ok=True)
    model.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    facts = {"recipe": asdict(recipe), "phases": phases}
    (folder / "training.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def main() -> int:
    """Reads the command line, trains, saves."""
    parser = argparse.ArgumentParser(description="Trains the miniature model from the world's texts.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the model, in Hugging Face's format")
    parser.add_argument("--threads", type=int, default=2, help="more than the machine's cores is far slower")
    parser.add_argument(
        "--products", choices=("float32", "bfloat16"), help="precision of products; default: the faster"
    )
    for name in ("seed", "layers", "hidden"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Recipe(), name))
    options = vars(parser.parse_args())
    folder, threads, asked = (options.pop(name) for name in ("out", "threads", "products"))
    torch.set_num_threads(threads)
    keep_heap()
    products = getattr(torch, asked) if asked else faster_products()
    recipe = Recipe(**options)
    tokenizer = train_tokenizer(recipe.vocabulary)
    print(f"Matrix products in {products}")
    model, phases = train(recipe, tokenizer, products, folder / "phases")
    save(model, tokenizer, recipe, phases, folder)
    shutil.rmtree(folder / "phases")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
