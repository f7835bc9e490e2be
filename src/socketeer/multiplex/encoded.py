"""A Socket.IO packet that is encoded once for all its recipients."""

from __future__ import annotations

from typing import Any, NamedTuple

from socketeer.protocol import socket_json
from socketeer.protocol.packets import PacketType

__all__ = ["Body", "Encoded", "encode_body", "event_prefix"]


class Encoded(NamedTuple):
    """Hold a packet's text, which starts with the digit of its Engine.IO type, and its binary attachments."""

    text: bytes
    attachments: tuple[bytes, ...] = ()


class Body(NamedTuple):
    """Hold the arguments of a packet as JSON and attachments: all that does not depend on the recipient."""

    text: bytes
    attachments: tuple[bytes, ...]

    def event(self, namespace: str, id: int | None = None) -> Encoded:
        """Make it an EVENT; ``id`` asks for an acknowledgement."""
        return self._packet(PacketType.EVENT, namespace, id)

    def ack(self, namespace: str, id: int) -> Encoded:
        """Make it the ACK with the given ``id``."""
        return self._packet(PacketType.ACK, namespace, id)

    def _packet(self, kind: PacketType, namespace: str, id: int | None) -> Encoded:
        attachments = self.attachments
        return Encoded(socket_json.encode(kind, namespace, id, self.text, len(attachments)), attachments)


def event_prefix(namespace: str) -> bytes:
    """Give what stands before the arguments in every plain event of a namespace."""
    return socket_json.encode(PacketType.EVENT, namespace)


def encode_body(args: list[Any], max_attachments: int) -> Body:
    """Encode the arguments of a packet.

    Raises ``TypeError`` for what JSON cannot say and ``ValueError`` for more than ``max_attachments`` binary values: a
    JavaScript peer would close the connection over them.
    """
    text, attachments = socket_json.dump(args)
    if len(attachments) > max_attachments:
        raise ValueError(f"{len(attachments)} binary values in one packet, max_attachments allows {max_attachments}")
    return Body(text, attachments)
