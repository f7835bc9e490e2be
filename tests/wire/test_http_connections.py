"""Polling on connections that are kept: requests behind each other, in pieces, and past ASGI on the fast lane."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from socketeer import Request, Response, Server, Socket
from tests.support.serving import LANES, serving
from tests.wire.conftest import Served
from tests.wire.peers import PATIENCE, PollingPeer

Serve = Callable[..., Served]


class KeptConnection:
    """Hold one HTTP connection over which a polling peer makes its requests."""

    def __init__(self, peer: PollingPeer) -> None:
        self.peer = peer
        self.sock = socket.create_connection(("127.0.0.1", peer.port), timeout=PATIENCE)
        self._stream = self.sock.makefile("rb")

    def get(self, *headers: str) -> bytes:
        """Write a GET."""
        return self._request("GET", b"", headers)

    def post(self, body: str, *headers: str) -> bytes:
        """Write a POST."""
        length = f"Content-Length: {len(body)}"
        return self._request("POST", body.encode(), ("Content-Type: text/plain", length, *headers))

    def _request(self, method: str, body: bytes, headers: tuple[str, ...]) -> bytes:
        lines = [f"{method} {self.peer.target} HTTP/1.1", "Host: x", *headers]
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + body

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Read one answer."""
        status = int(self._stream.readline().split()[1])
        headers = {}
        while line := self._stream.readline().decode().strip():
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        return status, headers, self._stream.read(int(headers["content-length"]))

    def ended(self) -> bool:
        """Tell whether the server closes the connection."""
        return self._stream.read() == b""


@contextmanager
def kept(server: Served) -> Iterator[KeptConnection]:
    """Keep one connection for a new session."""
    connection = KeptConnection(server.polling())
    try:
        yield connection
    finally:
        connection.sock.close()


def test_one_connection_serves_many_requests(server: Served) -> None:
    with kept(server) as connection:
        for number in range(20):
            connection.sock.sendall(connection.post("40" if not number else f'42["message",{number}]'))
            assert connection.answer()[::2] == (200, b"ok")
            connection.sock.sendall(connection.get())
            status, headers, body = connection.answer()
            assert (status, headers["cache-control"]) == (200, "no-store")
            assert headers["content-type"] == "text/plain; charset=UTF-8"
            assert "date" in headers
            assert body.startswith(b'40{"sid"' if not number else b'42["message-back",%d]' % number)


def test_requests_in_one_piece_are_answered_in_order(server: Served) -> None:
    with kept(server) as connection:
        connection.sock.sendall(connection.post("40") + connection.get() + connection.post('42["message","x"]'))
        assert connection.answer()[::2] == (200, b"ok")
        assert connection.answer()[2].startswith(b'40{"sid"')
        assert connection.answer()[::2] == (200, b"ok")
        connection.sock.sendall(connection.get())
        assert connection.answer()[2] == b'42["message-back","x"]'


def test_a_request_behind_a_poll_that_waits_waits_too(server: Served) -> None:
    with kept(server) as connection:
        id = connection.peer.join()
        connection.sock.sendall(connection.get() + connection.post('42["message","x"]'))
        server.emit(id, "news")
        assert connection.answer()[2] == b'42["news"]'
        assert connection.answer()[::2] == (200, b"ok")
        connection.sock.sendall(connection.get())
        assert connection.answer()[2] == b'42["message-back","x"]'


def test_a_request_in_many_pieces(server: Served) -> None:
    with kept(server) as connection:
        connection.peer.join()
        whole = connection.post('42["message","in pieces"]')
        for index in range(0, len(whole), 7):
            connection.sock.sendall(whole[index : index + 7])
        assert connection.answer()[::2] == (200, b"ok")
        assert connection.peer.receive() == '42["message-back","in pieces"]'


def test_a_connection_that_the_client_wants_closed(server: Served) -> None:
    with kept(server) as connection:
        connection.sock.sendall(connection.post("40", "Connection: close"))
        status, headers, body = connection.answer()
        assert (status, headers["connection"], body) == (200, "close", b"ok")
        assert connection.ended()
    assert connection.peer.receive().startswith('40{"sid"')


def test_what_is_out_of_the_ordinary_is_served_as_well(server: Served) -> None:
    with kept(server) as connection:
        connection.sock.sendall(connection.post("40", "Expect: 100-continue"))
        assert connection.sock.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert connection.answer()[::2] == (200, b"ok")
        connection.sock.sendall(connection.get("X-Twice: a", "X-Twice: b"))
        assert connection.answer()[2].startswith(b'40{"sid"')
        connection.peer.target += "&%74=1&x=2"
        connection.sock.sendall(connection.post('42["message","y"]'))
        assert connection.answer()[::2] == (200, b"ok")
        connection.sock.sendall(connection.get())
        assert connection.answer()[2] == b'42["message-back","y"]'


@pytest.mark.parametrize("lane", LANES)
def test_another_origin_is_refused_on_every_request(lane: str, serve: Serve) -> None:
    server = serve(cors="https://example.com")
    with kept(server) as connection:
        connection.sock.sendall(connection.post("40", "Origin: https://example.com"))
        status, headers, _ = connection.answer()
        assert (status, headers["access-control-allow-origin"]) == (200, "https://example.com")
        connection.sock.sendall(connection.get("Origin: https://example.org"))
        assert connection.answer()[0] == 403
        connection.sock.sendall(connection.get("Origin: https://example.com"))
        assert connection.answer()[2].startswith(b'40{"sid"')


@pytest.mark.parametrize("lane", LANES)
def test_hooks_see_the_requests_of_sessions_that_run_already(lane: str, serve: Serve) -> None:
    server = serve()
    with kept(server) as connection:
        connection.sock.sendall(connection.post("40"))
        assert connection.answer()[0] == 200

        @server.io.engine.use
        def refuse(request: Request) -> Response:
            return Response(418, ((b"x-why", b"tea"),), b"no")

        connection.sock.sendall(connection.get())
        status, headers, body = connection.answer()
        assert (status, headers["x-why"], body) == (418, "tea", b"no")
        server.io.engine.middlewares = ()


@pytest.mark.parametrize("lane", LANES)
def test_requests_are_in_the_access_log(lane: str, serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    server = serve()
    caplog.set_level(logging.INFO, "uvicorn.access")  # which uvicorn has set to its own
    with kept(server) as connection:
        connection.sock.sendall(connection.post("40"))
        assert connection.answer()[0] == 200
    lines = [record.getMessage() for record in caplog.records if "POST" in record.getMessage()]
    assert [line.partition(" - ")[2] for line in lines] == [f'"POST {connection.peer.target} HTTP/1.1" 200']


def end_sessions(io: Server) -> None:
    """End what is left, so that the server need not wait for polls that do not come."""
    for session in list(io.engine.sessions.values()):
        session.end("transport close")


class CountingServer(Server):
    """Count the requests that come through ASGI."""

    requests = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Count a request."""
        self.requests += scope["type"] == "http"
        await super().__call__(scope, receive, send)


@pytest.mark.parametrize("lane", LANES)
def test_only_the_fast_lane_spares_known_sessions_asgi(lane: str) -> None:
    io = CountingServer()
    io.on("connection", lambda socket: socket.on("message", lambda text: socket.emit("message-back", text)))
    with serving(io, lane) as running:
        peer = PollingPeer(running.port)
        peer.send("40")
        assert peer.receive().startswith('40{"sid"')
        for number in range(5):
            peer.send(f'42["message",{number}]')
            assert peer.receive() == f'42["message-back",{number}]'
        assert io.requests == (1 if lane == "fast" else 13)
        running.call(lambda: end_sessions(io))


@pytest.mark.parametrize("lane", LANES)
def test_a_middleware_before_the_server_sees_every_request(lane: str) -> None:
    io = Server()
    seen: list[str] = []

    @io.on("connection")
    def connected(socket: Socket) -> None:
        socket.emit("hello")

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            seen.append(scope["method"])
        await io(scope, receive, send)

    with serving(middleware, lane) as running:
        peer = PollingPeer(running.port)
        peer.send("40")
        assert peer.receive().startswith('40{"sid"')
        assert peer.receive() == '42["hello"]'
        assert seen == ["GET", "POST", "GET"]
        running.call(lambda: end_sessions(io))
