"""The default runs: which, in which order, and what the dashboard does while they are computed."""

import os
import subprocess
import sys
from argparse import Namespace

import pytest
from synthetic import Shape, synthetic_run

from crossalign import demo
from crossalign.planning import Silent
from crossalign.schema import UserError
from crossalign.ui import serving


@pytest.fixture
def steps(monkeypatch, tmp_path):
    """What is done to which run, in order; nothing is computed."""
    done = []
    run = synthetic_run(tmp_path / "other", ("eng_Latn",), Shape(n=2))
    monkeypatch.setattr(demo, "control_folder", lambda model, cache: cache / "control")
    monkeypatch.setattr(demo, "prepare", lambda request, observer: done.append(("prepare", request)))
    monkeypatch.setattr(demo, "run", lambda request, observer: done.append(("run", request)) or run)
    return done


def test_every_run_is_listed_before_one_is_computed_and_the_first_is_the_newest(steps, tmp_path):
    demo.demo(tmp_path, Silent())
    prepared = [request for what, request in steps if what == "prepare"]
    computed = [request for what, request in steps if what == "run"]
    assert steps == [("prepare", r) for r in prepared] + [("run", r) for r in computed]
    assert prepared == computed[::-1]
    assert computed[0].task == demo.TASKS[0] and computed[0].keep_states != "none"
    assert {r.task for r in computed} == set(demo.TASKS)


def test_the_first_run_alone(steps, tmp_path):
    demo.demo(tmp_path, Silent(), first=True)
    assert [request.task for what, request in steps if what == "run"] == [demo.TASKS[0]]


class Child:
    """A process that does nothing."""

    def __init__(self, log, command, **settings):
        self.log, self.pid = log, os.getpid()
        log.append(("background", command[3:]))

    def terminate(self):
        self.log.append(("terminate",))

    def wait(self):
        self.log.append(("wait",))


@pytest.fixture
def processes(monkeypatch):
    """What is started by the server's command, in order; the server itself ends at once."""
    log = []
    log_of = Namespace(status=0, log=log)
    monkeypatch.setattr(serving.subprocess, "Popen", lambda command, **settings: Child(log, command, **settings))
    monkeypatch.setattr(
        serving.subprocess, "call", lambda command: log.append(("foreground", command[3:])) or log_of.status
    )
    monkeypatch.setattr(serving.signal, "signal", lambda *handler: None)
    monkeypatch.setattr(serving.os, "setpriority", lambda *which: None)
    monkeypatch.setattr(serving, "_run_server", lambda options: log.append(("serve",)))
    return log_of


def options(cache, **changes):
    return Namespace(**{"cache": cache, "port": 8501, "demo": True} | changes)


def test_an_empty_cache_gets_its_first_run_before_the_server(processes, tmp_path):
    assert serving.serve(options(tmp_path)) == 0
    command = ["demo", "--cache", str(tmp_path)]
    assert processes.log == [
        ("foreground", [*command, "--first"]), ("background", command), ("serve",), ("terminate",), ("wait",)
    ]  # fmt: skip


def test_a_cache_with_a_complete_run_is_served_at_once(processes, tmp_path):
    synthetic_run(tmp_path, ("eng_Latn", "deu_Latn"), Shape(n=12))
    serving.serve(options(tmp_path))
    assert [entry[0] for entry in processes.log] == ["background", "serve", "terminate", "wait"]


def test_nothing_is_computed_unasked(processes, tmp_path):
    serving.serve(options(tmp_path, demo=False))
    assert processes.log == [("serve",)]


def test_a_first_run_that_fails_is_told_and_nothing_is_served(processes, tmp_path):
    processes.status = 2
    with pytest.raises(UserError, match="could not be computed"):
        serving.serve(options(tmp_path))
    assert [entry[0] for entry in processes.log] == ["foreground"]


def test_the_background_process_ends_with_a_server_that_is_interrupted(processes, tmp_path, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(serving, "_run_server", interrupted)
    with pytest.raises(KeyboardInterrupt):
        serving.serve(options(tmp_path))
    assert [entry[0] for entry in processes.log][-2:] == ["terminate", "wait"]


def test_the_command_does_not_wait_for_a_page_that_is_still_being_computed():
    code = "import threading, time; from crossalign.ui.serving import leave\n"
    code += "threading.Thread(target=time.sleep, args=(600,)).start(); print('told'); leave(3)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (3, "told\n"), ended.stderr
