"""Packets as records: what the codecs read and write."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

__all__ = ["RESERVED_EVENTS", "Packet", "PacketType"]


class PacketType(IntEnum):
    """Number the types of Socket.IO packets (Socket.IO protocol, "Packet types")."""

    CONNECT = 0
    DISCONNECT = 1
    EVENT = 2
    ACK = 3
    CONNECT_ERROR = 4
    BINARY_EVENT = 5
    BINARY_ACK = 6


RESERVED_EVENTS = frozenset(
    {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
)
"""Event names that no peer may send: they have a meaning of their own on each side."""


@dataclass(slots=True)
class Packet:
    """Hold a decoded Socket.IO packet.

    ``attachments`` counts the binary frames that are still to follow; ``type`` is EVENT or ACK for the binary types too.
    """

    type: PacketType
    namespace: str = "/"
    data: Any = None
    id: int | None = None
    attachments: int = 0
