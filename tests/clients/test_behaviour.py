"""What the official clients meet, from connecting to disconnecting: each behaviour over each way there is.

Four generations of the client, three ways of transport, two lanes. The scenarios are in tests/js/scenarios; with
``--reference`` they run against Node's own server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.clients.test_edges import SCENARIOS as EDGES
from tests.clients.test_recovery import ELSEWHERE as ALSO_RECOVERY
from tests.clients.test_recovery import SCENARIOS as RECOVERY
from tests.support.backend import REFERENCE
from tests.support.driver import CLIENTS, TRANSPORTS, Driver

ALL = (1, 2, 3, 4)
SCENARIOS: dict[str, tuple[int, ...]] = {
    "connect": ALL,
    "query": ALL,
    "headers": ALL,
    "auth": (3, 4),
    "emit-before-connect": ALL,
    "json-types": ALL,
    "unicode": ALL,
    "half-a-character": ALL,
    "message": ALL,
    "binary": ALL,
    "binary-as-text": ALL,
    "nested-binary": ALL,
    "five-hundred-in-order": ALL,
    "talking-while-connecting": ALL,
    "large-payloads": ALL,
    "oversize": ALL,
    "server-acks": ALL,
    "server-acks-late": ALL,
    "ack-once": ALL,
    "client-acks": ALL,
    "client-acks-late": ALL,
    "client-does-not-ack": ALL,
    "broadcast-acks": ALL,
    "emit-with-ack": (4,),
    "rooms": ALL,
    "room-of-one": ALL,
    "move-and-fetch": ALL,
    "broadcast": ALL,
    "namespaces": ALL,
    "namespace-credentials": (2, 3, 4),
    "namespace-broadcast": ALL,
    "leave-a-namespace": ALL,
    "dynamic-by-pattern": ALL,
    "dynamic-by-function": ALL,
    "refused-with-data": ALL,
    "refused-without-data": ALL,
    "refused-by-a-failure": ALL,
    "admitted-after-a-refusal": ALL,
    "refused-at-the-door": ALL,
    "unknown-namespace": ALL,
    "client-disconnects": ALL,
    "client-disconnects-at-once": ALL,
    "client-closes-transport": ALL,
    "server-disconnects-namespace": ALL,
    "server-disconnects-connection": ALL,
    "server-disconnects-room": ALL,
    "kicked-while-upgrading": ALL,
    "client-talks-nonsense": ALL,
    "every-reason": ALL,
    "comes-back-to-the-same-server": ALL,
}
# 1.x encodes text in polling bodies as UTF-8 twice and wants it so. Node's server does neither undo nor do that: it
# reads mojibake, and a client that gets other text than ASCII closes. Ours speaks the client's dialect.
REFERENCE_FAILS = {
    ("client1", "polling", "connect"),
    ("client1", "upgrade", "connect"),
    ("client1", "polling", "query"),
    ("client1", "polling", "unicode"),
}
ELSEWHERE = {
    *EDGES,
    *RECOVERY,
    *ALSO_RECOVERY,
    "msgpack-values",
    "stays-for-a-while",
    "gives-up-and-comes-back",
    "another-parser",
    "stays-alive",
    "dropped-when-silent",
    "comes-back",
    "server-shuts-down",
    "in-company",
    "cannot-connect",
    "stays-on-polling",
}


def combinations() -> Iterator[tuple[str, str, str]]:
    """Give each client, way of transport and scenario that go together."""
    for client, major in CLIENTS.items():
        for transport in TRANSPORTS:
            for scenario, majors in SCENARIOS.items():
                if major in majors:
                    yield client, transport, scenario


@pytest.mark.parametrize(("client", "transport", "scenario"), list(combinations()))
def test_client(
    driver: Callable[[str], Driver], front: str, url: str, client: str, transport: str, scenario: str
) -> None:
    """Run one scenario."""
    run = driver(client).start(scenario, url, transport, reference=front == REFERENCE)
    if front == REFERENCE and (client, transport, scenario) in REFERENCE_FAILS:
        with pytest.raises(AssertionError):
            run.result()
    else:
        run.result()


def test_no_scenario_is_forgotten(driver: Callable[[str], Driver]) -> None:
    """Compare the scenarios that the driver has with those that the tests run."""
    assert set(driver("client4").scenarios) == set(SCENARIOS) | ELSEWHERE
