"""What the decoder of an application's parser gives is checked like any other packet."""

from __future__ import annotations

from typing import Any

import pytest

from socketeer.exceptions import PacketError
from socketeer.protocol.packets import Packet, PacketType
from socketeer.protocol.parsers import check_packet

CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR, BINARY_EVENT, BINARY_ACK = PacketType


@pytest.mark.parametrize(
    ("packet", "checked"),
    [
        (Packet(CONNECT), Packet(CONNECT)),
        (Packet(CONNECT, "/chat", {"token": 1}), Packet(CONNECT, "/chat", {"token": 1})),
        (Packet(DISCONNECT, "/chat"), Packet(DISCONNECT, "/chat")),
        (Packet(EVENT, "/", ["x"], 0), Packet(EVENT, "/", ["x"], 0)),
        (Packet(EVENT, "/", [1.5]), Packet(EVENT, "/", [1.5])),
        (Packet(BINARY_EVENT, "/", ["x", b""], attachments=1), Packet(EVENT, "/", ["x", b""], attachments=1)),
        (Packet(BINARY_ACK, "/", [b""], 2**53 - 1), Packet(ACK, "/", [b""], 2**53 - 1)),
        (Packet(CONNECT_ERROR, "/", "no"), Packet(CONNECT_ERROR, "/", "no")),
    ],
)
def test_a_packet(packet: Packet, checked: Packet) -> None:
    assert check_packet(packet) == checked


def make(kind: Any, namespace: Any = "/", data: Any = None, id: Any = None) -> Packet:
    return Packet(kind, namespace, data, id)


@pytest.mark.parametrize(
    "packet",
    [
        None,
        {"type": 2, "nsp": "/", "data": ["x"]},
        (EVENT, "/", ["x"], None, 0),
        make(2, "/", ["x"]),
        make(None, "/", ["x"]),
        make(EVENT, None, ["x"]),
        make(EVENT, b"/", ["x"]),
        make(EVENT, "/", ("x",)),
        make(EVENT, "/", ["disconnect"]),
        make(EVENT, "/", [["unhashable"]]),
        make(EVENT, "/", ["x"], True),
        make(EVENT, "/", ["x"], -1),
        make(EVENT, "/", ["x"], 2**53),
        make(EVENT, "/", ["x"], 1.0),
        make(EVENT, "/", ["x"], "1"),
        make(ACK, "/", ["x"]),
        make(CONNECT, "/", [1]),
        make(CONNECT, "/", None, 1),
        make(DISCONNECT, "/", {}),
    ],
)
def test_what_is_none(packet: Any) -> None:
    with pytest.raises(PacketError):
        check_packet(packet)
