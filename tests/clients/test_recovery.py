"""Connection state recovery with the official client, whose TCP connections a proxy really cuts.

The scenarios are in tests/js/scenarios/recovery.js; with ``--reference`` they run against Node's own server. Where this
server differs on purpose, the scenario says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.backend import REFERENCE, backend
from tests.support.driver import TRANSPORTS, Driver, Run
from tests.support.proxy import Proxy, proxying

DriverOf = Callable[[str], Driver]
SCENARIOS = (
    "recovers-again-and-again",
    "recovers-who-never-got-an-event",
    "recovers-by-itself",
    "every-namespace-recovers",
    "nothing-to-recover",
    "lost-and-of-no-known-offset",
    "who-leaves-does-not-recover",
)
ELSEWHERE = (
    "recovers-after-a-cut",
    "recovers-from-silence",
    "recovers-what-was-sent-into-the-void",
    "too-late-to-recover",
    "too-much-to-recover",
    "a-secret-is-used-once",
    "the-middleware-and-recovery",
    "refused-on-return",
    "older-clients-and-recovery",
)

every_transport = pytest.mark.parametrize("transport", TRANSPORTS)


@pytest.fixture(scope="module")
def recovering(front: str) -> Iterator[str]:
    """Return the URL of a server that recovers clients."""
    with backend(front, connection_state_recovery={"max_disconnection_duration": 20.0}) as url:
        yield url


@pytest.fixture(scope="module")
def asking(front: str) -> Iterator[str]:
    """Return the URL of a server that asks the middleware about those who come back, too."""
    with backend(front, connection_state_recovery={"skip_middlewares": False}) as url:
        yield url


def come_back(driver: DriverOf, front: str, url: str, transport: str, scenario: str, **params: Any) -> None:
    """Run a scenario through a proxy."""
    with proxying(int(url.rpartition(":")[2])) as proxy:
        run = driver("client4").start(
            scenario, proxy.url, transport, direct=url, reference=front == REFERENCE, **params
        )
        obey(run, proxy)


def obey(run: Run, proxy: Proxy) -> None:
    """Do with the proxy what a scenario asks for."""
    run.follow(
        {
            "cut": proxy.cut,
            "cut at once": proxy.cut,
            "reset": lambda: proxy.cut(reset=True),
            "hold": proxy.hold,
            "release": proxy.release,
            "refuse": proxy.refuse,
            "accept": proxy.accept,
        }
    )


@pytest.mark.parametrize("cut", ["cut", "reset"])
@every_transport
def test_recovers_after_a_cut(driver: DriverOf, front: str, recovering: str, transport: str, cut: str) -> None:
    """Give a client back its id, its rooms, its data and what it missed, once and in order."""
    come_back(driver, front, recovering, transport, "recovers-after-a-cut", cut=cut)


@pytest.mark.parametrize("scenario", SCENARIOS)
@every_transport
def test_recovery(driver: DriverOf, front: str, recovering: str, transport: str, scenario: str) -> None:
    """Run one scenario."""
    come_back(driver, front, recovering, transport, scenario)


@every_transport
@pytest.mark.parametrize("scenario", ["recovers-from-silence", "recovers-what-was-sent-into-the-void"])
def test_recovers_what_silence_has_lost(driver: DriverOf, front: str, transport: str, scenario: str) -> None:
    """Recover a client that was given up by the heartbeat, and what was sent to it before that."""
    with backend(front, connection_state_recovery={}, ping_interval=0.3, ping_timeout=0.9) as url:
        come_back(driver, front, url, transport, scenario)


@every_transport
def test_a_client_that_comes_too_late(driver: DriverOf, front: str, transport: str) -> None:
    """Take a client for a new one once its time is over."""
    with backend(front, connection_state_recovery={"max_disconnection_duration": 0.4}) as url:
        come_back(driver, front, url, transport, "too-late-to-recover", ms=700)


@every_transport
@pytest.mark.parametrize(
    ("limit", "recoverable", "unrecoverable"),
    [
        ({"max_packets": 3}, [1, 2, 3], [1, 2, 3, 4]),
        ({"max_bytes": 1000}, ["x" * 700], ["x" * 700, "x" * 700]),
    ],
)
def test_a_client_that_missed_too_much(
    driver: DriverOf,
    front: str,
    transport: str,
    limit: dict[str, int],
    recoverable: list[Any],
    unrecoverable: list[Any],
) -> None:
    """Take a client for a new one when what it missed is no longer there."""
    if front == REFERENCE:
        pytest.skip("Node's server keeps everything")
    with backend(front, connection_state_recovery=limit) as url:
        come_back(
            driver,
            front,
            url,
            transport,
            "too-much-to-recover",
            recoverable=recoverable,
            unrecoverable=unrecoverable,
        )


@every_transport
def test_a_secret_is_used_once(driver: DriverOf, front: str, recovering: str, transport: str) -> None:
    """Recover one client by a secret, and take whoever comes with it later for a new one."""
    if front == REFERENCE:
        pytest.skip("Node's server lets a secret be used again")
    come_back(driver, front, recovering, transport, "a-secret-is-used-once")


@every_transport
def test_the_middleware_is_skipped(driver: DriverOf, front: str, recovering: str, transport: str) -> None:
    """Let a client come back without asking again."""
    come_back(driver, front, recovering, transport, "the-middleware-and-recovery", asked=1)


@every_transport
def test_the_middleware_is_asked_again(driver: DriverOf, front: str, asking: str, transport: str) -> None:
    """Ask again with ``skip_middlewares`` off."""
    come_back(driver, front, asking, transport, "the-middleware-and-recovery", asked=2)


@every_transport
def test_refused_on_return(driver: DriverOf, front: str, asking: str, transport: str) -> None:
    """Refuse a client that comes back, and tell it nothing."""
    come_back(driver, front, asking, transport, "refused-on-return")


@every_transport
@pytest.mark.parametrize("client", ["client1", "client2", "client3"])
def test_older_clients(driver: DriverOf, front: str, recovering: str, client: str, transport: str) -> None:
    """Serve clients that know nothing of recovery as ever."""
    run = driver(client).start("older-clients-and-recovery", recovering, transport, reference=front == REFERENCE)
    run.result()
