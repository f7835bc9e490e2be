"""permessage-deflate on the fast lane, frame by frame: what is compressed, what may come, and what may not."""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from socketeer import Server, Socket
from socketeer.engine.deflate import Deflater
from tests.support.serving import serving
from tests.transports.behaving import connect
from tests.wire.peers import BINARY, CLOSE, CONTINUATION, PING, TEXT, PollingPeer, WebSocketPeer, frame

TARGET = "/socket.io/?EIO=4&transport=websocket"
OFFER = [("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")]
RSV1, RSV2 = 4, 2
LIMIT = 50_000
TAIL = b"\x00\x00\xff\xff"


class Peer:
    """Speak Socket.IO over frames that are looked at one by one."""

    def __init__(self, port: int, headers: list[tuple[str, str]] = OFFER) -> None:
        self.websocket: WebSocketPeer = connect(port, TARGET, headers)
        self.extensions = self.websocket.extensions
        self.inflate = zlib.decompressobj(-15)
        self.websocket.receive()
        self.raw(TEXT, b"40")
        self.websocket.receive()

    def raw(self, opcode: int, payload: bytes, *, fin: bool = True, rsv: int = 0) -> None:
        self.websocket.raw(frame(opcode, payload, fin=fin, rsv=rsv))

    def compressed(self, opcode: int, message: bytes) -> None:
        self.raw(opcode, Deflater(6, 15).compress(message), rsv=RSV1)

    def frame(self) -> tuple[int, bool, bytes]:
        """Give the next frame: its opcode, whether it is compressed, and its content as it is on the wire."""
        first, second = self.websocket._take(2)
        assert first & 0xB0 == 0x80
        length = second
        if second == 126:
            (length,) = struct.unpack("!H", self.websocket._take(2))
        elif second == 127:
            (length,) = struct.unpack("!Q", self.websocket._take(8))
        return first & 0x0F, bool(first & 0x40), self.websocket._take(length)

    def message(self, *, takes_over: bool = False) -> tuple[bool, int, bytes]:
        """Give whether the next message is compressed, its size on the wire, and what it says."""
        _, compressed, data = self.frame()
        if not compressed:
            return False, len(data), data
        if not takes_over:
            self.inflate = zlib.decompressobj(-15)
        return True, len(data), self.inflate.decompress(data + TAIL)

    def code(self) -> int:
        """Give the code of the close frame that comes next."""
        opcode, compressed, data = self.frame()
        assert (opcode, compressed) == (CLOSE, False)
        return int.from_bytes(data[:2], "big")


def build(**options: Any) -> Server:
    io = Server(max_http_buffer_size=LIMIT, **options)

    @io.event
    def echo(socket: Socket, *args: Any) -> None:
        socket.emit("echo", *args)

    @io.event
    def size(socket: Socket, value: Any) -> None:
        socket.emit("size", len(value))

    @io.event
    def shout(socket: Socket, text: str) -> None:
        io.emit("shout", text)

    return io


def event(*values: Any) -> bytes:
    return b"42" + json.dumps(values, separators=(",", ":")).encode()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(build(per_message_deflate=True)) as running:
        yield running.port


TEXT_1024 = "x" * (1024 - len(event("echo", "")))


def test_it_is_off_by_default() -> None:
    with serving(build()) as running:
        peer = Peer(running.port)
        assert peer.extensions is None
        peer.raw(TEXT, event("echo", "x" * 5000))
        assert peer.message() == (False, 5013, event("echo", "x" * 5000))
        peer.compressed(TEXT, event("echo", 1))
        assert peer.code() == 1002


def test_nothing_is_compressed_for_a_client_that_does_not_offer_it(port: int) -> None:
    for headers in ([], [("Sec-WebSocket-Extensions", "permessage-deflate; nonsense")]):
        peer = Peer(port, headers)
        assert peer.extensions is None
        peer.raw(TEXT, event("echo", "x" * 5000))
        assert peer.message()[0] is False
        peer.compressed(TEXT, event("echo", 1))
        assert peer.code() == 1002


def test_messages_from_the_threshold_on_are_compressed(port: int) -> None:
    peer = Peer(port)
    assert peer.extensions == "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    peer.raw(TEXT, event("echo", TEXT_1024))
    compressed, size, message = peer.message()
    assert (compressed, message) == (True, event("echo", TEXT_1024))
    assert size < 50
    peer.raw(TEXT, event("echo", TEXT_1024[1:]))
    assert peer.message() == (False, 1023, event("echo", TEXT_1024[1:]))


@pytest.mark.parametrize("size", [2000, 40_000])
def test_attachments_are_compressed_where_that_makes_them_smaller(port: int, size: int) -> None:
    peer = Peer(port)
    for data, expected in ((b"ab" * (size // 2), True), (os.urandom(size), False)):
        peer.raw(TEXT, b'451-["echo",{"_placeholder":true,"num":0}]')
        peer.raw(BINARY, data)
        assert peer.message()[0] is False
        compressed, on_wire, message = peer.message()
        assert (compressed, message) == (expected, data)
        assert on_wire < size if compressed else on_wire == size


def test_compressed_messages_of_both_kinds_are_taken_whole_and_in_fragments(port: int) -> None:
    peer = Peer(port)
    peer.compressed(TEXT, event("echo", "€"))
    assert json.loads(peer.message()[2][2:]) == ["echo", "€"]
    data = os.urandom(300) * 100
    peer.raw(TEXT, b'451-["size",{"_placeholder":true,"num":0}]')
    pressed = Deflater(6, 15).compress(data)
    peer.raw(BINARY, pressed[:100], fin=False, rsv=RSV1)
    peer.raw(PING, b"in between")
    peer.raw(CONTINUATION, b"", fin=False)
    peer.raw(CONTINUATION, pressed[100:])
    assert peer.frame()[2] == b"in between"
    assert peer.message()[2] == event("size", 30_000)
    peer.raw(TEXT, b'42["size"', fin=False)  # and one that is not compressed behind it
    peer.raw(CONTINUATION, b',"four"]')
    assert peer.message()[2] == event("size", 4)


@pytest.mark.parametrize("fragments", [1, 3])
@pytest.mark.parametrize("compressed", [True, False])
def test_the_limit_counts_what_was_unpacked(port: int, compressed: bool, fragments: int) -> None:
    head = event("size", "")
    for excess in (0, 1):
        peer = Peer(port)
        message = head[:-2] + b"x" * (LIMIT + excess - len(head)) + head[-2:]
        assert len(message) == LIMIT + excess
        data = Deflater(6, 15).compress(message) if compressed else message
        step = -(-len(data) // fragments)
        for start in range(0, len(data), step):
            first, last = start == 0, start + step >= len(data)
            rsv = RSV1 if compressed and first else 0
            peer.raw(TEXT if first else CONTINUATION, data[start : start + step], fin=last, rsv=rsv)
        if excess:
            assert peer.code() == 1009
        else:
            assert peer.message()[2] == event("size", LIMIT - len(head))


def test_what_cannot_be_made_smaller_may_grow_a_little(port: int) -> None:
    peer = Peer(port)
    data = os.urandom(LIMIT)
    pressed = Deflater(6, 15).compress(data)
    assert len(pressed) > LIMIT
    peer.raw(TEXT, b'451-["size",{"_placeholder":true,"num":0}]')
    peer.raw(BINARY, pressed, rsv=RSV1)
    assert peer.message()[2] == event("size", LIMIT)


def test_a_bomb_ends_the_connection(port: int) -> None:
    peer = Peer(port)
    peer.compressed(BINARY, bytes(40_000_000))
    assert peer.code() == 1009


@pytest.mark.parametrize("takes_over", [True, False])
def test_data_that_is_not_compressed_ends_the_connection(takes_over: bool) -> None:
    with serving(build(per_message_deflate={"client_no_context_takeover": not takes_over})) as running:
        peer = Peer(running.port)
        peer.raw(TEXT, b'42["plain"]', rsv=RSV1)
        assert peer.code() == 1007


@pytest.mark.parametrize(
    "frames",
    [
        [(TEXT, b"4", False, 0), (CONTINUATION, b"2", True, RSV1)],
        [(TEXT, b"4", False, RSV1), (CONTINUATION, b"2", True, RSV1)],
        [(TEXT, b"4", True, RSV1 | RSV2)],
        [(TEXT, b"4", True, RSV2)],
        [(TEXT, b"4", False, RSV1), (TEXT, b"4", True, RSV1)],
    ],
    ids=["later", "again", "with another bit", "another bit", "of a new message"],
)
def test_the_bit_elsewhere_ends_the_connection(port: int, frames: list[tuple[int, bytes, bool, int]]) -> None:
    peer = Peer(port)
    for opcode, payload, fin, rsv in frames:
        peer.raw(opcode, payload, fin=fin, rsv=rsv)
    assert peer.code() == 1002


def test_contexts_are_taken_over_where_that_is_agreed() -> None:
    options = {"server_no_context_takeover": False, "client_no_context_takeover": False, "window_bits": 12}
    with serving(build(per_message_deflate=options)) as running:
        peer = Peer(running.port)
        assert peer.extensions == "permessage-deflate; server_max_window_bits=12"
        deflater = Deflater(6, 15)
        text = os.urandom(1000).hex()
        sizes = []
        for _ in range(3):
            peer.raw(TEXT, deflater.compress(event("echo", text)), rsv=RSV1)
            compressed, size, message = peer.message(takes_over=True)
            assert (compressed, message) == (True, event("echo", text))
            sizes.append(size)
        assert max(sizes[1:]) < 50 < sizes[0]


def test_a_broadcast_is_compressed_once(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    compress = Deflater.compress

    def count(self: Deflater, data: bytes) -> bytes:
        made.append(len(data))
        return compress(self, data)

    monkeypatch.setattr(Deflater, "compress", count)
    everyone = [Peer(port) for _ in range(5)]
    plain = Peer(port, [])
    for _ in range(2):
        plain.raw(TEXT, event("shout", "x" * 3000))
        assert plain.message() == (False, 3014, event("shout", "x" * 3000))
        for peer in everyone:
            assert peer.message()[::2] == (True, event("shout", "x" * 3000))
    assert made == [3014] * 2


def test_the_upgrade_from_polling_agrees_too(port: int) -> None:
    polling = PollingPeer(port)
    polling.send("40")
    websocket = connect(port, polling.upgrade_target, OFFER)
    assert websocket.extensions is not None
    assert websocket.extensions.startswith("permessage-deflate")
