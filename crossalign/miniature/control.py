"""The untrained control: the miniature's architecture and tokenizer with random weights.

Its accuracy is at chance by construction, and its alignment is what shared names, punctuation and word order give
without any training. What the trained model shows has to be read against this.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from crossalign.store.files import temporary_folder, writing
from crossalign.store.locks import lock
from crossalign.weights import has_weights

NAME = "untrained-control"
SEED = 20250409


def control_folder(trained: Path, cache: Path) -> Path:
    """The control of a trained model in Hugging Face format, below the cache; made when it is not there."""
    folder = cache / ".models" / NAME
    if has_weights(folder):
        return folder
    with lock(folder.with_name(f".{NAME}.lock")):
        # Another process may have made it meanwhile.
        if not has_weights(folder):
            with temporary_folder(folder.parent, NAME) as made:
                _make(trained, made)
                with writing(folder):
                    shutil.rmtree(folder, ignore_errors=True)
                    made.rename(folder)
    return folder


def _make(trained: Path, folder: Path) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    config = AutoConfig.from_pretrained(trained)
    config.training_shares = None
    # At the trained model's scale a random one hardly changes its embeddings, and layers could not be told apart.
    config.initializer_range = 0.08
    torch.manual_seed(SEED)
    model = AutoModelForCausalLM.from_config(config)
    with writing(folder):
        AutoTokenizer.from_pretrained(trained).save_pretrained(folder)
        model.save_pretrained(folder)
