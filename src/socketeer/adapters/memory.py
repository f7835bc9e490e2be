"""The adapter for one process: rooms are sets of sockets."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Set
from typing import Any

from socketeer.adapters.base import PLAIN, AckCollector, Adapter, Flags, Member, Selection
from socketeer.multiplex.encoded import Body

__all__ = ["MemoryAdapter"]

_NO_ROOMS: frozenset[str] = frozenset()


class MemoryAdapter(Adapter):
    """Keep the rooms of one namespace in memory.

    ``members`` are the namespace's connected sockets by id, kept by the namespace.
    """

    def __init__(self, namespace: str, members: Mapping[str, Member]) -> None:
        super().__init__()
        self.namespace = namespace
        self.members = members
        self.rooms: dict[str, set[Member]] = {}
        self._rooms_of: dict[Member, set[str]] = {}

    def add(self, member: Member, rooms: Iterable[str]) -> None:
        """Put a socket into rooms."""
        own = self._rooms_of.setdefault(member, set())
        for room in rooms:
            if room in own:
                continue
            own.add(room)
            members = self.rooms.setdefault(room, set())
            members.add(member)
            if self._events is not None:
                if len(members) == 1:
                    self._events.fire("create-room", room)
                self._events.fire("join-room", room, member.id)

    def remove(self, member: Member, room: str) -> None:
        """Take a socket out of a room; an empty room is gone."""
        own = self._rooms_of.get(member)
        if own is not None and room in own:
            own.discard(room)
            self._drop(member, room)

    def remove_all(self, member: Member) -> None:
        """Take a socket out of every room: it left."""
        for room in self._rooms_of.pop(member, ()):
            self._drop(member, room)

    def _drop(self, member: Member, room: str) -> None:
        members = self.rooms[room]
        members.discard(member)
        if not members:
            del self.rooms[room]
        if self._events is not None:
            self._events.fire("leave-room", room, member.id)
            if not members:
                self._events.fire("delete-room", room)

    def rooms_of(self, member: Member) -> Set[str]:
        """Give the rooms a socket is in."""
        return self._rooms_of.get(member, _NO_ROOMS)

    def select(self, selection: Selection) -> Collection[Member]:
        """Give the sockets that are selected, each once, as a collection that later changes leave alone.

        A socket that has not been let in yet may be in rooms, but is not selected.
        """
        members = self.members
        if not selection.rooms:
            chosen = list(members.values())
        elif len(selection.rooms) == 1:
            chosen = [member for member in self.rooms.get(selection.rooms[0], ()) if member.id in members]
        else:
            united = set().union(*(self.rooms.get(room, ()) for room in selection.rooms))
            chosen = [member for member in united if member.id in members]
        if not selection.except_:
            return chosen
        if len(selection.except_) == 1:
            excluded: Collection[Member] = self.rooms.get(selection.except_[0], ())
        else:
            excluded = set().union(*(self.rooms.get(room, ()) for room in selection.except_))
        return [member for member in chosen if member not in excluded]

    def broadcast(self, body: Body, selection: Selection, flags: Flags = PLAIN) -> None:
        """Send an event to every socket selected; it is encoded once."""
        members = self.select(selection)
        if members:
            packet = body.event(self.namespace)
            for member in members:
                member.deliver(packet, flags)

    def broadcast_with_ack(
        self, body: Body, id: int, selection: Selection, collector: AckCollector, flags: Flags = PLAIN
    ) -> None:
        """Send an event to every socket selected and collect what they answer."""
        members = self.select(selection)
        collector.expect(len(members))
        if members:
            packet = body.event(self.namespace, id)
            answered: Callable[[list[Any] | None], None] = collector.answered
            for member in members:
                member.deliver_with_ack(packet, id, answered, flags)

    async def fetch(self, selection: Selection, flags: Flags = PLAIN) -> list[Any]:
        """Give the sockets selected."""
        return list(self.select(selection))

    def join(self, selection: Selection, rooms: tuple[str, ...], flags: Flags = PLAIN) -> None:
        """Let every socket selected join ``rooms``."""
        for member in self.select(selection):
            member.join(rooms)

    def leave(self, selection: Selection, rooms: tuple[str, ...], flags: Flags = PLAIN) -> None:
        """Let every socket selected leave ``rooms``."""
        for member in self.select(selection):
            for room in rooms:
                member.leave(room)

    def disconnect(self, selection: Selection, *, close: bool, flags: Flags = PLAIN) -> None:
        """Put every socket selected out of the namespace, or close its whole connection."""
        for member in self.select(selection):
            member.disconnect(close)

    async def close(self) -> None:
        """Do nothing: there is nothing to let go of."""
