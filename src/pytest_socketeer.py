"""The pytest plugin: the fixture ``socketeer_client``. Beside the package, so that pytest does not load all of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from socketeer.testing import Clients

__all__ = ["socketeer_client"]


@pytest.fixture
def socketeer_client() -> Iterator[Clients]:
    """Connect clients to an application in memory, on virtual time: ``socketeer_client(app, "/namespace")``."""
    from socketeer.testing import Clients

    with Clients() as clients:
        yield clients
