"""How much faster than the peers? Both sides do the same work in one run, as whole processes, one after the other.

    python benchmarks/peers.py --model FOLDER --data DIR --scripts XLING/src --mexa-scripts MEXA --python PEERS/bin/python

The peers are lm-evaluation-harness (batch 16) for the log-likelihoods, and the published scripts for hidden states, DALI,
DALI_S and MEXA. Make the model with `bench_model.py`. Leave the machine alone meanwhile; ratios are what counts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import torch
from peer_inputs import PeerRun
from peer_pipeline import MEASURE, run_peers

from crossalign import tables
from crossalign.forward.kernels import PrepackedLinear
from crossalign.store.runs import list_runs

ROOT = Path(__file__).parents[1]

WORK = (
    ("xcopa", ("en", "it", "sw", "th")),
    ("xstorycloze", ("en", "es")),
    ("belebele", ("eng_Latn", "spa_Latn", "swh_Latn")),
)


CEILING_ROWS, SUSTAINED = 1024, 2.0
"""Rows of the product that is the ceiling, and seconds over which it is measured, for each kernel."""


class Operations(NamedTuple):
    """Of a model: per token of the layers, and per scored position of the head; and the shape of the largest layer."""

    token: int
    scored: int
    largest: tuple[int, int]


def model_operations(folder: Path) -> Operations:
    """Counted from the model's configuration."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    hidden, inner, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    heads = config["num_attention_heads"]
    share = config["num_key_value_heads"] / heads
    attention = hidden * hidden * (2 + 2 * share)
    body = 2 * layers * (attention + 3 * hidden * inner)
    return Operations(int(body), 2 * hidden * config["vocab_size"], (inner, hidden))


class Ceiling(NamedTuple):
    """Operations per second of the fastest matrix product of a layer: of the best call, and of all calls of a while.

    A machine may run faster for a moment than it can for long: what a run can reach is the second.
    """

    best: float
    sustained: float


def ceiling(shape: tuple[int, int], rows: int) -> Ceiling:
    """Measures the layer's products by the plain kernel and by the prepacked one, and takes the faster."""
    layer = torch.nn.Linear(shape[1], shape[0], bias=False)
    x = torch.randn(rows, shape[1])
    operations, found = 2 * rows * shape[0] * shape[1], []
    with torch.inference_mode():
        kernels: list[torch.nn.Module] = [layer]
        try:
            kernels.append(PrepackedLinear(layer, rows))
        except (RuntimeError, AttributeError, NotImplementedError):
            print("no prepacked kernel on this machine")
        for kernel in kernels:
            kernel(x)
            times: list[float] = []
            while sum(times) < SUSTAINED:
                began = time.perf_counter()
                kernel(x)
                times.append(time.perf_counter() - began)
            found.append(Ceiling(operations / min(times), operations * len(times) / sum(times)))
    return Ceiling(*(max(column) for column in zip(*found, strict=True)))


class Ours(NamedTuple):
    """One run of crossalign: wall seconds of the process, peak MB, and what its manifests say."""

    seconds: float
    peak_mb: float
    forward: float
    alignment: float
    tokens: int
    padded: int
    separate: int
    scored_positions: int
    ceilings: tuple[Ceiling, Ceiling]

    def products(self, operations: Operations) -> str:
        """What the matrix products of the forward stage reached of the ceilings just before and after the run."""
        work = self.tokens * operations.token + self.scored_positions * operations.scored
        speed, sustained = work / self.forward, max(c.sustained for c in self.ceilings)
        best = max(c.best for c in self.ceilings)
        return (
            f"matrix products {speed / 1e9:.0f} GFLOP/s: {speed / sustained:.0%} of the {sustained / 1e9:.0f} that the machine "
            f"sustains, {speed / best:.0%} of the {best / 1e9:.0f} of its best call"
        )


def crossalign_run(
    options: argparse.Namespace, task: str, languages: tuple[str, ...], limit: int | None, largest: tuple[int, int]
) -> Ours:
    """Runs the command line in a fresh cache and reads the manifests it leaves."""
    with tempfile.TemporaryDirectory(prefix="ours_") as folder:
        command = [sys.executable, "-m", "crossalign", "run", "--model", str(options.model), "--task", task, "--json"]
        command += ["--data", str(options.data), "--languages", ",".join(languages), "--cache", f"{folder}/cache"]
        command += ["--limit", str(limit)] if limit else []
        command += ["--protocol", "harness", "--connectors", "data"] if task == "xcopa" else []
        command += ["--protocol", options.protocol] if task == "belebele" else []
        bare = [sys.executable, "-I", "-S", "-c", MEASURE, f"{folder}/log", *command]
        before = ceiling(largest, CEILING_ROWS)
        measured = json.loads(subprocess.run(bare, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
        if measured["exit"]:
            raise RuntimeError(Path(folder, "log").read_text(encoding="utf-8")[-2000:])
        ceilings = before, ceiling(largest, CEILING_ROWS)
        run = list_runs(Path(folder, "cache"))[0][0]
        manifests = [m for m in map(run.manifest, run.languages()) if m]
        stages = [m.provenance["stages"] for m in manifests]
        counts = [m.counts for m in manifests]
        scored = sum(
            int(tables.option_scores(run, m.language)["n_tokens"].sum()) - (m.n_options - 1) * m.n for m in manifests
        )
    return Ours(
        measured["seconds"],
        measured["peak_mb"],
        sum(s["forward"] for s in stages),
        sum(s["alignment"] for s in stages),
        sum(c["tokens_run"] for c in counts),
        sum(c["tokens_with_padding"] for c in counts),
        sum(c["tokens_of_separate_texts"] for c in counts),
        scored,
        ceilings,
    )


def report(title: str, ours: Ours, peers: dict, operations: Operations) -> None:
    """One block of lines per task."""
    everything = peers["groups"]["all"]
    print(f"\n{title}: {peers['instances']} instances x {len(peers['languages'])} languages")
    for group, row in peers["groups"].items():
        print(f"  peers {group:17} {row['seconds']:9.1f} s  {row['peak_mb']:7.0f} MB")
    print(f"  crossalign              {ours.seconds:9.1f} s  {ours.peak_mb:7.0f} MB")
    print(f"  ratio                   {everything['seconds'] / ours.seconds:9.1f} x")
    without = everything["seconds"] - peers["groups"].get("mexa", {"seconds": 0})["seconds"]
    print(f"  ratio without MEXA      {without / ours.seconds:9.1f} x")
    print(
        f"  forward {ours.forward:.1f} s, alignment {ours.alignment:.2f} s ({ours.alignment / ours.seconds:.1%} of the run)"
    )
    print(f"  start-up and the rest {ours.seconds - ours.forward - ours.alignment:.1f} s")
    print(
        f"  tokens {ours.tokens} of {ours.separate} ({1 - ours.tokens / ours.separate:.0%} saved), padding {ours.padded / ours.tokens - 1:.1%}"
    )
    print(f"  {ours.products(operations)}")


def scaling(options: argparse.Namespace, task: str, languages: tuple[str, ...], n: int, operations: Operations) -> None:
    """Seconds and memory at 1, 2 and 4 times the instances."""
    for limit in (n // 4, n // 2, n):
        ours = crossalign_run(options, task, languages, limit, operations.largest)
        print(
            f"  {limit:5} instances: forward {ours.forward:6.2f} s, whole {ours.seconds:6.1f} s, {ours.peak_mb:5.0f} MB, "
            f"alignment {ours.alignment:.2f} s; {ours.products(operations)}"
        )


def main() -> None:
    """Runs both sides on each task and prints the table."""
    parser = argparse.ArgumentParser(description="Time crossalign beside its peers.")
    for name in ("--model", "--data", "--scripts", "--mexa-scripts", "--python"):
        parser.add_argument(name, type=Path, required=name not in ("--scripts", "--mexa-scripts", "--python"))
    parser.add_argument("--tasks", nargs="+", default=[task for task, _ in WORK])
    parser.add_argument("--limit", type=int, help="first instances only")
    parser.add_argument("--protocol", choices=("letters", "options"), default="letters", help="of Belebele")
    parser.add_argument("--keep", type=Path, help="folder that keeps the peers' work, for parity.py")
    parser.add_argument("--scaling", action="store_true", help="only ours, at 1, 2 and 4 times the instances")
    options = parser.parse_args()
    operations = model_operations(options.model)
    print(f"{torch.get_num_threads()} threads, {time.strftime('%Y-%m-%d')}")
    for task, languages in (w for w in WORK if w[0] in options.tasks):
        if options.scaling:
            print(f"\n{task}")
            scaling(options, task, languages, options.limit or 500, operations)
            continue
        ours = crossalign_run(options, task, languages, options.limit, operations.largest)
        with tempfile.TemporaryDirectory(prefix="peers_work_") as folder:
            layers = json.loads((options.model / "config.json").read_text(encoding="utf-8"))["num_hidden_layers"] + 1
            run = PeerRun(
                model=options.model,
                task=task,
                languages=languages,
                data=options.data,
                scripts=options.scripts,
                python=options.python,
                work=(options.keep or Path(folder)) / task,
                limit=options.limit,
                layers=layers,
                mexa_scripts=options.mexa_scripts,
                pivot_delimiter="",
                protocol=options.protocol,
            )
            peers = run_peers(run)
        title = f"{task} ({options.protocol})" if task == "belebele" else task
        report(title, ours, peers, operations)


if __name__ == "__main__":
    main()
