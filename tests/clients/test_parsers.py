"""Packets in other forms than JSON with attachments: what the official clients do, over parsers of npm and one's own.

The scenarios are those of the ordinary tests; with ``--reference`` they run against Node's own server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from socketeer import MSGPACK
from tests.support.backend import REFERENCE, backend
from tests.support.driver import TRANSPORTS, Driver
from tests.support.parcels import Parcels

SCENARIOS = (
    "connect",
    "auth",
    "namespace-credentials",
    "unicode",
    "nested-binary",
    "five-hundred-in-order",
    "talking-while-connecting",
    "server-acks",
    "client-acks",
    "broadcast-acks",
    "rooms",
    "broadcast",
    "namespaces",
    "leave-a-namespace",
    "refused-with-data",
    "refused-without-data",
    "server-disconnects-connection",
)
# 2.x says of binary what it is, as in JSON; Node's server of today does not take that from its parser.
NOT_THE_REFERENCE = "client2"
MSGPACK_CLIENTS = {"client2": "msgpack-parser2", "client3": "msgpack-parser3", "client4": "msgpack-parser3"}
# 2.x knows no auth, and its parser takes no other refusal than a string.
NOT_FOR_2 = {"auth", "refused-with-data"}

DriverOf = Callable[[str], Driver]


@pytest.fixture(scope="module")
def msgpack_url(front: str) -> Iterator[str]:
    """Return the URL of a server that talks MessagePack."""
    with backend(front, parser="msgpack-parser3" if front == REFERENCE else MSGPACK) as url:
        yield url


@pytest.fixture(scope="module")
def parcels_url(front: str) -> Iterator[str]:
    """Return the URL of a server with a parser of the tests' own."""
    with backend(front, parser="./parcels.js" if front == REFERENCE else Parcels()) as url:
        yield url


@pytest.mark.parametrize(
    ("client", "scenario"),
    [(c, scenario) for c in MSGPACK_CLIENTS for scenario in SCENARIOS if c != "client2" or scenario not in NOT_FOR_2],
)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_msgpack(driver: DriverOf, front: str, msgpack_url: str, client: str, transport: str, scenario: str) -> None:
    """Run one scenario with the parser of npm."""
    if front == REFERENCE and client == NOT_THE_REFERENCE:
        pytest.skip("Node's server refuses it")
    driver(client).start(scenario, msgpack_url, transport, parser=MSGPACK_CLIENTS[client]).result()


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("client", MSGPACK_CLIENTS)
def test_dates_and_large_numbers(driver: DriverOf, front: str, msgpack_url: str, client: str, transport: str) -> None:
    """Keep values that MessagePack has and JSON has not."""
    if front == REFERENCE and client == NOT_THE_REFERENCE:
        pytest.skip("Node's server refuses it")
    run = driver(client).start("msgpack-values", msgpack_url, transport, parser=MSGPACK_CLIENTS[client])
    run.result()


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_parser_of_ones_own(driver: DriverOf, parcels_url: str, transport: str, scenario: str) -> None:
    """Run one scenario with the parser of the tests."""
    driver("client4").start(scenario, parcels_url, transport, parser="./parcels.js").result()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_client_with_another_parser(driver: DriverOf, msgpack_url: str, transport: str) -> None:
    """Close the connection of a client that talks JSON to a server that does not."""
    driver("client4").start("another-parser", msgpack_url, transport).result()
