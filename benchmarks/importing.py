"""How long an import takes, and how much memory: a release as it is, and logs grown to a gigabyte.

    python benchmarks/importing.py DIR [--megabytes 100 1000] [--folder EMPTY]

DIR holds the released results of the DALI paper, logs of lm-evaluation-harness, or both. First everything in it is
imported. Then its logs are grown: the lines of each samples file are written again and again under new numbers, until all
files together have the size asked for; a run of two sizes shows whether memory grows with the logs. Each import is a
process of its own into an empty cache; its peak memory is what the system says (ru_maxrss).
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]

MEASURE = """
import json, os, subprocess, sys, time
with open(sys.argv[1], "wb") as log:
    start = time.perf_counter()
    child = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
print(json.dumps([seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6, os.waitstatus_to_exitcode(status)]))
"""
"""A process that has read nothing yet: a child's peak would otherwise count what its parent held when it was started."""


class Import(NamedTuple):
    """One import: seconds by the clock and of processor time, peak megabytes, and what it wrote."""

    seconds: float
    processor: float
    peak_mb: float
    runs: int
    items: int


def timed_import(kind: str, source: Path, work: Path) -> Import | None:
    """Imports a folder into an empty cache; None where it holds nothing of the kind."""
    with tempfile.TemporaryDirectory(prefix="cache_", dir=work) as cache:
        log = Path(cache, "log")
        command = [
            sys.executable,
            "-m",
            "crossalign",
            "import",
            kind,
            str(source),
            "--cache",
            f"{cache}/cache",
            "--json",
        ]
        bare = [sys.executable, "-I", "-S", "-c", MEASURE, str(log), *command]
        done = subprocess.run(bare, cwd=ROOT, capture_output=True, text=True, check=True)
        *measured, code = json.loads(done.stdout)
        if code not in (0, 1):  # 1: something was left out, and told
            print(f"import {kind}: {log.read_text(encoding='utf-8').strip().splitlines()[-1]}")
            return None
        runs = list(Path(cache, "cache").glob("*/run.json"))
        manifests = Path(cache, "cache").glob("*/parts/*/manifest.json")
        seconds, processor, peak = measured
        return Import(
            seconds, processor, peak, len(runs), sum(json.loads(m.read_text(encoding="utf-8"))["n"] for m in manifests)
        )


def samples_below(folder: Path) -> list[Path]:
    """The samples files that stand beside a results file of the same time, one per task: the first of each."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("samples_*.jsonl")):
        match = re.fullmatch(r"samples_(.+)_([\dT.:-]+)\.jsonl", path.name)
        if match and path.with_name(f"results_{match[2]}.json").is_file():
            found.setdefault(match[1], path)
    return list(found.values())


def grow(samples: list[Path], target: Path, megabytes: float) -> None:
    """Writes logs of about this size, the same lines under new numbers, with results files to match."""
    share = megabytes * 1e6 / len(samples)
    for path in samples:
        task, time = re.fullmatch(r"samples_(.+)_([\dT.:-]+)\.jsonl", path.name).groups()  # type: ignore[union-attr]
        folder = target / task
        folder.mkdir(parents=True)
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        copies, right = 0, sum(float(line.get("acc", 0)) for line in lines) / len(lines)
        with (folder / path.name).open("w", encoding="utf-8") as file:
            while file.tell() < share:
                for line in lines:
                    file.write(json.dumps(_renumbered(line, copies * len(lines)), ensure_ascii=False) + "\n")
                copies += 1
        record = json.loads(path.with_name(f"results_{time}.json").read_text(encoding="utf-8"))
        counts = {"original": copies * len(lines), "effective": copies * len(lines)}
        record |= {"n-samples": {task: counts}, "results": {task: record["results"][task] | {"acc,none": right}}}
        (folder / f"results_{time}.json").write_text(json.dumps(record), encoding="utf-8")


def _renumbered(line: dict[str, Any], offset: int) -> dict[str, Any]:
    doc = line["doc"]
    moved = {key: doc[key] + offset for key in ("idx", "question_number") if isinstance(doc.get(key), int)}
    moved |= {key: f"{doc[key]}-{offset}" for key in ("story_id", "link") if key in doc}
    return line | {"doc_id": line["doc_id"] + offset, "doc": doc | moved}


def show(name: str, found: Import | None) -> None:
    """One line of the table."""
    if found is not None:
        print(
            f"{name:34} {found.seconds:7.1f} s {found.processor:7.1f} s of processor time, peak {found.peak_mb:5.0f} MB, "
            f"{found.runs} runs, {found.items:,} items"
        )


def main() -> None:
    """Imports what is there, then logs of the sizes asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, metavar="DIR", help="released results or logs")
    parser.add_argument("--megabytes", type=float, nargs="*", default=[100, 1000], help="sizes of the grown logs")
    parser.add_argument("--folder", type=Path, help="where caches and logs are made, and removed again")
    options = parser.parse_args()
    files = [p for p in options.source.rglob("*") if p.is_file()]
    print(f"{options.source}: {len(files)} files, {sum(p.stat().st_size for p in files) / 1e6:.0f} MB")
    with tempfile.TemporaryDirectory(prefix="importing_", dir=options.folder) as folder:
        work = Path(folder)
        for kind in ("published", "lm-eval"):
            show(f"import {kind}, everything there", timed_import(kind, options.source, work))
        samples = samples_below(options.source)
        for megabytes in options.megabytes if samples else ():
            with tempfile.TemporaryDirectory(prefix="logs_", dir=work) as logs:
                grow(samples, Path(logs), megabytes)
                size = sum(p.stat().st_size for p in Path(logs).rglob("*.jsonl")) / 1e6
                show(f"import lm-eval, {size:,.0f} MB of logs", timed_import("lm-eval", Path(logs), work))


if __name__ == "__main__":
    main()
