"""The dashboard in a real Chromium: pages render without errors, ask nobody else, and links open the same view."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from synthetic import Shape, synthetic_run

from e2e.chromium import ROOT, finished, new_page, serving

PAGES = re.findall(r'st\.Page\(\s*"([\w/]+\.py)"', (ROOT / "app.py").read_text(encoding="utf-8"))

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with one run, whose texts, model name and note are hostile."""
    folder = tmp_path_factory.mktemp("browser") / "cache"
    synthetic_run(folder, ("eng_Latn", "swh_Latn", "arb_Arab", "deu_Latn", "tha_Thai"), Shape(n=24), hostile=True)
    return folder


@pytest.fixture(scope="module")
def address(cache: Path) -> Iterator[str]:
    """The app served from that cache."""
    with serving(cache) as url:
        yield url


def url_of(page: str) -> str:
    """Path of a page in the address."""
    return "/" if page == PAGES[0] else f"/{Path(page).stem}"


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (800, "dark")])
def test_a_page_renders_without_errors_and_asks_only_this_machine(
    context, address: str, path: str, width: int, scheme: str
) -> None:
    page = new_page(context, width, 1200, scheme)
    errors: list[str] = []
    elsewhere: list[str] = []
    # Streamlit looks for its server below a page's address first, so every link begins with two answers 404 of _stcore.
    page.on("response", lambda r: errors.append(r.url) if r.status >= 400 and "/_stcore/" not in r.url else None)
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" and "404" not in m.text else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda r: elsewhere.append(r.url) if not r.url.startswith((address, "data:", "blob:")) else None)
    page.goto(address + url_of(path))
    finished(page)
    assert page.title() != "taken"  # what the hostile texts would do
    assert page.get_by_text("Page not found").count() == 0
    assert [u for u in elsewhere if not u.startswith("ws://127.0.0.1")] == []
    assert errors == []


COVERED = """
[...document.querySelectorAll('.js-plotly-plot')].flatMap(chart => {
  const box = e => e.getBoundingClientRect(), top = box(chart).top + chart._fullLayout._size.t;
  const entries = [...chart.querySelectorAll('.legendtext')].map(box).filter(b => b.left < box(chart).left + 200);
  const words = [...chart.querySelectorAll('.annotation-text')].filter(e => /^(ties|after norm)$/.test(e.textContent));
  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  const inside = chart._fullLayout.legend?.orientation === 'h' ? entries.filter(b => b.bottom > top) : [];
  return [...inside, ...words.map(box).filter(w => entries.some(e => meet(w, e)))].map(b => [b.left, b.top]);
})
"""
"""Legend entries that lie on a plot, and words over marked layers that lie on a legend's entry."""


@pytest.mark.parametrize("path", ["/instances", "/layers"])
def test_a_legend_covers_nothing_after_the_window_has_become_narrow(context, address: str, path: str) -> None:
    page = new_page(context, height=1200)
    page.goto(address + path)
    finished(page)
    page.wait_for_function("document.querySelectorAll('.js-plotly-plot .legend').length >= 2")
    for width in (1440, 800, 500):
        page.set_viewport_size({"width": width, "height": 1200})
        page.wait_for_timeout(1000)
        assert page.evaluate(COVERED) == [], width


def test_the_overview_draws_a_point_per_language(context, address: str) -> None:
    page = new_page(context)
    page.goto(address)
    page.wait_for_selector(".js-plotly-plot .scatterlayer .point")
    assert page.locator(".js-plotly-plot .scatterlayer .point").count() == 4


def test_a_copied_link_opens_the_same_view_in_a_fresh_session(context, address: str) -> None:
    page = new_page(context)
    page.goto(address)
    finished(page)
    page.get_by_role("combobox", name="Alignment metric").click()
    page.get_by_role("option", name="MEXA_T").click()
    page.get_by_text("MEXA_T is highest").wait_for()
    page.wait_for_url(re.compile("metric=mexa_t"))
    link = page.url
    assert "run=" in link and "pooling=last_token" in link
    other = new_page(context.browser.new_context())  # of somebody else
    other.goto(link)
    other.get_by_text("MEXA_T is highest").wait_for()
    page.go_back()
    page.get_by_text("DALI is highest").wait_for()
    page.go_forward()
    page.get_by_text("MEXA_T is highest").wait_for()


def test_a_change_of_page_keeps_metric_and_run(context, address: str) -> None:
    if len(PAGES) < 2:
        pytest.skip("the app has one page")
    page = new_page(context)
    page.goto(f"{address}/?metric=dali_gold&pooling=weighted_mean")
    page.get_by_text("DALI gold-only is highest").wait_for()
    page.locator(f'[data-testid=stSidebarNav] a[href$="{url_of(PAGES[1])}"]').click()
    page.wait_for_url(re.compile(f"{url_of(PAGES[1])}.*metric=dali_gold.*pooling=weighted_mean"))


def test_a_link_may_be_the_first_request_that_a_server_gets(context, cache: Path) -> None:
    """Streamlit takes a folder `pages` beside app.py for its older navigation until app.py says otherwise."""
    if len(PAGES) < 2:
        pytest.skip("the app has one page")
    with serving(cache, plainly=True) as url:
        page = new_page(context)
        page.goto(f"{url}{url_of(PAGES[1])}?metric=dali_gold")
        finished(page)
        assert page.get_by_text("Page not found").count() == 0
