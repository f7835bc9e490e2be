"""Sockets as an adapter sees them, which keep what they are asked to do and count how often they are asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from socketeer.adapters.base import PLAIN, Flags
from socketeer.adapters.memory import MemoryAdapter
from socketeer.multiplex.encoded import Encoded

__all__ = ["KeepingCollector", "KeepingMember", "Room"]


class KeepingMember:
    """Keep every packet; act on the adapter as a socket does."""

    def __init__(self, room: Room, id: str) -> None:
        self.id = id
        self.room = room
        self.packets: list[Encoded] = []
        self.recovers = True
        self.flags: list[Flags] = []
        self.waiting: dict[int, Callable[[list[Any] | None], None]] = {}
        self.disconnects: list[bool] = []
        self.on_deliver: Callable[[], None] = lambda: None

    def __repr__(self) -> str:
        return self.id

    def deliver(self, packet: Encoded, flags: Flags = PLAIN) -> None:
        """Keep a packet."""
        self.packets.append(packet)
        self.flags.append(flags)
        self.on_deliver()

    def deliver_with_ack(
        self, packet: Encoded, id: int, done: Callable[[list[Any] | None], None], flags: Flags = PLAIN
    ) -> None:
        """Keep a packet, and what waits for the answer."""
        self.packets.append(packet)
        self.waiting[id] = done
        self.on_deliver()

    def join(self, rooms: str | Iterable[str]) -> None:
        """Join rooms."""
        self.room.adapter.add(self, (rooms,) if isinstance(rooms, str) else rooms)

    def leave(self, room: str) -> None:
        """Leave a room."""
        self.room.adapter.remove(self, room)

    def disconnect(self, close: bool = False) -> None:
        """Leave everything."""
        self.disconnects.append(close)
        self.room.drop(self)


class Room:
    """Keep the members of a namespace as the server does."""

    def __init__(self, namespace: str = "/") -> None:
        self.members: dict[str, KeepingMember] = {}
        self.adapter = MemoryAdapter(namespace, self.members)

    def add(self, id: str, *rooms: str) -> KeepingMember:
        """Add a connected socket, which is in the room of its id too."""
        member = self.members[id] = KeepingMember(self, id)
        self.adapter.add(member, (id, *rooms))
        return member

    def add_joining(self, id: str, *rooms: str) -> KeepingMember:
        """Add a socket that the middleware has not let in yet."""
        member = KeepingMember(self, id)
        self.adapter.add(member, rooms)
        return member

    def drop(self, member: KeepingMember) -> None:
        """Take a socket out of the namespace."""
        self.members.pop(member.id, None)
        self.adapter.remove_all(member)


class KeepingCollector:
    """Keep the answers to a broadcast."""

    def __init__(self) -> None:
        self.expected: list[int] = []
        self.answers: list[list[Any] | None] = []

    def expect(self, count: int) -> None:
        """Keep the number."""
        assert not self.answers, "an answer before the number of those who are asked"
        self.expected.append(count)

    def answered(self, args: list[Any] | None) -> None:
        """Keep an answer."""
        self.answers.append(args)
