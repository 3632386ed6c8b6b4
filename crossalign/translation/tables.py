"""Translation runs as tidy tables, alone and joined with the alignment of the same model. Columns: see `COLUMNS`."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false, reportOptionalOperand=false
# (pandas returns unions that say nothing about the frame at hand.)

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from crossalign import tables
from crossalign.alignment import aligned
from crossalign.languages import language
from crossalign.schema import TABLES_VERSION, Manifest, UserError
from crossalign.statistics import Correlation, pearson, spearman
from crossalign.store import parts
from crossalign.store.files import write_json
from crossalign.store.runs import Run, list_runs
from crossalign.translation.scores import EXTERNAL, external_file, write_inputs

SCORES = ("chrf", "bleu", *EXTERNAL)
"""Measures of quality; chrF++ and BLEU from 0 to 100, COMET and COMETKIWI as imported."""

RATES = ("off_target", "wrong_script", "copied", "empty", "truncated")

_FLAGS = {
    "off_target": "output identified as another language than the target's and its reference's; null without letters",
    "wrong_script": "less than half of the letters are of the target's script; null without letters",
    "copied": "the source again, but for case, blanks and punctuation",
    "empty": "nothing before the newline",
    "truncated": "the length limit was reached",
}

_ENDS = {"": "", "_low": " (lower end of the 95 % interval)", "_high": " (upper end)"}

_IDENTITY = {
    "part": "source and target language",
    "direction": "en-xx from the pivot, xx-en into it",
    "language": "the language that is not the pivot",
}

COLUMNS: dict[str, dict[str, str]] = {
    "translations": {
        **_IDENTITY,
        "instance_id": "id of the sentence; the same in every language and in alignment runs",
        "group": "resampling unit",
        "source": "sentence to translate",
        "reference": "its translation in the data",
        "output": "the model's translation; null where it was not run",
        "stop": "newline, end (end-of-text token) or length (the limit)",
        "n_tokens": "tokens written",
        "n_prompt": "tokens of the prompt",
        "limit": "most tokens allowed",
        "problem": "empty source, empty reference, too long, nonfinite, or nothing",
        "chrf": "sentence chrF++, 0 to 100",
        "bleu": "sentence BLEU, 0 to 100",
        **_FLAGS,
        "identified": "ISO 639 code of the language the output is most likely in",
        "comet": "imported COMET score; null where there is none",
        "cometkiwi": "imported COMETKIWI score; null where there is none",
    },
    "directions": {
        **_IDENTITY,
        "name": "English name of the language",
        "script": "ISO 15924",
        "family": "language family",
        "resource_level": "class 0 to 5 of Joshi et al. 2020",
        "n": "sentences with a score",
        **{f"{s}{end}": f"corpus {s}, 0 to 100{what}" for s in ("chrf", "bleu") for end, what in _ENDS.items()},
        **{f"{r}{end}": f"share of sentences: {_FLAGS[r]}{what}" for r in RATES for end, what in _ENDS.items()},
        "off_target_method": "language, or script where the identifier does not know the language",
        "references_off_target": "share of the references that the identifier gets wrong: read rates against it",
        "comet": "mean over sentences",
        "cometkiwi": "mean over sentences",
        "mexa_max": "largest MEXA over layers of the alignment run",
        "mexa_max_layer": "that layer",
        "mexa_mean": "mean MEXA over layers",
    },
    "sentence_alignment": {
        **_IDENTITY,
        "instance_id": "id of the sentence",
        "pooling": "how states were pooled",
        "layer": "layer",
        "matched": "cosine of the sentence with its translation",
        "aligned": "MEXA of the sentence: margin above 0",
        "margin": "matched cosine minus the best other in its row and column",
    },
}


def translations(run: Run, part: str) -> pd.DataFrame:
    """One row per sentence of a part, in the run's order."""
    frame = parts.read_table(run, part, "translations.parquet").to_pandas()
    for flag in RATES:
        frame[flag] = frame[flag].astype("boolean")
    manifest = _manifest(run, part)
    for metric in EXTERNAL:
        scores = pd.Series(np.nan, index=frame.index)
        if external_file(metric) in manifest.checksums:
            table = parts.read_table(run, part, external_file(metric)).to_pandas()
            scores = frame["instance_id"].map(table.set_index("instance_id")["score"])
        frame[metric] = scores
    return frame.assign(**_identity(run, part))[list(COLUMNS["translations"])]


def directions(run: Run, alignment: Run | None = None, pooling: str | None = None) -> pd.DataFrame:
    """One row per complete part: corpus scores and rates with intervals, and the language's MEXA.

    Args:
        alignment: a run of the same model and task, from `matching_alignment`; without it MEXA is null.
        pooling: of the alignment run; by default its first.
    """
    rows = []
    for part in run.languages():
        row = _identity(run, part)
        about, manifest = language(row["language"]), _manifest(run, part)
        row |= {"name": about.name, "script": about.script, "family": about.family}
        row["resource_level"] = about.resource_level
        for record in parts.read_table(run, part, "quality.parquet").to_pylist():
            name = record["metric"]
            row |= {name: record["value"], f"{name}_low": record["low"], f"{name}_high": record["high"]}
            row |= {"n": record["n"]} if name == "chrf" else {}
        check = manifest.provenance.get("language_check", {})
        row |= {"off_target_method": check.get("method"), "references_off_target": check.get("references_off_target")}
        for metric in EXTERNAL:
            if external_file(metric) in manifest.checksums:
                row[metric] = float(np.mean(parts.read_table(run, part, external_file(metric))["score"].to_numpy()))
        rows.append(row)
    frame = pd.DataFrame(rows).reindex(columns=list(COLUMNS["directions"]))
    return _with_mexa(frame, alignment, pooling).astype({"resource_level": "Int8", "mexa_max_layer": "Int16"})


def _with_mexa(frame: pd.DataFrame, alignment: Run | None, pooling: str | None) -> pd.DataFrame:
    """Fills in the language-level MEXA of an alignment run."""
    if alignment is None or frame.empty:
        return frame
    codes = [c for c in alignment.languages() if c in set(frame["language"])]
    best = tables.best_layers(tables.rates(alignment, codes))
    chosen = best[(best["pooling"] == (pooling or alignment.spec.poolings[0])) & (best["metric"] == "mexa")]
    for column, theirs in (("mexa_max", "rate"), ("mexa_max_layer", "layer"), ("mexa_mean", "mean_rate")):
        frame[column] = frame["language"].map(chosen.set_index("language")[theirs])
    return frame


def sentence_alignment(run: Run, part: str, alignment: Run, pooling: str | None = None) -> pd.DataFrame:
    """One row per sentence and layer: the alignment of the sentences that both runs have.

    MEXA depends on how many sentences compete: it is that of the alignment run, with all of its sentences.
    """
    about, pooling = _identity(run, part), pooling or alignment.spec.poolings[0]
    code = about["language"]
    layers = tables.alignment(alignment, code, pooling) if code in alignment.languages() else None
    if layers is None:
        return pd.DataFrame(columns=list(COLUMNS["sentence_alignment"]))
    ids = parts.read_table(alignment, code, "instances.parquet")["instance_id"].to_pylist()
    margins = layers.margins(np.zeros(len(ids), dtype=np.int64))[layers.premise_metric]
    n, width = margins.shape
    frame = pd.DataFrame(
        {
            **about,
            "instance_id": np.repeat(np.array(ids, dtype=object), width),
            "pooling": pooling,
            "layer": np.tile(np.arange(width, dtype=np.int16), n),
            "matched": layers.matched.reshape(-1),
            "aligned": pd.array(aligned(margins).reshape(-1)).astype("boolean"),
            "margin": margins.reshape(-1),
        }
    )
    mine = parts.read_table(run, part, "translations.parquet")["instance_id"].to_pylist()
    return frame[frame["instance_id"].isin(set(mine))].reset_index(drop=True)


def matching_alignments(cache: Path, run: Run) -> list[Run]:
    """The alignment runs of the same weights, sentences and pivot that have one of the languages, newest first."""
    codes = {_identity(run, part)["language"] for part in run.languages()}
    return [
        other
        for other in list_runs(cache)[0]
        if all(getattr(other.spec, f) == getattr(run.spec, f) for f in ("model_identity", "task", "pivot"))
        and codes & set(other.languages())
        and _same_sentences(run, other)
    ]


def _same_sentences(run: Run, alignment: Run) -> bool:
    """Whether an id means the same sentence in both, by the pivot's texts; of a damaged run that is not known.

    The data may come from two folders.
    """
    try:
        return _same_texts(run, alignment)
    except UserError:
        return False


def _same_texts(run: Run, alignment: Run) -> bool:
    part, pivot = run.languages()[0], run.spec.pivot
    if not parts.has_file(alignment, pivot, "instances.parquet"):
        return True  # imported without the pivot's texts
    mine = "source" if part.startswith(f"{pivot}-") else "reference"
    ours = parts.read_table(run, part, "translations.parquet", ["instance_id", mine]).to_pandas()
    theirs = parts.read_table(alignment, pivot, "instances.parquet", ["instance_id", "premise"]).to_pandas()
    both = ours.merge(theirs, on="instance_id")
    return bool((both["premise"].isna() | (both["premise"] == both[mine])).all())


def matching_alignment(cache: Path, run: Run) -> Run | None:
    """The newest of `matching_alignments`; None without one."""
    return next(iter(matching_alignments(cache, run)), None)


def correlations(frame: pd.DataFrame) -> pd.DataFrame:
    """Quality against alignment over languages, by direction, score and aggregation of MEXA over layers.

    Args:
        frame: from `directions` with an alignment run.

    Returns:
        Columns direction, score, aggregation (max or mean), coefficient, r, low, high, n.
    """
    rows = []
    for direction, group in frame.groupby("direction", sort=False):
        for score in SCORES:
            for aggregation in ("max", "mean"):
                for coefficient in (pearson, spearman):
                    x, y = (group[c].to_numpy(float, na_value=np.nan) for c in (f"mexa_{aggregation}", score))
                    estimate: Correlation = coefficient(x, y)
                    rows.append((direction, score, aggregation, coefficient.__name__, *estimate))
    return pd.DataFrame(rows, columns=["direction", "score", "aggregation", "coefficient", "r", "low", "high", "n"])


def comparison(first: Run, second: Run) -> pd.DataFrame:
    """Second run minus first, on the sentences that both have scored: paired bootstrap by part and score.

    Columns part, metric, difference, low, high, p, n; p is not corrected for the number of rows.
    """
    from crossalign.translation.prompts import direction_of
    from crossalign.translation.quality import METRICS, Scorer, bleu_tokenizer, paired_difference

    how = first.spec.translation
    if how is None or second.spec.translation is None:
        raise UserError(
            f"{first.run_id} and {second.run_id} are not both translation runs, so they cannot be compared."
        )
    rows = []
    for part in (p for p in first.languages() if p in second.languages()):
        both = translations(first, part).merge(translations(second, part), on="instance_id", suffixes=("", "_2"))
        if (both["reference"] != both["reference_2"]).any():
            raise UserError(f"The references of {part} differ between the runs, so their scores cannot be compared.")
        both = both[both["chrf"].notna() & both["chrf_2"].notna()]
        groups = np.unique(both["group"].tolist(), return_inverse=True)[1]
        tokenizer = bleu_tokenizer(how.bleu, direction_of(part).target)
        for metric in METRICS:
            scorers = [
                Scorer(metric, tokenizer, both[c].tolist(), both["reference"].tolist()) for c in ("output", "output_2")
            ]
            rows.append((part, metric, *paired_difference(*scorers, groups)))
    return pd.DataFrame(rows, columns=["part", "metric", "difference", "low", "high", "p", "n"])


def export(run: Run, out: Path, alignment: Run | None = None) -> list[Path]:
    """Writes all tables as Parquet and CSV, a description of their columns, and the input for COMET."""
    columns = COLUMNS if alignment else {k: v for k, v in COLUMNS.items() if k != "sentence_alignment"}
    written = tables.write(out, "directions", columns["directions"], iter([directions(run, alignment)]))
    frames = (translations(run, part) for part in run.languages())
    written += tables.write(out, "translations", columns["translations"], frames)
    if alignment is not None:
        frames = (
            sentence_alignment(run, part, alignment, pooling)
            for part in run.languages()
            for pooling in alignment.spec.poolings
        )
        written += tables.write(out, "sentence_alignment", columns["sentence_alignment"], frames)
    description = {
        "tables_version": TABLES_VERSION,
        "run_id": run.run_id,
        "alignment_run": alignment.run_id if alignment else None,
        "columns": columns,
    }
    write_json(out / "columns.json", description)
    return [*written, out / "columns.json", *write_inputs(run, out / "comet")]


def _identity(run: Run, part: str) -> dict[str, str]:
    source, target = part.split("-", 1)
    outward = source == run.spec.pivot
    return {"part": part, "direction": "en-xx" if outward else "xx-en", "language": target if outward else source}


def _manifest(run: Run, part: str) -> Manifest:
    manifest = run.manifest(part)
    if manifest is None:
        raise UserError(f"{run.run_id} has no part {part}; it has: {', '.join(run.languages())}.")
    return manifest
