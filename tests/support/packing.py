"""Parsers of an application's own, good ones and bad ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from socketeer import Packet, PacketType

__all__ = ["HeadAndBody", "JsonWithDates", "Misbehaving"]


class JsonWithDates:
    """Write a packet as one JSON text; a list that begins with ``$set`` is a set."""

    def encode(self, packet: Packet) -> Sequence[str | bytes]:
        """Give one text."""
        record = {"t": int(packet.type), "n": packet.namespace, "d": packet.data, "i": packet.id}
        return [json.dumps(record, default=lambda value: ["$set", *sorted(value)])]

    def decoder(self) -> JsonWithDates:
        """Give what keeps nothing."""
        return self

    def add(self, chunk: str | bytes) -> Packet:
        """Read one text; whatever it raises is the fault of what came."""
        record = json.loads(chunk)
        return Packet(PacketType(record["t"]), record.get("n", "/"), _revive(record.get("d")), record.get("i"))


def _revive(value: Any) -> Any:
    match value:
        case ["$set", *items]:
            return set(items)
        case list():
            return [_revive(item) for item in value]
        case dict():
            return {key: _revive(item) for key, item in value.items()}
    return value


class HeadAndBody:
    """Write a packet as two messages, for a decoder that has to remember."""

    def __init__(self) -> None:
        self.decoders: list[HeadAndBody] = []
        self._head: Any = None

    def encode(self, packet: Packet) -> Sequence[str | bytes]:
        """Give a text and the data as bytes."""
        head = json.dumps([int(packet.type), packet.namespace, packet.id])
        return head, json.dumps(packet.data).encode()

    def decoder(self) -> HeadAndBody:
        """Make one for a connection."""
        made = HeadAndBody()
        self.decoders.append(made)
        return made

    def add(self, chunk: str | bytes) -> Packet | None:
        """Give a packet with its second message."""
        if isinstance(chunk, str):
            self._head = json.loads(chunk)
            return None
        kind, namespace, id = self._head
        self._head = None
        return Packet(PacketType(kind), namespace, json.loads(chunk), id)


class Misbehaving(JsonWithDates):
    """Give what a function makes of an event instead of what was asked for."""

    def __init__(self, spoil: Callable[[Packet], Any]) -> None:
        self._spoil = spoil

    def encode(self, packet: Packet) -> Sequence[str | bytes]:
        """Spoil events only."""
        spoilt: Sequence[str | bytes] = (
            self._spoil(packet) if packet.type is PacketType.EVENT else super().encode(packet)
        )
        return spoilt
