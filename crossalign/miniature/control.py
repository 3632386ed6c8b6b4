"""The untrained control: a small Llama with random weights, the model of the default run.

Its accuracy is at chance by construction, and its alignment is what shared names, punctuation and word order give
without any training. What a trained model shows has to be read against this.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crossalign.miniature.world import LANGUAGES, world

NAME = "untrained-control"
NOTE = (
    "This model has random weights: it is the control against which trained models are read. Its accuracy is at "
    "chance, and its alignment is what shared names and punctuation give without any training."
)
SEED = 20250409
VOCABULARY = 8192
SPECIAL = ("<pad>", "<s>", "</s>")


def control_folder(cache: Path) -> Path:
    """The control in Hugging Face format below the cache; made in a few seconds when it is not there."""
    folder = cache / ".models" / NAME
    if not (folder / "config.json").exists():
        _make(folder)
    return folder


def _make(folder: Path) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers.utils import logging

    from crossalign.store.files import told

    logging.disable_progress_bar()
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=352,
        num_hidden_layers=6,
        num_attention_heads=4,
        max_position_embeddings=512,
        initializer_range=0.08,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    torch.manual_seed(SEED)
    model = LlamaForCausalLM(config)
    with told(folder):
        # The configuration is written last: it marks the folder complete.
        _tokenizer().save_pretrained(folder)
        model.save_pretrained(folder)


def _tokenizer() -> Any:
    """Byte-level BPE over the world's texts."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(_texts(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>")


def _texts() -> list[str]:
    texts = []
    for language in LANGUAGES:
        mine = world(language)
        for script in mine.scripts:
            texts += [script.premise, script.ending, script.closing_morning, script.closing_evening]
        texts += [sentence for _, sentence in mine.settings] + list(mine.frames.values())
        texts += [name for names in mine.names.values() for name in names]
    return texts
