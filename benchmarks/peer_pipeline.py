"""The peers' way to the same numbers: lm-evaluation-harness, then the research scripts, one process each.

Every stage runs as a whole process of the peers' own Python, as a user would start it, with torch's default
threads and the network switched off. The scripts are read from a folder given by the caller (`src` of
github.com/Kartik21/XLingAlignment, its `alignment` folder or the folder above; optionally a checkout of
github.com/cisnlp/MEXA), and none of their code is kept here. What they hard-code is replaced in a temporary
copy, and each replacement asserts how often it matched:

    script                                 replaced                     by                             times
    embed_extractor.py                     device='cuda'                the device of this run         2
    MEXA's embed_extractor.py              device='cuda'                the device of this run         3
    MEXA's embed_extractor.py              , use_auth_token=token       (transformers 5 lacks it)      2
    compute_dali_, compute_dalistrong_     range(32)                    range(layers)                  2
    compute_dali_, compute_dalistrong_     range(500 or 1511 or 900)    range(instances of this run)   1
    compute_mexa.py                        nothing

One thing is done in the scripts' favour: the XCOPA scripts want one English state file per language, and
here English is extracted once and hard-linked under those names.

    python benchmarks/peer_pipeline.py --model DIR --task xcopa --languages en sw --data DIR --scripts DIR \
        --python PEERS/bin/python --work NEW_DIR [--limit 20]

prints a JSON report, also left in WORK/report.json. Seconds are wall seconds; cpu_seconds sum user and
system time over cores; peak_mb is the resident peak of the stage's largest process (10^6 bytes, Linux).
`peer_results.py` reads the numbers from the work folder.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from peer_inputs import GROUPS, TASKS, PeerRun, write_definitions, write_texts

# A process inherits the memory peak of the one that starts it: a bare interpreter starts and measures each.
MEASURE = """
import json, os, subprocess, sys, time
with open(sys.argv[1], "wb") as log:
    start = time.perf_counter()
    child = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
print(json.dumps({"seconds": round(seconds, 3), "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 3),
    "peak_mb": round(usage.ru_maxrss * 1024 / 1e6, 1), "exit": os.waitstatus_to_exitcode(status)}))
"""


def environment(run: PeerRun) -> dict[str, str]:
    """The peers' environment: no network, a fresh cache in the work folder, default threads."""
    dropped = ("PYTHONPATH", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    offline = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")
    return kept | dict.fromkeys(offline, "1") | {"HF_HOME": str((run.work / "hf").resolve())}


def installed(run: PeerRun) -> dict[str, str]:
    """Versions of the peers' libraries, and under "tasks" the folder of lm-eval's task definitions."""
    code = """
import importlib.metadata, importlib.util, json, os
names = ("lm_eval", "torch", "transformers", "numpy", "scipy")
found = {name: importlib.metadata.version(name) for name in names}
found["tasks"] = os.path.join(os.path.dirname(importlib.util.find_spec("lm_eval").origin), "tasks")
print(json.dumps(found))"""
    done = subprocess.run([str(run.python), "-c", code], capture_output=True, check=True, text=True)
    return json.loads(done.stdout)


def patched(path: Path, target: Path, replacements: list[tuple[str, str, int]]) -> Path:
    """Write a script to `target` with each (old, new, expected count) applied; refuse another count."""
    text = path.read_text(encoding="utf-8")
    for old, new, expected in replacements:
        if (count := text.count(old)) != expected:
            raise ValueError(f"{path.name}: {old!r} occurs {count} times, expected {expected}")
        text = text.replace(old, new)
    target.write_text(text, encoding="utf-8")
    return target


def prepare_scripts(run: PeerRun, folder: Path, instances: int, layers: int) -> dict[str, Path]:
    """Patch the scripts of one task into `folder`; see the table at the top."""
    nested = run.scripts / "alignment"
    source = nested if nested.is_dir() else run.scripts
    extractor = (run.mexa_scripts or source) / "embed_extractor.py"
    changes = [("device='cuda'", f"device='{run.device}'", 3 if run.mexa_scripts else 2)]
    if run.mexa_scripts:
        changes.append((", use_auth_token=token", "", 2))
    scripts = {
        "extract": patched(extractor, folder / "embed_extractor.py", changes),
        "mexa": patched(source / "compute_mexa.py", folder / "compute_mexa.py", []),
    }
    loops = [
        ("range(32)", f"range({layers})", 2),
        (f"range({run.spec.instances})", f"range({instances})", 1),
    ]
    for key, prefix in (("dali", "compute_dali"), ("dali_s", "compute_dalistrong")):
        name = f"{prefix}_{run.task}.py"
        scripts[key] = patched(source / name, folder / name, loops)
    return scripts


def lm_eval_command(run: PeerRun, names: list[str]) -> list[str]:
    """Score all languages zero-shot in one process and log every sample."""
    folder = (run.work / "lm_eval").resolve()
    command = [str(run.python), "-m", "lm_eval", "run", "--model", "hf", "--device", run.device]
    command += ["--model_args", f"pretrained={run.model.resolve()},dtype=float32", "--tasks", ",".join(names)]
    command += [
        "--include_path",
        str(folder / "tasks"),
        "--output_path",
        str(folder / "out"),
        "--log_samples",
    ]
    command += ["--num_fewshot", "0", "--batch_size", str(run.batch_size)]
    return command + (["--limit", str(run.limit)] if run.limit else [])


def stages(run: PeerRun, names: list[str], scripts: dict[str, Path], instances: int) -> Iterator[tuple[str, list[str]]]:
    """(name, command line) of every stage in order; the name is its group, or group:language."""
    work, python = run.work.resolve(), str(run.python)
    yield "lm_eval", lm_eval_command(run, names)
    for kind in ("options", "premises"):
        command = [python, str(scripts["extract"]), "--model_name", str(run.model.resolve())]
        command += ["--data_path", str(work / "texts" / kind), "--num_sents", str(instances)]
        yield f"extract_{kind}", [*command, "--save_path", str(work / "states" / kind)]
    for group in ("dali", "dali_s"):
        for language in run.others:
            command = [python, str(scripts[group]), "--lang", language, "--save_path", f"{work / group}/"]
            yield f"{group}:{language}", [*command, "--embedding_path", f"{work / 'states' / 'options'}/"]
    command = [python, str(scripts["mexa"]), "--embedding_path", str(work / "states" / "premises")]
    command += ["--save_path", str(work / "mexa"), "--num_sents", str(instances)]
    command += ["--embedding_type", f"embd_{run.pooling.replace('_', '')}", "--dataset", run.task]
    if run.task == "xcopa":  # its branch takes one language and names the pivot itself
        for language in run.others:
            yield f"mexa:{language}", [*command, "--lang", language]
    else:
        yield "mexa", [*command, "--pivot", run.spec.stem]


def link_pivot(run: PeerRun, kind: str) -> None:
    """Give the one set of English XCOPA states the per-language names the scripts ask for."""
    folder = run.work / "states" / kind
    for path in sorted(folder.glob(f"{run.spec.stem}*.pkl")):
        for language in run.others:
            os.link(path, folder / path.name.replace(run.spec.stem, f"{run.spec.stem}{language}", 1))


def measure(name: str, command: list[str], run: PeerRun, cwd: Path) -> dict[str, float]:
    """Run one process to its end; its output goes to logs/<name>.log. Seconds, CPU seconds, peak MB."""
    log = (run.work / "logs" / f"{name.replace(':', '_')}.log").resolve()
    bare = [sys.executable, "-I", "-S", "-c", MEASURE, str(log), *command]
    done = subprocess.run(bare, cwd=cwd, env=environment(run), stdout=subprocess.PIPE, check=True, text=True)
    result = json.loads(done.stdout)
    if result.pop("exit") != 0:
        tail = log.read_text(encoding="utf-8", errors="replace")[-3000:]
        raise RuntimeError(f"stage {name} failed, end of {log}:\n{tail}")
    return result


def facts_of(run: PeerRun, versions: dict[str, str], texts: dict[str, dict[str, int]]) -> dict:
    """What a reader of the work folder must know: shapes, names, versions, counts of the texts."""
    if len(instances := {count["instances"] for count in texts.values()}) != 1:
        raise ValueError(f"the languages differ in length: {sorted(instances)}")
    states = json.loads((run.model / "config.json").read_text(encoding="utf-8"))["num_hidden_layers"] + 1
    return {
        "task": run.task,
        "protocol": run.protocol,
        "languages": run.languages,
        "pivot": run.spec.pivot,
        "stems": {language: run.stem(language) for language in run.languages},
        "options": run.spec.options,
        "instances": instances.pop(),
        "states": states,
        "dali_layers": run.layers or states - 1,
        "extractor": "MEXA" if run.mexa_scripts else "XLingAlignment",
        "mexa_pooling": run.pooling,
        "versions": versions,
        "texts": texts,
    }


def run_peers(run: PeerRun) -> dict:
    """Run every stage in `run.only` and return the report; refuses a work folder that is not empty."""
    if run.work.exists() and any(run.work.iterdir()):
        raise FileExistsError(f"{run.work} is not empty: the results of two runs must not mix")
    if run.spec.pivot not in run.languages:
        raise ValueError(f"the languages need the pivot {run.spec.pivot}")
    (run.work / "logs").mkdir(parents=True)
    versions = installed(run)
    tasks = Path(versions.pop("tasks"))
    facts = facts_of(run, versions, write_texts(run, tasks))
    (run.work / "run.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    measured = {}
    with tempfile.TemporaryDirectory(prefix="peers_") as folder:
        scripts = prepare_scripts(run, Path(folder), facts["instances"], facts["dali_layers"])
        for name, command in stages(run, write_definitions(run, tasks), scripts, facts["instances"]):
            if name.split(":")[0] not in run.only:
                continue
            print(f"[peers] {name}", file=sys.stderr, flush=True)
            measured[name] = measure(name, command, run, Path(folder))
            if run.task == "xcopa" and name.startswith("extract_"):
                link_pivot(run, name.removeprefix("extract_"))
    report = facts | {"stages": measured, "groups": totals(measured)}
    (run.work / "report.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    return report


def totals(measured: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Per stage group and for "all": summed seconds and CPU seconds, largest peak in MB."""
    groups = {group: [measured[name] for name in measured if name.split(":")[0] == group] for group in GROUPS}
    groups["all"] = list(measured.values())
    return {
        group: {
            "seconds": round(sum(row["seconds"] for row in rows), 3),
            "cpu_seconds": round(sum(row["cpu_seconds"] for row in rows), 3),
            "peak_mb": max(row["peak_mb"] for row in rows),
        }
        for group, rows in groups.items()
        if rows
    }


def main() -> None:
    """Command line: run the peers once and print the report."""
    parser = argparse.ArgumentParser(description="Run lm-eval and the research scripts on one task.")
    parser.add_argument("--task", choices=sorted(TASKS), required=True)
    parser.add_argument("--languages", nargs="+", required=True, help="codes of the data files, with English")
    for name in ("--model", "--data", "--scripts", "--python", "--work"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--mexa-scripts", type=Path, help="use this checkout's extractor: adds weighted means")
    parser.add_argument("--pooling", choices=("last_token", "weighted"), default="last_token")
    parser.add_argument("--limit", type=int, help="first instances only")
    parser.add_argument("--layers", type=int, help="states DALI covers; default: all but the last")
    parser.add_argument("--pivot-delimiter", default=" ", help="lm-eval's target_delimiter for English COPA")
    parser.add_argument("--keep-letters", action="store_true", help="see PeerRun")
    parser.add_argument("--protocol", choices=("letters", "options"), default="letters", help="of Belebele")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch-size", type=int, default=16, help="of lm-eval; the extractor has none")
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=GROUPS, help="stage groups to run")
    args = vars(parser.parse_args())
    run = PeerRun(**args | {"languages": tuple(args["languages"]), "only": tuple(args["only"])})
    print(json.dumps(run_peers(run), indent=1))


if __name__ == "__main__":
    main()
