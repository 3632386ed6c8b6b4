"""Small parallel data in the FLORES layout, and requests to translate them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from crossalign.store import runs
from crossalign.translation.planning import TranslationRequest

N = 12
WORDS = {
    "eng_Latn": "The {0} stood beside the river number {1}.",
    "spa_Latn": "El {0} estaba junto al río número {1}.",
    "rus_Cyrl": "Номер {1}: {0} стоял у реки.",
}
PARTS = ["eng_Latn-rus_Cyrl", "eng_Latn-spa_Latn", "rus_Cyrl-eng_Latn", "spa_Latn-eng_Latn"]


def write_flores(folder: Path, count: int = N) -> Path:
    """Test and development sentences in three languages, in the upstream layout."""
    for code, text in WORDS.items():
        for split, first, n in (("devtest", 0, count), ("dev", 100, 5)):
            path = folder / f"flores200_{split}" / f"{code}.{split}"
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = (text.format("abcdefgh"[i % 8] * (i % 5 + 1), first + i) for i in range(n))
            path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return folder


def edit_line(data: Path, code: str, line: int, text: str | None) -> None:
    """Replaces a line of the test split, or removes it."""
    path = data / "flores200_devtest" / f"{code}.devtest"
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[line : line + 1] = [] if text is None else [text]
    path.write_text("".join(f"{x}\n" for x in lines), encoding="utf-8")


def translation_request(model: Path, data: Path, cache: Path, /, **changes: Any) -> TranslationRequest:
    """A request for all parts with two examples and short translations."""
    request = TranslationRequest(str(model), "flores", data=data, shots=2, length_ratio=0.2, device="cpu", cache=cache)
    return replace(request, **changes)


def translation_run(cache: Path) -> runs.Run:
    """The only translation run of a cache."""
    (one,) = runs.list_runs(cache, "translation")[0]
    return one


def alignment_run(cache: Path) -> runs.Run:
    """The only alignment run of a cache."""
    (one,) = runs.list_runs(cache)[0]
    return one
