"""Small results as others write them: logs of lm-evaluation-harness, and the layout of the DALI paper's release."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from conftest import xcopa_row

from crossalign import tables
from crossalign.importers.published import import_release
from crossalign.store.parts import verify
from crossalign.store.runs import Run, list_runs

TIME = "2026-01-01T00-00-00.000001"
COMMIT = "c" * 40

SCORES = ((-1.0, -2.0), (-2.0, -1.0), (-3.0, -3.0), (-9.0, -1.0))
"""Log-likelihoods of four items; the third is a tie, so the first option is predicted."""


def sample(
    position: int,
    logliks: Sequence[float],
    gold: int | str,
    doc: Mapping[str, Any] | None = None,
    prompt: str = "A prompt",
    **changes: Any,
) -> dict[str, Any]:
    """One line of a samples file, as version 0.4.5 writes it."""
    right = float(max(range(len(logliks)), key=lambda i: logliks[i]) == gold)
    arguments = {
        f"gen_args_{i}": {"arg_0": f"{prompt} {position}", "arg_1": f" option {i}"} for i in range(len(logliks))
    }
    row = {
        "doc_id": position,
        "doc": dict(doc or {"text": "of another task"}),
        "target": str(gold),
        "arguments": arguments,
        "resps": [[[str(v), "False"]] for v in logliks],
        "filtered_resps": [[str(v), "False"] for v in logliks],
        "filter": "none",
        "metrics": ["acc"],
        "acc": right,
    }
    return row | changes


def xcopa_samples(language: str, scores: Iterable[Sequence[float]] = SCORES, first: int = 0) -> list[dict[str, Any]]:
    """Samples whose rows are the XCOPA items of `conftest`, with these log-likelihoods."""
    rows = [xcopa_row(language, first + i) for i, _ in enumerate(scores)]
    return [sample(i, s, row["label"], row) for i, (row, s) in enumerate(zip(rows, scores, strict=True))]


def accuracy_of(rows: Sequence[Mapping[str, Any]]) -> float:
    return sum(row["acc"] for row in rows) / len(rows)


def write_logs(
    folder: Path,
    tasks: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    model: str = "org/small",
    commit: str = COMMIT,
    time: str = TIME,
    shots: int = 0,
    without_samples: Iterable[str] = (),
    **changes: Any,
) -> Path:
    """One results file over the tasks, with a samples file each; returns the results file."""
    folder.mkdir(parents=True, exist_ok=True)
    for task, rows in tasks.items():
        if task not in without_samples:
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            (folder / f"samples_{task}_{time}.jsonl").write_text(text, encoding="utf-8")
    record = {
        "results": {t: {"alias": t, "acc,none": accuracy_of(r), "acc_stderr,none": 0.1} for t, r in tasks.items()},
        "configs": {t: {"task": t, "output_type": "multiple_choice", "num_fewshot": shots} for t in tasks},
        "n-shot": dict.fromkeys(tasks, shots),
        "n-samples": {t: {"original": len(r), "effective": len(r)} for t, r in tasks.items()},
        "config": {"model_args": f"pretrained={model}", "model_sha": commit, "model_dtype": "torch.bfloat16"},
        "git_hash": "abcdef",
        "model_name": model,
    }
    path = folder / f"results_{time}.json"
    path.write_text(json.dumps(record | changes), encoding="utf-8")
    return path


def write_json(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def by_item(decisions: Sequence[Sequence[int]], first: int = 0) -> dict[str, dict[str, int]]:
    """{item: {layer: 0/1}} from [layer][item], as the DALI files are."""
    return {
        str(first + i): {str(layer): row[i] for layer, row in enumerate(decisions)} for i in range(len(decisions[0]))
    }


DALI = ((0, 0, 0, 1), (1, 1, 0, 1))
"""Decisions of four items at layers 0 and 1."""

MEXA = ((0, 0, 0, 0), (0, 1, 0, 0), (1, 1, 0, 0))
"""The same at layers 0 to 2."""


def write_release(folder: Path) -> Path:
    """XCOPA in Italian and Swahili with decisions, FLORES with decisions and quality; returns the folder."""
    accuracy, alignment = folder / "accuracy_outputs/Small", folder / "alignment_outputs/Small"
    for name, language in (("it", "it"), ("en_it", "en"), ("sw", "sw")):
        inside = accuracy / f"xcopa_unnormalized_5shot/{name}/org__small"
        write_logs(inside, {f"xcopa_{name}": xcopa_samples(language)}, shots=5)
    write_json(alignment / "xcopa_dali/DALI_italian_lasttoken.json", by_item(DALI))
    write_json(alignment / "xcopa_dali_strong/DALI_italian_lasttoken.json", by_item(((0, 0, 0, 0), (0, 1, 0, 0))))
    write_json(alignment / "xcopa_dali/DALI_swahili_lasttoken.json", by_item(DALI, first=1))
    write_json(alignment / "xcopa_mexa/italian.json", {str(i): row for i, row in enumerate(MEXA)})
    write_json(alignment / "flores_mexa/ita_Latn.json", {str(i): row for i, row in enumerate(MEXA)})
    quality = folder / "translation_outputs/Small/flores_100/sentence"
    write_json(quality / "entoxx_Small_flores_COMET.json", {"italian": [0.75, 0.8], "swahili": [0.5, 0.5]})
    write_json(
        quality / "entoxx_Small_flores_COMET_sample.json",
        {"italian": {"scores": [0.7, 0.8, 0.9, 0.6], "system_score": 0.75}},
    )
    texts = [{"src": f"Sentence {i}.", "mt": f"Frase {i}.", "ref": f"Una frase {i}."} for i in range(4)]
    write_json(quality / "english_Small--italian.json", texts)
    return folder


def append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def rewrite(path: Path, change: Any) -> None:
    """Replaces a JSON file by what `change` makes of its content."""
    path.write_text(json.dumps(change(json.loads(path.read_text(encoding="utf-8")))), encoding="utf-8")


def write_xcopa_logs(folder: Path) -> Path:
    """Logs of XCOPA in Italian and Swahili with items; returns the folder."""
    tasks = {f"xcopa_{code}": xcopa_samples(code) for code in ("it", "sw")}
    return write_logs(folder / "org__small", tasks).parents[1]


def samples_of(logs: Path, task: str) -> Path:
    """The samples file of a task."""
    (path,) = logs.rglob(f"samples_{task}_{TIME}.jsonl")
    return path


def only(cache: Path) -> Run:
    """The only run of a cache."""
    (run,), problems = list_runs(cache)
    assert not problems
    return run


def runs_of(cache: Path) -> dict[str, Run]:
    """Task → its only run, each checked."""
    runs, problems = list_runs(cache)
    assert not problems and all(verify(r) == [] for r in runs)
    assert len({r.spec.task for r in runs}) == len(runs)
    return {r.spec.task: r for r in runs}


def imported_runs(release: Path, cache: Path) -> tuple[dict[str, Run], str]:
    """Runs and what was left out."""
    report = import_release(release, cache)
    return runs_of(cache), "\n".join(report.left_out)


def alignment_folder(release: Path) -> Path:
    return release / "alignment_outputs/Small"


def aligned_by_layer(run: Run, code: str, metric: str) -> list[list[bool | None]]:
    frame = tables.instance_alignment(run, code)
    mine = frame[frame["metric"] == metric].astype({"instance_id": int}).sort_values(["layer", "instance_id"])
    return [[None if v is None else bool(v) for v in part["aligned"].replace({np.nan: None})]
            for _, part in mine.groupby("layer")]  # fmt: skip


def as_bools(decisions: tuple) -> list[list[bool]]:
    return [[bool(v) for v in layer] for layer in decisions]
