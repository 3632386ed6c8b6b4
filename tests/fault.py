"""Helpers of the tests that break things: commands that can be killed in the middle, and small damaged inputs.

Run as a script it is a server: it imports the package once and forks a process for each command, so that a kill costs
a fraction of a second and not the seconds that importing torch takes.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}

RUNNING = 1000

CHANGES = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir")
"""Audit events of the interpreter that change the file system."""


class Job:
    """A command that runs in its own process; its output lies in files."""

    def __init__(self, server: Server, pid: int, stem: Path) -> None:
        self.server, self.pid, self.stem = server, pid, stem

    def kill(self, number: int = signal.SIGKILL) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self) -> int:
        """The exit status; -9 for a killed process."""
        return self.server.ask({"wait": self.pid, "how": 0})

    def wait_for(self, text: str) -> None:
        """Returns when the command has said something, or is over."""
        while text not in self.errors and self.server.ask({"wait": self.pid, "how": os.WNOHANG}) == RUNNING:
            time.sleep(0.003)

    @property
    def errors(self) -> str:
        path = self.stem.with_suffix(".err")
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    @property
    def events(self) -> list[dict]:
        """What `--json` reported so far."""
        return events_in(self.errors)


class Server:
    """Starts commands cheaply; see the module.

    Args:
        with_scores: have what scores translations in memory too.
    """

    def __init__(self, folder: Path, with_scores: bool = False) -> None:
        self.folder, self.count = folder, 0
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(with_scores)], env=os.environ | ENVIRONMENT, **pipes
        )

    def ask(self, question: dict) -> int:
        print(json.dumps(question), file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())

    def start(self, arguments: Iterable[str], *die_before: str | int) -> Job:
        """Starts a command; `die_before` are the arguments of `_die_before`."""
        self.count += 1
        stem = self.folder / f"job-{self.count}"
        return Job(self, self.ask({"arguments": list(arguments), "stem": str(stem), "die_before": die_before}), stem)

    def run(self, arguments: Iterable[str]) -> Job:
        """Runs a command to its end, which must be a good one."""
        job = self.start(arguments)
        status = job.wait()
        assert status == 0, job.errors
        return job

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(timeout=20)


def events_in(text: str) -> list[dict]:
    """The JSON lines of a text; a killed process may leave half a line."""
    found = []
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return [e for e in found if isinstance(e, dict)]


def advanced(events: Iterable[dict]) -> dict[str, int]:
    """Stage → instances that were computed in it."""
    totals: dict[str, int] = {}
    name = ""
    for event in events:
        if event["event"] == "stage":
            name = event["name"]
        elif event["event"] == "advance":
            totals[name] = totals.get(name, 0) + event["amount"]
    return totals


def run_folder(cache: Path) -> Path:
    """The folder of the only run in a cache."""
    (path,) = cache.glob("*/run.json")
    return path.parent


def parts_of(cache: Path) -> dict[str, Any]:
    """Path within the run → content, for all complete parts; manifests without times and machine."""
    folder = run_folder(cache) / "parts"
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and not name.startswith("."):
            found[name] = path.read_bytes()
            if path.name == "manifest.json":  # its own digest, if it has one, covers the times too
                found[name] = {k: v for k, v in json.loads(found[name]).items() if k not in ("provenance", "digest")}
    return found


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Path → time of change and size of every file below a folder."""
    files = (p for p in sorted(folder.rglob("*")) if p.is_file())
    return {str(p.relative_to(folder)): (p.stat().st_mtime_ns, p.stat().st_size) for p in files}


def temporaries(cache: Path) -> list[str]:
    """Names that unfinished writing leaves."""
    return [str(p.relative_to(cache)) for p in cache.rglob("*") if p.name.endswith(".tmp")]


@contextlib.contextmanager
def mounted(folder: Path, size: str) -> Iterator[Callable[[str], None]]:
    """A small file system of its own; yields a function that mounts it anew with other options. Needs root."""
    import pytest

    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    made = os.geteuid() == 0 and subprocess.run(command, capture_output=True).returncode == 0
    if not made:
        pytest.skip("mounting a small file system needs root")
    try:
        yield lambda options: subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True) and None
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def said(capsys: Any) -> str:
    """The one sentence a command that failed has told on standard error, after checking that it is one."""
    errors = capsys.readouterr().err
    assert "Traceback" not in errors
    lines = [line for line in errors.splitlines() if line.startswith("crossalign: ")]
    assert len(lines) == 1, errors
    assert errors.splitlines()[-1] == lines[0], errors
    assert lines[0].rstrip().endswith((".", "'all'")), lines[0]
    return lines[0]


def write_xcopa(folder: Path, count: int, languages: Iterable[str] = ("en", "it", "sw"), first: int = 0) -> Path:
    """A data folder with XCOPA rows `first`…, ids from 0, and a development split of five."""
    from conftest import xcopa_row

    for language in languages:
        inside = folder / ("copa_en" if language == "en" else f"xcopa/{language}")
        inside.mkdir(parents=True, exist_ok=True)
        for split, numbers in (("test", range(first, first + count)), ("val", range(900, 905))):
            rows = (json.dumps(xcopa_row(language, i), ensure_ascii=False) + "\n" for i in numbers)
            (inside / f"{split}.{language}.jsonl").write_text("".join(rows), encoding="utf-8")
    return folder


def write_belebele(folder: Path, questions: Iterable[tuple[int, int]]) -> Path:
    """A data folder with Belebele rows (passage, question number) in English and Swahili."""
    folder.mkdir(parents=True, exist_ok=True)
    for code in ("eng_Latn", "swh_Latn"):
        rows = []
        for passage, number in questions:
            text = f"{code} passage {passage}, which is long enough to be worth sharing between its questions."
            row = {"link": f"p{passage}", "question_number": number, "flores_passage": text, "dialect": code}
            row |= {f"mc_answer{i}": f"Answer {i * (passage + number + 1)}" for i in range(1, 5)}
            rows.append(row | {"question": f"What is {number}?", "correct_answer_num": str(number % 4 + 1)})
        (folder / f"{code}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    return folder


def edit(data: Path, language: str, line: int, change: dict | bytes) -> Path:
    """Changes fields of a row (`...` removes one), or replaces its line; returns the file."""
    (path,) = (p for p in data.rglob(f"*{language}.jsonl") if not p.name.startswith("val."))
    lines = path.read_bytes().split(b"\n")
    if isinstance(change, dict):
        row = json.loads(lines[line]) | change
        change = json.dumps({k: v for k, v in row.items() if v is not ...}).encode()
    lines[line] = change
    path.write_bytes(b"\n".join(lines))
    return path


def request_for(model: Path, data: Path, cache: Path, /, **changes: Any) -> Any:
    """A request on a CPU for Italian and Swahili XCOPA with the model of a folder."""
    from dataclasses import replace

    from crossalign.planning import RunRequest

    request = RunRequest(str(model), "xcopa", ("it", "sw"), data=data, device="cpu", cache=cache)
    return replace(request, **changes)


def flip(path: Path, position: int) -> None:
    """Changes one bit of one byte."""
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def truncate(path: Path) -> None:
    """Leaves the first half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _child(question: dict) -> None:
    """Becomes the command; never returns."""
    for number, suffix in ((1, ".out"), (2, ".err")):
        os.dup2(os.open(question["stem"] + suffix, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    if question["die_before"]:
        _die_before(*question["die_before"])
    from crossalign.__main__ import main

    # A shell without job control starts what runs in the background with interrupts ignored, and children inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    status = 70
    try:
        status = main(question["arguments"])
    except BaseException:
        import traceback

        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _die_before(events: str, path: str, count: int = 1, number: int = signal.SIGKILL) -> None:
    """Sends this process a signal just before the count-th change of the file system that fits."""
    left = [count]

    def hook(event: str, arguments: tuple) -> None:
        if event not in CHANGES or not re.search(events, event) or not re.search(path, str(arguments[0])):
            return
        if event == "open" and str(arguments[1])[:1] not in "wax":
            return
        left[0] -= 1
        if left[0] == 0 and number == signal.SIGINT:
            os.kill(os.getpid(), number)
        elif left[0] == 0:
            # To this thread: sent to the process, it may reach another thread first, while this one makes the change.
            signal.pthread_kill(threading.get_ident(), number)

    sys.addaudithook(hook)


def _status(known: dict[int, int], pid: int, how: int) -> int:
    """The exit status of a child, or RUNNING."""
    if pid not in known:
        done, status = os.waitpid(pid, how)
        if not done:
            return RUNNING
        known[pid] = os.waitstatus_to_exitcode(status)
    return known[pid]


def _serve() -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM  # noqa: F401

    import crossalign.commands
    import crossalign.computation
    import crossalign.tables
    import crossalign.translation.computation

    if sys.argv[1] == str(True):
        from sacrebleu.metrics import bleu, chrf  # noqa: F401

        crossalign.translation.checks._identifier()
    torch.set_num_threads(1)
    # The choice of kernel is measured, so two fresh runs may differ in it; here every run makes the same.
    for module in (crossalign.computation, crossalign.translation.computation):
        module.choose_linear = lambda model, rows: ("torch", "fixed by the test")
    known: dict[int, int] = {}
    for line in sys.stdin:
        question = json.loads(line)
        if "wait" in question:
            answer = _status(known, question["wait"], question["how"])
        else:
            answer = os.fork()
            if answer == 0:
                _child(question)
        print(answer, flush=True)


if __name__ == "__main__":
    _serve()
