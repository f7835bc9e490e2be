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
"""The extension in which the JavaScript library puts dates, as milliseconds in 8 bytes, and undefined, in one."""
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
                chunk, strict_map_key=False, unicode_errors="surrogatepass", ext_hook=_read_extension, timestamp=3
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


def _read_extension(code: int, data: bytes) -> Any:
    if code == _CUSTOM and len(data) == 1:
        return None
    if code == _CUSTOM and len(data) == _DATE.size:
        return _EPOCH + _DATE.unpack(data)[0] * _MILLISECOND
    return msgpack.ExtType(code, data)


MSGPACK = MsgpackParser()
"""The parser to give to a server whose clients use ``socket.io-msgpack-parser``."""
