"""The app served for a test, and Chromium to look at it with."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SLOW = 120_000
"""Milliseconds: a busy machine needs them to read plotly."""


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def serving(cache: Path, port: int = 0, plainly: bool = False) -> Iterator[str]:
    """A fresh server of the app on a cache; its address. `plainly`: by `streamlit run app.py` instead of our command."""
    port = port or free_port()
    ours = ["crossalign", "app", "--port", str(port)]
    command = [sys.executable, "-m", *(["streamlit", "run", "app.py", "--server.port", str(port)] if plainly else ours)]
    environment = os.environ | {"CROSSALIGN_CACHE": str(cache), "PYTHONPATH": str(ROOT)}
    server = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        yield _ready(f"http://127.0.0.1:{port}")
    finally:
        server.terminate()
        # It says goodbye to each page that is open, and a browser that is busy drawing one answers late.
        server.wait(timeout=SLOW / 1000)


def _ready(url: str) -> str:
    for _ in range(240):
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2) as answer:
                if answer.status == 200:
                    return url
        except OSError:
            time.sleep(0.25)
    raise RuntimeError("the app did not start within 60 s")


@contextmanager
def launched() -> Iterator:
    """A browser context in Chromium, whose pages read what the app is made of only once; skips without Chromium or playwright."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium.new_context()
        chromium.close()


def new_page(context, width: int = 1440, height: int = 1400, scheme: str = "light"):
    """A page, which is a session of its own for the app, with patience for a busy machine."""
    page = context.new_page()
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme=scheme)
    page.set_default_timeout(SLOW)
    return page


def finished(page) -> None:
    """Waits until the script of the page is done: the app says "running" no more."""
    page.get_by_role("heading", level=1).first.wait_for()
    page.wait_for_function(
        "document.querySelector('[data-testid=stApp]').getAttribute('data-test-script-state') === 'notRunning'"
    )


def click_point(page, chart: str, label: str) -> None:
    """Clicks the point of a chart that carries this label.

    Args:
        chart: key of the chart.
        label: the text written at the point.
    """
    drawn = page.locator(f".st-key-{chart} .js-plotly-plot")
    text = drawn.locator(".scatterlayer text", has_text=label).first
    text.wait_for()
    drawn.scroll_into_view_if_needed()
    place = page.evaluate(
        "t => { const trace = t.closest('.trace'), texts = [...trace.querySelectorAll('text')];"
        "const b = trace.querySelectorAll('.point')[texts.indexOf(t)].getBoundingClientRect();"
        "return [b.x + b.width / 2, b.y + b.height / 2] }",
        text.element_handle(),
    )
    page.mouse.click(*place)


def choose_row(page, row: int) -> None:
    """Clicks the box of a row, from 0, of the last table on a page."""
    table = page.locator("[data-testid=stDataFrame]").last
    table.scroll_into_view_if_needed()
    table.click(position={"x": 18, "y": 52 + 35 * row})
