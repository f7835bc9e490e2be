"""Packets as records, what the codecs read and write, and the interface of an Engine.IO codec.

An Engine.IO packet is kept as the bytes that carry it: nothing above a codec has to know how a revision writes it in
a polling body or a WebSocket frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, NamedTuple, Protocol

__all__ = [
    "CLOSE",
    "MESSAGE",
    "NOOP",
    "OPEN",
    "PING",
    "PONG",
    "RESERVED_EVENTS",
    "UPGRADE",
    "EngineCodec",
    "EnginePacket",
    "Packet",
    "PacketType",
]


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

    ``attachments`` counts the binary frames that are still to follow; ``type`` is EVENT or ACK for the binary types
    too.
    """

    type: PacketType
    namespace: str = "/"
    data: Any = None
    id: int | None = None
    attachments: int = 0


OPEN: Final = 0x30
CLOSE: Final = 0x31
PING: Final = 0x32
PONG: Final = 0x33
MESSAGE: Final = 0x34
UPGRADE: Final = 0x35
NOOP: Final = 0x36


class EnginePacket(NamedTuple):
    """Hold one Engine.IO packet as it stands alone.

    Text is the type digit (one of ``OPEN`` to ``NOOP``, the digits' ASCII codes) and UTF-8 data; binary is the content
    of a message and has no type byte.
    """

    data: bytes
    binary: bool = False


class EngineCodec(Protocol):
    """Turn Engine.IO packets into polling bodies and WebSocket frames, and back, for one revision."""

    number: int
    """The revision as the ``EIO`` query parameter gives it."""
    bare_frames: bool
    """Whether a binary WebSocket frame is a binary message and nothing else."""

    def encode_payload(self, packets: Sequence[EnginePacket], *, binary: bool) -> tuple[bytes, str]:
        """Build a polling body and name its content type; ``binary`` says that the client takes binary bodies."""
        ...

    def decode_payload(self, body: bytes, *, binary: bool) -> list[EnginePacket]:
        """Split a polling body, in the order sent; ``binary`` says that it came as ``application/octet-stream``.

        Raises ``PacketError`` for a body that is malformed in any part, so none of it is acted upon.
        """
        ...

    def frame(self, data: bytes) -> bytes:
        """Build the content of a binary WebSocket frame from a binary message."""
        ...

    def unframe(self, frame: bytes) -> EnginePacket:
        """Read the content of a binary WebSocket frame."""
        ...

    def encode_base64(self, data: bytes) -> bytes:
        """Build the text packet that carries a binary message where only text may go."""
        ...

    def decode_base64(self, text: bytes) -> bytes:
        """Read the binary message out of a text packet that begins with ``b``; ``PacketError`` if it is not one."""
        ...
