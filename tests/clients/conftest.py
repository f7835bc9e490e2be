"""Drivers of the official clients and the servers that they meet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.support.backend import FRONTS, REFERENCE, backend
from tests.support.driver import Driver


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what takes a ``front`` over both lanes, or with ``--reference`` over Node's own server."""
    if "front" in metafunc.fixturenames:
        fronts = (REFERENCE,) if metafunc.config.getoption("--reference") else FRONTS
        metafunc.parametrize("front", fronts, scope="session")


@pytest.fixture(scope="session")
def driver() -> Iterator[Callable[[str], Driver]]:
    """Return a function that gives the driver of a client version, started when it is first asked for."""
    drivers: dict[str, Driver] = {}

    def of(client: str) -> Driver:
        if client not in drivers:
            drivers[client] = Driver(client)
        return drivers[client]

    yield of
    for started in drivers.values():
        started.close()


@pytest.fixture(scope="session")
def url(front: str) -> Iterator[str]:
    """Return the URL of a server with the default options."""
    with ExitStack() as stack:
        yield stack.enter_context(backend(front))
