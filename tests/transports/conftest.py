"""What the tests of the transports share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.transports.behaving import close_peers


@pytest.fixture(autouse=True)
def peers_are_closed() -> Iterator[None]:
    """Close what a test left open."""
    yield
    close_peers()
