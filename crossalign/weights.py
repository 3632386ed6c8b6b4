"""Which weights a model's name stands for, and in plain words why they cannot be had."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from crossalign.memory import is_exhausted
from crossalign.schema import UserError

WEIGHT_FILES = ("*.safetensors", "pytorch_model*.bin")
IDENTITY_FILES = ("*.json", "*.safetensors", "pytorch_model*.bin", "*.model", "*.txt", "*.jinja")


def loading(name: str, load_one: Callable[[], Any]) -> Any:
    """What `load_one` gives; UserError where it cannot. That the memory is full is another matter and passes.

    Four libraries read files that somebody else wrote, and each has errors of its own for what it does not understand.
    """
    try:
        return load_one()
    except Exception as error:
        if isinstance(error, UserError) or is_exhausted(error):
            raise
        raise UserError(_load_message(name, error)) from None


def _load_message(name: str, error: Exception) -> str:
    said = str(error).strip().splitlines()[:1]
    reason = said[0][:240] if said and any(map(str.isalpha, said[0])) else " ".join([type(error).__name__, *said])
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
    commit = loading(name, lambda: _commit(name))
    if not commit:
        raise UserError(f"The Hub does not say which commit of {name!r} this is: download it and give the folder.")
    return f"commit:{commit}"


def _commit(name: str) -> str | None:
    """The Hub's commit of a model's configuration, which names the folder that the file is kept in."""
    from transformers.utils.hub import cached_file, extract_commit_hash

    return extract_commit_hash(cached_file(name, "config.json"), None)


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
