"""Packets that are encoded once for all their recipients."""

from __future__ import annotations

import pytest

from socketeer.multiplex.encoded import Encoded, JsonFormat
from socketeer.protocol import socket_json
from socketeer.protocol.packets import Packet, PacketType


def test_a_plain_event() -> None:
    body = JsonFormat(10).body(["news", {"a": [1, None, "é"]}])
    assert body.event("/").text == '42["news",{"a":[1,null,"é"]}]'.encode()
    assert body.event("/chat").text == '42/chat,["news",{"a":[1,null,"é"]}]'.encode()
    assert body.event("/chat", 0).text == '42/chat,0["news",{"a":[1,null,"é"]}]'.encode()
    assert body.event("/", 12).text == '4212["news",{"a":[1,null,"é"]}]'.encode()


def test_an_acknowledgement() -> None:
    assert JsonFormat(10).ack([], "/", 0) == Encoded(b"430[]")
    assert JsonFormat(10).ack([1, "x"], "/chat", 7) == Encoded(b'43/chat,7[1,"x"]')


@pytest.mark.parametrize("namespace", ["/", "/chat"])
@pytest.mark.parametrize("kind", [PacketType.EVENT, PacketType.ACK])
def test_binary_values_become_attachments(namespace: str, kind: PacketType) -> None:
    args = ["image", b"\x00\x01", {"thumb": bytearray(b"t"), "parts": [memoryview(b"p")]}]
    form = JsonFormat(10)
    packet = form.body(args).event(namespace, 3) if kind is PacketType.EVENT else form.ack(args, namespace, 3)
    assert packet.attachments == (b"\x00\x01", b"t", b"p")
    decoded = socket_json.decode(packet.text, 10)
    assert (decoded.type, decoded.namespace, decoded.id, decoded.attachments) == (kind, namespace, 3, 3)
    assert socket_json.restore(decoded.data, packet.attachments) == [
        "image",
        b"\x00\x01",
        {"thumb": b"t", "parts": [b"p"]},
    ]


def test_a_packet_without_attachments_says_no_number_of_them() -> None:
    assert socket_json.decode(JsonFormat(0).body(["x"]).event("/").text, 0) == Packet(PacketType.EVENT, "/", ["x"])


@pytest.mark.parametrize(("count", "most", "fits"), [(10, 10, True), (11, 10, False), (0, 0, True), (1, 0, False)])
def test_too_many_binary_values_are_refused_before_a_peer_refuses_them(count: int, most: int, fits: bool) -> None:
    args = ["x", *[b"part"] * count]
    if fits:
        assert len(JsonFormat(most).body(args).attachments) == count
    else:
        with pytest.raises(ValueError, match=f"{count} binary values in one packet, max_attachments allows {most}"):
            JsonFormat(most).body(args)


@pytest.mark.parametrize("value", [object(), {1, 2}, lambda: None, [object()]])
def test_what_json_cannot_say_is_a_type_error(value: object) -> None:
    with pytest.raises(TypeError, match="not serializable as JSON"):
        JsonFormat(10).body(["x", value])


@pytest.mark.parametrize("namespace", ["/", "/chat"])
def test_the_prefix_of_a_plain_event(namespace: str) -> None:
    body = JsonFormat(10).body(["x", 1])
    assert JsonFormat(10).prefix(namespace) + body.text == body.event(namespace).text
