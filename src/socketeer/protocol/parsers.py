"""Parsers: other ways to write Socket.IO packets than as JSON text with attachments.

A parser is the counterpart of one that the clients use too; the packets are the same (Socket.IO protocol, revisions 4
and 5), and so are the checks of what came.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from socketeer.exceptions import PacketError
from socketeer.protocol.checks import check_payload
from socketeer.protocol.packets import Packet, PacketType

__all__ = ["Decoder", "Parser", "check_packet"]

_PLAIN = {PacketType.BINARY_EVENT: PacketType.EVENT, PacketType.BINARY_ACK: PacketType.ACK}
_MOST_ID = 2**53


class Decoder(Protocol):
    """Put packets together from what one client sends."""

    def add(self, chunk: str | bytes) -> Packet | None:
        """Take the content of one message, and give the packet that is complete with it, if one is.

        Raises ``PacketError`` for what is no packet: the client loses its connection for it.
        """


class Parser(Protocol):
    """Write packets, and make what reads them."""

    def encode(self, packet: Packet) -> Sequence[str | bytes]:
        """Give the messages that carry a packet: one text or none, and then any number of binary ones.

        A packet for more than one client is encoded once. Raises ``TypeError`` for what cannot be written.
        """

    def decoder(self) -> Decoder:
        """Make the decoder of one connection."""


def check_packet(packet: Any) -> Packet:
    """Check what a decoder gave, and write the types of binary packets as the plain ones. Raises PacketError."""
    if not isinstance(packet, Packet):
        raise PacketError("a decoder must give packets")
    if packet.type.__class__ is not PacketType:
        raise PacketError("unknown packet type")
    packet.type = _PLAIN.get(packet.type, packet.type)
    namespace: Any = packet.namespace
    if not isinstance(namespace, str):
        raise PacketError("a namespace must be a string")
    id: Any = packet.id
    if id is not None and (isinstance(id, bool) or not isinstance(id, int) or not 0 <= id < _MOST_ID):
        raise PacketError("the id of an acknowledgement must be a whole number")
    check_payload(packet.type, packet.data, id, has_payload=packet.data is not None)
    return packet
