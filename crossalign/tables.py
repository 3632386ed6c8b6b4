"""Runs as tidy tables. Their columns are a contract (version `schema.TABLES_VERSION`): see `COLUMNS`.

Layers and options count from 0; layer 0 is the embeddings. Undefined values are null, never 0.
"""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false, reportOptionalOperand=false
# (pandas and Streamlit return unions that say nothing about the frame at hand.)

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from crossalign import accuracy, imported, scoring
from crossalign.alignment import aligned
from crossalign.alignment_tables import AlignedLayers, from_arrays
from crossalign.languages import Language, language
from crossalign.schema import TABLES_VERSION
from crossalign.statistics import Correlation, pearson, spearman
from crossalign.store import parts
from crossalign.store.files import write_atomically, write_json, writing
from crossalign.store.runs import Run

COLUMNS: dict[str, dict[str, str]] = {
    "instances": {
        "language": "code of the task's data",
        "instance_id": "the same id is the same question in every language",
        "group": "resampling unit, e.g. the passage",
        "gold": "right option",
        "prediction": "option with the largest log-likelihood; null where undefined",
        "correct": "prediction is gold; null where undefined",
        "premise": "text without options",
        "context": "text before each embedded option",
        "options": "option texts, a JSON list in CSV",
        "prompt": "text before each scored continuation",
        "continuations": "scored texts, a JSON list in CSV",
        "tags": "what the data say about the instance, a JSON list in CSV",
    },
    "option_scores": {
        "language": "code of the task's data",
        "instance_id": "id of the question",
        "option": "option",
        "loglik": "summed log-likelihood of the continuation in nats",
        "n_tokens": "tokens of the continuation",
        "n_characters": "characters of the continuation",
        "n_bytes": "UTF-8 bytes of the continuation",
    },
    "instance_alignment": {
        "language": "code of the task's data",
        "instance_id": "id of the question",
        "pooling": "how states were pooled",
        "metric": "dali, dali_s, dali_rowwise, dali_gold, mexa_t or mexa",
        "layer": "layer",
        "aligned": "margin above 0; null where undefined",
        "margin": "alignment margin in cosine units",
    },
    "rates": {
        "language": "code of the task's data",
        "pooling": "how states were pooled",
        "metric": "alignment metric",
        "layer": "layer",
        "rate": "share of aligned instances",
        "low": "lower end of the 95 % interval",
        "high": "upper end of the 95 % interval",
        "relabelled_rate": "the same rule when no pair is a translation",
        "tie_rate": "share of exact ties",
        "n": "instances with a defined margin",
    },
    "languages": {
        "language": "code of the task's data",
        "name": "English name",
        "script": "ISO 15924",
        "family": "language family",
        "resource_level": "class 0 to 5 of Joshi et al. 2020",
        "training_share": "share of the model's training text, where its configuration says it",
        "n": "instances with a prediction; of a task without options, all",
        "accuracy": "share of right predictions",
        "accuracy_low": "lower end of the 95 % interval",
        "accuracy_high": "upper end of the 95 % interval",
        "loglik_margin": "mean log-probability margin in nats",
        "too_long": "instances with a text longer than the model takes",
        "nonfinite": "instances with NaN or infinite values",
    },
}


LISTS = ("options", "continuations", "tags")
"""Columns that hold a list of texts."""


def instances(run: Run, code: str, scores: str = "") -> pd.DataFrame:
    """One row per instance of a language, with its prediction.

    Args:
        scores: name of scores that were added to the run; "" for the run's own.
    """
    return _instances(run, code, code, "", accuracy.logliks(run, code, scores))


def pivot_instances(run: Run, code: str) -> pd.DataFrame:
    """The pivot's rows that belong to a language: its own version of the items where one was imported."""
    pivot = run.spec.pivot
    if parts.has_file(run, code, "pivot_instances.parquet"):
        return _instances(run, code, pivot, "pivot_", accuracy.logliks(run, code, side="pivot_"))
    if pivot in run.languages():
        return instances(run, pivot)
    return pd.DataFrame(columns=list(COLUMNS["instances"]))


def _instances(run: Run, code: str, shown: str, side: str, logliks: np.ndarray | None) -> pd.DataFrame:
    frame = parts.read_table(run, code, f"{side}instances.parquet").to_pandas()
    frame["gold"] = frame["gold"].astype("Int8")
    predicted = pd.Series(pd.NA, index=frame.index, dtype="Int8")
    if logliks is not None:
        values = scoring.prediction(logliks)
        predicted = pd.Series(np.where(values < 0, np.nan, values), index=frame.index).astype("Int8")
    frame["prediction"] = predicted
    frame["correct"] = (predicted == frame["gold"]).astype("boolean")
    return _declared(frame.assign(language=shown), "instances")


def option_scores(run: Run, code: str, side: str = "") -> pd.DataFrame:
    """One row per option of a language, or with `side` "pivot_" of the pivot's version of its items; empty without scores."""
    if not parts.has_file(run, code, f"{side}scores.parquet"):
        return pd.DataFrame(columns=list(COLUMNS["option_scores"]))
    frame = parts.read_table(run, code, f"{side}scores.parquet").to_pandas()
    return _declared(frame.assign(language=run.spec.pivot if side else code), "option_scores")


def alignment(run: Run, code: str, pooling: str) -> AlignedLayers | None:
    """The stored cosines of a language with the pivot; None for the pivot itself, and where only decisions came."""
    name = parts.alignment_file(run.spec.pivot, pooling)
    return from_arrays(parts.read_arrays(run, code, name)) if parts.has_file(run, code, name) else None


def instance_alignment(run: Run, code: str) -> pd.DataFrame:
    """One row per instance, pooling, metric and layer of a language; imported decisions have no margin."""
    table = parts.read_table(run, code, "instances.parquet", ["instance_id", "gold"])
    ids = np.array(table["instance_id"].to_pylist(), dtype=object)
    gold = np.array([g or 0 for g in table["gold"].to_pylist()])
    frames = []
    for pooling in run.spec.poolings:
        layers = alignment(run, code, pooling)
        margins_of = layers.margins(gold) if layers else {}
        decided = {m: aligned(margins) for m, margins in margins_of.items()} or imported.decisions(run, code, pooling)
        for metric, values in decided.items():
            n, width = values.shape
            margins = margins_of.get(metric, np.full(values.shape, np.nan))
            frames.append(
                pd.DataFrame(
                    {
                        "language": code,
                        "instance_id": np.repeat(ids, width),
                        "pooling": pooling,
                        "metric": metric,
                        "layer": np.tile(np.arange(width, dtype=np.int16), n),
                        "aligned": pd.array(values.reshape(-1)).astype("boolean"),
                        "margin": margins.reshape(-1),
                    }
                )
            )
    return pd.concat(frames) if frames else pd.DataFrame(columns=list(COLUMNS["instance_alignment"]))


def rates(run: Run, codes: Sequence[str] | None = None) -> pd.DataFrame:
    """One row per language, pooling, metric and layer: read as stored, nothing is recomputed."""
    found, names = [], []
    for code in run.languages() if codes is None else codes:
        for pooling in run.spec.poolings:
            if parts.has_file(run, code, name := parts.rates_file(run.spec.pivot, pooling)):
                found.append(parts.read_table(run, code, name))
                names += [code] * len(found[-1])
    if not found:
        return pd.DataFrame(columns=list(COLUMNS["rates"]))
    return _declared(pa.concat_tables(found).to_pandas().assign(language=names), "rates")


def languages(run: Run, scores: str = "") -> pd.DataFrame:
    """One row per complete language: accuracy with its interval, and what is known of the language.

    Args:
        scores: name of scores that were added to the run; "" for the run's own.
    """
    rows = []
    for code in run.languages():
        manifest, about = run.manifest(code), facts_of(code)
        row = {"language": code, "name": about.name, "script": about.script, "family": about.family}
        row |= {"resource_level": about.resource_level, "n": manifest.n if manifest else 0}
        row |= accuracy.language_accuracy(run, code, scores)
        row["training_share"] = run.facts.get("training_shares", {}).get(code)
        counts = manifest.counts if manifest else {}
        rows.append(row | {name: counts.get(name, 0) for name in ("too_long", "nonfinite")})
    frame = pd.DataFrame(rows).reindex(columns=list(COLUMNS["languages"]))
    return frame.astype({"resource_level": "Int8", "training_share": float})


def best_layers(rate_frame: pd.DataFrame) -> pd.DataFrame:
    """Per language, pooling and metric: the layer with the highest rate (the first of equals), and the mean rate.

    The best layer is chosen on the instances it is reported on, so its rate is optimistic; so is a correlation made
    from it.
    """
    keys = ["language", "pooling", "metric"]
    ordered = rate_frame.sort_values([*keys, "layer"])
    defined = ordered[ordered["rate"].notna()]
    best = defined.loc[defined.groupby(keys)["rate"].idxmax()]
    means = defined.groupby(keys, as_index=False)["rate"].mean().rename(columns={"rate": "mean_rate"})
    return best.merge(means, on=keys)


def correlations(language_frame: pd.DataFrame, rate_frame: pd.DataFrame) -> pd.DataFrame:
    """Accuracy against alignment over the languages other than the pivot, by pooling, metric and aggregation.

    Columns pooling, metric, aggregation (max or mean over all L + 1 layers), coefficient, r, low, high, n.
    """
    merged = best_layers(rate_frame).merge(language_frame[["language", "accuracy"]], on="language")
    rows = []
    for (pooling, metric), group in merged.groupby(["pooling", "metric"], sort=False):
        accuracy = group["accuracy"].to_numpy(float)
        for aggregation, column in (("max", "rate"), ("mean", "mean_rate")):
            for coefficient in (pearson, spearman):
                estimate: Correlation = coefficient(group[column].to_numpy(float), accuracy)
                name = coefficient.__name__
                rows.append((pooling, metric, aggregation, name, *estimate))
    names = ["pooling", "metric", "aggregation", "coefficient", "r", "low", "high", "n"]
    return pd.DataFrame(rows, columns=names)


def export(run: Run, out: Path) -> list[Path]:
    """Writes all tables as Parquet and CSV with a description of their columns; returns the files.

    The tables of single instances are written language by language, so memory does not grow with the languages.
    """
    whole: dict[str, Callable[[Run], pd.DataFrame]] = {"languages": languages, "rates": rates}
    by_language: dict[str, Callable[[Run, str], pd.DataFrame]] = {
        "instances": instances,
        "option_scores": option_scores,
        "instance_alignment": instance_alignment,
    }
    written = [p for name, table in whole.items() for p in write(out, name, COLUMNS[name], iter([table(run)]))]
    for name, table in by_language.items():
        written += write(out, name, COLUMNS[name], (table(run, code) for code in run.languages()))
    description = {"tables_version": TABLES_VERSION, "run_id": run.run_id, "columns": COLUMNS}
    write_json(out / "columns.json", description)
    return [*written, out / "columns.json"]


def write(out: Path, name: str, columns: Iterable[str], frames: Iterator[pd.DataFrame]) -> list[Path]:
    """Writes one table as Parquet and CSV, a frame at a time; returns the two files."""
    import pyarrow.parquet as pq

    csv, parquet = out / f"{name}.csv", out / f"{name}.parquet"
    empty = pd.DataFrame({column: pd.Series(dtype="object") for column in columns})

    def both(parquet_path: Path, csv_path: Path) -> None:
        writer = None
        with csv_path.open("w", encoding="utf-8", newline="") as file:
            for frame in chain((f for f in frames if len(f)), [empty]):
                if writer is not None and frame is empty:
                    break
                _csv_ready(frame).to_csv(file, index=False, header=writer is None)
                table = pa.Table.from_pandas(frame, preserve_index=False)
                for column in (c for c in LISTS if c in frame and len(frame)):  # also where all lists are empty
                    place, texts = table.schema.get_field_index(column), table[column].cast(pa.list_(pa.string()))
                    table = table.set_column(place, column, texts)
                writer = writer or pq.ParquetWriter(parquet_path, table.schema, compression="zstd")
                writer.write_table(table.cast(writer.schema))
        if writer is not None:
            writer.close()

    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    write_atomically(parquet, lambda p: write_atomically(csv, lambda c: both(p, c)))
    return [parquet, csv]


def _csv_ready(frame: pd.DataFrame) -> pd.DataFrame:
    """Lists as JSON text."""
    lists = [c for c in LISTS if c in frame]
    return frame.assign(**{c: [json.dumps(list(v), ensure_ascii=False) for v in frame[c]] for c in lists})


def facts_of(code: str) -> Language:
    """What is known of a language; for a name its code where nothing is."""
    try:
        return language(code)
    except KeyError:
        return Language(code, code, "", "ltr", "", "", None)


def _declared(frame: pd.DataFrame, table: str) -> pd.DataFrame:
    return frame[list(COLUMNS[table])]
