"""What an adapter is: the keeper of one namespace's rooms, and the way of a broadcast to every socket it concerns.

The namespace calls its adapter; the adapter reaches the local sockets through :class:`Member` and never sees the
server.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Set
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from socketeer.multiplex.encoded import Body, Encoded

__all__ = ["AckCollector", "Adapter", "Member", "Selection"]


@dataclass(frozen=True, slots=True)
class Selection:
    """Choose sockets: those in any of ``rooms`` (empty for all), without those in any of ``except_``."""

    rooms: tuple[str, ...] = ()
    except_: tuple[str, ...] = ()


class Member(Protocol):
    """Be a socket of this process, as the adapter sees it."""

    id: str

    def deliver(self, packet: Encoded, *, volatile: bool = False) -> None:
        """Send a packet; a volatile one only if it can leave at once."""

    def deliver_with_ack(self, packet: Encoded, id: int, done: Callable[[list[Any] | None], None]) -> None:
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


class Adapter(ABC):
    """Keep the rooms of one namespace.

    Every method but the two that say otherwise works at once, on the event loop's thread.
    """

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

    @abstractmethod
    def select(self, selection: Selection) -> Collection[Member]:
        """Give the sockets of this process that are selected, each once."""

    @abstractmethod
    def broadcast(self, body: Body, selection: Selection, *, volatile: bool = False, local: bool = False) -> None:
        """Send an event to every socket selected."""

    @abstractmethod
    def broadcast_with_ack(self, body: Body, id: int, selection: Selection, collector: AckCollector) -> None:
        """Send an event to every socket selected and collect what they answer."""

    @abstractmethod
    async def fetch(self, selection: Selection) -> list[Any]:
        """Give what is known of every socket selected, on every node."""

    @abstractmethod
    def join(self, selection: Selection, rooms: tuple[str, ...]) -> None:
        """Let every socket selected join ``rooms``."""

    @abstractmethod
    def leave(self, selection: Selection, rooms: tuple[str, ...]) -> None:
        """Let every socket selected leave ``rooms``."""

    @abstractmethod
    def disconnect(self, selection: Selection, *, close: bool) -> None:
        """Put every socket selected out of the namespace, or close its whole connection."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of whatever the adapter holds."""
