"""A random-weight Llama with its own tokenizer, for benchmarks that need no download.

The weights are random, so every number computed with it is meaningless as a linguistic result. What a
benchmark needs is there: a real architecture, a tokenizer that reads every language of the data in a
realistic number of tokens, and hidden states that differ from text to text.

    python benchmarks/bench_model.py FOLDER --size 40M --data DIR

DIR is a data folder in the upstream schemas (xcopa/, copa_en/, xstorycloze/, belebele/ with .jsonl files).
The same files and seed give the same tokenizer and the same weights.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

BOS, EOS, PAD = "<s>", "</s>", "<pad>"
CORPUS = ("xcopa/*/test.*.jsonl", "copa_en/test.*.jsonl", "xstorycloze/*.jsonl", "belebele/*.jsonl")


@dataclass(frozen=True)
class Size:
    """Shape of one model; `intermediate` is the width of the feed-forward block."""

    vocabulary: int
    hidden: int
    layers: int
    heads: int
    intermediate: int


SIZES = {
    # 40.02 M parameters, 16.38 M of them the tied embeddings
    "40M": Size(vocabulary=32_000, hidden=512, layers=8, heads=8, intermediate=1240),
    # 0.25 M parameters, for tests
    "tiny": Size(vocabulary=2_000, hidden=64, layers=3, heads=4, intermediate=128),
}


def texts(files: Iterable[Path]) -> Iterator[str]:
    """One string per line of each file: of a .jsonl row its string values, otherwise the line itself."""
    for file in files:
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                if file.suffix == ".jsonl":
                    yield "\n".join(value for value in json.loads(line).values() if isinstance(value, str))
                else:
                    yield line


def train_tokenizer(files: Iterable[Path], vocabulary: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE of exactly `vocabulary` entries that puts `<s>` before every text by default."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[BOS, EOS, PAD],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(files), trainer)
    if (found := tokenizer.get_vocab_size()) != vocabulary:
        raise ValueError(f"the corpus gives only {found} of {vocabulary} tokens: pass more text")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        model_input_names=["input_ids", "attention_mask"],
        model_max_length=4096,
        clean_up_tokenization_spaces=False,
    )


def build(folder: Path, *, parameters: str = "40M", corpus_files: Iterable[Path], seed: int = 0) -> int:
    """Write the model and its tokenizer to `folder` (safetensors, float32); returns the number of parameters.

    The standard deviation of the initial weights is 0.05 at width 512 and scales with 1/sqrt(width), so that
    a block changes the residual stream about as much at either size and texts keep different states.
    """
    size = SIZES[parameters]
    tokenizer = train_tokenizer(corpus_files, size.vocabulary)
    config = LlamaConfig(
        vocab_size=size.vocabulary,
        hidden_size=size.hidden,
        intermediate_size=size.intermediate,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        max_position_embeddings=4096,
        initializer_range=0.05 * math.sqrt(512 / size.hidden),
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return sum(weight.numel() for weight in model.parameters())


def corpus(data: Path) -> list[Path]:
    """The benchmark texts below a data folder, in a fixed order."""
    return [file for pattern in CORPUS for file in sorted(data.glob(pattern))]


def main() -> None:
    """Command line: build one model and print its size."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("folder", type=Path, help="where the model is written")
    parser.add_argument("--size", choices=sorted(SIZES), default="40M")
    parser.add_argument("--data", type=Path, required=True, help="folder of the training texts")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    count = build(args.folder, parameters=args.size, corpus_files=corpus(args.data), seed=args.seed)
    print(f"{count / 1e6:.2f} M parameters in {args.folder}")


if __name__ == "__main__":
    main()
