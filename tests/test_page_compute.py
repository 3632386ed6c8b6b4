"""The Compute page: its form, its steps, what it refuses, and that a hosted copy has none."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from opening import opened, said
from streamlit.testing.v1 import AppTest

from crossalign.jobs import process, request
from crossalign.jobs.record import list_jobs

COST = {"described": {"Texts": "24 <b>texts</b>"}, "warnings": ["The disk has *too* little room."]}
EVENTS = (
    '{"event": "ahead", "parts": ["en", "sw"], "size": 10, "time": 1}',
    '{"event": "stage", "name": "en", "total": 10, "unit": "instances", "time": 2}',
    '{"event": "advance", "amount": 5, "time": 3}',
    "<script>alert(1)</script> a library's warning",
)
END = '{"event": "end", "ok": true, "text": ""}'


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets jobs run a few lines of Python in place of the command line: printed results, events, and a wait."""

    def use(result: dict, events: tuple[str, ...], seconds: float = 0) -> None:
        code = (
            f"import sys, time; print({json.dumps(result)!r}, flush=True)\n"
            f"print({chr(10).join(events)!r}, file=sys.stderr, flush=True); time.sleep({seconds})"
        )
        monkeypatch.setattr(process, "command", lambda *_, **__: [sys.executable, "-S", "-c", code])

    return use


def press(app: AppTest, label: str) -> AppTest:
    next(b for b in app.button if b.label == label).click()
    return app.run()


def bar(app: AppTest) -> str:
    """What stands at the bar of progress; empty where there is none."""
    return "".join(b.proto.text for b in app.get("progress"))


def until(app: AppTest, label: str, told: str = "") -> AppTest:
    """The page as soon as it has this button, and this at its bar."""
    end = time.monotonic() + 60
    while label not in [b.label for b in app.button] or told not in bar(app):
        assert time.monotonic() < end and not app.exception, said(app)
        time.sleep(0.05)
        app.run()
    return app


def test_a_job_is_estimated_started_cancelled_resumed_and_finished(stand_in: Callable, tmp_path: Path) -> None:
    app = opened(tmp_path, "compute", model="gpt2", task="xcopa", limit="50", **{"for": ["sw", "it"]})
    assert not app.exception and not list_jobs(tmp_path), "a link alone starts nothing"
    stand_in(COST, (END,))
    app = until(press(app, "See what it takes"), "Start")
    (job,) = list_jobs(tmp_path)
    assert (job.request.languages, job.request.limit, job.request.model) == (("sw", "it"), 50, "gpt2")
    assert app.query_params["job"] == job.job_id and "ready to start" in said(app)
    assert r"\*too\*" in app.warning[0].value and r"\<b\>texts" in str(app.table[0].value)

    stand_in({}, EVENTS, 600)
    app = until(press(app, "Start"), "Cancel", "5 of 20 instances")
    fresh = opened(tmp_path, "compute", job=job.job_id)  # another browser, or after a restart of the server
    for page in (app, fresh):
        page.run()
        assert page.get("progress")[0].proto.value == 25
        assert "5 of 20 instances" in bar(page) and "1 of 2 languages" in bar(page) and "left" in bar(page)
        assert "<script>alert(1)</script>" in page.code[0].value
    app = until(press(fresh, "Cancel"), "Resume")
    assert "cancelled" in said(app)

    stand_in({"run_id": "xcopa_gpt2_0"}, (*EVENTS, END))
    app = until(press(app, "Resume"), "Remove from the list")
    assert list_jobs(tmp_path)[0].state == "finished" and len(app.get("page_link")) == 1
    app = press(app, "Remove from the list")
    assert not list_jobs(tmp_path) and not app.exception


def test_the_number_of_instances_is_the_tasks_own_until_it_is_chosen(tmp_path: Path) -> None:
    """Of FLORES the first 100 as in the papers, wherever one comes from; MEXA depends on how many there are."""
    app = opened(tmp_path, "compute", task="xcopa")
    assert app.selectbox(key="limit").value == 0
    app = app.selectbox(key="task").set_value("flores").run()
    assert (
        app.selectbox(key="limit").value
        == 100
        == opened(tmp_path, "compute", task="flores").selectbox(key="limit").value
    )
    app = app.selectbox(key="task").set_value("xcopa").run()
    assert app.selectbox(key="limit").value == 0
    app = app.selectbox(key="limit").set_value(50).run()
    app = app.selectbox(key="task").set_value("flores").run()
    assert app.selectbox(key="limit").value == 50
    assert opened(tmp_path, "compute", task="flores", limit="0").selectbox(key="limit").value == 0
    app = opened(tmp_path, "compute", task="xcopa").switch_page("pages/views/methods.py").run()
    app.switch_page("pages/views/compute.py").query_params.update({"task": "flores", "limit": "0"})
    assert app.run().selectbox(key="limit").value == 0, "what a link asks for holds in a session, too"


def test_a_refusal_is_told_where_the_button_is(tmp_path: Path) -> None:
    for model in ("--out", "../../etc", "a; rm -rf /", "$(id)", "/etc", "x\ny"):
        app = press(opened(tmp_path, "compute", model=model), "See what it takes")
        assert not app.exception and len(app.error) == 1, model
        assert not list_jobs(tmp_path)


def test_a_run_that_fails_says_why(stand_in: Callable, tmp_path: Path) -> None:
    stand_in(COST, ('{"event": "end", "ok": false, "text": "There is no model *gpt9*."}',))
    app = press(opened(tmp_path, "compute", model="gpt9"), "See what it takes")
    app = until(app, "Remove from the list")
    assert r"There is no model \*gpt9\*" in app.error[0].value
    assert [b.label for b in app.button] == ["See what it takes", "Remove from the list"]


def test_hostile_values_of_a_link_and_of_files(
    stand_in: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(COST, (END,))
    until(press(opened(tmp_path, "compute", model="gpt2"), "See what it takes"), "Start")
    (job,) = list_jobs(tmp_path)
    record = json.loads((job.folder / "job.json").read_text())
    record["request"] |= {"model": "<img src=x onerror=alert(1)> **x** $y$", "task": "[a](http://b)"}
    (job.folder / "job.json").write_text(json.dumps(record))
    (job.folder / "estimate.json").write_text('{"described": [1], "warnings": 3}')
    app = opened(
        tmp_path,
        "compute",
        job="../../../etc",
        task="--help",
        limit="-1",
        dtype="$(id)",
        shots="99",
        keep="x",
        **{"for": "--out"},
    )
    assert not app.exception and not app.error
    text = said(app)
    assert "<img" not in text.replace(r"\<", "") and "**x**" not in text and "](http" not in text
    monkeypatch.setattr(process, "command", request.command)  # the real one
    app = press(app, "Start")
    assert len(app.error) == 1 and list_jobs(tmp_path)[0].state == "estimated"


def test_a_hosted_copy_has_no_such_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [t.value for t in opened(tmp_path, "compute").title] == ["Compute"]
    monkeypatch.setenv("CROSSALIGN_HOSTED", "1")
    assert [t.value for t in opened(tmp_path, "compute").title] == ["Overview"]  # as a link to no page at all
