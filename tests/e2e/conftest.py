"""Chromium for the tests of a file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.chromium import launched


@pytest.fixture(scope="module")
def browser() -> Iterator:
    """Chromium, one for all tests of a file."""
    with launched() as chromium:
        yield chromium
