"""Applications beside a server that behave as a test says on every WebSocket, and the peers that talk to them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from socketeer import Server
from tests.support.serving import Running, serving
from tests.wire.peers import WebSocketPeer

__all__ = ["Handshake", "accept", "behaving", "close_peers", "connect", "echo", "forget"]


Behaviour = Callable[[dict[str, Any], Any, Any], Any]


@contextmanager
def behaving(behaviour: Behaviour, lane: str, **options: Any) -> Iterator[Running]:
    """Serve an application beside a Server that behaves so on every WebSocket."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        assert scope["type"] in ("websocket", "lifespan")
        if scope["type"] == "websocket":
            await behaviour(scope, receive, send)
        else:
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})

    with serving(Server().attach(app), lane, **options) as running:
        yield running


_peers: list[WebSocketPeer] = []


def close_peers() -> None:
    """Close what :func:`connect` opened."""
    while _peers:
        _peers.pop().close()


def connect(port: int, target: str = "/", headers: list[tuple[str, str]] | None = None) -> WebSocketPeer:
    """Open a WebSocket that is closed when the test ends."""
    _peers.append(WebSocketPeer(port, target, headers or ()))
    return _peers[-1]


async def accept(receive: Any, send: Any, **message: Any) -> None:
    """Accept a WebSocket."""
    assert await receive() == {"type": "websocket.connect"}
    await send({"type": "websocket.accept", **message})


async def echo(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Accept a WebSocket and send back whatever comes."""
    await accept(receive, send)
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")})


def forget(running: Running, words: str) -> None:
    """Forget the failures that a test expects."""
    running.failures[:] = [failure for failure in running.failures if words not in failure]


class Handshake:
    """Hold a connection on which an upgrade has been asked for."""

    def __init__(self, port: int, *lines: str) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=20)
        head = [
            "GET / HTTP/1.1",
            "Host: x",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
            *lines,
        ]
        self.sock.sendall("\r\n".join(head).encode() + b"\r\n\r\n")

    def answer(self) -> list[str]:
        """Give the lines of the answer's head."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.sock.recv(4096)
        return data.partition(b"\r\n\r\n")[0].decode().split("\r\n")

    def close(self) -> None:
        self.sock.close()
