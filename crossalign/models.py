"""Loads any causal language model from the Hub or a folder, with the identity of its weights."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from crossalign.memory import enough_memory
from crossalign.schema import UserError
from crossalign.weights import loading

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

DEVICES = ("cpu", "cuda", "mps", "xpu")


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """A loaded causal language model.

    Attributes:
        n_layers: L; there are L + 1 hidden states, 0 = embeddings.
        max_length: longest text in tokens; texts beyond it are counted and left out, never cut.
        window: shortest sliding or local attention window in tokens; None when every layer sees everything.
        takes_trees: False where a layer counts places in the input (GPT-Neo's local attention) or carries a state along
            it (convolutions, linear attention, state spaces): neither looks at a tree's mask.
        short_length: tokens up to which a batch's position factors are those of short texts (longrope); None where they
            do not depend on the length.
        linear_to_attention: operations of the linear layers per token ÷ operations of attention per token pair.
    """

    model: Any
    tokenizer: Any
    device: torch.device
    dtype: str
    n_layers: int
    hidden_size: int
    max_length: int
    window: int | None
    takes_trees: bool
    short_length: int | None
    linear_to_attention: float

    @property
    def training_shares(self) -> dict[str, float]:
        """Language → share of the training text, from `training_shares` of the configuration; empty where not said."""
        shares = getattr(self.model.config, "training_shares", None)
        if not isinstance(shares, dict):
            return {}
        return {str(code): float(share) for code, share in shares.items() if isinstance(share, (int, float))}

    @property
    def decoder(self) -> nn.Module:
        """The module below the output head; its hidden states are the ones that are pooled."""
        return self.model.get_decoder()

    @property
    def end(self) -> int | None:
        """Id of the token that ends a text; None where the tokenizer has none."""
        return self.tokenizer.eos_token_id

    def tokenize(self, texts: list[str]) -> list[tuple[int, ...]]:
        """Texts → token ids with the tokenizer's default special tokens; nothing is cut."""
        if not texts:
            return []
        return [tuple(ids) for ids in self.tokenizer(texts, return_attention_mask=False, verbose=False)["input_ids"]]


def default_device() -> str:
    """ "cuda" where there is a GPU, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def chosen_device(asked: str | None) -> str:
    """The device that was asked for, or the default; "auto" is the CPU where there is nothing to spread a model over."""
    return default_device() if asked is None or (asked == "auto" and default_device() == "cpu") else asked


def default_dtype(device: str) -> str:
    """bfloat16 on a GPU that has it, float16 on an older one, float32 on a CPU."""
    if not device.startswith(("cuda", "auto")):
        return "float32"
    return "bfloat16" if _has_bfloat16(device) else "float16"


def _has_bfloat16(device: str) -> bool:
    """Whether a GPU multiplies bfloat16 itself; torch says so of every GPU, as any can do it in software, slowly."""
    try:
        index = torch.device("cuda" if device == "auto" else device).index or 0
    except RuntimeError:
        return True  # `check_device` refuses it, as one that is not there
    if index >= torch.cuda.device_count():
        return True
    with torch.cuda.device(index):
        return torch.cuda.is_bf16_supported(including_emulation=False)


_TOO_LARGE = (
    "The memory of {device} does not hold {name} in {dtype}: use --device auto to spread it over several GPUs, a shorter "
    "--dtype, or a smaller model."
)


def load(name: str, dtype: str, device: str, commit: str | None = None) -> LanguageModel:
    """Loads model and tokenizer; no code of the model's repository is run.

    Args:
        name: Hub id or local folder in Hugging Face format.
        dtype: key of `DTYPES`.
        device: "cpu", "cuda", "cuda:1" …, or "auto" to spread a model over all GPUs (needs accelerate).
        commit: of the Hub, so that the weights are those whose identity is known; None for a folder.

    Raises:
        UserError: unknown, gated or absent model, folder without weights, no tokenizer, no such device, too little memory.
    """
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    check_device(device)
    common: dict[str, Any] = {"trust_remote_code": False, "revision": commit or "main"}
    placement = {"device_map": "auto"} if device == "auto" else {}
    with warnings.catch_warnings(), enough_memory(_TOO_LARGE.format(name=name, dtype=dtype, device=device)):
        warnings.simplefilter("ignore")
        settings = {"dtype": DTYPES[dtype], "output_loading_info": True} | placement | common
        model, info = loading(name, lambda: transformers.AutoModelForCausalLM.from_pretrained(name, **settings))
        tokenizer = loading(name, lambda: transformers.AutoTokenizer.from_pretrained(name, **common))
        if info["missing_keys"]:
            raise UserError(
                f"The weights of {name} lack {len(info['missing_keys'])} tensors (the first is "
                f"{min(info['missing_keys'])}): download or save the model again."
            )
        if device != "auto":
            model.to(torch.device(device))
    return describe(model.eval(), tokenizer, dtype)


def outline(name: str) -> LanguageModel:
    """A model's shape and its tokenizer, without its weights: only a few small files are read."""
    import transformers

    transformers.logging.set_verbosity_error()
    common: dict[str, Any] = {"trust_remote_code": False}
    config = loading(name, lambda: transformers.AutoConfig.from_pretrained(name, **common))
    tokenizer = loading(name, lambda: transformers.AutoTokenizer.from_pretrained(name, **common))
    with torch.device("meta"):
        model = loading(name, lambda: transformers.AutoModelForCausalLM.from_config(config, **common))
    return describe(model.eval(), tokenizer, "float32")


def describe(model: Any, tokenizer: Any, dtype: str) -> LanguageModel:
    """Wraps a model that is already in memory."""
    config = model.config.get_text_config()
    # Of an encoder-decoder's configuration only the decoder is run.
    layers = int(getattr(config, "decoder_layers", None) or config.num_hidden_layers)
    hidden = int(config.hidden_size)
    linear = sum(m.weight.numel() for m in model.get_decoder().modules() if _is_linear(m))
    limit = getattr(config, "max_position_embeddings", None)
    return LanguageModel(
        model=model,
        tokenizer=tokenizer,
        device=model.get_input_embeddings().weight.device,
        dtype=dtype,
        n_layers=layers,
        hidden_size=hidden,
        max_length=int(limit) if limit else 1 << 30,
        window=_window(config),
        takes_trees=_takes_trees(model, config),
        short_length=_short_length(config),
        linear_to_attention=max(1.0, linear / (2 * layers * hidden)),
    )


def _is_linear(module: nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    return isinstance(weight, torch.Tensor) and weight.dim() == 2 and not isinstance(module, nn.Embedding)


def _window(config: Any) -> int | None:
    windows = []
    if getattr(config, "use_sliding_window", True) is not False:
        windows.append(getattr(config, "sliding_window", None))
    if _is_local(config):
        windows.append(getattr(config, "window_size", None))
    windows.append(getattr(config, "attention_chunk_size", None))
    return min((int(w) for w in windows if w), default=None)


def _is_local(config: Any) -> bool:
    return "local" in (getattr(config, "attention_layers", None) or ())


ATTENTION = {"full_attention", "sliding_attention", "chunked_attention"}
"""Kinds of layer that look at a mask over pairs of tokens."""


def _takes_trees(model: Any, config: Any) -> bool:
    kinds = set(getattr(config, "layer_types", None) or ())
    return kinds <= ATTENTION and not getattr(model, "_is_stateful", False) and not _is_local(config)


def _short_length(config: Any) -> int | None:
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    kinds = [rope, *(kind for kind in rope.values() if isinstance(kind, dict))]
    limits = [getattr(config, "original_max_position_embeddings", None)]
    limits += [kind.get("original_max_position_embeddings") for kind in kinds]
    if not any(kind.get("rope_type", kind.get("type")) == "longrope" for kind in kinds):
        return None
    return min((int(limit) for limit in limits if limit), default=None)


def has_chat_template(name: str) -> bool:
    """Whether a model's tokenizer brings a chat template; only the tokenizer is loaded."""
    import transformers

    transformers.logging.set_verbosity_error()
    tokenizer = loading(name, lambda: transformers.AutoTokenizer.from_pretrained(name, trust_remote_code=False))
    return bool(getattr(tokenizer, "chat_template", None))


def check_device(device: str) -> None:
    """Raises UserError where there is no such device here."""
    if device in ("cpu", "auto"):
        return
    if device.split(":")[0] not in DEVICES:
        raise UserError(f"There is no device {device!r}: use --device cpu, cuda, cuda:1, mps or auto.")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):
        raise UserError(
            f"The device {device!r} is not available here: use --device cpu, or a GPU that exists."
        ) from None
