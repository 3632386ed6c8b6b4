"""A cache of made-up runs, of any size, written through the store's own writers; for tests and `dashboard.py`.

The numbers are drawn so that there is something to see: languages differ in strength; a strong language and an easy
instance are aligned more often and answered right more often; alignment peaks at a third of the depth.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from crossalign.alignment_tables import AlignedLayers, rate_table
from crossalign.margins import margin_arrays
from crossalign.part_columns import group_numbers, instance_columns
from crossalign.schema import SCHEMA_VERSION, Execution, Instance, Manifest, RunSpec, content_digest
from crossalign.similarity import OptionCosines
from crossalign.store import parts
from crossalign.store.files import write_arrays, write_json, write_table
from crossalign.store.runs import Run, open_run

HOSTILE = (
    "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">",
    "# heading **bold** _slant_ [link](https://example.org) `code` | a | b | :red[red] ~~gone~~",
    r"$\frac{1}{2}$ $$\int_0^1 x\,dx$$ 5 $ and 6 $",
    "السماء زرقاء <b>اليوم</b> و 12 كتابا, English inside",
    "long " * 10_000,
    "=1+1\t'quote' \"quote\"\r\nnew line \u202e turned \u0007 &lt;b&gt; %{x} ${y} {{z}}",
)
"""Texts that must stay texts."""

MODEL = "example-org/synthetic-8b"

WORDS = {
    "eng_Latn": "the water of river rose in night and bridge was closed to all".split(),
    "arb_Arab": "ارتفع ماء النهر في الليل وأغلق الجسر أمام جميع الناس هناك اليوم".split(),
    "tha_Thai": "น้ำ ใน แม่น้ำ สูง ขึ้น ตอน กลางคืน และ สะพาน ถูก ปิด".split(),
}
OTHERS = "maji ya mto yalipanda usiku na daraja likafungwa kwa watu wote leo".split()


@dataclass(frozen=True)
class Shape:
    """Size of a made-up run: instances, options (0 for plain sentences), layers, poolings."""

    n: int = 40
    options: int = 4
    layers: int = 6
    poolings: tuple[str, ...] = ("last_token", "weighted_mean")
    task: str = "belebele"


def synthetic_run(
    cache: Path,
    languages: Sequence[str] = ("eng_Latn", "swh_Latn", "arb_Arab", "deu_Latn", "tha_Thai", "spa_Latn"),
    shape: Shape | None = None,
    *,
    model: str = MODEL,
    seed: int = 0,
    missing: Sequence[str] = (),
    hostile: bool = False,
) -> Run:
    """Writes a run; the first language is the pivot.

    Args:
        missing: languages that were asked for and are not computed yet.
        hostile: the texts, the model's name and the note are `HOSTILE`.
    """
    shape = shape or Shape()
    spec = RunSpec(
        model=HOSTILE[0] if hostile else model,
        model_identity=f"files:{seed:064x}" if hostile else f"{seed:040x}",
        task=shape.task,
        protocol="options",
        pivot=languages[0],
        data_digest=f"{seed:064x}",
        limit=shape.n,
        poolings=shape.poolings,
    )
    facts = {
        "n_layers": shape.layers,
        "hidden_size": 4096,
        "n_options": shape.options,
        "n": shape.n,
        "parameters": 8_030_261_248,
        "languages": [*languages, *missing],
        "note": HOSTILE[1] if hostile else "",
    }
    run = open_run(cache, spec, lambda: (Execution(1024, True, "torch", "made up"), facts))
    easy = np.random.default_rng(seed).normal(size=shape.n)
    for index, language in enumerate(languages):
        strength = 1.0 if index == 0 else 0.9 - 0.8 * index / len(languages)
        _write_part(run, language, shape, strength, easy, np.random.default_rng([seed, index]), hostile)
    return run


def _write_part(
    run: Run,
    language: str,
    shape: Shape,
    strength: float,
    easy: np.ndarray,
    rng: np.random.Generator,
    hostile: bool,
) -> None:
    instances = _instances(language, shape, hostile)
    gold = np.array([i.gold or 0 for i in instances])
    with parts.writing_part(run, language) as folder:
        write_table(folder / "instances.parquet", instance_columns(instances))
        if shape.options:
            logliks = rng.normal(-12, 1, (shape.n, shape.options))
            logliks[np.arange(shape.n), gold] += 1.5 * strength + 0.8 * easy
            write_table(folder / "scores.parquet", _scores(instances, logliks))
        if language != run.spec.pivot:
            for pooling in shape.poolings:
                layers = _layers(shape, strength, easy, rng)
                write_arrays(folder / parts.alignment_file(run.spec.pivot, pooling), layers.arrays())
                write_arrays(folder / parts.margins_file(run.spec.pivot, pooling), margin_arrays(layers, gold))
                rates = rate_table(layers, gold, group_numbers(instances), pooling)
                write_table(folder / parts.rates_file(run.spec.pivot, pooling), rates)
        manifest = Manifest(
            run_id=run.run_id,
            language=language,
            schema_version=SCHEMA_VERSION,
            n=shape.n,
            n_options=shape.options,
            n_layers=shape.layers,
            hidden_size=4096,
            content_digest=content_digest(instances),
            counts={"too_long": 0, "nonfinite": 0},
            provenance={"versions": {"crossalign": "0"}, "finished": "2026-01-01T00:00:00Z", "seconds": 1.0},
        )
        parts.finish_part(run, folder, manifest)


def sentence(language: str, number: int) -> str:
    """A sentence of a task without options; the same number says the same in every language."""
    words = WORDS.get(language, OTHERS)
    place = np.random.default_rng(number).permutation(min(len(w) for w in (OTHERS, *WORDS.values())))[:7]
    return " ".join([*(words[i] for i in place), str(number)])


def _instances(language: str, shape: Shape, hostile: bool) -> list[Instance]:
    made = []
    for i in range(shape.n):
        premise = f"Passage {i // 2} in {language}: " + "the river rose in the night and the bridge was closed. " * 8
        if not shape.options:
            premise = sentence(language, i)
        context = f"{premise} Question {i} in {language}: why was the bridge closed?"
        if hostile:
            premise = context = HOSTILE[i % len(HOSTILE)]
        options = tuple(f"Answer {k} to question {i} in {language}." for k in range(shape.options))
        if hostile:
            options = tuple(HOSTILE[(i + k) % len(HOSTILE)][:200] for k in range(shape.options))
        gold = i * 7 % shape.options if shape.options else None
        made.append(
            Instance(
                f"passage-{i // 2}#{i % 2 + 1}", f"passage-{i // 2}", premise, context, options, gold, context, options
            )
        )
    return made


def _scores(instances: Sequence[Instance], logliks: np.ndarray) -> dict[str, pa.Array]:
    k = logliks.shape[1]
    lengths = [len(c) for i in instances for c in i.continuations]
    return {
        "instance_id": pa.array([i.instance_id for i in instances for _ in range(k)]),
        "option": pa.array(list(range(k)) * len(instances), pa.int8()),
        "loglik": pa.array(logliks.reshape(-1), pa.float64()),
        "n_tokens": pa.array([1 + n // 4 for n in lengths], pa.int32()),
        "n_characters": pa.array(lengths, pa.int32()),
        "n_bytes": pa.array(lengths, pa.int32()),
    }


def _layers(shape: Shape, strength: float, easy: np.ndarray, rng: np.random.Generator) -> AlignedLayers:
    """Cosines whose matched pairs stand out most at a third of the depth."""
    n, width, k = shape.n, shape.layers + 1, shape.options
    depth = np.arange(width) / max(1, shape.layers)
    lift = strength * np.exp(-(((depth - 0.35) / 0.3) ** 2))
    raised = 0.6 * lift[None, :] + 0.05 * easy[:, None]
    cosines = None
    if k:
        cross, pivot, within = (0.3 + 0.3 * rng.random((n, width, k, k)) for _ in range(3))
        cross[..., np.arange(k), np.arange(k)] += raised[..., None]
        for block in (pivot, within):
            block[...] = (block + block.swapaxes(-1, -2)) / 2
            block[..., np.arange(k), np.arange(k)] = 1.0
        cosines = OptionCosines(np.clip(cross, -1, 1), pivot, within)
    matched = 0.4 + 0.2 * rng.random((n, width)) + 0.3 * raised
    row, column = (0.5 + 0.15 * rng.random((n, width)) for _ in range(2))
    return AlignedLayers(cosines, matched, row, column, np.full(width, 0.5 / (2 * n - 1)))


def copies_of(run: Run, cache: Path, count: int) -> None:
    """Runs with the same parts under other ids, as links: many runs for little disk."""
    for number in range(count):
        record = json.loads((run.folder / "run.json").read_text())
        spec = record["spec"] | {"model": f"example-org/copy-{number}", "data_digest": f"{number:064x}"}
        copy = RunSpec(**spec | {"poolings": tuple(spec["poolings"])})
        folder = cache / copy.run_id
        shutil.copytree(run.folder / "parts", folder / "parts", copy_function=_link)
        write_json(folder / "run.json", record | {"run_id": copy.run_id, "spec": spec})


def _link(source: str, target: str) -> None:
    Path(target).hardlink_to(source)
