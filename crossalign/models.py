"""Loads any causal language model from the Hub or a folder, with the identity of its weights."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from crossalign.schema import UserError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

DEVICES = ("cpu", "cuda", "mps", "xpu")

WEIGHT_FILES = ("*.safetensors", "pytorch_model*.bin")
IDENTITY_FILES = ("*.json", "*.safetensors", "pytorch_model*.bin", "*.model", "*.txt", "*.jinja")


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """A loaded causal language model.

    Attributes:
        n_layers: L; there are L + 1 hidden states, 0 = embeddings.
        max_length: longest text in tokens; texts beyond it are counted and left out, never cut.
        window: shortest sliding attention window in tokens; None when every layer sees everything.
        takes_trees: False where a layer counts places in the input (GPT-Neo's local attention), not positions.
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


def default_dtype(device: str) -> str:
    """bfloat16 on a GPU that has it, float16 on an older one, float32 on a CPU."""
    if not device.startswith("cuda"):
        return "float32"
    return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"


def load(name: str, dtype: str, device: str) -> LanguageModel:
    """Loads model and tokenizer; no code of the model's repository is run.

    Args:
        name: Hub id or local folder in Hugging Face format.
        dtype: key of `DTYPES`.
        device: "cpu", "cuda", "cuda:1" …, or "auto" to spread a model over all GPUs (needs accelerate).

    Raises:
        UserError: unknown, gated or absent model, folder without weights, no tokenizer, no such device.
    """
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    _check_device(device)
    common: dict[str, Any] = {"trust_remote_code": False}
    placement = {"device_map": "auto"} if device == "auto" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        settings = {"dtype": DTYPES[dtype], "output_loading_info": True} | placement | common
        model, info = _loading(name, lambda: transformers.AutoModelForCausalLM.from_pretrained(name, **settings))
        tokenizer = _loading(name, lambda: transformers.AutoTokenizer.from_pretrained(name, **common))
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
    config = _loading(name, lambda: transformers.AutoConfig.from_pretrained(name, **common))
    tokenizer = _loading(name, lambda: transformers.AutoTokenizer.from_pretrained(name, **common))
    with torch.device("meta"):
        model = _loading(name, lambda: transformers.AutoModelForCausalLM.from_config(config, **common))
    return describe(model.eval(), tokenizer, "float32")


def describe(model: Any, tokenizer: Any, dtype: str) -> LanguageModel:
    """Wraps a model that is already in memory."""
    config = model.config.get_text_config()
    layers, hidden = int(config.num_hidden_layers), int(config.hidden_size)
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
        takes_trees=not _counts_places(config),
        linear_to_attention=max(1.0, linear / (2 * layers * hidden)),
    )


def _is_linear(module: nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    return isinstance(weight, torch.Tensor) and weight.dim() == 2 and not isinstance(module, nn.Embedding)


def _window(config: Any) -> int | None:
    window = getattr(config, "sliding_window", None)
    if not window or getattr(config, "use_sliding_window", True) is False:
        return None
    return int(window)


def _counts_places(config: Any) -> bool:
    return "local" in (getattr(config, "attention_layers", None) or ())


def has_chat_template(name: str) -> bool:
    """Whether a model's tokenizer brings a chat template; only the tokenizer is loaded."""
    import transformers

    transformers.logging.set_verbosity_error()
    tokenizer = _loading(name, lambda: transformers.AutoTokenizer.from_pretrained(name, trust_remote_code=False))
    return bool(getattr(tokenizer, "chat_template", None))


def _check_device(device: str) -> None:
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


def _loading(name: str, load_one: Callable[[], Any]) -> Any:
    try:
        return load_one()
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, TypeError, SafetensorError) as error:
        raise UserError(_load_message(name, error)) from None


def _load_message(name: str, error: Exception) -> str:
    reason = str(error).strip().splitlines()[0][:240] if str(error).strip() else type(error).__name__
    folder = Path(name)
    if "trust_remote_code" in str(error) or "custom code" in str(error):
        return f"The model {name!r} needs code from its repository, which crossalign never runs: choose another model."
    if folder.is_dir():
        if not has_weights(folder):
            return f"The folder {name} holds no weights (*.safetensors): give the folder that save_pretrained wrote."
        return f"Cannot load a model from the folder {name} ({reason.rstrip(' .:')}): save it again."
    if type(error).__name__ == "GatedRepoError" or "gated" in reason.lower():
        return f"The model {name!r} is gated: accept its licence on the Hub and log in with `hf auth login`."
    return (
        f"There is no folder {name!r}, and no such model can be had from the Hub ({reason}): "
        "check the name and the connection, or give a local folder."
    )


def has_weights(folder: Path) -> bool:
    """Whether a folder holds at least one file of weights."""
    return any(next(folder.glob(pattern), None) for pattern in WEIGHT_FILES)


def identity(name: str, memo: Path | None = None) -> str:
    """What the weights are: the Hub commit, or a SHA-256 over the files of a local folder.

    Args:
        memo: a JSON file that remembers digests of unchanged files (by size and time of change), so that a large
            local model is read once.
    """
    folder = Path(name)
    if folder.is_dir():
        if not has_weights(folder):
            raise UserError(
                f"The folder {name} holds no weights (*.safetensors): give the folder that save_pretrained wrote."
            )
        return "files:" + _folder_digest(folder, memo)
    import transformers

    config = _loading(name, lambda: transformers.AutoConfig.from_pretrained(name, trust_remote_code=False))
    commit = getattr(config, "_commit_hash", None)
    if not commit:
        raise UserError(f"The Hub does not say which commit of {name!r} this is: download it and give the folder.")
    return f"commit:{commit}"


def _folder_digest(folder: Path, memo: Path | None) -> str:
    files = sorted({p for pattern in IDENTITY_FILES for p in folder.glob(pattern) if p.is_file()})
    known: dict[str, str] = _read_memo(memo)
    keys = {p: f"{p.resolve()}|{p.stat().st_size}|{p.stat().st_mtime_ns}" for p in files}
    unknown = [p for p in files if keys[p] not in known]
    with ThreadPoolExecutor() as pool:
        known |= dict(zip((keys[p] for p in unknown), pool.map(_file_digest, unknown), strict=True))
    if memo is not None and unknown:
        _write_memo(memo, known)
    total = hashlib.sha256()
    for p in files:
        total.update(f"{p.name}\0{known[keys[p]]}\n".encode())
    return total.hexdigest()


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_memo(memo: Path | None) -> dict[str, str]:
    try:
        return dict(json.loads(memo.read_text())) if memo else {}
    except (OSError, ValueError, TypeError):
        return {}


def _write_memo(memo: Path, known: dict[str, str]) -> None:
    """Best effort: without the memo the next start only reads the files again."""
    try:
        memo.parent.mkdir(parents=True, exist_ok=True)
        temporary = memo.with_suffix(".tmp")
        temporary.write_text(json.dumps(known))
        temporary.replace(memo)
    except OSError:
        return
