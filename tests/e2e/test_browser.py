"""The dashboard in a real Chromium: it renders without errors, asks nobody else, and a link opens the same view."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from crossalign.pipeline import run
from crossalign.planning import RunRequest

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Iterator[str]:
    """The app served from a small computed cache."""
    cache = tmp_path_factory.mktemp("browser") / "cache"
    run(RunRequest(str(tiny_folder), "miniature-copa", languages=("sw", "ar"), limit=24, cache=cache))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    server = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"CROSSALIGN_CACHE": str(cache)})
    try:
        yield _ready(f"http://127.0.0.1:{port}")
    finally:
        server.terminate()
        server.wait(timeout=20)


def _ready(url: str) -> str:
    for _ in range(120):
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2) as answer:
                if answer.status == 200:
                    return url
        except OSError:
            time.sleep(0.25)
    raise RuntimeError("the app did not start within 30 s")


@pytest.fixture(scope="module")
def browser() -> Iterator:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (800, "dark")])
def test_the_page_renders_without_errors_and_asks_only_this_machine(
    browser, address: str, width: int, scheme: str
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 1200}, color_scheme=scheme)
    errors: list[str] = []
    elsewhere: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("request", lambda r: elsewhere.append(r.url) if not r.url.startswith((address, "data:", "blob:")) else None)
    page.goto(address)
    page.wait_for_selector(".js-plotly-plot .scatterlayer .point", timeout=30_000)
    assert page.get_by_text("Accuracy and alignment per language").is_visible()
    assert page.locator(".js-plotly-plot .scatterlayer .point").count() == 2
    assert [u for u in elsewhere if not u.startswith("ws://127.0.0.1")] == []
    assert errors == []
    page.close()


def test_a_copied_link_opens_the_same_view_in_a_fresh_session(browser, address: str) -> None:
    page = browser.new_page()
    page.goto(address)
    page.get_by_role("combobox", name="Alignment metric").wait_for(timeout=30_000)
    page.get_by_role("combobox", name="Alignment metric").click()
    page.get_by_role("option", name="MEXA_T").click()
    page.get_by_text("Chance for MEXA_T").wait_for(timeout=30_000)
    link = page.url
    assert "metric=" in link
    other = browser.new_context().new_page()
    other.goto(link)
    other.get_by_text("Chance for MEXA_T").wait_for(timeout=30_000)
    page.close()
