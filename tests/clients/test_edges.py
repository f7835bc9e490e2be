"""The edges of the semantics, with an official client of each revision: what is easily got wrong.

The scenarios are in tests/js/scenarios/edges.js; with ``--reference`` they run against Node's own server. Where this
server differs on purpose, the scenario says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.backend import REFERENCE, ServerProcess, backend
from tests.support.driver import TRANSPORTS, Driver

CLIENTS = ("client2", "client4")
SCENARIOS = (
    "rooms-given-twice",
    "operators-can-be-kept",
    "asking-nobody",
    "asking-who-leaves",
    "asking-without-a-limit",
    "partial-answers",
    "asking-without-patience",
    "volatile-behind-a-normal-event",
    "two-volatile-events",
    "volatile-binary",
    "odd-names",
    "acknowledgement-number-zero",
    "connected-behind-the-middleware",
    "emitted-in-the-middleware",
    "gone-during-the-middleware",
    "rooms-of-a-refused-client",
    "joining-after-the-end",
    "packets-behind-the-end",
    "two-clients-make-one-namespace",
    "parents-in-order",
    "a-child-made-by-hand",
    "an-empty-child-is-forgotten",
    "a-child-whose-first-client-is-refused",
    "a-parent-has-no-sockets",
)


@pytest.fixture(scope="module")
def edges_url(front: str) -> Iterator[str]:
    """Return the URL of a server that forgets empty children, which is not Node's default."""
    with backend(front, cleanup_empty_child_namespaces=True) as url:
        yield url


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("client", CLIENTS)
def test_edge(
    driver: Callable[[str], Driver], front: str, edges_url: str, client: str, transport: str, scenario: str
) -> None:
    """Run one scenario."""
    driver(client).start(scenario, edges_url, transport, reference=front == REFERENCE).result()


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_server_that_stays_away_and_returns(
    driver: Callable[[str], Driver], front: str, client: str, transport: str
) -> None:
    """Let a client give up once, and find its handlers as they were when it returns."""
    servers = [ServerProcess(front)]
    try:
        run = driver(client).start("gives-up-and-comes-back", servers[0].url, transport)
        run.follow({"stop": servers[0].kill, "start": lambda: servers.append(ServerProcess(front, servers[0].port))})
    finally:
        for server in servers:
            server.close()
