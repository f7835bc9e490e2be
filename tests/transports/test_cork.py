"""Frames that are read together: their answers leave together, in order, and nothing overtakes them."""

from __future__ import annotations

import socket as sockets
import struct
from typing import Any

import pytest
from picows import WSMsgType

from socketeer import Server, Socket
from socketeer.transports.cork import Cork
from tests.support.serving import serving

TEXT, CLOSE, PONG = 0x1, 0x8, 0xA


class _Underlying:
    """Keep what is written past picows."""

    def __init__(self, written: list[Any]) -> None:
        self._written = written

    def send(self, data: bytes) -> None:
        self._written.append(data)


class _Transport:
    """Keep what is written."""

    def __init__(self) -> None:
        self.is_close_frame_sent = False
        self.is_disconnected = False
        self.written: list[Any] = []
        self.underlying_transport = _Underlying(self.written)

    def send(self, *frame: Any) -> None:
        self.written.append(frame)

    def send_close(self, code: int) -> None:
        self.written.append(code)


def _header(size: int, first: int = 0x81) -> bytes:
    return bytes((first, size)) if size < 126 else struct.pack("!BBH", first, 126, size)


def test_frames_leave_in_one_write() -> None:
    transport = _Transport()
    cork: Any = Cork(transport)  # type: ignore[arg-type]  # as much of one as is needed
    cork.send(WSMsgType.TEXT, b"a" * 125)
    cork.send(WSMsgType.BINARY, b"b" * 126)
    cork.send(WSMsgType.TEXT, b"", rsv1=True)
    assert transport.written == []
    cork.flush()
    cork.flush()
    assert transport.written == [
        _header(125) + b"a" * 125 + _header(126, 0x82) + b"b" * 126 + _header(0, 0xC1),
    ]


@pytest.mark.parametrize(("count", "writes"), [(15, 0), (16, 1), (17, 1), (32, 2)])
def test_sixteen_frames_are_enough_for_one_write(count: int, writes: int) -> None:
    transport = _Transport()
    cork: Any = Cork(transport)  # type: ignore[arg-type]
    for _ in range(count):
        cork.send(WSMsgType.TEXT, b"x")
    assert len(transport.written) == writes


def test_a_large_frame_does_not_wait() -> None:
    transport = _Transport()
    cork: Any = Cork(transport)  # type: ignore[arg-type]
    cork.send(WSMsgType.TEXT, b"x")
    cork.send(WSMsgType.TEXT, b"y" * 8192)
    assert transport.written == [_header(1) + b"x" + _header(8192) + b"y" * 8192]
    cork.send(WSMsgType.TEXT, b"z" * 8193)
    assert transport.written[1:] == [(WSMsgType.TEXT, b"z" * 8193, True, False)]


def test_what_else_is_asked_of_the_transport_comes_behind() -> None:
    transport = _Transport()
    cork: Any = Cork(transport)  # type: ignore[arg-type]
    cork.send(WSMsgType.TEXT, b"x")
    cork.send_close(1000)
    assert transport.written == [_header(1) + b"x", 1000]


def test_nothing_leaves_behind_a_close_frame() -> None:
    transport = _Transport()
    cork: Any = Cork(transport)  # type: ignore[arg-type]
    cork.send(WSMsgType.TEXT, b"x")
    transport.is_close_frame_sent = True
    cork.flush()
    assert transport.written == []


def _frame(payload: bytes, first: int = 0x81) -> bytes:
    size = len(payload)
    head = bytes((first, 0x80 | size)) if size < 126 else struct.pack("!BBH", first, 0x80 | 126, size)
    return head + bytes(4) + payload


def _read_until_closed(connection: sockets.socket) -> list[tuple[int, bytes]]:
    data = b""
    while chunk := connection.recv(65536):
        data += chunk
    return _split(data)


def _split(data: bytes) -> list[tuple[int, bytes]]:
    frames = []
    while data:
        size, start = data[1], 2
        if size == 126:
            size, start = struct.unpack("!H", data[2:4])[0], 4
        frames.append((data[0] & 0x0F, data[start : start + size]))
        data = data[start + size :]
    return frames


def _connected(port: int) -> sockets.socket:
    client = sockets.create_connection(("127.0.0.1", port), timeout=10)
    client.sendall(
        b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c2l4dGVlbiBieXRlcyBvaw==\r\n\r\n"
    )
    received = b""
    while b"0{" not in received:
        received += client.recv(4096)
    client.sendall(_frame(b"40"))
    while b"40{" not in received:
        received += client.recv(4096)
    return client


@pytest.fixture
def io() -> Server:
    """Make a server that answers."""
    io = Server()

    @io.event
    def echo(socket: Socket, text: str) -> None:
        socket.emit("echo", text)

    @io.event
    def ask(socket: Socket, text: str) -> str:
        return text

    return io


def test_a_burst_is_answered_in_order_before_the_close_frame(io: Server) -> None:
    texts = [*("x" * size for size in (1, 100, 126, 5000, 8192, 9000)), *map(str, range(40))]
    burst = b"".join(_frame(b'42["echo","%b"]' % text.encode()) for text in texts)
    burst += _frame(b'427["ask","last"]') + _frame(b"\x03\xe8", 0x88)
    with serving(io, "fast") as running, _connected(running.port) as client:
        client.sendall(burst)
        frames = _read_until_closed(client)
    expected = [(TEXT, b'42["echo","%b"]' % text.encode()) for text in texts]
    assert frames == [*expected, (TEXT, b'437["last"]'), (CLOSE, b"\x03\xe8")]


@pytest.mark.parametrize("texts", [1, 2])
def test_a_ping_at_the_end_of_a_burst_keeps_nothing_back(io: Server, texts: int) -> None:
    burst = b"".join(_frame(b'42["echo","%d"]' % number) for number in range(texts)) + _frame(b"p", 0x89)
    with serving(io, "fast") as running, _connected(running.port) as client:
        client.sendall(burst)
        frames: set[tuple[int, bytes]] = set()
        data = b""
        while len(frames) < texts + 1:
            data += client.recv(4096)
            frames = set(_split(data))
        assert frames == {(PONG, b"p"), *((TEXT, b'42["echo","%d"]' % number) for number in range(texts))}
        running.call(io.emit, "later", 1)
        assert _split(client.recv(4096)) == [(TEXT, b'42["later",1]')]
