"""What the text packets of both Engine.IO revisions have in common: the type digit, or base64 behind a mark."""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64

from socketeer.exceptions import PacketError
from socketeer.protocol.packets import NOOP, OPEN, EnginePacket

__all__ = ["TEXT_PLAIN", "from_base64", "read_packet", "to_base64"]

TEXT_PLAIN = "text/plain; charset=UTF-8"
_BASE64 = 0x62  # "b"


def read_packet(part: bytes, prefix: bytes) -> EnginePacket:
    """Read one packet of a payload; ``prefix`` is what the revision puts before base64.

    Text is not decoded: whether it is UTF-8 shows where somebody reads it.
    """
    if not part:
        raise PacketError("an empty packet")
    if OPEN <= part[0] <= NOOP:
        return EnginePacket(part)
    if part[0] == _BASE64:
        return EnginePacket(from_base64(part, prefix), True)
    raise PacketError(f"unknown packet type {part[:1]!r}")


def to_base64(data: bytes, prefix: bytes) -> bytes:
    """Write a binary message as text."""
    return prefix + b2a_base64(data, newline=False)


def from_base64(text: bytes, prefix: bytes) -> bytes:
    """Read a binary message from text, strictly: padded, and nothing but the alphabet of base64."""
    if not text.startswith(prefix):
        raise PacketError("not a message in base64")
    if (len(text) - len(prefix)) % 4 or text.endswith(b"==="):
        raise PacketError("bad base64: wrong padding")  # some of it gets past the strict mode
    try:
        return a2b_base64(memoryview(text)[len(prefix) :], strict_mode=True)
    except Base64Error as error:
        raise PacketError(f"bad base64: {error}") from error
