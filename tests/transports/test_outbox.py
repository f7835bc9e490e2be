"""What is sent in a round of the event loop: it leaves at its end, in order, and nothing overtakes it."""

from __future__ import annotations

import asyncio
import socket as sockets
import struct
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec

import pytest

from socketeer import Server, Socket
from socketeer.engine.websocket import Limits
from socketeer.transports.picows import Wire
from tests.support.serving import serving

P = ParamSpec("P")

TEXT, CLOSE, PONG = 0x1, 0x8, 0xA


class _Underlying:
    """Keep what is written past picows."""

    def __init__(self, written: list[Any]) -> None:
        self._written = written

    def send(self, parts: list[bytes]) -> None:
        self._written.append(b"".join(parts))

    def get_write_buffer_size(self) -> int:
        return 0


class _Transport:
    """Keep what is written."""

    def __init__(self) -> None:
        self.is_close_frame_sent = False
        self.is_disconnected = False
        self.written: list[Any] = []
        self.underlying_transport = _Underlying(self.written)

    def send(self, kind: int, text: bytes) -> None:
        if not self.is_close_frame_sent:
            self.written.append(_head(len(text), 0x80 | kind) + text)

    def send_close(self, code: int, reason: bytes) -> None:
        self.written.append(code)

    def disconnect(self) -> None:
        self.written.append("disconnected")


def _head(size: int, first: int = 0x81) -> bytes:
    if size < 126:
        return bytes((first, size))
    return struct.pack("!BBH", first, 126, size) if size < 65536 else struct.pack("!BBQ", first, 127, size)


LIMITS = Limits(max_size=1_000_000, max_fragments=10, max_buffered=1_000_000)


def _wire() -> tuple[Wire, list[Any]]:
    wire, transport = Wire(LIMITS), _Transport()
    wire.transport = transport  # type: ignore[assignment]  # as much of one as is needed
    return wire, transport.written


def in_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test in an event loop of its own."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


async def _end_of_round() -> None:
    await asyncio.sleep(0)


@pytest.mark.parametrize("size", [0, 125, 126, 8192, 8193, 65535, 65536])
@in_loop
async def test_a_frame_has_the_head_for_its_size(size: int) -> None:
    wire, written = _wire()
    wire.send_text(b"a" * size)
    wire.send_binary(b"b" * size)
    await _end_of_round()
    assert b"".join(written) == _head(size) + b"a" * size + _head(size, 0x82) + b"b" * size


@in_loop
async def test_frames_of_a_round_leave_in_one_write() -> None:
    wire, written = _wire()
    wire.send_text(b"one")
    wire.send_packet(b"two", (b"three", b""))
    wire.send_packet(b"", (b"four",))
    assert written == []
    await _end_of_round()
    expected = ((0x81, b"one"), (0x81, b"two"), (0x82, b"three"), (0x82, b""), (0x82, b"four"))
    assert written == [b"".join(_head(len(data), first) + data for first, data in expected)]
    wire.send_text(b"later")
    await _end_of_round()
    assert written[1:] == [_head(5) + b"later"]


@pytest.mark.parametrize(("count", "writes"), [(15, 0), (16, 1), (17, 1), (32, 2)])
@in_loop
async def test_sixteen_frames_are_enough_for_one_write(count: int, writes: int) -> None:
    wire, written = _wire()
    for _ in range(count):
        wire.send_text(b"x")
    assert len(written) == writes
    await _end_of_round()
    assert b"".join(written) == (_head(1) + b"x") * count


@pytest.mark.parametrize(("size", "waits"), [(8191, True), (8192, False)])
@in_loop
async def test_more_than_eight_kilobytes_do_not_wait(size: int, waits: bool) -> None:
    wire, written = _wire()
    wire.send_text(b"x")
    wire.send_text(b"y" * size)
    assert (written == []) is waits
    await _end_of_round()
    assert written == [_head(1) + b"x" + _head(size) + b"y" * size]


@pytest.mark.parametrize(("end", "mark"), [("close", 1000), ("disconnect", "disconnected")])
@in_loop
async def test_the_end_comes_behind(end: str, mark: Any) -> None:
    wire, written = _wire()
    wire.send_text(b"x")
    getattr(wire, end)()
    assert written == [_head(1) + b"x", mark]


@in_loop
async def test_what_waits_counts_as_unsent_only_if_the_operating_system_does_not_take_it() -> None:
    wire, written = _wire()
    wire.send_text(b"x")
    assert wire.unsent() == 0
    assert written == [_head(1) + b"x"]


@pytest.mark.parametrize("count", [1, 2])
@in_loop
async def test_nothing_leaves_behind_a_close_frame(count: int) -> None:
    wire, written = _wire()
    for _ in range(count):
        wire.send_text(b"x")
    wire.transport.is_close_frame_sent = True  # type: ignore[misc]  # picows would have done it
    await _end_of_round()
    assert written == []


@in_loop
async def test_a_wire_that_cannot_be_written_to_holds_up_no_other(caplog: pytest.LogCaptureFixture) -> None:
    wires = [_wire() for _ in range(3)]
    for wire, _ in wires:
        wire.send_text(b"x")
    wires[1][0].transport = None  # type: ignore[assignment]
    await _end_of_round()
    assert [len(written) for _, written in wires] == [1, 0, 1]
    assert "a connection could not be written to" in caplog.text
    wires[2][0].send_text(b"y")
    await _end_of_round()
    assert len(wires[2][1]) == 2


@in_loop
async def test_it_is_writable_again_in_the_next_round() -> None:
    wire, _ = _wire()
    found = [wire.is_writable()]
    for _ in range(20):  # sixteen of them have left
        wire.send_text(b"x")
        found.append(wire.is_writable())
    await _end_of_round()
    assert found == [True, *[False] * 20]
    assert wire.is_writable()


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


def test_a_ping_with_reserved_bits_is_refused(io: Server) -> None:
    with serving(io, "fast") as running, _connected(running.port) as client:
        client.sendall(_frame(b"p", 0x89 | 0x40))
        ((kind, reason),) = _read_until_closed(client)
    assert (kind, reason[:2]) == (CLOSE, struct.pack("!H", 1002))


def test_pings_of_a_client_that_does_not_read_are_not_answered_for_ever(io: Server) -> None:
    pings = _frame(b"p" * 125, 0x89) * 1000
    with serving(io, "fast") as running, _connected(running.port) as client:
        for _ in range(200):  # 25 MB of pongs, more than the kernel keeps
            client.sendall(pings)
        (socket,) = io.sockets.sockets.values()
        unsent = running.call(socket.conn.transport.unsent)
    assert 0 < unsent < 1_000_000
