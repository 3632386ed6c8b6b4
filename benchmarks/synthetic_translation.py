"""Made-up translations beside a made-up alignment run of `synthetic`, through the project's own scores and writers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from synthetic import HOSTILE, sentence

from crossalign.schema import SCHEMA_VERSION, Execution, Instance, Manifest, Translation, content_digest
from crossalign.store import parts
from crossalign.store.files import write_table
from crossalign.store.runs import Run, open_run
from crossalign.translation.columns import Output, translation_columns
from crossalign.translation.prompts import direction_of


def synthetic_translation(
    alignment: Run,
    languages: Sequence[str],
    *,
    directions: Sequence[str] = ("en-xx", "xx-en"),
    missing: Sequence[str] = (),
    hostile: bool = False,
) -> Run:
    """Writes a translation run of the model and the sentences of an alignment run.

    The k-th language is translated the worse the larger k is; one output each is empty, a copy, cut, in another
    language, and one sentence has no source.

    Args:
        missing: parts that were asked for and are not computed yet.
        hostile: the texts are `HOSTILE`.
    """
    spec = replace(alignment.spec, shots=5, poolings=(), translation=Translation("plain", "dev", 3.0, "by-script"))
    pivot = spec.pivot
    wanted = [f"{pivot}-{c}" if d == "en-xx" else f"{c}-{pivot}" for c in languages for d in directions]
    facts = {
        "n_layers": alignment.facts["n_layers"],
        "hidden_size": 4096,
        "n_options": 0,
        "n": alignment.facts["n"],
        "languages": [*wanted, *missing],
    }
    run = open_run(alignment.folder.parent, spec, lambda: (Execution(1024, False, "torch", "made up", "shared"), facts))
    ids = parts.read_table(alignment, languages[0], "instances.parquet", ["instance_id", "group"]).to_pylist()
    for number, part in enumerate(wanted):
        rng = np.random.default_rng([number, len(ids)])
        _write(run, part, ids, 0.1 + 0.7 * (number // len(directions)) / len(languages), rng, hostile)
    return run


def _write(run: Run, part: str, ids: list[dict], share: float, rng: np.random.Generator, hostile: bool) -> None:
    direction = direction_of(part)
    made = [_sentence(direction, i, share, rng, hostile) for i in range(len(ids))]
    instances = [
        Instance(row["instance_id"], row["group"], source, "", (), None, source, (reference,))
        for row, (source, reference, _) in zip(ids, made, strict=True)
    ]
    outputs = [_output(i, source, output, hostile) for i, (source, _, output) in enumerate(made)]
    columns = translation_columns(instances, outputs, direction.target, "by-script")
    with parts.writing_part(run, part) as folder:
        write_table(folder / "translations.parquet", columns.translations)
        write_table(folder / "quality.parquet", columns.quality)
        manifest = Manifest(
            run_id=run.run_id,
            language=part,
            schema_version=SCHEMA_VERSION,
            n=len(ids),
            n_options=0,
            n_layers=run.facts["n_layers"],
            hidden_size=4096,
            content_digest=content_digest(instances),
            provenance={"language_check": columns.check, "finished": "2026-01-01T00:00:00Z"},
        )
        parts.finish_part(run, folder, manifest)


def _sentence(direction, number: int, share: float, rng: np.random.Generator, hostile: bool) -> tuple[str, str, str]:
    """Source, reference, and the reference with a share of its words replaced."""
    if hostile:
        texts = [HOSTILE[(number + k) % len(HOSTILE)] for k in range(3)]
        return texts[0], texts[1], " ".join(texts[2].split())
    source, reference = (sentence(code, number) for code in direction)
    words = reference.split()
    wrong = rng.random(len(words)) < share
    output = [words[0] if w else word for w, word in zip(wrong, words, strict=True)]
    return source, reference, " ".join(output)


def _output(number: int, source: str, output: str, hostile: bool) -> Output:
    odd = (
        {}
        if hostile
        else {1: ("", "newline"), 2: (source, "newline"), 3: (output, "length"), 4: ("Да, это река.", "end")}
    )
    if number == 5 and not hostile:
        return Output(None, "", 0, 0, 0, "empty source")
    text, stop = odd.get(number, (output, "newline"))
    return Output(text, stop, 9, 60, 70, "")
