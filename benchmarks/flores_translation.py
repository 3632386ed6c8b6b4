"""Real FLORES sentences end to end: alignment, translation both ways, scores, and the page, in all languages of a folder.

    python benchmarks/flores_translation.py MODEL DATA [--limit 8] [--cache DIR]

DATA holds `flores200_devtest/<code>.devtest`. Prints a line per direction and exits with 1 when a direction is incomplete, a
sentence is lost, or a page shows an error. It says that everything fits together, not how good a model is.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from streamlit.testing.v1 import AppTest

from crossalign.pipeline import run
from crossalign.planning import RunRequest
from crossalign.store.runs import Run
from crossalign.translation import tables
from crossalign.translation.planning import TranslationRequest

ROOT = Path(__file__).parents[1]


def compute(model: str, data: Path, cache: Path, limit: int, ratio: float) -> tuple[Run, Run]:
    """The translations and the alignment of all languages that the folder has; examples are not needed for this check."""
    shared = {"data": data, "limit": limit, "cache": cache, "device": "cpu"}
    codes = tuple(sorted(p.stem for p in (data / "flores200_devtest").glob("*.devtest")))
    alignment = run(RunRequest(model, "flores", codes, **shared))
    request = TranslationRequest(model, "flores", codes, shots=0, length_ratio=ratio, **shared)
    return run(request), alignment


def page_errors(cache: Path) -> list[str]:
    """What the two pages of translations show as errors on a cache."""
    os.environ["CROSSALIGN_CACHE"] = str(cache)
    found = []
    for page in ("translation", "sentence"):
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=600).run()
        app.switch_page(f"pages/views/{page}.py").run()
        found += [f"{page}: {e.value}" for e in (*app.exception, *app.error)]
        found += [] if app.get("plotly_chart") else [f"{page}: no figure"]
    return found


def main() -> int:
    """Computes, prints, opens the pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("data", type=Path)
    parser.add_argument("--limit", type=int, default=8, help="sentences of each language")
    parser.add_argument("--length-ratio", type=float, default=0.2, help="tokens per character of the source, at most")
    parser.add_argument("--cache", type=Path, help="keep the runs here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        cache, began = options.cache or Path(temporary), time.process_time()
        translated, alignment = compute(options.model, options.data, cache, options.limit, options.length_ratio)
        frame = tables.directions(translated, alignment)
        rows = sum(translated.manifest(part).n for part in translated.languages())  # pyright: ignore
        print(
            frame[["part", "name", "n", "chrf", "bleu", "off_target", "truncated", "mexa_max"]].to_string(index=False)
        )
        print(f"{len(frame)} directions, {rows} sentences, {time.process_time() - began:.0f} s of processor time")
        errors = page_errors(cache)
        errors += [] if translated.complete else ["the run is incomplete"]
        errors += [] if rows == len(frame) * options.limit else [f"{rows} sentences, not {len(frame) * options.limit}"]
        print("\n".join(errors) or "both pages open without errors")
    return int(bool(errors))


if __name__ == "__main__":
    sys.exit(main())
