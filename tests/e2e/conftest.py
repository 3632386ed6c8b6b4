"""Chromium for the tests of a file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.chromium import launched


@pytest.fixture(scope="module")
def context() -> Iterator:
    """A browser context in Chromium, one for all tests of a file."""
    with launched() as made:
        yield made


@pytest.fixture(autouse=True)
def nothing_left_open(context) -> Iterator[None]:
    """Closes the pages of a test, each of which would go on talking to its server."""
    yield
    for one in context.browser.contexts:
        for page in one.pages:
            page.close()
