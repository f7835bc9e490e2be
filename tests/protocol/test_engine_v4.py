"""Engine.IO 4 as bytes: polling bodies, frames, base64, and what is refused."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketeer.exceptions import PacketError
from socketeer.protocol import packets as p
from socketeer.protocol.engine_v4 import ENGINE_V4
from socketeer.protocol.packets import EngineCodec, EnginePacket
from tests.protocol.work import assert_linear

codec: EngineCodec = ENGINE_V4

text_packets = st.builds(
    lambda kind, text: EnginePacket(b"%d" % kind + text.replace("\x1e", "").encode()), st.integers(0, 6), st.text()
)
binary_packets = st.builds(EnginePacket, st.binary(), st.just(True))


def decode(body: bytes) -> list[EnginePacket]:
    return codec.decode_payload(body, binary=False)


def encode(*packets: EnginePacket) -> bytes:
    return codec.encode_payload(packets, binary=False)[0]


def test_its_number_is_4() -> None:
    assert codec.number == 4


def test_type_digits_are_those_of_the_protocol() -> None:
    kinds = (p.OPEN, p.CLOSE, p.PING, p.PONG, p.MESSAGE, p.UPGRADE, p.NOOP)
    assert bytes(kinds) == b"0123456"


@pytest.mark.parametrize("body", [b"0{}", b"1", b"2", b"2probe", b"3", b"4", b"4hello", b"5", b"6"])
def test_a_single_packet_is_the_body_itself(body: bytes) -> None:
    assert decode(body) == [EnginePacket(body, False)]
    assert encode(EnginePacket(body)) == body


def test_packets_are_joined_by_the_record_separator() -> None:
    packets = [EnginePacket(b"4one"), EnginePacket(b"2"), EnginePacket("4€".encode())]
    assert encode(*packets) == b"4one\x1e2\x1e4\xe2\x82\xac"
    assert decode(b"4one\x1e2\x1e4\xe2\x82\xac") == packets


def test_binary_is_base64_behind_a_b_without_a_type_digit() -> None:
    packets = [EnginePacket(b"4x"), EnginePacket(b"\xfb\xff\x1e\x00", True)]
    assert encode(*packets) == b"4x\x1eb+/8eAA=="
    assert decode(b"4x\x1eb+/8eAA==") == packets


def test_an_empty_binary_message_is_legal() -> None:
    assert encode(EnginePacket(b"", True)) == b"b"
    assert decode(b"b") == [EnginePacket(b"", True)]
    assert codec.unframe(b"") == EnginePacket(b"", True)
    assert codec.frame(b"") == b""


@pytest.mark.parametrize("binary", [False, True])
def test_a_body_is_text_whatever_the_client_takes(binary: bool) -> None:
    body, content_type = codec.encode_payload([EnginePacket(b"\x00", True)], binary=binary)
    assert (body, content_type) == (b"bAA==", "text/plain; charset=UTF-8")


def test_a_binary_body_is_refused() -> None:
    with pytest.raises(PacketError):
        codec.decode_payload(b"4hello", binary=True)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x1e",
        b"4a\x1e",
        b"\x1e4a",
        b"4a\x1e\x1e4b",
        b"7",
        b"9hello",
        b"abc",
        b"/",
        b":4",
        b" 4a",
        b"\x04",
        b"\xff",
        b"4fine\x1e8bad",
        "４".encode(),
    ],
)
def test_an_empty_packet_or_an_unknown_type_spoils_the_whole_body(body: bytes) -> None:
    with pytest.raises(PacketError):
        decode(body)


@pytest.mark.parametrize(
    "text",
    [b"b=", b"bA", b"bAA", b"bAA=", b"bAAA", b"bAAAA=", b"bAAAAA===", b"bA\nAA", b"bAA==AA==", b"b-_8=", b"b!!!!",
     b"bAAA\xff", b"b AAA", b"bAAAA\n"],
)  # fmt: skip
def test_base64_is_read_strictly(text: bytes) -> None:
    with pytest.raises(PacketError):
        codec.decode_base64(text)
    with pytest.raises(PacketError):
        decode(text)


@pytest.mark.parametrize("text", [b"", b"4AAAA", b"AAAA", b"B"])
def test_base64_needs_its_mark(text: bytes) -> None:
    with pytest.raises(PacketError):
        codec.decode_base64(text)


def test_text_that_is_not_utf_8_is_left_to_its_reader() -> None:
    assert decode(b"4\xff\xfe\x1e4\xed\xa0\x80") == [EnginePacket(b"4\xff\xfe"), EnginePacket(b"4\xed\xa0\x80")]


def test_a_frame_is_the_message() -> None:
    assert codec.frame(b"\x04abc") == b"\x04abc"
    assert codec.unframe(b"\x04abc") == EnginePacket(b"\x04abc", True)


def test_a_body_may_hold_many_packets() -> None:
    assert decode(b"\x1e".join([b"4x"] * 5000)) == [EnginePacket(b"4x")] * 5000


@pytest.mark.parametrize(
    "part", [b"4x\x1e", b"6\x1e", b"bAAAA\x1e", b"4" + b"y" * 300 + b"\x1e"], ids=["short", "noop", "base64", "long"]
)
def test_the_work_of_decoding_is_linear(part: bytes) -> None:
    assert_linear(lambda body: codec.decode_payload(body, binary=False), lambda count: part * count + b"6", 1000)


@given(st.lists(text_packets | binary_packets, min_size=1))
def test_what_is_encoded_decodes_to_the_same(packets: list[EnginePacket]) -> None:
    assert decode(encode(*packets)) == packets


@given(st.binary())
def test_base64_round_trips_as_the_standard_has_it(data: bytes) -> None:
    assert codec.encode_base64(data) == b"b" + base64.b64encode(data)
    assert codec.decode_base64(codec.encode_base64(data)) == data
    assert codec.unframe(codec.frame(data)) == EnginePacket(data, True)


@given(st.binary() | st.lists(st.sampled_from([b"\x1e", b"b", b"4", b"=", b"A", b"0", b"\xff"])).map(b"".join))
def test_any_bytes_decode_or_are_refused(body: bytes) -> None:
    try:
        packets = decode(body)
    except PacketError:
        return
    assert len(packets) == body.count(b"\x1e") + 1
    assert encode(*packets) == body or any(packet.binary for packet in packets)
