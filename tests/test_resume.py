"""Nothing is lost: kills at any moment, processes side by side, full and read-only disks, languages added later."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fault import (
    Server,
    advanced,
    parts_of,
    stamps,
    write_xcopa,
)
from safetensors import safe_open

from crossalign.store import parts, runs

N = 30
"""Instances of each language; with 64 tokens a pass they make five chunks or more."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_xcopa(tmp_path_factory.mktemp("resume") / "data", N)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server(tmp_path_factory.mktemp("jobs"))
    yield started
    started.close()


@pytest.fixture(scope="module")
def command(tiny_folder: Path, data: Path) -> Callable[..., list[str]]:
    """The command of a run in a cache."""

    def make(cache: Path, *more: str) -> list[str]:
        return f"run --model {tiny_folder} --task xcopa --data {data} --cache {cache} --device cpu".split() + [
            *("--batch-tokens", "64", "--json"),
            *more,
        ]

    return make


@pytest.fixture(scope="module")
def undisturbed(server: Server, command: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of a run that nobody disturbed."""
    cache = tmp_path_factory.mktemp("undisturbed") / "cache"
    totals = advanced(server.run(command(cache)).events)
    assert totals == {"en": N, "it": N, "sw": N}
    return cache


def saved_instances(cache: Path) -> dict[str, int]:
    """Language → instances in the chunks that lie in a cache."""
    found: dict[str, int] = {}
    for path in cache.glob("*/work/*/chunk-*.safetensors"):
        with safe_open(path, framework="np") as file:
            found[path.parent.name] = found.get(path.parent.name, 0) + len(file.get_tensor("too_long"))
    return found


def finished_parts(cache: Path) -> dict[str, tuple[int, int]]:
    """Stamps of the files of all complete parts."""
    found = {}
    for manifest in cache.glob("*/parts/[!.]*/manifest.json"):
        found |= {f"{manifest.parent.name}/{k}": v for k, v in stamps(manifest.parent).items()}
    return found


def check_after_kill(cache: Path) -> None:
    """A killed run has whole parts only."""
    for path in cache.glob("*/run.json"):
        folders = [p for p in path.parent.glob("parts/*") if not p.name.startswith(".")]
        assert all((folder / "manifest.json").is_file() for folder in folders)
        assert parts.verify(runs.read_run(path.parent)) == []


def check_only_missing_was_computed(before: dict[str, int], whole: set[str], events: list[dict]) -> None:
    """Every stage had exactly the instances that no chunk held; finished languages had none."""
    for event in (e for e in events if e["event"] == "stage"):
        name = event["name"]
        assert event["total"] == N - before.get(name, 0)
        assert name not in whole or (name == "en" and whole < {"en", "it", "sw"})


# --- kills -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2])
def test_a_run_that_is_killed_again_and_again_loses_nothing(
    server: Server, command: Callable, undisturbed: Path, tmp_path: Path, seed: int
) -> None:
    rng, kills, computed = random.Random(seed), 0, {"en": 0, "it": 0, "sw": 0}
    for attempt in range(60):
        before, kept = saved_instances(tmp_path), finished_parts(tmp_path)
        at = rng.randint(6, 50)
        job = server.start(command(tmp_path), die_at=at, within=str(tmp_path))
        status = job.wait()
        for name, amount in advanced(job.events).items():
            computed[name] += amount
        after = finished_parts(tmp_path)
        assert {k: after.get(k) for k in kept} == kept, "a finished part was touched"
        check_after_kill(tmp_path)
        check_only_missing_was_computed(before, {k.split("/")[0] for k in kept}, job.events)
        if status == 0:
            break
        assert status == -signal.SIGKILL, job.errors
        kills += 1
    assert kills >= 6, "too few kills to prove anything"
    assert all(amount <= N for amount in computed.values()), f"something was computed twice: {computed}"
    assert parts_of(tmp_path) == parts_of(undisturbed)


def test_kills_at_any_time_lose_nothing(server: Server, command: Callable, undisturbed: Path, tmp_path: Path) -> None:
    rng, hits = random.Random(3), 0
    for attempt in range(12):
        before, whole = saved_instances(tmp_path), {k.split("/")[0] for k in finished_parts(tmp_path)}
        job = server.start(command(tmp_path))
        while '"advance"' not in job.errors and whole != {"en", "it", "sw"} and not os.waitid_done(job):
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.06))
        job.kill()
        status = job.wait()
        check_after_kill(tmp_path)
        check_only_missing_was_computed(before, whole, job.events)
        hits += status == -signal.SIGKILL
        if status == 0:
            break
    server.run(command(tmp_path))
    assert hits >= 4
    assert parts_of(tmp_path) == parts_of(undisturbed)
