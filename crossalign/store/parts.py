"""Parts: the finished results of one language, complete or absent."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from crossalign.schema import Manifest, UserError
from crossalign.store.files import checksum, one_line, temporary_folder, write_json, writing
from crossalign.store.locks import lock
from crossalign.store.runs import Run
from crossalign.store.scorings import verify_scorings

CHECKED = "Run `crossalign verify` to see what else is damaged, then delete that part and run the command again."

ACCURACY = "accuracy.parquet"
"""Accuracy as others report it: side (language or pivot), metric, value, stderr, n."""

EXTERNAL_SCORES = "external_scores.parquet"
"""Translation quality scored elsewhere: field, direction, metric, sentence_id (null for all together), score."""

TRANSLATIONS = "external_translations.parquet"
"""Translations made elsewhere: field, direction, sentence_id, source, translation, reference."""


def alignment_file(pivot: str, pooling: str) -> str:
    """Cosines of a part with its pivot."""
    return f"alignment_{pivot}_{pooling}.safetensors"


def rates_file(pivot: str, pooling: str) -> str:
    """Rates by metric and layer: what a page opens first."""
    return f"rates_{pivot}_{pooling}.parquet"


def margins_file(pivot: str, pooling: str) -> str:
    """Margins of every instance by metric, layer by layer: what a page of instances opens first."""
    return f"margins_{pivot}_{pooling}.safetensors"


def decisions_file(pivot: str, pooling: str) -> str:
    """Imported decisions by metric: 1 aligned, 0 not, -1 absent; where there are no cosines."""
    return f"decisions_{pivot}_{pooling}.safetensors"


def states_file(pooling: str) -> str:
    """Pooled hidden states, kept when asked for."""
    return f"states_{pooling}.safetensors"


def writing_part(run: Run, language: str) -> AbstractContextManager[Path]:
    """A temporary folder to fill; `finish_part` inside the block makes it the part. Removed when that fails."""
    return temporary_folder(run.folder / "parts", language)


def finish_part(run: Run, temporary: Path, manifest: Manifest) -> None:
    """Checksums the files, writes the manifest last, and renames the folder into place in one step."""
    files = sorted(p for p in temporary.iterdir() if p.is_file())
    complete = replace(manifest, checksums={p.name: checksum(p) for p in files})
    write_json(temporary / "manifest.json", asdict(replace(complete, digest=complete.own_digest)))
    target = run.part_folder(manifest.language)
    # Not while `add_file` writes into the part that is replaced.
    with lock(run.folder / ".files.lock"), writing(target):
        if target.exists() and _exchanged(temporary, target):
            return  # what was there is now the temporary folder, which is removed
        shutil.rmtree(target, ignore_errors=True)
        temporary.rename(target)


def _exchanged(a: Path, b: Path) -> bool:
    """Swaps two folders in one step (Linux); False where the system cannot."""
    import ctypes

    try:
        rename = ctypes.CDLL(None).renameat2
    except (OSError, AttributeError):
        return False
    return rename(-100, os.fsencode(a), -100, os.fsencode(b), 2) == 0


def read_table(run: Run, language: str, name: str, columns: Sequence[str] | None = None) -> pa.Table:
    """A Parquet file of a part; with `columns`, only these."""
    path, data = _checked(run, language, name)
    try:
        return pq.ParquetFile(pa.BufferReader(data)).read(columns=columns, use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path} is damaged ({one_line(error)}). {CHECKED}") from None


def read_arrays(run: Run, language: str, name: str) -> dict[str, np.ndarray]:
    """All arrays of a safetensors file of a part."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    path, data = _checked(run, language, name)
    try:
        return load(data)
    except SafetensorError as error:
        raise UserError(f"{path} is damaged ({one_line(error)}). {CHECKED}") from None


def read_slice(run: Run, language: str, name: str, array: str, rows: np.ndarray) -> np.ndarray:
    """Some rows of one array of a safetensors file of a part; only these are read, so its checksum is not looked at.

    Args:
        rows: indices, ascending.
    """
    from safetensors import SafetensorError, safe_open

    path = run.part_folder(language) / name
    try:
        with safe_open(path, framework="np") as file:
            stored = file.get_slice(array)
            first, last = int(rows[0]), int(rows[-1]) + 1
            return stored[first:last][rows - first]
    except (SafetensorError, OSError, IndexError) as error:
        raise UserError(f"{path} is damaged ({one_line(error)}). {CHECKED}") from None


def has_file(run: Run, language: str, name: str) -> bool:
    """Whether the part is complete and was written with this file."""
    manifest = run.manifest(language)
    return manifest is not None and name in manifest.checksums


def add_file(run: Run, language: str, name: str, write: Callable[[Path], None]) -> None:
    """Gives a complete part a further file, with its checksum in the manifest; does nothing when it has it.

    Of two processes that come at once, one writes. The manifest is written after the file, so that a process killed
    between the two leaves a part that is read as before.
    """
    folder = run.part_folder(language)
    with lock(run.folder / ".files.lock"):
        manifest = run.manifest(language)
        if manifest is None or name in manifest.checksums:
            return
        write(folder / name)
        longer = replace(manifest, checksums=manifest.checksums | {name: checksum(folder / name)})
        write_json(folder / "manifest.json", asdict(replace(longer, digest=longer.own_digest)))


def _checked(run: Run, language: str, name: str) -> tuple[Path, bytes]:
    """A file of a part, read once, whose bytes are those that were written (2 GB/s, so it is always looked at)."""
    path = run.part_folder(language) / name
    manifest = run.manifest(language)
    try:
        data = path.read_bytes()
    except OSError:
        raise UserError(f"{path} is missing. {CHECKED}") from None
    if manifest is None or hashlib.sha256(data).hexdigest() != manifest.checksums.get(name):
        raise UserError(f"{path} is damaged (it has changed since it was written). {CHECKED}")
    return path, data


def verify(run: Run) -> list[str]:
    """One sentence for each file of the run that is missing, changed or unknown; empty when all is sound."""
    problems = []
    if run.run_id != run.folder.name:
        problems.append(f"{run.folder / 'run.json'} describes the run {run.run_id}, not the one of its folder.")
    for language in run.languages():
        folder = run.part_folder(language)
        try:
            manifest = run.manifest(language)
        except UserError as error:
            problems.append(str(error))
            continue
        expected = manifest.checksums if manifest else {}
        for name, digest in expected.items():
            path = folder / name
            if not path.is_file():
                problems.append(f"{path} is missing.")
            elif checksum(path) != digest:
                problems.append(f"{path} has changed since it was written.")
        present = {p.name for p in folder.iterdir()} - {"manifest.json"}
        problems += [f"{folder / name} does not belong there." for name in sorted(present - set(expected))]
    return problems + verify_scorings(run)
