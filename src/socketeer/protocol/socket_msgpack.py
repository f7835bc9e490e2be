"""Socket.IO packets as MessagePack: one binary message each, as the npm package ``socket.io-msgpack-parser`` has them.

A packet is a map of ``type``, ``nsp``, ``data`` and ``id``. Binary stays where it is: there are no placeholders and no
attachments. A ``datetime`` is JavaScript's ``Date``, and what JavaScript calls undefined is None.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgpack
import orjson

from socketeer.exceptions import PacketError
from socketeer.protocol.packets import Packet, PacketType
from socketeer.protocol.values import simplify

__all__ = ["MSGPACK", "MsgpackParser"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CUSTOM = 0
"""The extension of the JavaScript library for dates (milliseconds, 8 bytes), undefined (one byte) and typed arrays."""
_FIXED_1, _FIXED_8 = b"\xd4\x00", b"\xd7\x00"
_DATE = struct.Struct(">q")
_MILLISECOND = timedelta(milliseconds=1)


class MsgpackParser:
    """Write packets as MessagePack; clients have to use ``socket.io-msgpack-parser``."""

    def encode(self, packet: Packet) -> Sequence[str | bytes]:
        """Give the one message that carries a packet."""
        fields: dict[str, Any] = {"type": int(packet.type), "nsp": packet.namespace}
        if packet.data is not None:  # JavaScript tells null from what is not there
            fields["data"] = packet.data
        if packet.id is not None:
            fields["id"] = packet.id
        try:
            return (msgpack.packb(fields, default=_replace, unicode_errors="surrogatepass"),)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise TypeError(f"not serializable as MessagePack: {error}") from None

    def decoder(self) -> MsgpackParser:
        """Give what reads packets; it keeps nothing, so one serves all."""
        return self

    def add(self, chunk: str | bytes) -> Packet:
        """Read the packet that a message carries. Raises PacketError where it carries none."""
        if isinstance(chunk, str):
            return _read_text(chunk)
        try:
            fields = msgpack.unpackb(
                chunk, strict_map_key=False, unicode_errors="surrogatepass", ext_hook=_Extensions(chunk), timestamp=3
            )
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            raise PacketError(f"invalid MessagePack: {error}") from None
        return _packet_of(fields)


def _read_text(chunk: str) -> Packet:
    """Read a packet of the parser for 2.x, which writes those without data as JSON."""
    try:
        packet = _packet_of(orjson.loads(chunk))
    except ValueError as error:
        raise PacketError("text, where packets are MessagePack") from error
    if packet.type not in (PacketType.CONNECT, PacketType.DISCONNECT):
        raise PacketError("text, where packets are MessagePack")
    return packet


def _packet_of(fields: Any) -> Packet:
    if not isinstance(fields, dict):
        raise PacketError("a packet must be a map")
    kind = fields.get("type")
    if isinstance(kind, bool) or not isinstance(kind, int) or not 0 <= kind <= max(PacketType):
        raise PacketError("unknown packet type")
    return Packet(PacketType(kind), fields.get("nsp", "/"), fields.get("data"), fields.get("id"))


def _replace(value: Any) -> Any:
    if isinstance(value, datetime):
        moment = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        return msgpack.ExtType(_CUSTOM, _DATE.pack((moment - _EPOCH) // _MILLISECOND))
    return simplify(value)


class _Extensions:
    """Read the extensions of one message, in their order.

    The JavaScript library gives one number to dates, to undefined and to the bytes of typed arrays. Only what stands
    before them tells those of one length from one another, so it has to be looked up.
    """

    __slots__ = ("_chunk", "_position")

    def __init__(self, chunk: bytes) -> None:
        self._chunk = chunk
        self._position = 0

    def __call__(self, code: int, data: bytes) -> Any:
        if code != _CUSTOM:
            return msgpack.ExtType(code, data)
        if len(data) == 1 and self._is_fixed(_FIXED_1, data):
            return None
        if len(data) == _DATE.size and self._is_fixed(_FIXED_8, data):
            return _read_date(data)
        return data

    def _is_fixed(self, head: bytes, data: bytes) -> bool:
        """Tell which of the two heads that such an extension can have comes first; one of them must come."""
        counted = b"\xc7" + bytes((len(data), _CUSTOM))
        position = self._chunk.index(data, self._position)
        while True:
            fixed = self._chunk.endswith(head, 0, position)
            if fixed or self._chunk.endswith(counted, 0, position):
                self._position = position + len(data)
                return fixed
            position = self._chunk.index(data, position + 1)


def _read_date(data: bytes) -> datetime | None:
    try:
        return _EPOCH + int(_DATE.unpack(data)[0]) * _MILLISECOND
    except OverflowError:  # further away than any date here
        return None


MSGPACK = MsgpackParser()
"""The parser to give to a server whose clients use ``socket.io-msgpack-parser``."""
