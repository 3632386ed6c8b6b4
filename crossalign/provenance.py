"""Where and with what a part was computed; recorded, not part of a run's identity."""

from __future__ import annotations

import importlib.metadata as metadata
import platform
import time
from typing import Any

LIBRARIES = ("crossalign", "torch", "transformers", "tokenizers", "datasets", "numpy")


def provenance(device: str, batch_tokens: int, seconds: float, *more_libraries: str) -> dict[str, Any]:
    """Versions, machine, device and time, for a part's manifest."""
    versions = {}
    for name in (*LIBRARIES, *more_libraries):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "source"
    return {
        "versions": versions,
        "python": platform.python_version(),
        "machine": platform.node(),
        "device": device,
        "batch_tokens": batch_tokens,
        "seconds": round(seconds, 3),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
