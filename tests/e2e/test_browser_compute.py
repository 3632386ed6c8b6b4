"""A job in a real Chromium: started from the page, watched, cancelled, resumed, and not lost with page or server."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from crossalign.jobs import process
from crossalign.jobs.process import cancel
from crossalign.jobs.record import list_jobs
from crossalign.jobs.request import JobRequest
from crossalign.store.parts import verify
from crossalign.store.runs import list_runs
from e2e.chromium import choose_row, free_port, new_page, serving

pytestmark = pytest.mark.browser

REQUEST = {"task": "miniature-copa", "for": ["tr", "ar", "zh", "ru"]}
DONE = re.compile(r"[1-9][\d,]* of 1,440 instances")
"""288 questions in these languages and English, some of them done: enough that a slow page can cancel them."""


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Path]:
    """An empty cache; whatever runs on it in the end is stopped, as jobs outlive what started them."""
    yield tmp_path / "cache"
    for job in list_jobs(tmp_path / "cache"):
        cancel(job)


def test_a_job_is_started_watched_cancelled_resumed_and_survives_page_and_server(
    context, tiny_folder: Path, cache: Path
) -> None:
    port, page = free_port(), new_page(context)
    with serving(cache, port) as url:
        page.goto(f"{url}/compute?{urlencode(REQUEST | {'model': str(tiny_folder)}, doseq=True)}")
        page.get_by_role("button", name="See what it takes").click()
        page.get_by_role("button", name="Start").click()
        page.get_by_text(DONE).wait_for()
        page.get_by_role("button", name="Cancel").click()
        page.get_by_text("cancelled").first.wait_for()
        page.reload()
        page.get_by_text("cancelled").first.wait_for()
        (job,) = list_jobs(cache)
        assert job.state == "cancelled" and not job.alive
        page.get_by_role("button", name="Resume").click()
        page.get_by_role("button", name="Cancel").wait_for()
        (job,) = list_jobs(cache)
        os.killpg(job.process.pid, signal.SIGSTOP)  # so that a fast machine cannot finish it before the server ends
    assert list_jobs(cache)[0].alive, "the run goes on without the server"
    os.killpg(job.process.pid, signal.SIGCONT)
    with serving(cache, port) as url:
        page.goto(f"{url}/compute?job={job.job_id}")
        page.get_by_text("finished").first.wait_for()
        page.get_by_role("link", name="Look at the run").click()
        page.get_by_text("288 instances × 5 languages").wait_for()
    ((run,), problems) = list_runs(cache)
    assert run.complete and not problems and not verify(run)
    assert list_jobs(cache)[0].process.attempt == 2


def test_a_click_shows_a_job_and_one_that_is_removed_elsewhere_gives_way(
    context, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for model, seconds in (("organisation/ended", 0), ("organisation/alive", 600)):
        waits = [sys.executable, "-S", "-c", f"import time; time.sleep({seconds})"]
        monkeypatch.setattr(process, "command", lambda *_, waits=waits, **__: waits)
        alive = process.create(cache, JobRequest(model, "miniature-copa"))
    page = new_page(context)
    with serving(cache) as url:
        page.goto(f"{url}/compute")
        shown = page.locator("p strong", has_text="miniature-copa")
        shown.filter(has_text="alive").wait_for()
        choose_row(page, 1)
        shown.filter(has_text="ended").wait_for()
        page.wait_for_url(lambda address: "job=" in address and alive.job_id not in address)
        choose_row(page, 0)
        shown.filter(has_text="alive").wait_for()
        alive.folder.rename(cache.parent / "removed")
        shown.filter(has_text="ended").wait_for()
    os.killpg(alive.process.pid, signal.SIGKILL)
