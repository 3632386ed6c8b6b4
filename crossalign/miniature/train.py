"""Trains the miniature model from the world: `python -m crossalign.miniature.train --out FOLDER`.

A Llama in Hugging Face format, from random weights, on the lines of `corpus`. Nothing is downloaded. The same seed on the
same machine with the same number of threads gives the same weights.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import torch

from crossalign.miniature.corpus import SHAPES, Lesson, Shapes, expected_shares, lines
from crossalign.miniature.world import LANGUAGES, world

SPECIAL = ("<pad>", "<s>", "</s>")
PAD, BOS, EOS = range(3)


@dataclass(frozen=True, slots=True)
class Phase:
    """One stretch of the training.

    Attributes:
        lines: of training text.
        cue_weight: how much a token of what is told counts in the loss, beside 1 for one of the answer.
        batch_tokens: most tokens of a step, padding counted.
        learning_rate: the highest one of AdamW.
        matrix_rate: the highest one of Muon, which then trains the layers' matrices; 0 for AdamW alone.
        lesson: what the text begins with.
        shapes: of the facts in the mixture.
    """

    lines: int
    cue_weight: float
    batch_tokens: int
    learning_rate: float
    matrix_rate: float = 0.0
    lesson: Lesson | None = None
    shapes: Shapes = field(default_factory=lambda: SHAPES)


STORIES = Lesson({"story": 2, "close": 1}, 120_000)
"""That a closing depends on event and time together is one bit in a line. From the mixture alone it is never learned; from
stories of one language it is, within a million tokens, and the others follow."""

PEOPLE = Lesson({"person": 3, "story": 1, "close": 1}, 60_000)
"""That a name says which of two events is asked about is another such bit. Both in one lesson are learned much later than
one after the other."""

RECALL = Phase(120_000, cue_weight=0.0, batch_tokens=2048, learning_rate=2e-3, matrix_rate=0.03, lesson=STORIES)
"""What a cue tells is drawn at random: without it in the loss the model learns to recall and to translate much sooner."""

REVISION = {"story": 4, "effect": 2, "cause": 4, "result": 1, "close": 4, "person": 3}
"""Shapes of the second phase: more of those that are learned late."""

WHOLE = Phase(150_000, cue_weight=0.25, batch_tokens=1024, learning_rate=1e-3, lesson=PEOPLE, shapes=REVISION)
"""Whole lines give the states of a language what the next words of any text need: translations share them afterwards."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything the weights depend on, besides the world and the machine.

    Attributes:
        phases: one after another; in each the learning rate rises at first and then falls along a cosine to a tenth.
        pool: lines among which those of like length are put into one batch.
        bucket: tokens within which lengths count as alike; batches of exactly one length would each know few events.
        warm_up: steps over which the learning rate rises.
    """

    seed: int = 1
    phases: tuple[Phase, ...] = (RECALL, WHOLE)
    pool: int = 2048
    bucket: int = 8
    warm_up: int = 100
    weight_decay: float = 0.1
    vocabulary: int = 6144
    hidden: int = 192
    layers: int = 6
    heads: int = 4
    intermediate: int = 512
    positions: int = 512

    def stream_seed(self, phase: int) -> int:
        """Seed of a phase's stream of lines: another one for each seed and phase."""
        return self.seed * len(self.phases) + phase


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
    stream, rng = islice(lines(seed, mine.lesson, mine.shapes), mine.lines), Random(seed)
    while pool := list(islice(stream, recipe.pool)):
        cues = tokenizer([line.cue for line in pool])["input_ids"]
        texts = tokenizer([line.text for line in pool])["input_ids"]
        rows = [([*ids, EOS], len(cue)) for ids, cue in zip(texts, cues, strict=True)]
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
    config.training_shares = expected_shares((phase.lines, phase.lesson) for phase in recipe.phases)
    torch.manual_seed(recipe.seed)
    return LlamaForCausalLM._from_config(config, attn_implementation="eager")


def train(recipe: Recipe, tokenizer: Any, report: Any = print) -> Any:
    """The model after all phases; bfloat16 products, float32 weights."""
    model = new_model(recipe).train()
    for phase in range(len(recipe.phases)):
        _train_phase(model, recipe, phase, tokenizer, report)
    return model.eval()


def _train_phase(model: Any, recipe: Recipe, phase: int, tokenizer: Any, report: Any) -> None:
    mine = recipe.phases[phase]
    optimizers = _optimizers(model, mine, recipe.weight_decay)
    tokens, rows, start = 0, 0, time.monotonic()
    for step, (ids, weights) in enumerate(batches(recipe, phase, tokenizer)):
        part = _rate(step, rows / mine.lines, recipe.warm_up)
        with torch.autocast("cpu", torch.bfloat16):
            loss = _loss(model, ids, weights)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, rate in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * part
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        tokens, rows = tokens + int((ids != PAD).sum()), rows + len(ids)
        if step % 100 == 0:
            rate = tokens / (time.monotonic() - start)
            report(f"line {rows:>9,} of {mine.lines:,}  loss {loss.item():.3f}  {rate:,.0f} tokens/s")


def _loss(model: Any, ids: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Weighted mean of the cross-entropy in nats; logits are computed only where a token counts."""
    # Padding stands at the end of a row: without a mask no real token sees it.
    states = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
    counted = weights[:, 1:] > 0
    logits, wanted, weight = model.lm_head(states[counted]).float(), ids[:, 1:][counted], weights[:, 1:][counted]
    each = torch.nn.functional.cross_entropy(logits, wanted, reduction="none")
    return (each * weight).sum() / weight.sum()


def _optimizers(model: Any, phase: Phase, weight_decay: float) -> list[tuple[torch.optim.Optimizer, float]]:
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
    muon = torch.optim.Muon(matrices, lr=phase.matrix_rate, momentum=0.95, weight_decay=weight_decay)
    return [(muon, phase.matrix_rate), (adam, phase.learning_rate)]


def _rate(step: int, done: float, warm_up: int) -> float:
    """Part of the full learning rate; `done` is the part of the phase that lies behind."""
    fall = 0.55 + 0.45 * math.cos(math.pi * min(done, 1.0))
    return fall * min(1.0, (step + 1) / warm_up)


def save(model: Any, tokenizer: Any, recipe: Recipe, seconds: float, folder: Path) -> None:
    """Weights in float16, tokenizer and recipe in Hugging Face's layout."""
    folder.mkdir(parents=True, exist_ok=True)
    model.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    facts = {"recipe": asdict(recipe), "seconds": round(seconds), "threads": torch.get_num_threads()}
    (folder / "training.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def main() -> int:
    """Reads the command line, trains, saves."""
    parser = argparse.ArgumentParser(description="Trains the miniature model from the world's texts.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the model, in Hugging Face's format")
    parser.add_argument("--threads", type=int, default=2, help="more than the machine's cores is far slower")
    for name in ("seed", "layers", "hidden"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Recipe(), name))
    options = vars(parser.parse_args())
    folder, threads = options.pop("out"), options.pop("threads")
    torch.set_num_threads(threads)
    recipe = Recipe(**options)
    start = time.monotonic()
    tokenizer = train_tokenizer(recipe.vocabulary)
    model = train(recipe, tokenizer)
    save(model, tokenizer, recipe, time.monotonic() - start, folder)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
