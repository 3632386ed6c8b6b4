"""Finished batches of a translation while it is computed: what a killed run resumes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from crossalign.store.files import write_json


def _path(folder: Path, number: int) -> Path:
    return folder / f"batch-{number:06d}.json"


def save_batch(folder: Path, key: str, number: int, rows: list[list[Any]]) -> None:
    """Writes a batch whole. `key` says what it was computed from; a batch with another key is not used."""
    write_json(_path(folder, number), {"key": key, "rows": rows})


def read_batch(folder: Path, key: str, number: int, size: int) -> list[list[Any]] | None:
    """The rows of a sound batch of this key and size; None where there is none. A damaged one counts as absent."""
    try:
        value = json.loads(_path(folder, number).read_text(encoding="utf-8"))
        rows = value["rows"] if value["key"] == key else []
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return rows if isinstance(rows, list) and len(rows) == size else None
