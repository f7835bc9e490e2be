"""One Chromium for all browser tests; each page in a profile of its own, and closed after its test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser.chromium import Browser, chromium


@pytest.fixture(scope="session")
def chromium_process() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def browser(chromium_process: Browser) -> Iterator[Browser]:
    yield chromium_process
    chromium_process.close_pages()
