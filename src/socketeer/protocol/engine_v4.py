"""Engine.IO revision 4 (clients 3.x and 4.x): packets joined by a separator, binary as base64.

A WebSocket frame is one packet: a text frame with its type digit, or a binary frame with the bytes of a message and
nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

from socketeer.exceptions import PacketError
from socketeer.protocol.engine_text import TEXT_PLAIN, from_base64, read_packet, to_base64
from socketeer.protocol.packets import EnginePacket

__all__ = ["ENGINE_V4", "EngineV4"]

_SEPARATOR = b"\x1e"
_BASE64_PREFIX = b"b"  # no type digit: a binary packet is always a message


class EngineV4:
    """Implement ``EngineCodec`` for ``EIO=4``."""

    number: int = 4
    bare_frames: bool = True

    def encode_payload(self, packets: Sequence[EnginePacket], *, binary: bool) -> tuple[bytes, str]:
        """Build a polling body, which is text whatever the client takes."""
        parts = [to_base64(data, _BASE64_PREFIX) if raw else data for data, raw in packets]
        return _SEPARATOR.join(parts), TEXT_PLAIN

    def decode_payload(self, body: bytes, *, binary: bool) -> list[EnginePacket]:
        """Split a polling body; a binary one is refused, for this revision has none."""
        if binary:
            raise PacketError("a binary body, which Engine.IO 4 does not have")
        return [read_packet(part, _BASE64_PREFIX) for part in body.split(_SEPARATOR)]

    def frame(self, data: bytes) -> bytes:
        """Return the message as it is."""
        return data

    def unframe(self, frame: bytes) -> EnginePacket:
        """Take the frame as a message, which may be empty."""
        return EnginePacket(frame, True)

    def encode_base64(self, data: bytes) -> bytes:
        """Write a binary message as ``b`` and base64."""
        return to_base64(data, _BASE64_PREFIX)

    def decode_base64(self, text: bytes) -> bytes:
        """Read a binary message from ``b`` and base64."""
        return from_base64(text, _BASE64_PREFIX)


ENGINE_V4 = EngineV4()
