"""The first request of a connection on the fast lane: read here if it opens a WebSocket, by uvicorn if it does not."""

from __future__ import annotations

import socket as sockets
import struct
import time
from typing import Any

import pytest

from socketeer import Server, Socket
from tests.support.serving import Running, serving

TARGET = "/socket.io/?EIO=4&transport=websocket"
HEADERS = (
    "Host: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: c2l4dGVlbiBieXRlcyBvaw==\r\n"
)
REQUEST = f"GET {TARGET} HTTP/1.1\r\n{HEADERS}\r\n".encode()


def _connect(running: Running) -> sockets.socket:
    return sockets.create_connection(("127.0.0.1", running.port), timeout=20)


def _answer(client: sockets.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = client.recv(65536)
        if not chunk:
            break
        data += chunk
    return data[:13]


def _warm(running: Running) -> None:
    """Let one request go through the application: only then is it known in which event loop it runs."""
    with _connect(running) as client:
        client.sendall(REQUEST)
        assert _answer(client) == b"HTTP/1.1 101 "


@pytest.mark.parametrize("cut", [1, 30, len(REQUEST) - 1])
def test_a_request_in_two_pieces(cut: int) -> None:
    with serving(Server(), "fast") as running:
        _warm(running)
        with _connect(running) as client:
            client.sendall(REQUEST[:cut])
            time.sleep(0.05)
            client.sendall(REQUEST[cut:])
            assert _answer(client) == b"HTTP/1.1 101 "


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (REQUEST.replace(b"websocket\r\n", b"WebSocket \t\r\n"), b"101"),
        (REQUEST.replace(b"\r\nHost", b"\r\nX-A: b\r\n c\r\nHost"), b"400"),
        (REQUEST.replace(b"\r\nHost", b"\r\nBad Name: b\r\nHost"), b"400"),
        (REQUEST.replace(b"\r\nHost", b"\r\nX-A: \x00\r\nHost"), b"400"),
        (REQUEST.replace(b"Version: 13", b"Version: 12"), b"400"),
        (REQUEST.replace(b"transport=websocket", b"transport=polling"), b"400"),
        (REQUEST.replace(b"EIO=4", b"EIO=9"), b"400"),
        (REQUEST.replace(b"\r\nHost", b"\r\nOrigin: http://evil.example\r\nHost"), b"403"),
    ],
)
def test_what_is_let_in(request_: bytes, status: bytes) -> None:
    with serving(Server(), "fast") as running:
        _warm(running)
        with _connect(running) as client:
            client.sendall(request_)
            assert _answer(client) == b"HTTP/1.1 %b " % status


@pytest.mark.parametrize(("over", "status"), [(0, b"101"), (1, b"431")])
def test_the_size_of_the_head_is_limited(over: int, status: bytes) -> None:
    with serving(Server(max_header_bytes=2000), "fast") as running:
        _warm(running)
        lines = HEADERS.split("\r\n")[:-1]
        size = (
            len(TARGET)
            - len("?")
            + sum(len(name) + len(value) + 4 for name, value in (line.split(": ") for line in lines))
        )
        padding = "x" * (2000 - size - len("x-a") - 4 + over)
        with _connect(running) as client:
            client.sendall(f"GET {TARGET} HTTP/1.1\r\n{HEADERS}X-A: {padding}\r\n\r\n".encode())
            answer = _answer(client)
        assert answer == b"HTTP/1.1 %b " % status


def test_what_the_client_said_is_known() -> None:
    io = Server()
    seen: list[Any] = []

    @io.on("connection")
    def connected(socket: Socket) -> None:
        handshake = socket.handshake
        seen.append((handshake.query, handshake.headers.get("x-token"), handshake.address, handshake.secure))

    with serving(io, "fast") as running:
        for _ in range(2):  # through uvicorn's parser, and past it
            with _connect(running) as client:
                target = f"{TARGET}&name=a%20b&empty=&twice=1&twice=2"
                client.sendall(f"GET {target} HTTP/1.1\r\n{HEADERS}X-Token:  a b\t \r\n\r\n".encode())
                assert _answer(client) == b"HTTP/1.1 101 "
                client.sendall(b"\x81\x82\0\0\0\x0040")
                while b"40{" not in client.recv(4096):
                    pass
    query = {"EIO": "4", "transport": "websocket", "name": "a b", "empty": "", "twice": "1,2"}
    assert seen == [(query, "a b", "127.0.0.1", False)] * 2


def test_a_client_that_is_gone_already_had_an_address() -> None:
    seen: list[Any] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            seen.append(scope["client"])
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})

    with serving(Server().attach(app), "fast", lifespan="off") as running:
        client = _connect(running)
        address = client.getsockname()
        client.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
        time.sleep(0.1)
        client.sendall(b"GET /other HTTP/1.1\r\nHost: x\r\n\r\n")
        client.close()
        time.sleep(0.2)
    assert seen in ([address], [])


def test_uvicorn_closes_a_connection_that_said_nothing() -> None:
    with serving(Server(), "fast") as running:
        client = _connect(running)
        time.sleep(0.05)
    with client:
        assert client.recv(1) == b""
