"""Translations in a real Chromium: from the page to a sentence, its marks, the next one, and a link that opens the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from synthetic import Shape, synthetic_run
from synthetic_translation import synthetic_translation

from e2e.chromium import SLOW, finished, new_page, serving

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app served from a cache of made-up translations."""
    cache: Path = tmp_path_factory.mktemp("browser") / "cache"
    languages = ("eng_Latn", "swh_Latn", "arb_Arab")
    alignment = synthetic_run(cache, languages, Shape(n=20, options=0, task="flores"))
    synthetic_translation(alignment, languages[1:], directions=("en-xx",))
    with serving(cache) as address:
        yield address


def test_from_the_page_to_a_sentence_to_the_next_to_a_link(context, address: str) -> None:
    page = new_page(context)
    page.goto(f"{address}/translation?language=arb_Arab")
    page.get_by_role("heading", name="Sentences of Modern Standard Arabic").wait_for()
    page.locator(".st-key-open button").click()
    page.get_by_role("heading", name="Sentence", exact=True).wait_for()
    page.wait_for_url(lambda url: "language=arb_Arab" in url and "sentence=passage-0%231" in url, timeout=SLOW)
    page.get_by_role("button", name="Next sentence").click()
    page.wait_for_url(lambda url: "sentence=passage-0%232" in url, timeout=SLOW)
    finished(page)
    for _ in range(5):  # the sixth sentence has no source, the seventh has ordinary faults
        here = page.url
        page.get_by_role("button", name="Next sentence").click()
        page.wait_for_url(lambda url, here=here: url != here, timeout=SLOW)
        finished(page)
    page.wait_for_url(lambda url: "sentence=passage-3%231" in url, timeout=SLOW)
    marked = page.locator("[data-testid=stHtml] ins").first
    marked.wait_for()
    style = marked.evaluate("e => [getComputedStyle(e).textDecorationLine, getComputedStyle(e).fontWeight]")
    assert style[0] == "underline" and int(style[1]) >= 600
    arabic = page.locator("[data-testid=stHtml] div[lang=arb-Arab]").last
    assert arabic.evaluate("e => getComputedStyle(e).direction") == "rtl"
    texts = page.locator("[data-testid=stHtml] div[lang]").all_inner_texts()
    other = new_page(context.browser.new_context())  # of somebody else
    other.goto(page.url)
    finished(other)
    # The browser puts in one text after another, also when the script is done.
    other.locator("[data-testid=stHtml] div[lang]").nth(len(texts) - 1).wait_for()
    assert other.locator("[data-testid=stHtml] div[lang]").all_inner_texts() == texts
