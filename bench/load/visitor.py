"""Clients that come and go: the whole visit on a bare TCP connection, because a WebSocket client library spends
more on opening a connection than a fast server does, and would be what is measured.
"""

import asyncio
from base64 import b64encode
from itertools import cycle
from typing import cast

from bench.load import wire
from bench.load.meter import LoadError

_KEY = b64encode(b"sixteen bytes ok")
_MASK = b"\x37\xfa\x21\x3d"
_TEXT, _CLOSE, _FINAL, _MASKED = 0x1, 0x8, 0x80, 0x80
_SHORT = 126  # lengths below it fit the first length byte
_HEAD_LIMIT = 4096


def _frame(opcode: int, payload: bytes) -> bytes:
    """Return a client's frame, with a mask that never changes: it is made once."""
    masked = bytes(byte ^ key for byte, key in zip(payload, cycle(_MASK), strict=False))
    return bytes((_FINAL | opcode, _MASKED | len(payload))) + _MASK + masked


_JOIN = _frame(_TEXT, wire.CONNECT)
_LEAVE = _frame(_CLOSE, b"\x03\xe8")


class Visitor(asyncio.Protocol):
    """One visit: upgrade, handshake, join, close. ``done`` is settled when the connection has ended."""

    def __init__(self, request: bytes) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._request = request
        self._received = b""
        self._upgraded = False
        self._left = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._upgraded and not self._upgrade():
            return
        while (packet := self._next_frame()) is not None:
            opcode, payload = packet
            if opcode == _CLOSE:
                self._transport.close()
            elif payload.startswith(wire.OPEN):
                self._transport.write(_JOIN)
            elif payload.startswith(wire.CONNECTED):
                self._left = True
                self._transport.write(_LEAVE)
            elif payload != wire.PING:  # some servers ping at once
                self._fail(f"unexpected packet {payload[:80]!r}")

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            if self._left:
                self.done.set_result(None)
            else:
                self._fail("the server closed a connection during the handshake")

    def _upgrade(self) -> bool:
        head, end, rest = self._received.partition(b"\r\n\r\n")
        if not end and len(head) < _HEAD_LIMIT:
            return False
        if not head.startswith(b"HTTP/1.1 101 "):
            self._fail(f"no upgrade: {head[:80]!r}")
            return False
        self._received, self._upgraded = rest, True
        return True

    def _next_frame(self) -> tuple[int, bytes] | None:
        """Take one whole frame off the bytes received; a server's is not masked, and those due here are short."""
        received = self._received
        if len(received) < 2 or len(received) < 2 + received[1] % _SHORT:
            return None
        if received[1] >= _SHORT:
            self._fail("unexpected long frame")
            return None
        end = 2 + received[1]
        self._received = received[end:]
        return received[0] & 0x0F, received[2:end]

    def _fail(self, reason: str) -> None:
        if not self.done.done():
            self.done.set_exception(LoadError(reason))
        self._transport.abort()


def upgrade_request(port: int) -> bytes:
    """Return the request that opens every visit."""
    lines = (
        b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1",
        b"Host: 127.0.0.1:%d" % port,
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: " + _KEY,
    )
    return b"\r\n".join(lines) + b"\r\n\r\n"


async def visit(port: int, request: bytes) -> None:
    """Connect, join the main namespace, leave, and wait until the connection has ended.

    Raises ``LoadError`` if the server does not let the visitor in.
    """
    loop = asyncio.get_running_loop()
    _, visitor = await loop.create_connection(lambda: Visitor(request), "127.0.0.1", port)
    await visitor.done
