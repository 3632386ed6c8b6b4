"""File locks between processes; the system drops them when a process dies, however it dies."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crossalign.schema import UserError
from crossalign.store.files import writing


@contextmanager
def lock(path: Path, *, shared: bool = False, wait: bool = True) -> Iterator[bool]:
    """Holds a lock on `path` (created when absent); yields False when `wait` is False and another process holds it."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    with file:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(file, kind if wait else kind | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except OSError as error:
            raise UserError(
                f"Cannot lock {path} ({error.strerror}): give a --cache on a file system that has locks between processes."
            ) from None
        yield True
