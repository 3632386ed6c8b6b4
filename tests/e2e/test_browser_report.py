"""The static report in a real Chromium, opened from a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic import Shape, synthetic_run

from crossalign.report.writing import write_report
from e2e.chromium import new_page

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(
    ("width", "scheme", "colour"), [(1440, "light", "rgb(31, 35, 40)"), (800, "dark", "rgb(230, 237, 243)")]
)
def test_a_report_opens_from_a_folder_and_draws_its_figures(
    context, tmp_path: Path, width: int, scheme: str, colour: str
) -> None:
    run = synthetic_run(tmp_path / "cache", ("eng_Latn", "swh_Latn", "arb_Arab", "deu_Latn"), Shape(n=16), hostile=True)
    index = next(f for f in write_report(run, tmp_path) if f.name == "index.html")
    page = new_page(context, width, 1000, scheme)
    told: list[str] = []
    page.on("console", lambda m: told.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("request", lambda r: told.append(r.url) if not r.url.startswith(("file:", "data:", "blob:")) else None)
    page.goto(index.as_uri())
    plots = page.locator(".plot.js-plotly-plot")
    plots.first.locator(".xtitle").wait_for()
    assert plots.count() == page.locator("figure").count() >= 9
    assert plots.first.locator(".xtitle").evaluate("e => getComputedStyle(e).fill") == colour
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert told == [] and page.title() != "taken"
