"""Engine.IO 3 as bytes: text and binary polling bodies in both dialects, frames, base64, and what is refused."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from socketeer.exceptions import PacketError
from socketeer.protocol.engine_v3 import ENGINE_V3
from socketeer.protocol.packets import EngineCodec, EnginePacket
from tests.protocol.work import WatchedBytes, assert_linear

codec: EngineCodec = ENGINE_V3

TEXT = "text/plain; charset=UTF-8"
OCTETS = "application/octet-stream"

odd = ["\ud83d", "\ude00", "\ud800", "\udfff", "😀", ":", "é", "€", "\x1e", "\u2028", "\x00", '"', "a"]
any_text = st.text() | st.lists(st.sampled_from(odd), max_size=8).map("".join)
any_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
binary_packets = st.builds(EnginePacket, st.binary(), st.just(True))


def text(content: str) -> EnginePacket:
    return EnginePacket(content.encode("utf-8", "surrogatepass"))


def decode(body: bytes | str) -> list[EnginePacket]:
    return codec.decode_payload(body if isinstance(body, bytes) else body.encode(), binary=False)


def decode_binary(*body: int | bytes) -> list[EnginePacket]:
    joined = b"".join([bytes((part,)) if isinstance(part, int) else part for part in body])
    return codec.decode_payload(joined, binary=True)


def is_double_encoded(content: str) -> bool:
    """Tell whether a text reads as the UTF-8 of another, one character for each byte."""
    try:
        content.encode("latin-1").decode("utf-8", "surrogatepass")
    except UnicodeError:
        return False
    return not content.isascii()


def utf16_units(content: str) -> int:
    return len(content.encode("utf-16-le", "surrogatepass")) // 2


def test_its_number_is_3() -> None:
    assert codec.number == 3


# Text bodies.


def test_a_text_body_is_packets_behind_their_lengths() -> None:
    packets = [text("4test1"), text("2"), text("4a:b")]
    body = b"6:4test11:24:4a:b"
    assert codec.encode_payload(packets, binary=False) == (body, TEXT)
    assert decode(body) == packets


@pytest.mark.parametrize("binary", [False, True])
def test_ascii_goes_as_a_text_body_also_to_a_client_that_takes_binary(binary: bool) -> None:
    assert codec.encode_payload([text('0{"sid":"x"}'), text("40")], binary=binary) == (b'12:0{"sid":"x"}2:40', TEXT)


@pytest.mark.parametrize(
    ("content", "length"), [("4€", 2), ("4é", 2), ("4😀", 3), ("4😀€x", 5), ("4\u2028", 2), ("4\x00", 2), ("4", 1)]
)
def test_lengths_count_utf_16_code_units(content: str, length: int) -> None:
    body = f"{length}:{content}2:4z"
    assert decode(body) == [text(content), text("4z")]
    if length > 1:
        with pytest.raises(PacketError):
            decode(f"{len(content.encode())}:{content}" if not content.isascii() else f"{length + 1}:{content}")


def test_lone_surrogates_are_kept() -> None:
    body = b"2:4\xed\xa0\x80" + b"2:4\xed\xbf\xbf" + "3:4😀".encode()
    assert decode(body) == [EnginePacket(b"4\xed\xa0\x80"), EnginePacket(b"4\xed\xbf\xbf"), text("4😀")]


def test_a_length_that_cuts_a_pair_is_refused() -> None:
    with pytest.raises(PacketError):
        decode("2:4😀")  # what remains is half a character where a length is due


def test_1x_encodes_text_twice_and_is_understood() -> None:
    content = '42["é€😀"]'
    twice = content.encode().decode("latin-1")
    assert decode(f"{len(twice)}:{twice}2:4x") == [text(content), text("4x")]


def test_latin_1_text_that_is_not_utf_8_is_taken_literally() -> None:
    assert decode("6:4café!") == [text("4café!")]
    assert decode("2:4é3:4😀") == [text("4é"), text("4😀")]


def test_text_beyond_ascii_is_escaped_in_json_so_that_both_dialects_read_it() -> None:
    body, content_type = codec.encode_payload([text('42["a\\"é€😀\u2028"]')], binary=False)
    assert content_type == TEXT
    assert body == b'39:42["a\\"\\u00e9\\u20ac\\ud83d\\ude00\\u2028"]'


def test_what_precedes_the_json_is_not_escaped() -> None:
    body, _ = codec.encode_payload([text('42/né😀,["é"]')], binary=False)
    assert body == '18:42/né😀,["\\u00e9"]'.encode()
    assert decode(body) == [text('42/né😀,["\\u00e9"]')]


def test_no_packets_are_a_body_of_their_own() -> None:
    assert codec.encode_payload([], binary=False) == (b"0:", TEXT)
    assert codec.encode_payload([], binary=True) == (b"0:", TEXT)
    assert decode(b"0:") == []
    assert decode_binary() == []


def test_binary_is_base64_in_a_text_body() -> None:
    packets = [text("4hello"), EnginePacket(b"\x01\x02\x03\x04", True), EnginePacket(b"", True)]
    assert codec.encode_payload(packets, binary=False) == (b"6:4hello10:b4AQIDBA==2:b4", TEXT)
    assert decode(b"6:4hello10:b4AQIDBA==2:b4") == packets


def test_leading_zeros_are_no_harm() -> None:
    assert decode(b"0002:4a") == [text("4a")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b":",
        b"abc",
        b"4hello",
        b"1",
        b"12",
        b":4a",
        b"2:4",
        b"3:4a",
        b"2:4ab",
        b"2:4a2",
        b"2:4a2:",
        b"-1:4a",
        b"+2:4a",
        b" 2:4a",
        b"2 :4a",
        b"2.0:4a",
        b"1e0:4",
        b"0x2:4a",
        b"2_0:" + b"4" * 20,
        b"0:2:4a",
        b"2:4a0:",
        b"1:7",
        b"1:b",
        b"2:xy",
        b"3:4\xff\xfe",
        b"2:4\xed\xa0",
        b"\xff",
        "２:4a".encode(),
        "2:４a".encode(),
        "2é:4a".encode(),
        "\u0132:4é".encode(),
        "2\u013a4é".encode(),
        "٢:4a".encode(),
        "1:é".encode(),
        "2:é4".encode(),
        "é".encode(),
        "3:4é".encode(),
        "2:4é:".encode(),
        "2:4é0:".encode(),
        "2:4é99999999999:4".encode(),
    ],
)
def test_a_malformed_text_body_is_refused(body: bytes) -> None:
    with pytest.raises(PacketError):
        decode(body)


@pytest.mark.parametrize("tail", ["", "é"])
@pytest.mark.parametrize("count", [11, 310, 5000, 100_000])
def test_a_run_of_digits_is_cut_off(count: int, tail: str) -> None:
    with pytest.raises(PacketError, match="no length"):
        decode("0" * (count - 1) + "1:4" + tail)


@pytest.mark.parametrize("mark", [0, 1])
@pytest.mark.parametrize("count", [11, 310, 100_000])
def test_a_run_of_binary_digits_is_cut_off(count: int, mark: int) -> None:
    with pytest.raises(PacketError, match="no length"):
        decode_binary(mark, b"\x00" * (count - 1), b"\x01\xff4")


def test_ten_digits_are_enough_and_read() -> None:
    assert decode(b"0000000002:4a") == [text("4a")]
    assert decode("0000000002:4é") == [text("4é")]
    assert decode_binary(0, b"\x00" * 9, b"\x02\xff4a") == [text("4a")]


@pytest.mark.parametrize(
    "packet", [b"b", b"b4A", b"b4AAA", b"b4AA", b"b2AAAA", b"bAAAA", b"b4A\nAA", b"b4-_8=", b"b4AAAA===="]
)
def test_base64_is_read_strictly_and_is_a_message(packet: bytes) -> None:
    with pytest.raises(PacketError):
        codec.decode_base64(packet)
    with pytest.raises(PacketError):
        decode(b"%d:%b" % (len(packet), packet))
    with pytest.raises(PacketError):
        decode_binary(0, len(packet), 255, packet)


# Binary bodies.


def test_a_binary_body_marks_text_and_binary() -> None:
    packets = [text("4hello"), EnginePacket(b"\x01\x02\x03\x04", True)]
    body = bytes([0, 6, 255]) + b"4hello" + bytes([1, 5, 255, 4, 1, 2, 3, 4])
    assert codec.encode_payload(packets, binary=True) == (body, OCTETS)
    assert codec.decode_payload(body, binary=True) == packets


def test_text_beyond_ascii_goes_as_a_binary_body_where_the_client_takes_one() -> None:
    body, content_type = codec.encode_payload([text("4€😀"), text("2")], binary=True)
    assert content_type == OCTETS
    assert body == bytes([0, 8, 255]) + "4€😀".encode() + bytes([0, 1, 255]) + b"2"
    assert codec.decode_payload(body, binary=True) == [text("4€😀"), text("2")]


def test_lengths_in_a_binary_body_are_digits_as_numbers_and_count_bytes() -> None:
    data = bytes(1234)
    body, _ = codec.encode_payload([EnginePacket(data, True)], binary=True)
    assert body == bytes([1, 1, 2, 3, 5, 255, 4]) + data


def test_marks_and_separators_inside_a_message_are_content() -> None:
    data = bytes([0, 1, 255, 255, 1, 9, 255]) + b"2:4a\x1e"
    body, _ = codec.encode_payload([EnginePacket(data, True), text("4x")], binary=True)
    assert codec.decode_payload(body, binary=True) == [EnginePacket(data, True), text("4x")]


def test_base64_may_stand_in_a_binary_body() -> None:
    assert decode_binary(0, 6, 255, b"b4AQID") == [EnginePacket(b"\x01\x02\x03", True)]


def test_text_in_a_binary_body_is_left_to_its_reader() -> None:
    assert decode_binary(0, 4, 255, b"4\xed\xa0\x80") == [EnginePacket(b"4\xed\xa0\x80")]
    assert decode_binary(0, 2, 255, b"4\xff") == [EnginePacket(b"4\xff")]


@pytest.mark.parametrize(
    "body",
    [
        bytes([2, 1, 255]) + b"4",
        b"2:4a",
        bytes([255]),
        bytes([0]),
        bytes([1]),
        bytes([0, 255]),
        bytes([1, 255, 4]),
        bytes([0, 1]),
        bytes([0, 1]) + b"4",
        bytes([0, 2, 255]) + b"4",
        bytes([0, 1, 255]),
        bytes([0, 0, 255]),
        bytes([1, 0, 255]),
        bytes([0, 10, 255]) + b"4",
        bytes([0, 0x31, 255]) + b"4",
        bytes([0, 254, 255]) + b"4",
        bytes([0, 1, 255]) + b"7",
        bytes([0, 1, 255]) + b"\x04",
        bytes([1, 1, 255, 7]),
        bytes([1, 1, 255]) + b"4",
        bytes([0, 1, 255]) + b"2" + b"\x00",
        bytes([1, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 255, 4]),
    ],
)
def test_a_malformed_binary_body_is_refused(body: bytes) -> None:
    with pytest.raises(PacketError):
        codec.decode_payload(body, binary=True)


# Frames.


def test_a_binary_frame_begins_with_the_type_as_a_number() -> None:
    assert codec.frame(b"abc") == b"\x04abc"
    assert codec.unframe(b"\x04abc") == EnginePacket(b"abc", True)
    assert codec.frame(b"") == b"\x04"
    assert codec.unframe(b"\x04") == EnginePacket(b"", True)


@pytest.mark.parametrize(
    ("frame", "packet"), [(b"\x02probe", b"2probe"), (b"\x00", b"0"), (b"\x06", b"6"), (b"\x05", b"5")]
)
def test_a_binary_frame_of_another_type_is_a_text_packet(frame: bytes, packet: bytes) -> None:
    assert codec.unframe(frame) == EnginePacket(packet, False)


@pytest.mark.parametrize("frame", [b"", b"\x07", b"4abc", b"\xff", b"\xd0"])
def test_a_binary_frame_without_a_known_type_is_refused(frame: bytes) -> None:
    with pytest.raises(PacketError):
        codec.unframe(frame)


# Work and arbitrary input.


@pytest.mark.parametrize("part", ["2:4x", "1:6", "6:b4AAAA", "301:4" + "y" * 300, "2:4é", "3:4😀"])
@pytest.mark.parametrize("tail", ["", "2:4€"])
def test_the_work_of_decoding_text_is_linear(part: str, tail: str) -> None:
    assert_linear(lambda body: codec.decode_payload(body, binary=False), lambda n: (part * n + tail).encode(), 1000)


@pytest.mark.parametrize("part", [b"\x00\x01\xff6", b"\x01\x01\xff\x04", b"\x01\x03\x00\x01\xff\x04" + bytes(300)])
def test_the_work_of_decoding_binary_is_linear(part: bytes) -> None:
    assert_linear(lambda body: codec.decode_payload(body, binary=True), lambda n: part * n, 1000)


@pytest.mark.parametrize("size", [1000, 200_000])
def test_a_body_of_digits_is_refused_after_a_constant_amount_of_work(size: int) -> None:
    for body, binary in ((b"9" * size, False), (b"\x01" + b"\x09" * size, True)):
        touched = [0]
        with pytest.raises(PacketError):
            codec.decode_payload(WatchedBytes.watch(body, touched), binary=binary)
        assert touched[0] < 100


@given(st.lists(st.builds(lambda kind, rest: f"{kind}{rest}", st.integers(0, 6), any_text)))
def test_text_bodies_of_2x_decode_as_they_were_meant(contents: list[str]) -> None:
    assume(contents and not any(is_double_encoded(content) for content in contents))
    # A peer joins adjacent halves of a pair when it encodes, so lengths are taken from what was joined.
    joined = [c.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass") for c in contents]
    body = "".join([f"{utf16_units(content)}:{content}" for content in joined])
    assert decode(body.encode("utf-8", "surrogatepass")) == [text(content) for content in joined]


@given(st.lists(st.builds(lambda kind, rest: f"{kind}{rest}", st.integers(0, 6), any_text), min_size=1))
def test_text_bodies_of_1x_decode_as_they_were_meant(contents: list[str]) -> None:
    twice = [content.encode("utf-8", "surrogatepass").decode("latin-1") for content in contents]
    whole = "".join([f"{len(content)}:{content}" for content in twice])
    assert decode(whole) == [text(content) for content in contents]


@given(st.lists(any_json, max_size=5), st.lists(st.binary(), max_size=3))
def test_json_and_binary_come_back_from_a_text_body(values: list[Any], blobs: list[bytes]) -> None:
    sent = [EnginePacket(b"42" + json.dumps([value], ensure_ascii=False).encode()) for value in values]
    packets = sent + [EnginePacket(blob, True) for blob in blobs]
    body, content_type = codec.encode_payload(packets, binary=False)
    assert content_type == TEXT
    assert body.isascii()
    received = decode(body)
    assert [json.loads(packet.data[2:]) for packet in received if not packet.binary] == [[value] for value in values]
    assert [packet.data for packet in received if packet.binary] == blobs


@given(
    st.lists(st.builds(lambda k, rest: text(f"{k}{rest}"), st.integers(0, 6), any_text) | binary_packets, min_size=1)
)
def test_what_is_encoded_for_a_client_that_takes_binary_decodes_to_the_same(packets: list[EnginePacket]) -> None:
    body, content_type = codec.encode_payload(packets, binary=True)
    assert codec.decode_payload(body, binary=content_type == OCTETS) == packets


@given(st.binary())
def test_frames_and_base64_round_trip(data: bytes) -> None:
    assert codec.unframe(codec.frame(data)) == EnginePacket(data, True)
    assert codec.encode_base64(data) == b"b4" + base64.b64encode(data)
    assert codec.decode_base64(codec.encode_base64(data)) == data


fragments = st.sampled_from(
    [b"1", b"2", b"0", b":", b"4", b"b4", b"AA==", b"\xff", b"\x00", b"\x01", b"\x04", "é😀".encode()]
)


@given(st.binary() | st.lists(fragments).map(b"".join), st.booleans())
def test_any_bytes_decode_or_are_refused(body: bytes, binary: bool) -> None:
    try:
        packets = codec.decode_payload(body, binary=binary)
    except PacketError:
        return
    assert all(packet.binary or 0x30 <= packet.data[0] <= 0x36 for packet in packets)
    assert sum(len(packet.data) for packet in packets) <= len(body)


@given(st.binary())
def test_any_frame_is_read_or_refused(frame: bytes) -> None:
    try:
        packet = codec.unframe(frame)
    except PacketError:
        return
    assert packet.data[not packet.binary :] == frame[1:]
