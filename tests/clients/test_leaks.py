"""A server that clients have left keeps nothing of them."""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Callable

from tests.support.app import create
from tests.support.driver import TRANSPORTS, Driver
from tests.support.serving import Running, serving

# Those that do not hear each other, since they run side by side.
SCENARIOS = (
    "binary",
    "client-acks",
    "client-closes-transport",
    "client-disconnects-at-once",
    "client-does-not-ack",
    "client-talks-nonsense",
    "dynamic-by-function",
    "kicked-while-upgrading",
    "leave-a-namespace",
    "move-and-fetch",
    "oversize",
    "refused-at-the-door",
    "refused-with-data",
    "server-disconnects-room",
    "unknown-namespace",
)


def count_objects() -> Counter[str]:
    """Count the objects of this package's classes by class."""
    gc.collect()
    kinds = (type(thing) for thing in gc.get_objects())
    return Counter(kind.__qualname__ for kind in kinds if str(kind.__module__).startswith("socketeer."))


def visit(driver: Callable[[str], Driver], url: str) -> None:
    """Let a client of each revision run the scenarios over every transport."""
    for client in ("client2", "client4"):
        runs = [driver(client).start(name, url, way) for way in TRANSPORTS for name in SCENARIOS]
        for run in runs:
            run.result()


def settle(running: Running, count_sessions: Callable[[], int]) -> Counter[str]:
    """Wait until the last session is gone and return what is left."""
    deadline = time.monotonic() + 10
    while running.call(count_sessions):
        assert time.monotonic() < deadline, "sessions are left that no client holds"
        time.sleep(0.05)
    time.sleep(0.2)
    return running.call(count_objects)


def test_no_scope_is_kept_of_clients_that_are_here(driver: Callable[[str], Driver], lane: str) -> None:
    """Let go of the request that opened a connection, but for what ``socket.handshake`` shows."""
    io = create()
    with serving(io, lane) as running:
        runs = [driver("client4").start("stays-for-a-while", running.url, way) for way in TRANSPORTS]
        for run in runs:
            run.said("look")
        gc.collect()
        scopes = running.call(lambda: [thing for thing in gc.get_objects() if _is_scope(thing, running.port)])
        kinds = Counter(scope["type"] for scope in scopes)
        # On the portable lane what waits is a call that has its scope: a poll, and each WebSocket.
        assert kinds == Counter({} if lane == "fast" else {"http": 1, "websocket": 2})
        del scopes
        for run in runs:
            run.go_on()
            run.result()
        settle(running, lambda: io.engine.clients_count)  # a server that stops first would wait for a poll of theirs


def _is_scope(thing: object, port: int) -> bool:
    """Tell a scope of the server on a port from everything else, such as what other tests have left."""
    if type(thing) is not dict or thing.get("type") not in ("http", "websocket"):
        return False
    return "asgi" in thing and list(thing.get("server") or ())[1:] == [port]


def test_nothing_is_kept_of_clients_that_left(driver: Callable[[str], Driver], lane: str) -> None:
    """Compare what is there after a first and a second round of visits."""
    io = create(close_timeout=0.5)
    with serving(io, lane) as running:
        left = []
        for _ in range(2):
            visit(driver, running.url)
            left.append(settle(running, lambda: io.engine.clients_count))
        assert left[1] - left[0] == Counter()
        rooms = running.call(lambda: {name: list(nsp.sockets) for name, nsp in io._namespaces.items() if nsp.sockets})
        assert rooms == {}
