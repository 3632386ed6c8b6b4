"""Published results at the level of languages, to set one's own model beside: Llama-3.1-8B base, 5-shot, last token.

`accuracy.csv` and `alignment.csv` hold counts made from the results that were released with Ravisankar et al. 2025 (arXiv
2504.09378); their first lines say from where and how. `python benchmarks/reference_table.py DIR` makes them again.
"""

# pyright: reportArgumentType=false, reportReturnType=false, reportCallIssue=false

from __future__ import annotations

from pathlib import Path

import pandas as pd

from crossalign.languages import language
from crossalign.schema import UserError
from crossalign.statistics import rate_of_counts

MODEL = "meta-llama/Llama-3.1-8B"

N_LAYERS = 32
"""Layers of that model: layer 32 comes after the final norm. The published correlations are over layers 0 to 31."""

METRICS = ("dali", "dali_s", "mexa_t", "mexa")
"""Metrics with published figures here."""

CITATION = (
    "Ravisankar, Han, Wiegreffe, Carpuat: Can you map it to English? The Role of Cross-Lingual Alignment in Multilingual "
    "Performance of LLMs. arXiv 2504.09378. Llama-3.1-8B base, 5-shot, last token."
)

TASKS = ("xcopa", "belebele")
"""Tasks with published figures here."""

COVERAGE = "Included are XCOPA (9 languages) and 25 languages of Belebele; the paper's XStoryCloze is not."

CAVEATS = {
    "xcopa": "The English side is a machine translation of each language with 'because' for all 500 items, and connectors in "
    "Chinese, Thai, Turkish and Swahili are wrong for part of them, which changes alignment.",
    "belebele": "Accuracy is that of the letters A to D, alignment that of the option texts.",
}
"""Task → what is known to be odd about the published figures, to be shown beside them."""

COLUMNS = {
    "language": "code of the task's data",
    "name": "English name",
    "accuracy": "share of right predictions (unnormalised, lm-evaluation-harness)",
    "accuracy_low": "lower end of its 95 % interval",
    "accuracy_high": "upper end of its 95 % interval",
    "accuracy_n": "instances behind the accuracy",
    "metric": "dali, dali_s, mexa_t, or mexa (on 100 FLORES sentences); null where only the accuracy is known",
    "layer": "layer, 0 is the embeddings; DALI and DALI_S lack the last one",
    "rate": "share of aligned instances",
    "low": "lower end of its 95 % interval",
    "high": "upper end of its 95 % interval",
    "n": "instances behind the rate",
}


def reference_table(task: str) -> pd.DataFrame:
    """The published figures of a task: one row per language, metric and layer, columns as in COLUMNS.

    Accuracy is the same on all rows of a language. Intervals are Wilson's for independent instances; that several
    Belebele questions share a passage is not in the released counts, so there they are a little too narrow.

    Raises:
        UserError: no figures for this task; the message says for which there are.
    """
    if task not in TASKS:
        raise UserError(f"There are no published figures for {task}; there are for {', '.join(TASKS)}.")
    accuracy, counts = (pd.read_csv(_file(name), comment="#") for name in ("accuracy", "alignment"))
    layers = [c for c in counts.columns if c.isdigit()]
    keys = ["task", "language", "metric", "n"]
    rates = counts.melt(keys, layers, "layer", "aligned").dropna(subset="aligned").astype({"layer": "int16"})
    rates[["rate", "low", "high"]] = [
        rate_of_counts(a, n)[:3] for a, n in zip(rates["aligned"], rates["n"], strict=True)
    ]
    names = ["accuracy", "accuracy_low", "accuracy_high", "accuracy_n"]
    accuracy[names] = [rate_of_counts(c, n) for c, n in zip(accuracy["correct"], accuracy["n"], strict=True)]
    accuracy["name"] = [language(code).name for code in accuracy["language"]]
    merged = accuracy.drop(columns="n").merge(rates, on=["task", "language"], how="left")
    ordered = merged[merged["task"] == task].sort_values(["language", "metric", "layer"], ignore_index=True)
    return ordered[list(COLUMNS)].astype({"layer": "Int16", "n": "Int32", "accuracy_n": "int32"})


def _file(name: str) -> Path:
    return Path(__file__).with_name(f"{name}.csv")
