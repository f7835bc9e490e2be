"""Packets that are encoded once for all their recipients."""

from __future__ import annotations

import pytest

from socketeer.multiplex.encoded import Encoded, encode_body, event_prefix
from socketeer.protocol import socket_json
from socketeer.protocol.packets import Packet, PacketType


def test_a_plain_event() -> None:
    body = encode_body(["news", {"a": [1, None, "é"]}], 10)
    assert body.event("/") == Encoded('42["news",{"a":[1,null,"é"]}]'.encode())
    assert body.event("/chat") == Encoded('42/chat,["news",{"a":[1,null,"é"]}]'.encode())
    assert body.event("/chat", 0) == Encoded('42/chat,0["news",{"a":[1,null,"é"]}]'.encode())
    assert body.event("/", 12) == Encoded('4212["news",{"a":[1,null,"é"]}]'.encode())


def test_an_acknowledgement() -> None:
    assert encode_body([], 10).ack("/", 0) == Encoded(b"430[]")
    assert encode_body([1, "x"], 10).ack("/chat", 7) == Encoded(b'43/chat,7[1,"x"]')


@pytest.mark.parametrize("namespace", ["/", "/chat"])
@pytest.mark.parametrize("kind", [PacketType.EVENT, PacketType.ACK])
def test_binary_values_become_attachments(namespace: str, kind: PacketType) -> None:
    args = ["image", b"\x00\x01", {"thumb": bytearray(b"t"), "parts": [memoryview(b"p")]}]
    body = encode_body(args, 10)
    packet = body.event(namespace, 3) if kind is PacketType.EVENT else body.ack(namespace, 3)
    assert packet.attachments == (b"\x00\x01", b"t", b"p")
    decoded = socket_json.decode(packet.text, 10)
    assert (decoded.type, decoded.namespace, decoded.id, decoded.attachments) == (kind, namespace, 3, 3)
    assert socket_json.restore(decoded.data, packet.attachments) == [
        "image",
        b"\x00\x01",
        {"thumb": b"t", "parts": [b"p"]},
    ]


def test_a_packet_without_attachments_says_no_number_of_them() -> None:
    assert socket_json.decode(encode_body(["x"], 0).event("/").text, 0) == Packet(PacketType.EVENT, "/", ["x"])


@pytest.mark.parametrize(("count", "most", "fits"), [(10, 10, True), (11, 10, False), (0, 0, True), (1, 0, False)])
def test_too_many_binary_values_are_refused_before_a_peer_refuses_them(count: int, most: int, fits: bool) -> None:
    args = ["x", *[b"part"] * count]
    if fits:
        assert len(encode_body(args, most).attachments) == count
    else:
        with pytest.raises(ValueError, match=f"{count} binary values in one packet, max_attachments allows {most}"):
            encode_body(args, most)


@pytest.mark.parametrize("value", [object(), {1, 2}, lambda: None, [object()]])
def test_what_json_cannot_say_is_a_type_error(value: object) -> None:
    with pytest.raises(TypeError, match="not serializable as JSON"):
        encode_body(["x", value], 10)


@pytest.mark.parametrize("namespace", ["/", "/chat"])
def test_the_prefix_of_a_plain_event(namespace: str) -> None:
    body = encode_body(["x", 1], 10)
    assert event_prefix(namespace) + body.text == body.event(namespace).text
