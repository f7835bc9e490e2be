"""All generations of the client on one server, and servers whose options leave some of them out."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.backend import REFERENCE, backend
from tests.support.driver import CLIENTS, TRANSPORTS, Driver

DriverOf = Callable[[str], Driver]
MEMBERS = {f"{client} {transport}": (client, transport) for client in CLIENTS for transport in TRANSPORTS}


@pytest.mark.parametrize("asking", ["client4 websocket", "client1 polling"])
def test_all_generations_share_a_room(driver: DriverOf, front: str, url: str, asking: str) -> None:
    """Let every client over every transport hear the same broadcasts and answer the same question."""
    shared = {
        "room": f"company of {asking}",
        "members": sorted(MEMBERS),
        # Node's server loses 1.x clients that poll when it sends them more than ASCII.
        "text": "e" if front == REFERENCE else "é 🦊",
    }
    runs = [
        driver(client).start("in-company", url, transport, name=name, asks=name == asking, **shared)
        for name, (client, transport) in MEMBERS.items()
    ]
    for run in runs:
        run.result()


@pytest.fixture(scope="module")
def newer_only(front: str) -> Iterator[str]:
    """Return the URL of a server that does not take the old clients."""
    with backend(front, allow_eio3=False) as url:
        yield url


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("client", CLIENTS)
def test_without_the_old_revision(driver: DriverOf, newer_only: str, client: str, transport: str) -> None:
    """Refuse 1.x and 2.x where ``allow_eio3`` is off."""
    scenario = "cannot-connect" if CLIENTS[client] < 3 else "server-acks"
    driver(client).start(scenario, newer_only, transport).result()


@pytest.fixture(scope="module")
def without_upgrades(front: str) -> Iterator[str]:
    """Return the URL of a server that does not upgrade."""
    with backend(front, allow_upgrades=False) as url:
        yield url


@pytest.mark.parametrize("client", CLIENTS)
def test_without_upgrades(driver: DriverOf, without_upgrades: str, client: str) -> None:
    """Stay on polling where ``allow_upgrades`` is off."""
    driver(client).start("stays-on-polling", without_upgrades, "upgrade").result()


@pytest.fixture(scope="module")
def websocket_only(front: str) -> Iterator[str]:
    """Return the URL of a server that takes no polling."""
    with backend(front, transports=["websocket"]) as url:
        yield url


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(("transport", "scenario"), [("polling", "cannot-connect"), ("websocket", "server-acks")])
def test_without_polling(driver: DriverOf, websocket_only: str, client: str, transport: str, scenario: str) -> None:
    """Refuse polling where ``transports`` does not name it."""
    driver(client).start(scenario, websocket_only, transport).result()
