"""A parser of the tests' own, the twin of tests/js/parcels.js.

A packet is a line of JSON, and where it holds binary, one message behind it with all of the bytes in a row.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

from socketeer.exceptions import PacketError
from socketeer.protocol.packets import Packet, PacketType

__all__ = ["Parcels"]


class Parcels:
    """Write packets as parcels."""

    def encode(self, packet: Packet) -> Sequence[str | bytes]:
        """Give a text, and one binary message if there is anything binary."""
        parts: list[bytes] = []
        line: dict[str, Any] = {"kind": int(packet.type), "where": packet.namespace, "sizes": [], "id": packet.id}
        if packet.id is None:
            del line["id"]
        if packet.data is not None:
            line["what"] = _pack(packet.data, parts)
        line["sizes"] = [len(part) for part in parts]
        return (json.dumps(line), b"".join(parts)) if parts else (json.dumps(line),)

    def decoder(self) -> _Decoder:
        """Make the decoder of one connection."""
        return _Decoder()


class _Decoder:
    """Read the parcels of one client."""

    def __init__(self) -> None:
        self._packet: Packet | None = None
        self._sizes: list[int] = []

    def add(self, chunk: str | bytes) -> Packet | None:
        if isinstance(chunk, str):
            try:
                line = json.loads(chunk)
                self._packet = Packet(PacketType(line["kind"]), line["where"], line.get("what"), line.get("id"))
                self._sizes = line["sizes"]
            except (ValueError, KeyError, TypeError) as error:
                raise PacketError("not a parcel") from error
            if self._sizes:
                return None
        elif self._packet is not None:
            ends = list(itertools.accumulate(self._sizes))
            parts = [chunk[end - size : end] for size, end in zip(self._sizes, ends, strict=True)]
            self._packet.data = _unpack(self._packet.data, parts)
        packet, self._packet = self._packet, None
        return packet


def _pack(value: Any, parts: list[bytes]) -> Any:
    match value:
        case bytes() | bytearray() | memoryview():
            parts.append(bytes(value))
            return {"part": len(parts) - 1}
        case list() | tuple():
            return [_pack(item, parts) for item in value]
        case dict():
            return {key: _pack(item, parts) for key, item in value.items()}
    return value


def _unpack(value: Any, parts: list[bytes]) -> Any:
    match value:
        case {"part": int(number)} if len(value) == 1:
            return parts[number]
        case list():
            return [_unpack(item, parts) for item in value]
        case dict():
            return {key: _unpack(item, parts) for key, item in value.items()}
    return value
