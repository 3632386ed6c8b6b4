"""Pictures of every page of the dashboard, to be looked at: 1440 pixels light and dark, 800 light.

    python benchmarks/screenshots.py CACHE OUT [--pages overview languages] [--query "run=…&metric=mexa_t"]

Serves the app on CACHE and writes OUT/<page>-<width>-<scheme>.png, whole pages. Needs Chromium and playwright.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from dashboard import pages, server
from playwright.sync_api import Page, sync_playwright

LOOKS = {"1440-light": (1440, "light"), "1440-dark": (1440, "dark"), "800-light": (800, "light")}
PATIENCE = 180_000
"""Milliseconds."""


def settled(page: Page) -> None:
    """Waits until the script is done and every chart is drawn."""
    page.get_by_role("heading", level=1).first.wait_for()
    page.wait_for_function(
        "document.querySelector('[data-testid=stApp]').getAttribute('data-test-script-state') === 'notRunning' && "
        "!document.querySelector('[data-testid=stSkeleton]') && "
        "[...document.querySelectorAll('[data-testid=stPlotlyChart]')].every(c => c.querySelector('.main-svg'))"
    )
    page.wait_for_timeout(1500)


def whole(page: Page, path: Path) -> None:
    """The page from top to bottom: the app scrolls inside the window, so the window is made as high as its content."""
    height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size({"width": page.viewport_size["width"], "height": min(12_000, height + 40)})
    settled(page)
    page.screenshot(path=path)


def look_at(page: Page, address: str, name: str, out: Path) -> None:
    """Opens a page once and takes it in all looks."""
    page.set_viewport_size({"width": 1440, "height": 1000})
    page.goto(address)
    for look, (width, scheme) in LOOKS.items():
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 1000})
        settled(page)
        whole(page, out / f"{name}-{look}.png")
        print(f"{name}, {look}: {page.viewport_size['height']} pixels high", flush=True)


def main() -> None:
    """Takes the pictures and prints each page's height."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--pages", nargs="*", default=[Path(p).stem for p in pages()])
    parser.add_argument("--query", default="")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with server(options.cache.absolute()) as (port, *_), sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = chromium.new_context().new_page()
        page.set_default_timeout(PATIENCE)
        for name in options.pages:
            look_at(
                page, f"http://127.0.0.1:{port}/{'' if name == 'overview' else name}?{options.query}", name, options.out
            )
        chromium.close()


if __name__ == "__main__":
    main()
