"""Nothing is lost: kills at any moment, processes side by side, full and read-only disks, languages added later."""

from __future__ import annotations

import errno
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import fault
import pytest
from fault import advanced, events_in, parts_of, run_folder, said, stamps, temporaries
from safetensors import safe_open

from crossalign import pipeline
from crossalign.__main__ import main
from crossalign.store import files, parts, runs

N = 30
"""Instances of each language; with 16 tokens a pass they make four chunks."""

PIPES = {"cwd": fault.ROOT, "env": os.environ | fault.ENVIRONMENT, "text": True, "stderr": -1, "stdout": -1}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fault.write_xcopa(tmp_path_factory.mktemp("resume") / "data", N)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = fault.Server(tmp_path_factory.mktemp("jobs"))
    yield started
    started.close()


@pytest.fixture(scope="module")
def command(tiny_folder: Path, data: Path) -> Callable[..., list[str]]:
    """The command of a run in a cache."""

    def make(cache: Path, *more: str) -> list[str]:
        fixed = f"run --model {tiny_folder} --task xcopa --data {data} --device cpu --batch-tokens 16 --json"
        return [*fixed.split(), "--cache", str(cache), *more]

    return make


@pytest.fixture(scope="module")
def undisturbed(server: fault.Server, command: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of a run that nobody disturbed."""
    cache = tmp_path_factory.mktemp("undisturbed") / "cache"
    assert advanced(server.run(command(cache)).events) == {"en": N, "it": N, "sw": N}
    return cache


@pytest.fixture
def started(undisturbed: Path, tmp_path: Path) -> Path:
    """A cache in which the run exists and English and Italian are finished."""
    cache = shutil.copytree(undisturbed, tmp_path / "cache")
    shutil.rmtree(run_folder(cache) / "parts" / "sw")
    return cache


def saved_instances(cache: Path) -> dict[str, int]:
    """Language → instances in the chunks that lie in a cache."""
    found: dict[str, int] = {}
    for path in cache.glob("*/work/*/*/chunk-*.safetensors"):
        language = path.parents[1].name
        with safe_open(path, framework="np") as file:
            found[language] = found.get(language, 0) + len(file.get_tensor("too_long"))
    return found


def finished_parts(cache: Path) -> dict[str, tuple[int, int]]:
    """Stamps of the files of all complete parts."""
    folders = [manifest.parent for manifest in cache.glob("*/parts/[!.]*/manifest.json")]
    return {f"{folder.name}/{name}": stamp for folder in folders for name, stamp in stamps(folder).items()}


def killed(job: fault.Job, cache: Path, chunks: dict[str, int], kept: dict[str, tuple[int, int]]) -> bool:
    """Waits for a job; checks that it left whole parts only, touched none, and computed only what was missing."""
    status = job.wait()
    assert status in (0, -signal.SIGKILL), job.errors
    after = finished_parts(cache)
    assert {name: after.get(name) for name in kept} == kept, "a finished part was touched"
    for path in cache.glob("*/run.json"):
        folders = [p for p in path.parent.glob("parts/*") if not p.name.startswith(".")]
        assert all((folder / "manifest.json").is_file() for folder in folders)
        assert parts.verify(runs.read_run(path.parent)) == []
    finished = {name.split("/")[0] for name in kept}
    stages = {e["name"]: e["total"] for e in job.events if e["event"] == "stage"}
    assert stages == {name: N - chunks.get(name, 0) for name in stages}
    assert not finished & set(stages)
    return status != 0


# --- kills -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2])
def test_a_run_killed_again_and_again_before_any_write_loses_nothing(
    server: fault.Server, command: Callable, undisturbed: Path, tmp_path: Path, seed: int
) -> None:
    rng, kills, computed = random.Random(seed), 0, dict.fromkeys(("en", "it", "sw"), 0)
    while True:
        before = saved_instances(tmp_path), finished_parts(tmp_path)
        job = server.start(command(tmp_path), ".", str(tmp_path), rng.randint(5, 52))
        again = killed(job, tmp_path, *before)
        for name, amount in advanced(job.events).items():
            computed[name] += amount
        if not again:
            break
        kills += 1
    assert kills >= 6, "too few kills to prove anything"
    assert all(amount <= N for amount in computed.values()), f"something was computed twice: {computed}"
    assert parts_of(tmp_path) == parts_of(undisturbed)


def test_kills_at_any_time_lose_nothing(
    server: fault.Server, command: Callable, undisturbed: Path, tmp_path: Path
) -> None:
    rng, kills = random.Random(3), 0
    for _ in range(7):
        before = saved_instances(tmp_path), finished_parts(tmp_path)
        job = server.start(command(tmp_path))
        job.wait_for('"stage"')
        time.sleep(rng.uniform(0, 0.06))
        job.kill()
        kills += killed(job, tmp_path, *before)
    server.run([word for word in command(tmp_path) if word not in ("--batch-tokens", "16")])  # the run knows its own
    assert kills >= 3
    assert parts_of(tmp_path) == parts_of(undisturbed)


def test_the_real_command_goes_on_after_kills(command: Callable, undisturbed: Path, tmp_path: Path) -> None:
    target = tmp_path / run_folder(undisturbed).name
    target.mkdir()
    shutil.copy(run_folder(undisturbed) / "run.json", target)  # the measured choice of kernel is part of a run
    rng, order = random.Random(4), [sys.executable, "-m", "crossalign", *command(tmp_path)]
    for _ in range(2):
        chunks = saved_instances(tmp_path)
        left, said_so_far = rng.randint(2, 6), ""
        with subprocess.Popen(order, **PIPES) as process:
            while left and (line := process.stderr.readline()):
                said_so_far += line
                left -= '"advance"' in line
            process.kill()
        stages = {e["name"]: e["total"] for e in events_in(said_so_far) if e["event"] == "stage"}
        assert stages == {name: N - chunks.get(name, 0) for name in stages}
    assert sum(saved_instances(tmp_path).values()) > 0
    done = subprocess.run(order, **PIPES)
    assert done.returncode == 0, done.stderr
    assert sum(advanced(events_in(done.stderr)).values()) < 3 * N
    assert parts_of(tmp_path) == parts_of(undisturbed)


@pytest.mark.parametrize(
    ("event", "pattern"),
    [
        ("os.rename", r"/\.run\.json\."),
        ("os.rename", r"/parts/\.it\.\d+\.tmp$"),
        ("os.rename", r"/\.chunk-0+\d\."),
        ("os.rmdir", r"/work$"),  # all parts are finished
    ],
)
def test_what_a_killed_process_left_half_written_is_cleared_away(
    server: fault.Server, command: Callable, undisturbed: Path, tmp_path: Path, event: str, pattern: str
) -> None:
    assert server.start(command(tmp_path), event, pattern).wait() == -signal.SIGKILL
    server.run(command(tmp_path))
    assert parts_of(tmp_path) == parts_of(undisturbed)
    assert temporaries(tmp_path) == []
    assert not list(tmp_path.glob("*/work"))


def test_a_truncated_chunk_is_computed_again_and_only_it_and_the_last_that_was_not_written(
    server: fault.Server, command: Callable, undisturbed: Path, tmp_path: Path
) -> None:
    job = server.start(command(tmp_path), "os.rename", r"/parts/\.it\.\d+\.tmp$")
    assert killed(job, tmp_path, {}, {})
    chunks = sorted(tmp_path.glob("*/work/it/*/chunk-*"))
    saved = saved_instances(tmp_path)
    # Italian was being aligned, its last chunk from memory; that of English is there for the other languages.
    assert saved["en"] == N and 0 < N - saved["it"] <= N / 3 and len(chunks) >= 3
    fault.truncate(chunks[1])
    starts = [int(re.findall(r"\d+", c.name)[0]) for c in chunks]
    again = starts[2] - starts[1] + N - saved["it"]
    assert advanced(server.run(command(tmp_path)).events) == {"it": again, "sw": N}
    assert parts_of(tmp_path) == parts_of(undisturbed)


def test_an_interrupt_says_that_the_run_goes_on(server: fault.Server, command: Callable, tmp_path: Path) -> None:
    job = server.start(command(tmp_path), "os.rename", r"/\.chunk-", 2, signal.SIGINT)
    assert job.wait() == 130
    assert "Traceback" not in job.errors
    assert job.errors.splitlines()[-1] == "crossalign: stopped; the same command goes on from here."


# --- side by side ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "languages", [("it,sw", "it,sw"), ("it", "sw"), ("sw,it", "it,sw", "en,it")], ids=["same", "apart", "three"]
)
def test_processes_on_one_run_share_the_work(
    server: fault.Server, command: Callable, undisturbed: Path, tmp_path: Path, languages: tuple[str, ...]
) -> None:
    jobs = [server.start(command(tmp_path, "--languages", codes)) for codes in languages]
    assert [job.wait() for job in jobs] == [0] * len(jobs), [job.errors for job in jobs]
    shares = [advanced(job.events) for job in jobs]
    assert {name: sum(s.get(name, 0) for s in shares) for name in ("en", "it", "sw")} == {"en": N, "it": N, "sw": N}
    assert parts_of(tmp_path) == parts_of(undisturbed)
    assert not list(tmp_path.glob("*/work")) and temporaries(tmp_path) == []


def test_a_process_takes_over_from_one_that_is_killed(
    server: fault.Server, command: Callable, undisturbed: Path, tmp_path: Path
) -> None:
    first = server.start(command(tmp_path), "os.rename", r"/\.chunk-", 3, signal.SIGSTOP)
    first.wait_for('"advance"')
    second = server.start(command(tmp_path))
    second.wait_for('"name": "it"')
    first.kill()
    assert (first.wait(), second.wait()) == (-signal.SIGKILL, 0), second.errors
    assert advanced(second.events)["en"] < N
    assert parts_of(tmp_path) == parts_of(undisturbed)


def test_languages_added_later_leave_finished_parts_alone(
    server: fault.Server, command: Callable, undisturbed: Path, tmp_path: Path
) -> None:
    server.run(command(tmp_path, "--languages", "it"))
    before = finished_parts(tmp_path)
    server.run(command(tmp_path))
    assert {k: v for k, v in finished_parts(tmp_path).items() if k in before} == before
    assert parts_of(tmp_path) == parts_of(undisturbed)


def test_keeping_states_later_adds_them_and_never_leaves_a_language_without_a_part(
    server: fault.Server, command: Callable, undisturbed: Path, started: Path
) -> None:
    order = command(started, "--languages", "it", "--keep-states", "float16")
    server.start(order, "os.rename", r"/parts/\.it\.\d+\.tmp$").wait()
    assert runs.read_run(run_folder(started)).languages() == ["en", "it"]
    server.run(order)
    old = parts_of(undisturbed)
    for name, content in parts_of(started).items():
        assert name in old or "/states_" in name
        assert name.endswith("manifest.json") or content == old.get(name, content)


# --- disks that refuse ---------------------------------------------------------------------------------------------


@pytest.fixture
def finish(undisturbed: Path, tiny_folder: Path, data: Path) -> Callable[[Path, dict], None]:
    """After a refusal: nothing half is left, what was there is untouched, and the run can be finished."""

    def check(cache: Path, kept: dict) -> None:
        assert temporaries(cache) == []
        assert {k: v for k, v in finished_parts(cache).items() if k in kept} == kept
        assert parts.verify(runs.read_run(run_folder(cache))) == []
        pipeline.run(fault.request_for(tiny_folder, data, cache, batch_tokens=16))
        assert parts_of(cache) == parts_of(undisturbed)

    return check


FILES = ["chunk-", "instances.p", "scores.p", "alignment_", "rates_", "manifest.json"]


@pytest.mark.parametrize(
    ("name", "code"), [*((f, errno.ENOSPC) for f in FILES), ("chunk-", errno.EDQUOT), ("rates_", errno.EFBIG)]
)
def test_a_file_that_cannot_be_written_is_told_and_nothing_is_lost(
    started: Path, command: Callable, finish: Callable, capsys, monkeypatch: pytest.MonkeyPatch, name: str, code: int
) -> None:
    flush, kept = os.fsync, finished_parts(started)

    def refuse(descriptor: int) -> None:
        if f"/.{name}" in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(code, os.strerror(code))
        flush(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", refuse)
        assert main(command(started)) == 2
    text = said(capsys)
    assert name in text and files.REASONS[code] in text
    finish(started, kept)


@pytest.mark.parametrize("free", [0, 40, 120, 180, 230])
def test_a_full_disk_is_told_and_the_run_goes_on_when_there_is_room(
    started: Path, command: Callable, finish: Callable, tmp_path: Path, capsys: pytest.CaptureFixture, free: int
) -> None:
    with fault.mounted(tmp_path / "disk", "4m"):
        cache = shutil.copytree(started, tmp_path / "disk" / "cache")
        kept, disk, ballast = finished_parts(cache), os.statvfs(cache), tmp_path / "disk" / "ballast"
        ballast.write_bytes(b"x" * (disk.f_bavail * disk.f_bsize - free * 1024))
        assert main(command(cache)) == 2
        assert "the disk is full: free some space" in said(capsys)
        ballast.unlink()
        finish(cache, kept)
