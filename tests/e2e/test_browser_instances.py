"""Instances in a real Chromium: from a language to an instance, to the next failure, to a link that opens the same."""

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
from typing import NamedTuple

import pytest
from synthetic import HOSTILE, Shape, synthetic_run

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
LONG = 60_000
"""Milliseconds: a machine that does much else is slow."""

pytestmark = pytest.mark.browser


class Served(NamedTuple):
    """The app, and the run of hostile texts in its cache."""

    url: str
    hostile: str


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The app served from a made-up cache: an ordinary run and, older, one of hostile texts."""
    cache = tmp_path_factory.mktemp("browser") / "cache"
    languages = ("eng_Latn", "swh_Latn", "arb_Arab")
    hostile = synthetic_run(cache, languages, Shape(n=12, task="xcopa"), hostile=True, seed=1)
    synthetic_run(cache, languages, Shape(n=30))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    server = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"CROSSALIGN_CACHE": str(cache)})
    try:
        yield Served(_ready(f"http://127.0.0.1:{port}"), hostile.folder.name)
    finally:
        server.terminate()
        server.wait(timeout=20)


def _ready(url: str) -> str:
    for _ in range(240):
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2) as answer:
                if answer.status == 200:
                    return url
        except OSError:
            time.sleep(0.25)
    raise RuntimeError("the app did not start within a minute")


@pytest.fixture(scope="module")
def address(served: Served) -> str:
    return served.url


@pytest.fixture(scope="module")
def browser(address: str) -> Iterator:
    """Chromium; it has opened the first page, as Streamlit knows the pages of an app only after its script ran once."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = chromium.new_page()
        page.goto(address, timeout=LONG)
        page.get_by_role("heading", name="Overview").first.wait_for(timeout=LONG)
        page.close()
        yield chromium
        chromium.close()


def new_page(browser):
    """A page in a session of its own."""
    page = browser.new_context(viewport={"width": 1440, "height": 1400}).new_page()
    page.set_default_timeout(LONG)
    return page


def texts(page) -> list[str]:
    return page.locator("[data-testid=stHtml] div[lang]").all_inner_texts()


def test_from_a_language_to_an_instance_to_the_next_failure_to_a_link(browser, address: str) -> None:
    page = new_page(browser)
    page.goto(f"{address}/instances")
    page.get_by_role("combobox", name="Language").click()
    page.get_by_role("option", name="Swahili").click()
    page.get_by_role("heading", name="Instances of Swahili").wait_for()
    table = page.locator("[data-testid=stDataFrame]").last
    table.scroll_into_view_if_needed()
    table.click(position={"x": 18, "y": 52})  # the box of the first row
    page.get_by_role("heading", name="Instance", exact=True).wait_for()
    page.wait_for_url(lambda url: "language=swh_Latn" in url and "instance=passage-0%231" in url, timeout=LONG)
    page.get_by_role("button", name="Next wrong answer").click()
    page.wait_for_url(lambda url: "instance=" in url and "instance=passage-0%231" not in url, timeout=LONG)
    page.get_by_role("heading", name="Swahili (language)").get_by_text("wrong").wait_for()
    page.get_by_role("button", name="Copy link").click()
    link = page.locator("[data-testid=stPopoverBody] code").inner_text().strip()
    assert link == page.url
    other = new_page(browser)
    other.goto(link)
    other.get_by_role("heading", name="Swahili (language)").wait_for()
    other.locator("[data-testid=stHtml] td div[lang]").last.wait_for()
    assert texts(other) == texts(page)
    assert other.url == link


def test_a_click_on_a_language_shows_the_same_question_there(browser, address: str) -> None:
    page = new_page(browser)
    page.goto(f"{address}/instance?language=swh_Latn&instance=passage-2%231")
    page.get_by_role("heading", name="Swahili (language)").wait_for()
    glance = page.locator(".st-key-languages .js-plotly-plot")
    glance.locator(".scatterlayer .point").first.wait_for()
    glance.scroll_into_view_if_needed()
    label = glance.locator(".scatterlayer text", has_text="arb_Arab")
    point = page.evaluate(
        "t => { const all = [...t.closest('.trace').querySelectorAll('.point')];"
        "const texts = [...t.closest('.trace').querySelectorAll('text')];"
        "const b = all[texts.indexOf(t)].getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2] }",
        label.element_handle(),
    )
    page.mouse.click(*point)
    page.get_by_role("heading", name="Modern Standard Arabic (language)").wait_for()
    page.wait_for_url(lambda url: "instance=passage-2%231" in url and "language=arb_Arab" in url, timeout=LONG)


def test_arabic_reads_from_right_to_left(browser, address: str) -> None:
    page = new_page(browser)
    page.goto(f"{address}/instance?language=arb_Arab")
    arabic = page.locator("[data-testid=stHtml] div[lang=arb-Arab]").first
    arabic.wait_for()
    style = arabic.evaluate("e => [getComputedStyle(e).direction, getComputedStyle(e).whiteSpace]")
    assert style[0] == "rtl" and "pre-wrap" in style[1]
    english = page.locator("[data-testid=stHtml] div[lang=eng-Latn]").first
    assert english.evaluate("e => getComputedStyle(e).direction") == "ltr"


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_text_is_read_as_it_stands(browser, served: Served, number: int) -> None:
    page = new_page(browser)
    page.goto(f"{served.url}/instance?run={served.hostile}&instance=passage-{number // 2}%23{number % 2 + 1}")
    page.locator("[data-testid=stHtml] table").wait_for()
    shown = page.locator("[data-testid=stHtml] div[lang]").first.evaluate("e => e.textContent")
    assert shown == HOSTILE[number].replace("\r\n", "\n")
    assert "taken" not in page.title()
    assert page.locator("[data-testid=stHtml]").locator("script, img, a, h1, .katex").count() == 0
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 1440
