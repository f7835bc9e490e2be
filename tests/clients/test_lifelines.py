"""Heartbeats, silence, servers that die or close: the official clients over time.

All combinations of client and transport that meet one server do so at once, since they mostly wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tests.support.backend import REFERENCE, ServerProcess, backend
from tests.support.driver import CLIENTS, TRANSPORTS, Driver, Run

COMBINATIONS = [(client, transport) for client in CLIENTS for transport in TRANSPORTS]
INTERVAL, TIMEOUT = 0.2, 1.0
# Node's server forgets the deadline of an old client when it upgrades; the next ping of the client would set it again.
REFERENCE_KEEPS = {("client1", "upgrade"), ("client2", "upgrade")}

Runs = dict[tuple[str, str], Run]
DriverOf = Callable[[str], Driver]

every_client = pytest.mark.parametrize(("client", "transport"), COMBINATIONS)


def start_all(driver: DriverOf, url: str, scenario: str, **params: float | str) -> Runs:
    """Start a scenario for every combination."""
    return {(client, way): driver(client).start(scenario, url, way, **params) for client, way in COMBINATIONS}


@pytest.fixture(scope="module")
def beating(front: str) -> Iterator[str]:
    """Return the URL of a server with short heartbeats."""
    with backend(front, ping_interval=INTERVAL, ping_timeout=TIMEOUT) as url:
        yield url


@pytest.fixture(scope="module")
def staying(beating: str, driver: DriverOf) -> Runs:
    """Let every client stay longer than a silent one could."""
    return start_all(driver, beating, "stays-alive", ms=1800, beats=5)


@every_client
def test_stays_alive_over_heartbeats(staying: Runs, client: str, transport: str) -> None:
    """Keep a connection by its heartbeats alone."""
    staying[client, transport].result()


@pytest.fixture(scope="module")
def silent(beating: str, driver: DriverOf) -> Runs:
    """Make every client fall silent."""
    return start_all(driver, beating, "dropped-when-silent", atLeast=TIMEOUT * 500, atMost=(INTERVAL + TIMEOUT) * 3000)


@every_client
def test_is_dropped_when_silent(silent: Runs, front: str, client: str, transport: str) -> None:
    """Drop a client that sends nothing any more, not even heartbeats."""
    if front == REFERENCE and (client, transport) in REFERENCE_KEEPS:
        with pytest.raises(AssertionError):
            silent[client, transport].result()
    else:
        silent[client, transport].result()


@pytest.fixture(scope="module")
def back(front: str, driver: DriverOf) -> Iterator[Runs]:
    """Kill the server's process under every client and start it again on the same port."""
    server = ServerProcess(front)
    try:
        runs = start_all(driver, server.url, "comes-back", reason="^transport (close|error)$")
        for run in runs.values():
            run.said("ready")
        server.kill()
        time.sleep(0.2)
        server = ServerProcess(front, server.port)
        yield runs
    finally:
        server.close()


@every_client
def test_comes_back_after_the_server_was_killed(back: Runs, client: str, transport: str) -> None:
    """Reconnect without help from the application."""
    back[client, transport].result()


@pytest.fixture(scope="module")
def resumed(front: str) -> Iterator[tuple[dict[str, str], dict[tuple[str, str], str], Runs]]:
    """Suspend every client until the server has given it up: return the reasons by id, the ids, and the runs."""
    drivers = {client: Driver(client) for client in CLIENTS}
    server = ServerProcess(front, ping_interval=INTERVAL, ping_timeout=TIMEOUT)
    try:
        runs = start_all(
            drivers.__getitem__, server.url, "comes-back", reason="^transport (close|error)$|^ping timeout$"
        )
        ids: dict[tuple[str, str], str] = {key: run.said("ready") for key, run in runs.items()}
        for suspended in drivers.values():
            suspended.suspend()
        gone: dict[str, str] = {}
        kept = REFERENCE_KEEPS if front == REFERENCE else set()
        while not gone.keys() >= {id for key, id in ids.items() if key not in kept}:
            id, reason = server.line("gone").split(" ", 1)
            gone[id] = reason
        for suspended in drivers.values():
            suspended.resume()
        yield gone, ids, runs
    finally:
        for suspended in drivers.values():
            suspended.close()
        server.close()


@every_client
def test_comes_back_after_it_was_suspended(
    resumed: tuple[dict[str, str], dict[tuple[str, str], str], Runs], front: str, client: str, transport: str
) -> None:
    """Give up a client whose machine sleeps, and take it back when it wakes."""
    gone, ids, runs = resumed
    if front == REFERENCE and (client, transport) in REFERENCE_KEEPS:
        pytest.skip("Node's server keeps it: see above")
    assert gone[ids[client, transport]] == "ping timeout"
    runs[client, transport].result()


@pytest.fixture(scope="module")
def farewell(front: str, driver: DriverOf) -> tuple[dict[str, str], dict[tuple[str, str], tuple[str, str]]]:
    """Stop a server by its signal: return the reasons by id on its side, and id and reason of each client."""
    server = ServerProcess(front)
    try:
        runs = start_all(driver, server.url, "server-shuts-down")
        ids = {key: run.said("ready") for key, run in runs.items()}
        started = time.monotonic()
        server.stop()
        assert time.monotonic() - started < 20
        lost = {key: (ids[key], run.said("lost")) for key, run in runs.items()}
        gone = dict(server.line("gone").split(" ", 1) for _ in runs)
    finally:
        server.close()
    return gone, lost


@every_client
def test_server_shuts_down(
    farewell: tuple[dict[str, str], dict[tuple[str, str], tuple[str, str]]], client: str, transport: str
) -> None:
    """Tell both sides why the connection ends."""
    gone, lost = farewell
    id, reason = lost[client, transport]
    assert gone[id] == "server shutting down"
    assert reason in ("transport close", "transport error", "io server disconnect")
