"""What a run is and how it was computed, in words and tables: for the Methods page and for reports."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import PurePath

import pandas as pd

from crossalign.alignment import ALIGNMENT_METRICS
from crossalign.definitions import CITATIONS
from crossalign.run_tables import RunTables
from crossalign.tasks import TASKS


def n_options(run: RunTables) -> int:
    """Options of an instance; 0 for plain sentences."""
    return int(run.facts.get("n_options") or 0)


def n_instances(run: RunTables) -> int:
    """Instances of each language."""
    return int(run.facts.get("n") or 0)


def metric_names(run: RunTables) -> tuple[str, ...]:
    """The run's metrics, or all where it has none yet."""
    return tuple(run.metrics) or tuple(ALIGNMENT_METRICS)


def protocol(run: RunTables) -> str:
    """How instances were scored and embedded, in a few sentences; holds names from data."""
    spec = run.spec
    shots = f" after {spec.shots} solved examples" if spec.shots else " without examples"
    some = f"The first {spec.limit} instances are used." if spec.limit else "All instances are used."
    letters = " The letters A to D are scored, while alignment uses the texts of the options."
    letters = letters if spec.task == "belebele" and spec.protocol != "options" else ""
    if "imported" in run.facts:
        return _imported(run, f"under the protocol {spec.protocol!r}{shots}.", some if spec.limit else "", letters)
    scored = (
        f"Each of the {n_options(run)} options is scored by its summed log-likelihood under the protocol {spec.protocol!r}"
        f"{shots}; the largest is the prediction.{letters}"
        if n_options(run)
        else "The sentences are embedded and not scored."
    )
    return (
        f"{scored} {some} States of layers 0 (embeddings) to {run.n_layers} are pooled in float32 and cosines compared in "
        "float64; the last layer of most models comes after the final norm, so it does not compare with the others."
    )


def _imported(run: RunTables, scoring: str, some: str, letters: str) -> str:
    """`protocol` of results that were computed elsewhere: only what they tell, and only of what they hold."""
    said, decided = ["These results were computed elsewhere and imported as they are.", some], len(run.rates) > 0
    if len(run.languages["accuracy"].dropna()):
        said.append(f"The options were scored {scoring}{letters if decided else ''}")
    if decided:
        said.append(
            f"What is aligned was decided there too, at layers 0 (embeddings) to {run.n_layers}; how states were pooled and "
            "compared is as their source says."
        )
    return " ".join(filter(None, said))


def settings(run: RunTables, shared: bool = False) -> dict[str, str]:
    """Everything that can change a number, and how it was computed.

    Args:
        shared: others read it, so that of a model's folder only the name is told.
    """
    spec = {k: v for k, v in asdict(run.spec).items() if v is not None} | {"model": _model(run, shared)}
    how = asdict(run.run.execution)
    facts = {k: run.facts[k] for k in ("parameters", "hidden_size", "n_layers", "created", "where") if k in run.facts}
    return {
        key.replace("_", " "): _text(value) for key, value in (spec | how | facts).items() if value not in ("", None)
    }


def _model(run: RunTables, shared: bool) -> str:
    """The model as it was given; of a folder only its name where others read it."""
    return run.spec.model_name if shared else run.spec.model


def _data(run: RunTables, shared: bool) -> str:
    """The folder of local data as it was given; "" for the Hub. Only its name where others read it."""
    data = str(run.facts.get("data") or "")
    return PurePath(data).name or data if shared else data


def _text(value: object) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(str(v) for v in value)
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def command(run: RunTables, shared: bool = False) -> str:
    """The command line that gives this run; "" for imported results. `shared` as in `settings`."""
    spec = run.spec
    if run.facts.get("imported"):
        return ""
    others = [code for code in run.facts.get("languages", run.codes) if code != spec.pivot]
    given = {
        "--model": _model(run, shared),
        "--task": spec.task,
        "--languages": ",".join(others),
        "--data": _data(run, shared),
        "--pivot": spec.pivot,
        "--protocol": spec.protocol,
        "--limit": str(spec.limit or "all"),
        "--shots": str(spec.shots),
        "--connectors": spec.connectors,
        "--pooling": ",".join(spec.poolings),
        "--dtype": spec.dtype,
        "--device": spec.device,
    }
    return shlex.join(["crossalign", "run", *(word for pair in given.items() if pair[1] for word in pair)])


def alignment_command(run: RunTables, shared: bool = False) -> str:
    """The command line that aligns the sentences of a translation run, in all its languages. `shared` as in `settings`."""
    spec = run.spec
    given = {
        "--model": _model(run, shared),
        "--task": spec.task,
        "--languages": ",".join(code for code in run.codes if code != spec.pivot),
        "--data": _data(run, shared),
        "--pivot": spec.pivot,
        "--limit": str(spec.limit or "all"),
    }
    return shlex.join(["crossalign", "run", *(word for pair in given.items() if pair[1] for word in pair)])


def parts_table(run: RunTables) -> pd.DataFrame:
    """One row per language: what was counted on the way, where and with what it was computed."""
    rows = []
    for code in run.languages["language"]:
        manifest = run.run.manifest(code)
        if manifest is None:
            continue
        how = manifest.provenance
        row = {"language": code, "name": run.name(code), "n": manifest.n} | manifest.counts
        row |= {k: how.get(k) for k in ("finished", "seconds", "machine", "device", "python")}
        rows.append(row | {f"version of {name}": v for name, v in how.get("versions", {}).items()})
    return pd.DataFrame(rows)


def citations(run: RunTables) -> list[str]:
    """Who to cite for the methods, and for the task on screen."""
    task = TASKS.get(run.spec.task)
    return [*CITATIONS, *([f"{task.title}: {task.source}"] if task else [])]
