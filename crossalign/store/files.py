"""Writes whole files or none, checks them, and says in plain words what a disk refuses."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from crossalign.schema import UserError

REASONS = {
    errno.ENOSPC: "the disk is full: free some space",
    errno.EDQUOT: "your quota is used up: free some space",
    errno.EFBIG: "the file would be larger than allowed here: free some space or raise the limit",
    errno.EROFS: "it is on a read-only file system: choose another folder",
    errno.EACCES: "you may not write there: choose another folder, or change its permissions",
    errno.EPERM: "you may not write there: choose another folder, or change its permissions",
    errno.ENOTDIR: "part of that path is a file, not a folder: choose another folder",
}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns a refusal of the operating system into one sentence."""
    try:
        yield
    except OSError as error:
        reason = REASONS.get(error.errno or 0, str(error))
        raise UserError(f"Cannot write {path}: {reason}. What was finished before is kept.") from error


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """The same for a file that is there and cannot be read."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror or error}.") from error


@contextmanager
def temporary_folder(parent: Path, name: str) -> Iterator[Path]:
    """A folder to fill, beside the place of this name that it is to be renamed to; what is left of it is removed.

    The caller holds the lock of the place, so folders of other processes for it are those of killed ones, and go.
    """
    temporary = parent / f".{name}.{os.getpid()}.tmp"
    with writing(temporary):
        for left in parent.glob(f".{name}.*.tmp"):
            shutil.rmtree(left, ignore_errors=True)
        temporary.mkdir(parents=True)
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Calls `write` with a temporary name beside `path`, flushes it to the disk, and renames it.

    The temporary file is removed when anything fails, so that a full disk keeps its last free bytes.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(temporary)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Readable JSON, keys in the order given."""
    text = json.dumps(value, ensure_ascii=False, indent=1)
    write_atomically(path, lambda p: _write_bytes(p, text.encode()))


def write_table(path: Path, columns: Mapping[str, Any]) -> None:
    """Columns as Parquet with zstd; the bytes depend on the values only."""
    table = pa.table(dict(columns))
    write_atomically(path, lambda p: pq.write_table(table, p, compression="zstd"))


SAFETENSORS_TYPES = {"float16": "F16", "float32": "F32", "float64": "F64", "int64": "I64", "int8": "I8"}


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None) -> None:
    """Named arrays as safetensors."""
    layout = {name: (a.dtype.name, a.shape) for name, a in arrays.items()}
    stream_arrays(path, layout, iter(arrays.values()), metadata)


def stream_arrays(
    path: Path,
    layout: Mapping[str, tuple[str, tuple[int, ...]]],
    values: Iterator[np.ndarray],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Arrays as safetensors, one in memory at a time and none copied (the library's writer copies each twice).

    Args:
        layout: name → dtype and shape, in the order in which `values` yields the arrays.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    offset = 0
    for name, (dtype, shape) in layout.items():
        end = offset + math.prod(shape) * np.dtype(dtype).itemsize
        header[name] = {"dtype": SAFETENSORS_TYPES[dtype], "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for (dtype, _), array in zip(layout.values(), values, strict=True):
                file.write(np.ascontiguousarray(array, dtype=dtype).data)

    write_atomically(path, write)


class ArrayPlace(NamedTuple):
    """Where an array lies in a safetensors file, in bytes from its beginning, and its shape."""

    offset: int
    shape: tuple[int, ...]


def array_places(path: Path) -> dict[str, ArrayPlace]:
    """Name → place, for reading parts of large arrays without a copy in between (the library's reader makes two)."""
    with reading(path), path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    return {
        name: ArrayPlace(8 + length + entry["data_offsets"][0], tuple(entry["shape"]))
        for name, entry in header.items()
        if name != "__metadata__"
    }


def _write_bytes(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)


def one_line(error: Exception) -> str:
    """The beginning of an error's text, without line ends."""
    return " ".join(str(error).split())[:80]


def checksum(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path) -> Any:
    """Raises UserError when the file is damaged or may not be read; FileNotFoundError when it is absent."""
    try:
        with reading(path):
            return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise UserError(f"{path} is damaged (not valid JSON): delete its folder and run the command again.") from None
