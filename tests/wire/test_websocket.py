"""WebSocket sessions: messages, sizes, fragments, control frames, and frames that break the rules."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.wire.conftest import Served
from tests.wire.peers import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, WebSocketPeer, frame

Serve = Callable[..., Served]
LIMIT = 2000
EVENT = b'42["message","hello"]'
ANSWER = '42["message-back","hello"]'


def open_peer(server: Served, eio: int) -> tuple[WebSocketPeer, str]:
    peer = server.websocket(f"EIO={eio}&transport=websocket")
    handshake = peer.open()
    if eio == 4:
        return peer, peer.join()
    assert peer.receive() == "40"
    assert peer.receive_text().startswith('42["auth"')
    return peer, handshake["sid"]


both = pytest.mark.parametrize("eio", [3, 4])


# Messages.


@both
def test_text(server: Served, eio: int) -> None:
    peer, _ = open_peer(server, eio)
    peer.send(EVENT.decode())
    assert peer.receive() == ANSWER


@both
def test_text_beyond_ascii(server: Served, eio: int) -> None:
    peer, _ = open_peer(server, eio)
    peer.echo("é€😀\u2028")


@both
@pytest.mark.parametrize(
    "data", [b"\x01\x02\x03\x04", b"", b"\x04", bytes(range(256)) * 300], ids=["4", "0", "1", "many"]
)
def test_binary(server: Served, eio: int, data: bytes) -> None:
    peer, _ = open_peer(server, eio)
    prefix = b"" if eio == 4 else b"\x04"
    peer.send('451-["message",{"_placeholder":true,"num":0}]')
    peer.send(prefix + data)
    assert peer.receive() == '451-["message-back",{"_placeholder":true,"num":0}]'
    assert peer.receive() == prefix + data


@both
def test_binary_as_base64_text(server: Served, eio: int) -> None:
    peer, _ = open_peer(server, eio)
    peer.send('451-["message",{"_placeholder":true,"num":0}]')
    peer.send("bAQIDBA==" if eio == 4 else "b4AQIDBA==")
    peer.receive()
    assert peer.receive() == (b"\x01\x02\x03\x04" if eio == 4 else b"\x04\x01\x02\x03\x04")


def test_a_typed_frame_of_the_older_revision_may_be_any_packet(server: Served) -> None:
    peer, _ = open_peer(server, 3)
    peer.send(b"\x02probe"[:1])
    assert peer.receive() == "3"


def test_many_messages_in_one_segment(server: Served) -> None:
    peer, _ = open_peer(server, 4)
    peer.raw(b"".join([frame(TEXT, b'42["message",%d]' % n) for n in range(200)]))
    assert [peer.receive() for _ in range(200)] == [f'42["message-back",{n}]' for n in range(200)]


def test_one_message_in_many_segments(server: Served) -> None:
    peer, _ = open_peer(server, 4)
    for byte in frame(TEXT, EVENT):
        peer.raw(bytes((byte,)))
    assert peer.receive() == ANSWER


# What is malformed.


@pytest.mark.parametrize(
    ("eio", "data"),
    [
        *[(4, data) for data in ("abc", "", "7", "8x", "bA", "b!", "\x04")],
        *[(3, data) for data in ("abc", "", "7", "b4A", "b2AAAA", b"", b"\x07", b"4x", b"\xff")],
    ],
)
def test_a_malformed_packet_ends_the_session(server: Served, eio: int, data: str | bytes) -> None:
    peer, id = open_peer(server, eio)
    peer.send(data)
    peer.closed()
    assert server.left_because(id) == "parse error"


@both
def test_a_close_packet_ends_the_session(server: Served, eio: int) -> None:
    peer, id = open_peer(server, eio)
    peer.send("1")
    peer.closed()
    assert server.left_because(id) == "transport close"


@both
def test_what_follows_the_end_is_dropped(server: Served, eio: int) -> None:
    peer, id = open_peer(server, eio)
    peer.raw(frame(TEXT, b"1") + frame(TEXT, EVENT))
    assert peer.rest()[0] == []
    assert server.left_because(id) == "transport close"


@both
@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
def test_a_connection_that_breaks_ends_the_session(server: Served, eio: int, reset: bool) -> None:
    peer, id = open_peer(server, eio)
    peer.close(reset=reset)
    assert server.left_because(id) in ("transport close", "transport error")


@both
@pytest.mark.parametrize("payload", [b"", b"\x03\xe8", b"\x03\xe9going away"])
def test_a_close_frame_ends_the_session_and_is_answered(server: Served, eio: int, payload: bytes) -> None:
    peer, id = open_peer(server, eio)
    peer.raw(frame(CLOSE, payload))
    assert peer.closed() != 1006
    assert server.left_because(id) == "transport close"


# Sizes.


def sized(size: int) -> bytes:
    head, tail = b'42["message","', b'"]'
    return head + b"x" * (size - len(head) - len(tail)) + tail


@pytest.fixture(name="small")
def small_server(serve: Serve) -> Served:
    return serve(max_http_buffer_size=LIMIT)


def test_a_message_of_the_largest_size_is_taken(small: Served) -> None:
    peer, _ = open_peer(small, 4)
    message = sized(LIMIT)
    peer.raw(frame(TEXT, message))
    assert peer.receive_text().encode() == message.replace(b"message", b"message-back")


def test_a_binary_message_of_the_largest_size_is_taken(small: Served) -> None:
    peer, _ = open_peer(small, 4)
    peer.send('451-["message",{"_placeholder":true,"num":0}]')
    peer.send(b"\x01" * LIMIT)
    peer.receive()
    assert peer.receive() == b"\x01" * LIMIT


@pytest.mark.parametrize("size", [LIMIT + 1, 3 * LIMIT, 100 * LIMIT])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_message_one_byte_larger_is_not(small: Served, size: int, opcode: int) -> None:
    peer, id = open_peer(small, 4)
    if opcode == BINARY:
        peer.send('451-["message",{"_placeholder":true,"num":0}]')
    peer.raw(frame(opcode, sized(size)))
    messages, code = peer.rest()
    assert messages == []
    assert code in (1009, 1006)  # 1006 where the close frame was lost to a reset, for the server does not read on
    if size == LIMIT + 1:
        assert code == 1009
        assert small.left_because(id) == "transport error"
    assert small.left_because(id) in ("transport error", "transport close")


def test_the_declared_length_is_enough_to_refuse_a_message(fast: Served) -> None:
    peer, _ = open_peer(fast, 4)
    peer.raw(frame(TEXT, b"4" + b"x" * 1_000_000)[:100])
    assert peer.closed() == 1009


def test_fragments_count_together(small: Served) -> None:
    peer, _ = open_peer(small, 4)
    message = sized(LIMIT)
    parts = [message[start : start + 200] for start in range(0, LIMIT, 200)]

    def send(parts: list[bytes]) -> None:
        for index, part in enumerate(parts):
            peer.raw(frame(CONTINUATION if index else TEXT, part, fin=index == len(parts) - 1))

    send(parts)
    assert peer.receive_text().encode() == message.replace(b"message", b"message-back")
    send([*parts[:-1], parts[-1] + b" "])
    assert peer.closed() == 1009


def test_the_length_of_a_frame_may_take_eight_bytes(serve: Serve) -> None:
    server = serve(max_http_buffer_size=100_000)
    peer, _ = open_peer(server, 4)
    peer.raw(frame(TEXT, sized(70_000)))
    assert len(peer.receive_text()) == 70_000 + len("-back")


@pytest.mark.parametrize("length", [b"\x7f\xff\xff\xff\xff\xff\xff\xff", b"\x80" + bytes(7), b"\xff" * 8])
def test_a_monstrous_length_ends_the_session(server: Served, length: bytes) -> None:
    peer, _ = open_peer(server, 4)
    peer.raw(b"\x81\xff" + length + b"\x00\x00\x00\x004")
    assert peer.closed() in (1002, 1009, 1006)


# Fragments and control frames.


@both
def test_a_message_in_fragments(server: Served, eio: int) -> None:
    peer, _ = open_peer(server, eio)
    for parts in ((EVENT[:5], EVENT[5:9], EVENT[9:]), (b"", b"", EVENT), (EVENT, b"", b"")):
        first, middle, last = parts
        peer.raw(frame(TEXT, first, fin=False) + frame(CONTINUATION, middle, fin=False) + frame(CONTINUATION, last))
        assert peer.receive() == ANSWER


def test_a_character_cut_in_two_by_fragments(server: Served) -> None:
    peer, _ = open_peer(server, 4)
    message = '42["message","😀"]'.encode()
    middle = message.index("😀".encode()) + 2
    peer.raw(frame(TEXT, message[:middle], fin=False) + frame(CONTINUATION, message[middle:]))
    assert peer.receive() == '42["message-back","😀"]'


def test_binary_in_fragments(server: Served) -> None:
    peer, _ = open_peer(server, 4)
    peer.send('451-["message",{"_placeholder":true,"num":0}]')
    peer.raw(frame(BINARY, b"\x01", fin=False) + frame(CONTINUATION, b"\x02\x03"))
    peer.receive()
    assert peer.receive() == b"\x01\x02\x03"


def test_one_byte_fragments(server: Served) -> None:
    peer, _ = open_peer(server, 4)
    message = b'42["message","' + b"x" * 480 + b'"]'
    last = len(message) - 1
    for n in range(len(message)):
        peer.raw(frame(CONTINUATION if n else TEXT, message[n : n + 1], fin=n == last))
    assert peer.receive_text().encode() == message.replace(b"message", b"message-back")


def test_control_frames_between_fragments(server: Served) -> None:
    peer, _ = open_peer(server, 4)
    peer.raw(frame(TEXT, EVENT[:5], fin=False) + frame(PING, b"are you there"))
    assert peer.receive_frame() == (PONG, b"are you there")
    peer.raw(frame(PONG, b"unasked") + frame(CONTINUATION, EVENT[5:]))
    assert peer.receive() == ANSWER


@pytest.mark.parametrize("payload", [b"", b"x", b"x" * 125])
def test_a_ping_is_answered_with_its_own_content(server: Served, payload: bytes) -> None:
    peer, _ = open_peer(server, 4)
    peer.raw(frame(PING, payload))
    assert peer.receive_frame() == (PONG, payload)
    peer.echo("after")


# Frames that break the rules.

MALFORMED = {
    "rsv1": frame(TEXT, EVENT, rsv=4),
    "rsv2": frame(TEXT, EVENT, rsv=2),
    "rsv3": frame(TEXT, EVENT, rsv=1),
    "unmasked": frame(TEXT, EVENT, mask=False),
    "opcode 3": frame(0x3, EVENT),
    "opcode 7": frame(0x7, b""),
    "opcode b": frame(0xB, b""),
    "opcode f": frame(0xF, b""),
    "continuation of nothing": frame(CONTINUATION, EVENT),
    "text inside a fragmented message": frame(TEXT, EVENT[:5], fin=False) + frame(TEXT, EVENT),
    "fragmented ping": frame(PING, b"x", fin=False),
    "long ping": frame(PING, b"x" * 126),
    "long close": frame(CLOSE, b"\x03\xe8" + b"x" * 124),
    "close of one byte": frame(CLOSE, b"\x03"),
    "close with a reserved code": frame(CLOSE, b"\x03\xed"),
    "close with text that is not UTF-8": frame(CLOSE, b"\x03\xe8\xff"),
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_a_frame_that_breaks_the_rules_ends_the_session(server: Served, data: bytes) -> None:
    peer, id = open_peer(server, 4)
    peer.raw(data)
    messages, _ = peer.rest()
    assert messages == []
    assert server.left_because(id) in ("transport error", "transport close", "parse error")


NOT_UTF_8 = {
    **{
        f"in a message: {data!r}": b'42["message","' + data + b'"]'
        for data in (b"\xff", b"\xc0\x80", b"\xf5\x80\x80\x80")
    },
    "cut off": b'42["message","\xe2\x82"]',
    "in a namespace": b'42/\xff,["message"]',
    "in a heartbeat": b"3\xff",
    "in a packet that means nothing": b"6\xff",
    "nothing else": b"\xff",
}


@pytest.mark.parametrize("data", NOT_UTF_8.values(), ids=NOT_UTF_8)
def test_text_that_is_not_utf_8_ends_the_session(server: Served, data: bytes) -> None:
    peer, id = open_peer(server, 4)
    peer.raw(frame(TEXT, data))
    assert peer.rest() == ([], 1007)
    assert server.left_because(id) == "transport error"


def test_text_that_is_not_utf_8_ends_an_upgrade(server: Served) -> None:
    polling = server.polling()
    peer = server.knock(polling)
    peer.raw(frame(TEXT, b"2prob\xff"))
    assert peer.rest() == ([], 1007)
    polling.join()


@pytest.mark.parametrize("answers", [True, False])
@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(TEXT, sized(LIMIT + 1)), 1009),
        (frame(TEXT, EVENT, mask=False), 1002),
        (frame(TEXT, EVENT, rsv=2), 1002),
        (frame(CONTINUATION, EVENT), 1002),
    ],
    ids=["too large", "not masked", "reserved bit", "continuation of nothing"],
)
def test_a_fault_of_the_client_is_told_whether_it_answers_the_close_frame_or_not(
    small: Served, data: bytes, code: int, answers: bool
) -> None:
    peer, id = open_peer(small, 4)
    peer.raw(data)
    opcode, payload = peer.receive_frame()
    assert (opcode, payload[:2]) == (CLOSE, code.to_bytes(2, "big"))
    if answers:
        peer.raw(frame(CLOSE, payload[:2]))
    peer.close()
    assert small.left_because(id) == "transport error"


@pytest.mark.parametrize("key", ["", "short", "not base64!!!!!!!!!!!!!!"])
def test_a_handshake_without_a_proper_key_is_refused(server: Served, key: str) -> None:
    import socket

    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as sock:
        lines = [
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1",
            "Host: x",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            *([f"Sec-WebSocket-Key: {key}"] if key else []),
        ]
        sock.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        assert not sock.recv(65536).startswith(b"HTTP/1.1 101")
