"""Jobs: what reaches the command line, how a process is started, watched, cancelled and resumed, and what a log tells."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crossalign.jobs import process, record
from crossalign.jobs.process import cancel, create, remove, start
from crossalign.jobs.progress import LONGEST_LOG, progress, read_log
from crossalign.jobs.record import Job, find_job, list_jobs, read_job
from crossalign.jobs.request import JobRequest, checked, command, from_record, record_of
from crossalign.schema import UserError
from crossalign.store.files import write_json
from crossalign.store.runs import list_runs

ROOT = Path(__file__).parents[1]

# --- what may be asked for ---------------------------------------------------------------------------------------

ATTACKS = (
    "--out", "-h", "--model=x", "-", "../../etc", "..", "a/../b", "/etc", "/", "org/model/extra", "org/../model", "org--model", "~root/x",
    "model; touch taken", "model && id", "$(id)", "`id`", "model|id", "model > taken", "model\nid", "model\n", "\nmodel",
    "model\r", "model\x00", "model\t", " model", "model ", "", " ", "a" * 97, "a" * 5000, "file:///etc/passwd",
    "https://example.org/model", "org/model@main", "modèle", "org\\model", "%2e%2e%2f", "org/model\u202e", "org/.hidden",
)  # fmt: skip


@pytest.mark.parametrize("model", ATTACKS)
def test_a_model_is_a_hub_id_or_a_folder_that_holds_one(model: str, tmp_path: Path) -> None:
    with pytest.raises(UserError):
        command(JobRequest(model, "xcopa"), tmp_path)


@pytest.mark.parametrize("model", ["gpt2", "meta-llama/Llama-3.1-8B", "Qwen/Qwen3-0.6B-Base", "0xf/x_y.z"])
def test_hub_ids_are_passed_as_they_are(model: str, tmp_path: Path) -> None:
    arguments = command(JobRequest(model, "xcopa"), tmp_path)
    assert arguments[arguments.index("--model") + 1] == model
    assert arguments[:4] == [sys.executable, "-m", "crossalign", "run"] and arguments[-1] == "--json"


def test_a_folder_becomes_its_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = tmp_path / "-x; touch taken"
    odd.mkdir()
    (odd / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    for text in ("-x; touch taken", "./-x; touch taken", str(odd), "../" + tmp_path.name + "/-x; touch taken"):
        assert checked(JobRequest(text, "xcopa")).model == str(odd)
    (tmp_path / "new\nline").mkdir()
    (tmp_path / "new\nline" / "config.json").write_text("{}")
    with pytest.raises(UserError):
        checked(JobRequest("new\nline", "xcopa"))


CHANGES = [
    {"task": "../xcopa"}, {"task": "--task"}, {"languages": ("sw", "--out")}, {"languages": ("sw,--out",)},
    {"languages": ("../sw",)}, {"languages": ("sw\n",)}, {"protocol": "-p"}, {"protocol": "letters"}, {"dtype": "float64"},
    {"dtype": "--cache"}, {"keep_states": "all"}, {"keep_states": ""}, {"limit": -1}, {"limit": 10**9}, {"shots": -1},
    {"shots": 26}, {"data": "/not/there"}, {"data": "--out"}, {"data": "x\ny"}, {"task": "flores", "shots": 1},
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_every_other_field_comes_from_a_list_or_a_range(change: dict, tmp_path: Path) -> None:
    with pytest.raises(UserError):
        command(JobRequest(**{"model": "gpt2", "task": "xcopa"} | change), tmp_path)


def test_no_value_of_the_command_begins_with_a_dash(tiny_folder: Path, tmp_path: Path) -> None:
    request = JobRequest(
        str(tiny_folder), "xcopa", ("sw", "it"), "harness", 0, 3, "float32", "float16", data=str(tmp_path)
    )
    arguments = command(request, tmp_path, estimate=True)
    names, values = arguments[4:-2:2], arguments[5:-2:2]
    assert all(n.startswith("--") for n in names) and not any(v.startswith("-") for v in values)
    assert arguments[-2:] == ["--estimate", "--json"]
    from crossalign.__main__ import _parser

    options = _parser().parse_args(arguments[3:])
    assert (options.model, options.languages, options.limit, options.shots) == (str(tiny_folder), ("sw", "it"), 0, 3)
    assert (options.dtype, options.keep_states, options.protocol, options.estimate) == (
        "float32",
        "float16",
        "harness",
        True,
    )


@pytest.mark.parametrize(
    "change", [{"model": 3}, {"languages": 5}, {"limit": "1"}, {"shots": True}, {"more": 1}, {"languages": [["x"]]}]
)
def test_a_tampered_file_is_no_request(change: dict) -> None:
    good = record_of(JobRequest("gpt2", "xcopa", ("sw",)))
    assert from_record(json.loads(json.dumps(good))) == JobRequest("gpt2", "xcopa", ("sw",))
    with pytest.raises(UserError):
        from_record(good | change)


# --- logs --------------------------------------------------------------------------------------------------------


def event(at: float, kind: str, **values: object) -> str:
    return json.dumps({"event": kind, **values, "time": at})


LOG = [
    event(0, "say", text="Loading"),
    "warning: <b>something</b>",
    event(1, "ahead", parts=["en", "it", "sw"], size=100),
    event(10, "stage", name="en", total=100, unit="instances"),
    event(30, "advance", amount=60),
    event(40, "advance", amount=40),
    event(45, "stage", name="it", total=20, unit="instances"),
    event(50, "advance", amount=20),
]


def test_rate_and_time_left() -> None:
    told = progress(LOG, now=51.0)
    assert (told.parts, told.begun, told.part, told.unit) == (("en", "it", "sw"), 2, "it", "instances")
    assert (told.done, told.total) == (120, 220), "of it 80 were there before"
    assert told.rate == pytest.approx(3.0) and told.left == pytest.approx(100 / 3 - 1)
    assert told.lines == ("Loading", "warning: <b>something</b>") and told.ok is None
    early = progress(LOG[:4], now=20.0)
    assert (early.done, early.total) == (0, 300) and math.isnan(early.rate) and math.isnan(early.left)


def test_the_rate_is_that_of_late() -> None:
    steps = [event(1000 + i, "advance", amount=5) for i in range(200)]
    told = progress([*LOG[:5], *steps], now=1200.0)
    assert told.rate == pytest.approx(5)


def test_the_end_and_its_reason() -> None:
    assert progress([*LOG, event(60, "end", ok=True, text="")], 61.0).ok is True
    failed = progress([*LOG, event(60, "end", ok=False, text="The disk is full.")], 61.0)
    assert (failed.ok, failed.text) == (False, "The disk is full.")


@pytest.mark.parametrize(
    "line",
    ["{", "{}", "[1]", '{"event": 3}', '{"event": "stage"}', '{"event": "ahead", "parts": 1, "size": 2}', "{" * 9999,
     '{"event": "advance", "amount": "x", "time": "y"}', '{"event": "say"}', '{"event": "end"}', "\ufffd\x00"],
)  # fmt: skip
def test_half_lines_and_strange_ones_are_shown_as_text(line: str) -> None:
    told = progress([*LOG, line], now=51.0)
    assert (told.done, told.total, told.ok) == (120, 220, None)
    assert len(told.lines) == 3 and len(told.lines[-1]) <= 500


def test_a_long_log_is_read_from_its_end(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("x" * 100 + "\n" + "line\n" * (LONGEST_LOG // 5))
    lines = read_log(tmp_path / "log")
    assert set(lines) == {"line"} and read_log(tmp_path / "none") == []


# --- processes ---------------------------------------------------------------------------------------------------


def until(folder: Path, ready: Callable[[Job], bool], seconds: float = 300) -> Job:
    end = time.monotonic() + seconds
    while not ready(job := read_job(folder)):
        assert time.monotonic() < end, (job.state, job.progress.lines)
        time.sleep(0.02)
    return job


def test_a_real_run_outlives_its_starter_is_cancelled_resumed_and_finished(tiny_folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    code = (
        "import sys; from pathlib import Path; from crossalign.jobs.process import create\n"
        "from crossalign.jobs.request import JobRequest\n"
        "job = create(Path(sys.argv[1]), JobRequest(sys.argv[2], 'miniature-copa', limit=80, dtype='float32'))\n"
        "print(job.job_id, *(m for m in ('torch', 'transformers', 'datasets') if m in sys.modules))"
    )
    starter = [sys.executable, "-c", code, str(cache), str(tiny_folder)]
    ended = subprocess.run(starter, cwd=ROOT, capture_output=True, text=True, check=True)
    (job_id,) = ended.stdout.split()  # and nothing heavy was imported
    job = find_job(cache, job_id)
    assert job.state == "estimating"
    job = until(job.folder, lambda j: j.state != "estimating")
    assert job.state == "estimated" and job.cost and job.cost["instances"] == 80, job.progress.lines

    started = start(cache, job)
    assert started.state == "running" and os.getpgid(started.process.pid) == started.process.pid
    with pytest.raises(UserError, match="Another run"):
        start(cache, job)
    with pytest.raises(UserError, match="cancel it first"):
        remove(started)
    begun = until(job.folder, lambda j: j.progress.done > 0)
    told = begun.progress  # a fast run may have gone past its first language before this looked
    assert told.total == 800 and told.parts[0] == "en" and len(told.parts) == 10
    assert told.part == told.parts[told.begun - 1]
    assert 80 * (told.begun - 1) <= told.done <= 80 * told.begun
    cancel(begun)
    stopped = find_job(cache, job_id)
    assert stopped.state == "cancelled" and not list_runs(cache)[0][0].complete

    again = start(cache, stopped)
    assert again.process.attempt == 2
    done = until(job.folder, lambda j: not j.alive)
    assert done.state == "finished" and done.run_id == list_runs(cache)[0][0].run_id, done.progress.lines
    assert list_runs(cache)[0][0].complete
    remove(done)
    assert list_jobs(cache) == [] and list_runs(cache)[0], "the run stays"


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets jobs run a piece of Python in place of the command line."""

    def use(code: str) -> None:
        monkeypatch.setattr(process, "command", lambda *_, **__: [sys.executable, "-S", "-c", code])

    return use


def made(cache: Path, stand_in: Callable[[str], None], code: str) -> Job:
    """A job whose estimate is done and whose run is that code."""
    stand_in('import sys; print("{}"); print(\'{"event": "end", "ok": true, "text": ""}\', file=sys.stderr)')
    job = until(create(cache, JobRequest("gpt2", "xcopa")).folder, lambda j: not j.alive)
    stand_in(code)
    return job


def test_who_does_not_end_is_ended_with_all_it_started(stand_in: Callable, tmp_path: Path) -> None:
    code = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(600)'], close_fds=False)\n"
        "print(child.pid, file=sys.stderr, flush=True); time.sleep(600)"
    )
    job = start(tmp_path, made(tmp_path, stand_in, code))
    job = until(job.folder, lambda j: bool(j.progress.lines))
    cancel(job, patience=0.3)
    assert read_job(job.folder).state == "cancelled"
    grandchild = Path(f"/proc/{job.progress.lines[0]}/stat")
    assert not grandchild.exists() or grandchild.read_text().split()[2] == "Z"


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("import os; os.kill(os.getpid(), 9)", "interrupted"),
        ('import sys; sys.exit(print(\'{"event": "end", "ok": false, "text": "No."}\', file=sys.stderr) or 2)', "failed"),
        ('import sys; print(\'{"event": "end", "ok": true, "text": ""}\', file=sys.stderr)', "finished"),
    ],
)  # fmt: skip
def test_how_a_run_ended(stand_in: Callable, tmp_path: Path, code: str, state: str) -> None:
    job = start(tmp_path, made(tmp_path, stand_in, code))
    assert until(job.folder, lambda j: not j.alive).state == state


def test_a_process_id_that_was_used_again_is_left_alone(stand_in: Callable, tmp_path: Path) -> None:
    job = until(start(tmp_path, made(tmp_path, stand_in, "0")).folder, lambda j: not j.alive)
    bystander = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"], start_new_session=True)
    try:
        path = job.folder / "process.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"pid": bystander.pid}))
        cancel(read_job(job.folder))
        assert bystander.poll() is None
        with (job.folder / "lock").open("rb") as held:
            import fcntl

            fcntl.flock(held, fcntl.LOCK_EX)
            path.write_text(json.dumps(json.loads(path.read_text()) | {"host": "another"}))
            with pytest.raises(UserError, match="runs on another"):
                cancel(read_job(job.folder))
        assert bystander.poll() is None
    finally:
        bystander.send_signal(signal.SIGKILL)
        bystander.wait()


def test_a_run_that_cannot_be_written_down_does_not_go_on(
    stand_in: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody could find it, to show or to cancel it; an id that is still written down is that of another process."""
    job = made(tmp_path, stand_in, "import time; time.sleep(600)")
    began = []
    popen = subprocess.Popen

    def full(path: Path, value: dict) -> None:
        if value.get("pid"):
            raise UserError("Cannot write: the disk is full.")
        write_json(path, value)

    monkeypatch.setattr(process, "write_json", full)
    monkeypatch.setattr(process.subprocess, "Popen", lambda *a, **k: began.append(popen(*a, **k)) or began[0])
    with pytest.raises(UserError, match="disk is full"):
        start(tmp_path, job)
    assert began[0].returncode == -signal.SIGKILL
    assert not read_job(job.folder).alive


def test_a_job_that_is_just_being_started_is_not_cancelled_by_an_old_process_id(
    stand_in: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, told = made(tmp_path, stand_in, "import time; time.sleep(600)"), []
    popen = subprocess.Popen

    def slow(*arguments: Any, **settings: Any) -> subprocess.Popen:
        with pytest.raises(UserError, match="just being started") as error:
            cancel(read_job(job.folder))
        told.append(error)
        return popen(*arguments, **settings)

    monkeypatch.setattr(process.subprocess, "Popen", slow)
    begun = start(tmp_path, job)
    cancel(begun)
    assert told and read_job(job.folder).state == "cancelled"


def test_the_process_that_is_cancelled_is_the_one_written_down_now(stand_in: Callable, tmp_path: Path) -> None:
    job = made(tmp_path, stand_in, "import time; time.sleep(600)")
    start(tmp_path, job)
    cancel(job)  # as it was before the start
    assert read_job(job.folder).state == "cancelled"


@pytest.mark.parametrize(
    "job_id", ["../jobs", "..", "", "/etc", "0123456789abcdef/..", "x", "0123456789ABCDEF", "a\x00"]
)
def test_a_job_is_looked_up_never_used_as_a_path(tmp_path: Path, job_id: str) -> None:
    (tmp_path / ".jobs").mkdir()
    with pytest.raises(UserError, match="no job"):
        find_job(tmp_path, job_id)


def test_hostile_and_damaged_folders_are_passed_over(stand_in: Callable, tmp_path: Path) -> None:
    good = made(tmp_path, stand_in, "0")
    folder = record.jobs_folder(tmp_path)
    whole = json.loads((good.folder / "job.json").read_text())
    dateless = [json.dumps(whole | {"created": created}) for created in (1e300, float("nan"), float("inf"))]
    half = ("", "[]", '{"request": {"model": []}, "created": 1}', '{"created": "x"}', "\udcff")
    for number, text in enumerate((*half, *dateless)):
        bad = folder / f"{number:016x}"
        bad.mkdir()
        (bad / "job.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    (folder / f"{9:016x}").symlink_to(good.folder)
    (folder / "notes").mkdir()
    assert [j.job_id for j in list_jobs(tmp_path)] == [good.job_id]
    request = json.loads((good.folder / "job.json").read_text())
    request["request"]["model"] = "--out"
    (good.folder / "job.json").write_text(json.dumps(request))
    tampered = find_job(tmp_path, good.job_id)
    process.command = command  # the real one again
    with pytest.raises(UserError, match="neither a folder"):
        start(tmp_path, tampered)


def test_a_hosted_copy_computes_nothing(stand_in: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = made(tmp_path, stand_in, "0")
    monkeypatch.setenv("CROSSALIGN_HOSTED", "1")
    for act in (lambda: create(tmp_path, JobRequest("gpt2", "xcopa")), lambda: start(tmp_path, job)):
        with pytest.raises(UserError, match="hosted"):
            act()
    for act in (cancel, remove):
        with pytest.raises(UserError, match="hosted"):
            act(job)


def test_old_estimates_are_forgotten(stand_in: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "MOST_ESTIMATES", 2)
    jobs = [made(tmp_path, stand_in, "0").job_id for _ in range(4)]
    assert {j.job_id for j in list_jobs(tmp_path)} == set(jobs[1:])
