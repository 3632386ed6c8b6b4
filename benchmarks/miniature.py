"""What the miniature model can do, as its card reports it: `python benchmarks/miniature.py MODEL [MODEL …]`.

Several models are seeds of one recipe, the shipped one first: means over them, intervals resampled by script. Prints
Markdown tables with a column per language, the largest share first.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sacrebleu.metrics import CHRF

from crossalign import tables
from crossalign.miniature.world import LANGUAGES, LINKS, PIVOT, SEEN, world
from crossalign.pipeline import run
from crossalign.planning import RunRequest
from crossalign.statistics import pearson, spearman
from crossalign.translation import tables as translation_tables
from crossalign.translation.planning import TranslationRequest

CHOICE_TASKS = ("miniature-copa", "miniature-story", "miniature-reading")
SENTENCES = "miniature-parallel"
DRAWS = 2000
ORDER = sorted(LANGUAGES, key=lambda code: -world(code).share)
OTHERS = [code for code in ORDER if code != PIVOT]


def script_of(instance_id: str) -> str:
    """The script an item asks about: of a passage on two people, the one that follows."""
    first, rest = instance_id.split(".", 1)
    return rest if "+" in first else first


def answers(finished: Any) -> pd.DataFrame:
    """One row per language and instance: script, kind, link, correct, DALI at the language's best layer by pooling."""
    rates = tables.best_layers(tables.rates(finished))
    frames = []
    for code in finished.languages():
        frame = tables.instances(finished, code)[["language", "instance_id", "correct", "tags"]]
        frame["script"] = [script_of(i) for i in frame["instance_id"]]
        frame["kind"], frame["link"] = ([t[place] for t in frame["tags"]] for place in (0, -1))
        if code != PIVOT:
            decisions = tables.instance_alignment(finished, code)
            for pooling in finished.spec.poolings:
                chosen = (rates["language"] == code) & (rates["pooling"] == pooling) & (rates["metric"] == "dali")
                layer = int(rates.loc[chosen, "layer"].iloc[0])
                mine = (decisions["pooling"] == pooling) & (decisions["metric"] == "dali")
                here = decisions[mine & (decisions["layer"] == layer)]
                frame[pooling] = here["aligned"].astype(float).to_numpy()
        frames.append(frame.assign(correct=frame["correct"].astype(float)))
    return pd.concat(frames, ignore_index=True)


def resampled(frame: pd.DataFrame, rng: np.random.Generator) -> tuple[float, float, float]:
    """Mean of `correct` with a 95 % interval that draws scripts with replacement."""
    by_script = frame.groupby("script")["correct"].agg(["sum", "count"]).to_numpy(float)
    drawn = rng.integers(0, len(by_script), (DRAWS, len(by_script)))
    sums = by_script[drawn].sum(axis=1)
    low, high = np.quantile(sums[:, 0] / sums[:, 1], (0.025, 0.975))
    return float(frame["correct"].mean()), float(low), float(high)


def accuracy_table(everything: pd.DataFrame) -> pd.DataFrame:
    """Rows: accuracy by task, whole, of each model, by link, and by kind of item among the facts that a language was shown."""
    rng = np.random.default_rng(1)
    rows = {}
    for task, mine in everything.groupby("task", sort=False):
        by_language = dict(list(mine.groupby("language")))
        means = {code: resampled(frame, rng) for code, frame in by_language.items()}
        for place, name in enumerate(("", "from", "to")):
            rows[task, name] = {code: triple[place] for code, triple in means.items()}
        by_model = mine.groupby(["model", "language"], sort=False)["correct"].mean().unstack()
        rows[task, "spread over models"] = by_model.std()
        rows |= {(task, str(model)): row for model, row in by_model.iterrows()}
        rows |= {(task, link): _mean_by_language(mine[mine["link"] == link]) for link in LINKS}
        shown = mine[mine["link"] == SEEN]
        rows |= {(task, f"{SEEN}, {kind}"): _mean_by_language(frame) for kind, frame in shown.groupby("kind")}
    return pd.DataFrame(rows).T[ORDER]


def _mean_by_language(frame: pd.DataFrame) -> pd.Series:
    return frame.groupby("language")["correct"].mean()


def cohorts(everything: pd.DataFrame) -> pd.DataFrame:
    """English right and other wrong, aligned and wrong, unaligned and right: instances per model, mean over models."""
    keys = ["model", "task", "instance_id"]
    pivot = everything[everything["language"] == PIVOT].set_index(keys)["correct"].rename("pivot_correct")
    rows = []
    for (task, code), frame in everything[everything["language"] != PIVOT].groupby(["task", "language"], sort=False):
        joined = frame.join(pivot, on=keys)
        models = joined["model"].nunique()
        right, aligned = joined["correct"] == 1, joined["last_token"] == 1
        row = {"task": task, "language": code}
        row["English right, other wrong"] = (~right & (joined["pivot_correct"] == 1)).sum() / models
        row["aligned, wrong"] = (aligned & ~right).sum() / models
        row["not aligned, right"] = (~aligned & right).sum() / models
        row["accuracy if aligned"] = joined.loc[aligned, "correct"].mean()
        row["accuracy if not"] = joined.loc[~aligned, "correct"].mean()
        rows.append(row)
    return pd.DataFrame(rows)


def alignment_table(finished: Any) -> pd.DataFrame:
    """The best layer of each metric beside the relabelled rate there."""
    best = tables.best_layers(tables.rates(finished))
    best = best[best["metric"].isin(["dali", "dali_s", "mexa", "mexa_t"])]
    return best[["language", "pooling", "metric", "layer", "rate", "relabelled_rate"]]


def alignment_rows(alignment: pd.DataFrame) -> pd.DataFrame:
    """Rows: mean rate at each model's best layer, that layer, the relabelled rate, the spread, and each model's rate."""
    rows = {}
    for key, mine in alignment.groupby(["pooling", "task", "metric"], sort=False):
        by_language = mine.groupby("language")
        rows[*key, ""] = by_language["rate"].mean()
        rows[*key, "layer"] = by_language["layer"].mean()
        rows[*key, "relabelled rate"] = by_language["relabelled_rate"].mean()
        rows[*key, "spread over models"] = by_language["rate"].std()
        by_model = mine.set_index(["model", "language"])["rate"].unstack()
        rows |= {(*key, str(model)): row for model, row in by_model.iterrows()}
    return pd.DataFrame(rows).T[OTHERS]


def correlation_table(accuracy: pd.DataFrame, alignment: pd.DataFrame, shares: dict[str, float]) -> pd.DataFrame:
    """Over the languages besides the pivot: mean accuracy against share, and against each metric's mean best rate."""
    rows = []
    share = np.array([shares[code] for code in OTHERS])
    for task in CHOICE_TASKS:
        y = accuracy.loc[(task, ""), OTHERS].to_numpy(float)
        rows.append((task, "share", "", spearman(share, y).r, np.nan))
        mine = alignment[alignment["task"].isin([task, SENTENCES])]
        means = mine.groupby(["pooling", "metric", "language"])["rate"].mean()
        for (pooling, metric), rate in means.groupby(level=[0, 1]):
            x = rate.droplevel([0, 1]).reindex(OTHERS).to_numpy()
            rows.append((task, metric, pooling, spearman(x, y).r, pearson(x, y).r))
    return pd.DataFrame(rows, columns=["task", "against", "pooling", "Spearman", "Pearson"])


def translation_table(model: Path, cache: Path) -> pd.DataFrame:
    """Greedy translation of unseen combinations: corpus chrF++ against the reference and against another sentence's."""
    request = TranslationRequest(str(model), SENTENCES, shots=0, direction="both", device="cpu", cache=cache)
    finished = run(request)
    rows = []
    for part in finished.languages():
        frame = translation_tables.translations(finished, part)
        scores = {"chrF++": frame["reference"], "wrong reference": frame["reference"].to_numpy()[::-1]}
        row = {"direction": frame["direction"].iloc[0], "language": frame["language"].iloc[0]}
        row["exact"] = float((frame["output"].str.strip() == frame["reference"]).mean())
        for name, references in scores.items():
            row[name] = CHRF(word_order=2).corpus_score(frame["output"].tolist(), [list(references)]).score
        rows.append(row)
    return pd.DataFrame(rows)


def main() -> int:
    """Computes all runs in a temporary cache and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--cache", type=Path, help="keep the runs here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        frames, alignments, translated, shares = [], [], [], {}
        for model in options.models:
            translated.append(translation_table(model, options.cache or Path(temporary)))
            for task in (*CHOICE_TASKS, SENTENCES):
                finished = run(RunRequest(str(model), task, cache=options.cache or Path(temporary), device="cpu"))
                alignments.append(alignment_table(finished).assign(task=task, model=str(model)))
                shares = finished.facts["training_shares"]
                if task != SENTENCES:
                    frames.append(answers(finished).assign(task=task, model=str(model)))
    everything, alignment = pd.concat(frames, ignore_index=True), pd.concat(alignments, ignore_index=True)
    accuracy = accuracy_table(everything)
    by_part = pd.concat(translated).groupby(["direction", "language"], sort=False)
    means = by_part.mean().assign(**{"chrF++, lowest model": by_part["chrF++"].min()})
    print(_markdown(accuracy))
    print(_markdown(alignment_rows(alignment)))
    print(_markdown(means.stack().unstack("language")[OTHERS]))
    print(_markdown(cohorts(everything).set_index(["task", "language"]).stack().unstack("language")[OTHERS]))
    print(_markdown(correlation_table(accuracy, alignment, shares).set_index(["task", "against", "pooling"])))
    return 0


def _markdown(frame: pd.DataFrame) -> str:
    keys = [key if isinstance(key, tuple) else (key,) for key in frame.index]
    rows = [[*key, *map(_cell, values)] for key, values in zip(keys, frame.to_numpy(), strict=True)]
    head = [*(name or "" for name in frame.index.names), *map(str, frame.columns)]
    return "\n" + "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.2f}"
    return str(value)


if __name__ == "__main__":
    raise SystemExit(main())
