"""Do we get the peers' numbers? Compares a run of crossalign with lm-eval and the published scripts, text by text.

    python benchmarks/parity.py --peers WORK --model FOLDER --data DIR

WORK is a finished work folder of `peer_pipeline.py` (made with --layers L+1, --pivot-delimiter "" and MEXA's
extractor). The same task, languages and limit are computed here, and a table says for each quantity how far apart the
two sides are. Exits with 1 when a number is outside its tolerance.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import peer_results as peers
from safetensors import safe_open

from crossalign import tables
from crossalign.store import parts
from crossalign.store.runs import Run, list_runs

LOGLIK_TOLERANCE = 1e-3
STATE_TOLERANCE = 1e-4
FLOAT32_TIE = 2e-6
"""The scripts compare cosines in float32 near 1, where neighbouring numbers are 6e-8 apart and a dot product of some
hundred terms is uncertain by this much; a margin below it is a tie to them."""


class Row(NamedTuple):
    """One line of the table."""

    language: str
    quantity: str
    compared: int
    difference: str
    sound: bool


def ours(options: argparse.Namespace, facts: dict, cache: Path) -> Run:
    """Computes the run that the peers computed, through the command line."""
    arguments = ["--model", str(options.model), "--task", facts["task"], "--data", str(options.data)]
    arguments += ["--languages", ",".join(facts["languages"]), "--limit", str(facts["instances"])]
    arguments += ["--cache", str(cache), "--keep-states", "float32", "--json"]
    if facts["task"] == "xcopa":
        arguments += ["--protocol", "harness", "--connectors", "data"]
    if facts["task"] == "belebele":
        arguments += ["--protocol", facts["protocol"]]
    command = [sys.executable, "-m", "crossalign", "run", *arguments]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[1], stdout=subprocess.DEVNULL)
    return list_runs(cache)[0][0]


def order(run: Run, language: str, options: argparse.Namespace) -> np.ndarray:
    """Position in the upstream file of each of our instances (we put instances of a passage side by side)."""
    from crossalign import tasks

    task = tasks.find_task(run.spec.task)
    rows = tasks.reader(task, options.data)(language, "test")
    places = {task.instance(row, language, run.spec.protocol).instance_id: i for i, row in enumerate(rows)}
    ids = parts.read_table(run, language, "instances.parquet")["instance_id"].to_pylist()
    return np.array([places[i] for i in ids])


def scores(run: Run, language: str, places: np.ndarray, work: Path) -> list[Row]:
    """Log-likelihoods and predictions."""
    theirs = peers.loglikelihoods(work)[language]
    expected = np.array([theirs[int(p)] for p in places])
    mine = tables.option_scores(run, language)["loglik"].to_numpy().reshape(expected.shape)
    worst = float(np.abs(mine - expected).max())
    changed = int((mine.argmax(1) != expected.argmax(1)).sum())
    return [
        Row(language, "log-likelihood (nats)", expected.size, f"{worst:.1e}", worst <= LOGLIK_TOLERANCE),
        Row(language, "predictions changed", len(expected), str(changed), changed == 0),
    ]


def states(run: Run, language: str, places: np.ndarray, work: Path) -> list[Row]:
    """Pooled states of both poolings, relative to the vector's largest value."""
    rows = []
    for pooling, name in (("last_token", "last_token"), ("weighted_mean", "weighted")):
        path = run.part_folder(language) / parts.states_file(pooling)
        with safe_open(path, framework="np") as file:
            layers = range(run.facts["n_layers"] + 1)
            options = np.stack([file.get_tensor(f"options.{i}") for i in layers], axis=2)
            premises = np.stack([file.get_tensor(f"premises.{i}") for i in layers], axis=1)
        pairs = ((options, peers.option_states(work, name)), (premises, peers.premise_states(work, name)))
        for what, (mine, theirs) in zip(("options", "premises"), pairs, strict=True):
            expected = theirs[language][places]
            relative = np.abs(mine - expected).max(-1) / np.abs(expected).max(-1)
            worst = float(relative.max())
            rows.append(
                Row(language, f"states of {what}, {pooling}", relative.size, f"{worst:.1e}", worst <= STATE_TOLERANCE)
            )
    return rows


def decisions(run: Run, language: str, places: np.ndarray, work: Path) -> list[Row]:
    """DALI, DALI_S and MEXA_T decisions; differences where our margin is within the scripts' rounding are ties."""
    layers = tables.alignment(run, language, "last_token")
    if layers is None:
        return []
    gold = tables.instances(run, language)["gold"].to_numpy(int)
    margins = layers.margins(gold)
    theirs = {"dali": peers.dali(work), "dali_s": peers.dali_s(work), "mexa_t": peers.mexa(work)}
    rows = []
    for metric, results in theirs.items():
        expected = results[language][places]
        mine = margins[metric][:, : expected.shape[1]]
        different = (mine > 0) != (expected > 0)
        ties = np.abs(mine) <= FLOAT32_TIE
        outside = int((different & ~ties).sum())
        text = f"{outside} ({int((different & ties).sum())} of {int(ties.sum())} ties)"
        rows.append(Row(language, f"{metric} decisions changed", expected.size, text, outside == 0))
    return rows


def main() -> int:
    """Prints the table; 1 when something is outside its tolerance."""
    parser = argparse.ArgumentParser(description="Compare crossalign with lm-eval and the published scripts.")
    for name in ("--peers", "--model", "--data"):
        parser.add_argument(name, type=Path, required=True)
    options = parser.parse_args()
    facts = json.loads((options.peers / "run.json").read_text(encoding="utf-8"))
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="parity_") as folder:
        run = ours(options, facts, Path(folder))
        for language in facts["languages"]:
            places = order(run, language, options)
            for compare in (scores, states, decisions):
                rows += compare(run, language, places, options.peers)
    width = max(len(r.quantity) for r in rows)
    print(f"{facts['task']}, {facts['instances']} instances")
    for row in rows:
        verdict = "ok" if row.sound else "OUTSIDE"
        print(f"{row.language:9} {row.quantity:{width}} {row.compared:8} {row.difference:>24} {verdict}")
    return 0 if all(row.sound for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
