"""Engine.IO revision 3 (clients 1.x and 2.x): length-prefixed packets in a text or a binary polling body.

Two dialects of this revision are in use under one number. Where 2.x puts text into a text body as it is, 1.x encodes
it as UTF-8 twice, and nothing in the handshake tells them apart. They agree on ASCII and on binary bodies, so that is
what they are sent; what they send is told apart by its content.
"""

from __future__ import annotations

from collections.abc import Sequence

from socketeer.exceptions import PacketError
from socketeer.protocol.engine_text import TEXT_PLAIN, from_base64, read_packet, to_base64
from socketeer.protocol.packets import MESSAGE, NOOP, OPEN, EnginePacket

__all__ = ["ENGINE_V3", "EngineV3"]

_OCTET_STREAM = "application/octet-stream"
_BASE64_PREFIX = b"b4"
_BINARY_MESSAGE = b"\x04"
_NO_PACKETS = b"0:"
_BINARY_ENTRY = 0x01
_LENGTH_END = 0xFF

_MOST_DIGITS = 10
"""The most digits of a length: enough for any body that fits a buffer (the reference implementation reads 310)."""


class EngineV3:
    """Implement ``EngineCodec`` for ``EIO=3``."""

    number: int = 3
    bare_frames: bool = False

    def encode_payload(self, packets: Sequence[EnginePacket], *, binary: bool) -> tuple[bytes, str]:
        """Build a binary body for a client that takes one if anything in it is not ASCII, else a text body."""
        if binary and not all(not raw and data.isascii() for data, raw in packets):
            return b"".join([_binary_entry(packet) for packet in packets]), _OCTET_STREAM
        if not packets:
            return _NO_PACKETS, TEXT_PLAIN
        texts = [to_base64(data, _BASE64_PREFIX) if raw else _in_ascii(data) for data, raw in packets]
        return b"".join([b"%d:%b" % (_utf16_length(text), text) for text in texts]), TEXT_PLAIN

    def decode_payload(self, body: bytes, *, binary: bool) -> list[EnginePacket]:
        """Split a polling body, which may hold no packet at all; lengths in a text body count UTF-16 code units."""
        if binary:
            return self._decode_binary(body)
        if body == _NO_PACKETS:
            return []
        if not body:
            raise PacketError("an empty body")
        return _decode_ascii(body) if body.isascii() else _decode_text(body)

    def frame(self, data: bytes) -> bytes:
        """Put the packet's type, as a number, before the message."""
        return _BINARY_MESSAGE + data

    def unframe(self, frame: bytes) -> EnginePacket:
        """Take the first byte as the packet's type; what is not a message becomes a text packet."""
        if not frame:
            raise PacketError("an empty packet")
        kind = frame[0] + OPEN
        if kind > NOOP:
            raise PacketError(f"unknown packet type {frame[0]}")
        return EnginePacket(frame[1:], True) if kind == MESSAGE else EnginePacket(bytes((kind,)) + frame[1:])

    def encode_base64(self, data: bytes) -> bytes:
        """Write a binary message as ``b``, the digit of a message, and base64."""
        return to_base64(data, _BASE64_PREFIX)

    def decode_base64(self, text: bytes) -> bytes:
        """Read a binary message from ``b``, the digit of a message, and base64."""
        return from_base64(text, _BASE64_PREFIX)

    def _decode_binary(self, body: bytes) -> list[EnginePacket]:
        packets = []
        position = 0
        while position < len(body):
            mark = body[position]
            if mark > _BINARY_ENTRY:
                raise PacketError(f"neither a text nor a binary packet: {mark}")
            first = position + 1
            stop = body.find(_LENGTH_END, first, first + _MOST_DIGITS + 1)
            digits = bytes([OPEN + byte if byte < 10 else 0 for byte in body[first : max(first, stop)]])
            start, position = _extent(digits, stop + 1, len(body))
            part = body[start:position]
            packets.append(self.unframe(part) if mark == _BINARY_ENTRY else read_packet(part, _BASE64_PREFIX))
        return packets


def _decode_ascii(body: bytes) -> list[EnginePacket]:
    packets = []
    position = 0
    while position < len(body):
        colon = body.find(b":", position, position + _MOST_DIGITS + 1)
        start, position = _extent(body[position : max(position, colon)], colon + 1, len(body))
        packets.append(read_packet(body[start:position], _BASE64_PREFIX))
    return packets


def _decode_text(body: bytes) -> list[EnginePacket]:
    try:
        units = body.decode("utf-8", "surrogatepass").encode("utf-16-le", "surrogatepass")
    except UnicodeDecodeError as error:
        raise PacketError("a text body that is not UTF-8") from error
    packets = []
    position, end = 0, len(units) // 2
    while position < end:
        # Of a code unit that is a digit or the colon, the high byte is zero; every other one spoils the digits.
        head = units[2 * position : 2 * (position + _MOST_DIGITS + 1)]
        digits = bytes([low if high == 0 else 0 for low, high in zip(head[::2], head[1::2], strict=True)])
        digits, colon, _ = digits.partition(b":")
        start, position = _extent(digits if colon else b"", position + len(digits) + 1, end)
        text = units[2 * start : 2 * position].decode("utf-16-le", "surrogatepass")
        packets.append(read_packet(_encoded_once(text), _BASE64_PREFIX))
    return packets


def _extent(digits: bytes, start: int, end: int) -> tuple[int, int]:
    """Return where a packet starts and stops, given the digits of its length."""
    if not digits.isdigit():
        raise PacketError("no length before a packet")
    stop = start + int(digits)
    if stop > end:
        raise PacketError("a packet longer than its body")
    return start, stop


def _encoded_once(text: str) -> bytes:
    """Return the UTF-8 of a packet of either dialect.

    Text of 1.x arrives as one character for each byte of its UTF-8. That 2.x means such a text literally is so
    unlikely (it would be mojibake already) that the other reading always wins.
    """
    try:
        data = text.encode("latin-1")
        data.decode("utf-8", "surrogatepass")
    except UnicodeError:
        return text.encode("utf-8", "surrogatepass")
    return data


def _in_ascii(packet: bytes) -> bytes:
    r"""Write what is not ASCII in the JSON of a packet as ``\u`` escapes, which both dialects read alike.

    JSON strings begin after the first quote; what is before it (a namespace) knows no escapes and stays as it is.
    """
    if packet.isascii():
        return packet
    head, quote, rest = packet.partition(b'"')
    text = rest.decode("utf-8", "surrogatepass")
    return head + quote + "".join([char if char < "\x80" else _escape(char) for char in text]).encode()


def _escape(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join([f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4)])


def _utf16_length(text: bytes) -> int:
    if text.isascii():
        return len(text)
    return len(text.decode("utf-8", "surrogatepass").encode("utf-16-le", "surrogatepass")) // 2


def _binary_entry(packet: EnginePacket) -> bytes:
    mark, part = (b"\x01", _BINARY_MESSAGE + packet.data) if packet.binary else (b"\x00", packet.data)
    digits = bytes([int(digit) for digit in str(len(part))])
    return b"%b%b\xff%b" % (mark, digits, part)


ENGINE_V3 = EngineV3()
