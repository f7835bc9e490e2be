"""What an adapter is: the keeper of one namespace's rooms, and the way of a broadcast to every socket it concerns.

The namespace calls its adapter; the adapter reaches the local sockets through :class:`Member` and never sees the
server.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Set
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, overload

from socketeer.engine.events import Events
from socketeer.multiplex.encoded import Body, Encoded

__all__ = ["PLAIN", "ROOM_EVENTS", "AckCollector", "Adapter", "Flags", "LostSession", "Member", "Selection"]

ROOM_EVENTS = ("create-room", "join-room", "leave-room", "delete-room")
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Selection:
    """Choose sockets: those in any of ``rooms`` (empty for all), without those in any of ``except_``."""

    rooms: tuple[str, ...] = ()
    except_: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Flags:
    """Say how an event is sent."""

    volatile: bool = False
    """Drop it for every client that cannot take it at once."""
    compress: bool = True
    """Let it be compressed where that was agreed upon."""
    local: bool = False
    """Stay within this process."""


PLAIN = Flags()


class Member(Protocol):
    """Be a socket of this process, as the adapter sees it."""

    id: str

    @property
    def recovers(self) -> bool:
        """Tell whether the client can say what it got last."""

    def deliver(self, packet: Encoded, flags: Flags = PLAIN) -> None:
        """Send a packet."""

    def deliver_with_ack(
        self, packet: Encoded, id: int, done: Callable[[list[Any] | None], None], flags: Flags = PLAIN
    ) -> None:
        """Send an event that asks for an acknowledgement; ``done`` gets its arguments, or None if the socket leaves."""

    def join(self, rooms: str | Iterable[str]) -> None:
        """Join rooms."""

    def leave(self, room: str) -> None:
        """Leave a room."""

    def disconnect(self, close: bool = False) -> None:
        """Put the client out of the namespace."""


M = TypeVar("M", bound=Member)


class AckCollector(Protocol):
    """Collect the acknowledgements of a broadcast."""

    def expect(self, count: int) -> None:
        """Take note of how many sockets the event goes to."""

    def answered(self, args: list[Any] | None) -> None:
        """Take the answer of one socket, or None for one that left."""


@dataclass(slots=True)
class LostSession:
    """Hold what belongs to a client that lost its connection and may come back.

    ``pid`` is the secret by which it is known again. ``since`` is a mark of the adapter's own: where the client stands
    in the packets that it keeps.
    """

    id: str
    pid: str
    rooms: tuple[str, ...]
    data: dict[str, Any] = field(repr=False)
    since: Any = None


class Adapter(ABC):
    """Keep the rooms of one namespace.

    Every method but those that are async works at once, on the event loop's thread.
    """

    def __init__(self) -> None:
        self._events: Events | None = None
        self.on_empty: Callable[[], None] = lambda: None
        """Called when :meth:`is_empty` has become true."""

    # -- rooms

    @abstractmethod
    def add(self, member: Member, rooms: Iterable[str]) -> None:
        """Put a socket into rooms."""

    @abstractmethod
    def remove(self, member: Member, room: str) -> None:
        """Take a socket out of a room; an empty room is gone."""

    @abstractmethod
    def remove_all(self, member: Member) -> None:
        """Take a socket out of every room: it left."""

    @abstractmethod
    def rooms_of(self, member: Member) -> Set[str]:
        """Give the rooms a socket is in."""

    @overload
    def on(self, event: str) -> Callable[[F], F]: ...
    @overload
    def on(self, event: str, listener: F) -> F: ...
    def on(self, event: str, listener: F | None = None) -> F | Callable[[F], F]:
        """Call ``listener`` at an event of a room of this process; as a decorator without ``listener``.

        ``create-room`` and ``delete-room`` give the room, ``join-room`` and ``leave-room`` also the id of the socket.
        Raises ``UsageError`` for any other event.
        """
        if self._events is None:
            self._events = Events(ROOM_EVENTS)
        return self._events.on(event) if listener is None else self._events.on(event, listener)

    def off(self, event: str | None = None, listener: Callable[..., Any] | None = None) -> None:
        """Remove one listener, every listener of an event, or all."""
        if self._events is not None:
            self._events.off(event, listener)

    # -- sending

    @abstractmethod
    def select(self, selection: Selection) -> Collection[Member]:
        """Give the sockets of this process that are selected, each once."""

    @abstractmethod
    def broadcast(self, body: Body, selection: Selection, flags: Flags = PLAIN) -> None:
        """Send an event to every socket selected."""

    @abstractmethod
    def broadcast_with_ack(
        self, body: Body, id: int, selection: Selection, collector: AckCollector, flags: Flags = PLAIN
    ) -> None:
        """Send an event to every socket selected and collect what they answer."""

    # -- many sockets

    @abstractmethod
    async def fetch(self, selection: Selection, flags: Flags = PLAIN) -> list[Any]:
        """Give what is known of every socket selected, on every node."""

    @abstractmethod
    def join(self, selection: Selection, rooms: tuple[str, ...], flags: Flags = PLAIN) -> None:
        """Let every socket selected join ``rooms``."""

    @abstractmethod
    def leave(self, selection: Selection, rooms: tuple[str, ...], flags: Flags = PLAIN) -> None:
        """Let every socket selected leave ``rooms``."""

    @abstractmethod
    def disconnect(self, selection: Selection, *, close: bool, flags: Flags = PLAIN) -> None:
        """Put every socket selected out of the namespace, or close its whole connection."""

    # -- other servers

    async def server_count(self) -> int:
        """Count the servers of the cluster, this one too."""
        return 1

    def server_side_emit(self, args: list[Any], collector: AckCollector | None = None) -> None:
        """Send an event to the namespace of every other server, and collect what they answer: here there is none."""
        if collector is not None:
            collector.expect(0)

    # -- recovery

    def stamp(self, body: Body, session: LostSession | None = None) -> Body:
        """Give an event that goes to one socket only, past :meth:`broadcast`, as it has to be sent.

        ``session`` is that of a client which has not got yet what it missed.
        """
        return body

    def position(self) -> Any:
        """Give the mark of a client that is up to date now; see :class:`LostSession`."""
        return None

    def persist(self, session: LostSession) -> None:  # noqa: B027  # not every adapter has to
        """Keep what belongs to a client that lost its connection: here nothing is kept."""

    async def restore(self, pid: str, offset: str | None) -> LostSession | None:
        """Give what was kept, for good: a secret is good for one return.

        None where it is unknown or expired, or where packets that the client missed are no longer there. ``offset`` is
        the mark of the last packet that it got.
        """
        return None

    def covers(self, session: LostSession) -> bool:
        """Tell whether everything that a client which is back has missed is still there."""
        return True

    def missed(self, session: LostSession) -> list[Encoded]:
        """Give the packets that a client which is back has missed, in the order in which they were sent."""
        return []

    def is_empty(self) -> bool:
        """Tell whether nothing would be lost with this adapter."""
        return True

    @abstractmethod
    async def close(self) -> None:
        """Let go of whatever the adapter holds."""
