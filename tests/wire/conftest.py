"""A server whose answers are known, over each lane, and the peers that talk to it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from socketeer import Server, Socket
from tests.support.serving import LANES, Running, serving
from tests.wire.peers import PollingPeer, Reply, WebSocketPeer, eventually, request

PATH = "/socket.io/"


class Served:
    """Hold a server under test, and make peers for it."""

    def __init__(self, io: Server, running: Running, lane: str) -> None:
        self.io = io
        self.running = running
        self.lane = lane
        self.port = running.port
        self.reasons: dict[str, str] = {}
        self.errors: list[Any] = []
        self._peers: list[WebSocketPeer] = []

    def request(
        self, method: str, query: str, body: Any = None, headers: dict[str, str] | None = None, patience: float = 5.0
    ) -> Reply:
        """Make a request with the given query."""
        return request(self.port, method, f"{PATH}?{query}", body, headers, patience)

    def polling(self, eio: int = 4, query: str = "") -> PollingPeer:
        """Open a session on polling."""
        return PollingPeer(self.port, eio, query or ("&b64=1" if eio == 3 else ""))

    def websocket(
        self, query: str = "EIO=4&transport=websocket", headers: Iterable[tuple[str, str]] = (), version: str = "13"
    ) -> WebSocketPeer:
        """Open a WebSocket and take nothing from it; it is closed when the test ends."""
        peer = WebSocketPeer(self.port, f"{PATH}?{query}", headers, version=version)
        self._peers.append(peer)
        return peer

    def joined(self, auth: str = "") -> WebSocketPeer:
        """Open a WebSocket and join the main namespace as a client of revision 5."""
        peer = self.websocket()
        peer.open()
        peer.join(auth=auth)
        return peer

    def knock(self, polling: PollingPeer) -> WebSocketPeer:
        """Open a WebSocket for a polling session and send nothing yet."""
        peer = WebSocketPeer(self.port, polling.upgrade_target)
        self._peers.append(peer)
        return peer

    def probe(self, polling: PollingPeer) -> WebSocketPeer:
        """Open a WebSocket for a polling session, and go as far as the answer to the probe."""
        peer = self.knock(polling)
        peer.send("2probe")
        assert peer.receive_text() == "3probe"
        return peer

    def emit(self, id: str, *args: Any) -> None:
        """Emit an event to one socket, in the server's thread."""
        self.running.call(lambda: self.io.to(id).emit(*args))

    def left_because(self, id: str) -> str:
        """Wait until a socket of the main namespace is gone and give the reason."""
        eventually(lambda: id in self.reasons)
        return self.reasons[id]

    def end_sessions(self) -> None:
        """End what is left, so that the server need not wait for polls that do not come."""
        for session in list(self.io.engine.sessions.values()):
            session.end("transport close")

    def close_peers(self) -> None:
        """Close what the test left open."""
        while self._peers:
            self._peers.pop().close()


def _behave(io: Server, served: Callable[[], Served]) -> None:
    """Register what the peers expect, on ``/`` and ``/custom``."""
    for namespace in (io.sockets, io.of("/custom")):

        @namespace.on("connection")
        def connected(socket: Socket) -> None:
            socket.emit("auth", socket.handshake.auth)

            @socket.on("message")
            def message(*args: Any) -> None:
                socket.emit("message-back", *args)

            @socket.on("message-with-ack")
            def with_ack(*args: Any) -> tuple[Any, ...]:
                return args

            @socket.on("disconnect")
            def gone(reason: str) -> None:
                served().reasons[socket.id] = reason


@contextmanager
def serving_peers(lane: str, **options: Any) -> Iterator[Served]:
    """Serve a server of the given options over one lane."""
    io = Server(**options)
    holder: list[Served] = []
    _behave(io, lambda: holder[0])
    with serving(io, lane) as running:
        served = Served(io, running, lane)
        holder.append(served)
        yield served
        served.close_peers()
        running.call(served.end_sessions)


class _Noise(logging.Filter):
    """Drop what uvicorn's own WebSocket class logs as its errors, although a peer's faults are the cause.

    It says so of each upgrade that an application answers with a response, and of text that is not UTF-8.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith(
            ("ASGI callable returned without completing handshake", "Invalid UTF-8 sequence received from client")
        )


@pytest.fixture(autouse=True, scope="package")
def _quiet_uvicorn() -> Iterator[None]:
    noise = _Noise()
    logger = logging.getLogger("uvicorn.error")
    logger.addFilter(noise)
    yield
    logger.removeFilter(noise)


@pytest.fixture(autouse=True)
def no_errors_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test during which the server logged an error, unless the test has looked at it and cleared the log."""
    yield
    logged = [record.getMessage() for record in caplog.get_records("call") if record.levelno >= logging.ERROR]
    assert not logged


@pytest.fixture(scope="module", params=LANES)
def shared(request: pytest.FixtureRequest) -> Iterator[Served]:
    """Serve one server of default options for all tests of a module, once over each lane."""
    with serving_peers(request.param) as served:
        yield served


@pytest.fixture
def server(shared: Served) -> Iterator[Served]:
    """Lend the module's server; another connection lives through the test, whatever the test does to its own."""
    witness = shared.joined()
    yield shared
    witness.echo("still here")
    shared.close_peers()


@pytest.fixture
def serve(lane: str) -> Iterator[Callable[..., Served]]:
    """Make a server with options of its own, which lives as long as the test."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(serving_peers(lane, **options))


@pytest.fixture(scope="module")
def fast() -> Iterator[Served]:
    """Serve over the fast lane alone: for what the web server decides on the portable one."""
    with serving_peers("fast") as served:
        yield served
