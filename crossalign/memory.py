"""Says in one sentence that the memory of a device is full; the libraries have several ways of putting it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from crossalign.schema import UserError

ON_A_CPU = "can't allocate memory"
"""Part of what torch says on a CPU, in an error that is otherwise any other."""

FULL_AT_START = (
    "The memory holds the model, but not a pass of a single text: use a shorter --dtype or another --device."
    """Advice where the comparison before a run does not fit."""
)


def is_exhausted(error: BaseException) -> bool:
    """Whether an error means that there is not enough memory."""
    return type(error).__name__ == "OutOfMemoryError" or isinstance(error, MemoryError) or ON_A_CPU in str(error)


@contextmanager
def enough_memory(advice: str) -> Iterator[None]:
    """Turns the errors of a full memory into a UserError with this advice."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_exhausted(error):
            raise
        raise UserError(advice) from None
