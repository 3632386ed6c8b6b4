"""Whole runs that come from outside: built where no reader looks, and put in place in one step."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crossalign.schema import Execution
from crossalign.store.files import writing
from crossalign.store.locks import lock
from crossalign.store.runs import Run, read_run, write_run


@contextmanager
def staging(cache: Path) -> Iterator[Path]:
    """A folder of the cache for runs that are being built; removed at the end, however it ends.

    One import at a time works on a cache; what a killed one has left is removed by the next.
    """
    folder = cache / ".imports"
    with lock(cache / ".imports.lock"):
        with writing(folder):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def install_run(cache: Path, staged: Run, execution: Execution, facts: dict[str, Any]) -> Run:
    """Makes a staged folder a run of the cache: its description is written last, then it is renamed into place."""
    write_run(staged.folder, staged.spec, execution, facts)
    target = cache / staged.run_id
    with writing(target):
        shutil.rmtree(target, ignore_errors=True)  # no run: `existing_run` would have found it
        staged.folder.rename(target)
    return read_run(target)
