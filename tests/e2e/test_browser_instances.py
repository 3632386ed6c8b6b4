"""Instances in a real Chromium: from a language to an instance, to the next failure, to a link that opens the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest
from synthetic import HOSTILE, Shape, synthetic_run

from e2e.chromium import SLOW, choose_row, click_point, finished, new_page, serving

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
    with serving(cache) as url:
        yield Served(url, hostile.folder.name)


@pytest.fixture(scope="module")
def address(served: Served) -> str:
    return served.url


def texts(page) -> list[str]:
    return page.locator("[data-testid=stHtml] div[lang]").all_inner_texts()


def test_from_a_language_to_an_instance_to_the_next_failure_to_a_link(context, address: str) -> None:
    page = new_page(context)
    page.goto(f"{address}/languages?metric=dali_gold")
    click_point(page, "scatter", "swh_Latn")
    page.get_by_role("heading", name="Instances of Swahili").wait_for()
    page.wait_for_url(lambda url: "/instances?" in url and "metric=dali_gold" in url, timeout=SLOW)
    choose_row(page, 0)
    page.get_by_role("heading", name="Instance", exact=True).wait_for()
    page.wait_for_url(lambda url: "language=swh_Latn" in url and "instance=passage-0%231" in url, timeout=SLOW)
    page.get_by_role("button", name="Next wrong answer").click()
    page.wait_for_url(lambda url: "instance=" in url and "instance=passage-0%231" not in url, timeout=SLOW)
    page.get_by_role("heading", name="Swahili (language)").get_by_text("wrong").wait_for()
    page.get_by_role("button", name="Copy link").click()
    link = page.locator("[data-testid=stPopoverBody] code").inner_text().strip()
    assert link == page.url
    other = new_page(context.browser.new_context())  # of somebody else
    other.goto(link)
    other.get_by_role("heading", name="Swahili (language)").wait_for()
    other.locator("[data-testid=stHtml] td div[lang]").last.wait_for()
    assert texts(other) == texts(page)
    assert other.url == link


def test_a_click_on_a_run_shows_it(context, served: Served) -> None:
    page = new_page(context)
    page.goto(served.url)
    page.wait_for_url(lambda url: "run=" in url and served.hostile not in url, timeout=SLOW)
    choose_row(page, 1)
    page.wait_for_url(lambda url: served.hostile in url, timeout=SLOW)
    page.get_by_text("12 instances").first.wait_for()


def test_a_click_on_a_language_shows_the_same_question_there(context, address: str) -> None:
    page = new_page(context)
    page.goto(f"{address}/instance?language=swh_Latn&instance=passage-2%231")
    page.get_by_role("heading", name="Swahili (language)").wait_for()
    click_point(page, "languages", "arb_Arab")
    page.get_by_role("heading", name="Modern Standard Arabic (language)").wait_for()
    page.wait_for_url(lambda url: "instance=passage-2%231" in url and "language=arb_Arab" in url, timeout=SLOW)


def test_arabic_reads_from_right_to_left(context, address: str) -> None:
    page = new_page(context)
    page.goto(f"{address}/instance?language=arb_Arab")
    arabic = page.locator("[data-testid=stHtml] div[lang=arb-Arab]").first
    arabic.wait_for()
    style = arabic.evaluate("e => [getComputedStyle(e).direction, getComputedStyle(e).whiteSpace]")
    assert style[0] == "rtl" and "pre-wrap" in style[1]
    english = page.locator("[data-testid=stHtml] div[lang=eng-Latn]").first
    assert english.evaluate("e => getComputedStyle(e).direction") == "ltr"


def test_hostile_text_is_read_as_it_stands(context, served: Served) -> None:
    page = new_page(context)
    page.goto(f"{served.url}/instance?run={served.hostile}")
    for number, text in enumerate(HOSTILE):
        if number:
            page.get_by_role("combobox", name="Instance").click()
            page.get_by_role("option").nth(number).click()
        page.wait_for_url(lambda url, n=number: f"instance=passage-{n // 2}%23{n % 2 + 1}" in url, timeout=SLOW)
        finished(page)
        shown = page.locator("[data-testid=stHtml] div[lang]").first.evaluate("e => e.textContent")
        assert shown == text.replace("\r\n", "\n"), number
        assert "taken" not in page.title(), number
        assert page.locator("[data-testid=stHtml]").locator("script, img, a, h1, .katex").count() == 0, number
        assert page.evaluate("document.documentElement.scrollWidth") <= 1440, number
