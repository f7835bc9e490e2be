"""Emitting to many: the operator that selects sockets, and what it gives back of them."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from socketeer.adapters.base import PLAIN, Flags, Selection
from socketeer.exceptions import AckTimeout
from socketeer.handling.acks import settle
from socketeer.handling.emitting import AckCallback, check_ack, check_timeout, encode_event
from socketeer.multiplex.encoded import Body
from socketeer.server.collector import Collector

if TYPE_CHECKING:
    from socketeer.server.handshake import Handshake
    from socketeer.server.namespace import Namespace
    from socketeer.server.socket import Socket

__all__ = ["BroadcastOperator", "Broadcasting", "RemoteSocket", "Rooms", "room_names"]

Rooms = str | Iterable[str]
EVERYBODY = Selection()


def room_names(rooms: tuple[Rooms, ...]) -> tuple[str, ...]:
    """Put rooms given one by one, or as lists, into one tuple without repetitions."""
    names: list[str] = []
    for room in rooms:
        if isinstance(room, str):
            names.append(room)
        elif isinstance(room, Iterable):
            names.extend(room)
        else:
            raise TypeError(f"a room is a str, not {room!r}")
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"a room is a str, not {name!r}")
    return tuple(dict.fromkeys(names))


class Broadcasting:
    """Offer everything that can be done with many sockets; each selection is an operator of its own."""

    __slots__ = ()

    def _operator(self) -> BroadcastOperator:
        raise NotImplementedError

    def to(self, *rooms: Rooms) -> BroadcastOperator:
        """Select the sockets in any of ``rooms``, beside those selected already."""
        return self._operator().to(*rooms)

    def in_(self, *rooms: Rooms) -> BroadcastOperator:
        """Select the sockets in any of ``rooms``: the same as :meth:`to`."""
        return self._operator().to(*rooms)

    def except_(self, *rooms: Rooms) -> BroadcastOperator:
        """Leave out the sockets in any of ``rooms``; a socket's id is a room too."""
        return self._operator().except_(*rooms)

    def timeout(self, seconds: float) -> BroadcastOperator:
        """Limit the wait for acknowledgements."""
        return self._operator().timeout(seconds)

    def compress(self, compress: bool) -> BroadcastOperator:
        """Say whether the packet may be compressed."""
        return self._operator().compress(compress)

    @property
    def volatile(self) -> BroadcastOperator:
        """Drop the event for every client that cannot take it at once."""
        return self._operator().volatile

    @property
    def local(self) -> BroadcastOperator:
        """Stay within this process."""
        return self._operator().local

    def emit(self, event: str | int, *args: Any, ack: AckCallback | None = None) -> None:
        """Send an event to every socket selected; may be called from any thread.

        ``ack`` is called once, with an error or None and the list of answers: one for each socket that answered, in the
        order of arrival. The error is an ``AckTimeout`` that carries the same list. A socket that leaves no longer
        counts. Raises ``ValueError`` for a reserved name, ``TypeError`` for arguments that cannot be encoded.
        """
        self._operator().emit(event, *args, ack=ack)

    def send(self, *args: Any, ack: AckCallback | None = None) -> None:
        """Send a ``message`` event."""
        self._operator().emit("message", *args, ack=ack)

    write = send

    async def emit_with_ack(self, event: str | int, *args: Any) -> list[Any]:
        """Send an event and give the answers, in the order of arrival, once every socket has answered or left.

        Raises ``AckTimeout``, which carries the answers so far, after ``timeout()`` or else the option ``ack_timeout``.
        """
        return await self._operator().emit_with_ack(event, *args)

    async def fetch_sockets(self) -> list[RemoteSocket]:
        """Give the sockets selected."""
        return await self._operator().fetch_sockets()

    def sockets_join(self, *rooms: Rooms) -> None:
        """Let the sockets selected join ``rooms``."""
        self._operator().sockets_join(*rooms)

    def sockets_leave(self, *rooms: Rooms) -> None:
        """Let the sockets selected leave ``rooms``."""
        self._operator().sockets_leave(*rooms)

    def disconnect_sockets(self, close: bool = False) -> None:
        """Put the sockets selected out of the namespace; with ``close``, close their connections."""
        self._operator().disconnect_sockets(close)


class BroadcastOperator(Broadcasting):
    """Hold a selection of sockets and how to send to them; never changes, so it can be kept and used again."""

    __slots__ = ("_flags", "_namespace", "_selection", "_timeout")

    def __init__(
        self,
        namespace: Namespace,
        selection: Selection = EVERYBODY,
        flags: Flags = PLAIN,
        timeout: float | None = None,
    ) -> None:
        self._namespace = namespace
        self._selection = selection
        self._flags = flags
        self._timeout = timeout

    def _operator(self) -> BroadcastOperator:
        return self

    def _selecting(self, selection: Selection) -> BroadcastOperator:
        return BroadcastOperator(self._namespace, selection, self._flags, self._timeout)

    def _with(self, **changes: bool) -> BroadcastOperator:
        flags = dataclasses.replace(self._flags, **changes)
        return BroadcastOperator(self._namespace, self._selection, flags, self._timeout)

    def to(self, *rooms: Rooms) -> BroadcastOperator:
        """Select the sockets in any of ``rooms``, beside those selected already."""
        return self._selecting(Selection(room_names((self._selection.rooms, *rooms)), self._selection.except_))

    def in_(self, *rooms: Rooms) -> BroadcastOperator:
        """Select the sockets in any of ``rooms``: the same as :meth:`to`."""
        return self.to(*rooms)

    def except_(self, *rooms: Rooms) -> BroadcastOperator:
        """Leave out the sockets in any of ``rooms``; a socket's id is a room too."""
        return self._selecting(Selection(self._selection.rooms, room_names((self._selection.except_, *rooms))))

    def timeout(self, seconds: float) -> BroadcastOperator:
        """Limit the wait for acknowledgements."""
        return BroadcastOperator(self._namespace, self._selection, self._flags, check_timeout(seconds))

    def compress(self, compress: bool) -> BroadcastOperator:
        """Say whether the packet may be compressed, where the options and the clients let it be."""
        return self._with(compress=compress)

    @property
    def volatile(self) -> BroadcastOperator:
        """Drop the event for every client that cannot take it at once."""
        return self._with(volatile=True)

    @property
    def local(self) -> BroadcastOperator:
        """Stay within this process."""
        return self._with(local=True)

    def emit(self, event: str | int, *args: Any, ack: AckCallback | None = None) -> None:
        """Send an event to every socket selected; see :meth:`Broadcasting.emit`."""
        namespace = self._namespace
        body = encode_event(event, args, namespace.format, namespace.name)
        if ack is None:
            namespace.driver.call(self._broadcast, body)
        else:
            check_ack(ack)
            namespace.check_addressable()
            namespace.driver.call(self._broadcast_with_ack, body, ack)

    def _broadcast(self, body: Body) -> None:
        self._namespace.adapter.broadcast(body, self._selection, self._flags)

    def _broadcast_with_ack(self, body: Body, ack: AckCallback) -> None:
        namespace = self._namespace
        id = namespace.next_ack_id()

        def done(error: AckTimeout | None, responses: list[Any]) -> None:
            if error is not None:
                for socket in namespace.sockets.values():
                    socket.forget_ack(id)
            namespace.call_back(ack, error, responses)

        seconds = namespace.server.options.ack_timeout if self._timeout is None else self._timeout
        collector = Collector(done)
        collector.start(namespace.driver.wheel, seconds)
        namespace.adapter.broadcast_with_ack(body, id, self._selection, collector, self._flags)

    async def emit_with_ack(self, event: str | int, *args: Any) -> list[Any]:
        """Send an event and give the answers; see :meth:`Broadcasting.emit_with_ack`."""
        future: asyncio.Future[list[Any]] = self._namespace.future()
        self.emit(event, *args, ack=settle(future))
        return await future

    async def fetch_sockets(self) -> list[RemoteSocket]:
        """Give the sockets selected."""
        self._namespace.check_addressable()
        return [
            RemoteSocket(self._namespace, member)
            for member in await self._namespace.adapter.fetch(self._selection, self._flags)
        ]

    def sockets_join(self, *rooms: Rooms) -> None:
        """Let the sockets selected join ``rooms``."""
        self._namespace.driver.call(self._namespace.adapter.join, self._selection, room_names(rooms), self._flags)

    def sockets_leave(self, *rooms: Rooms) -> None:
        """Let the sockets selected leave ``rooms``."""
        self._namespace.driver.call(self._namespace.adapter.leave, self._selection, room_names(rooms), self._flags)

    def disconnect_sockets(self, close: bool = False) -> None:
        """Put the sockets selected out of the namespace; with ``close``, close their connections."""
        adapter, selection, flags = self._namespace.adapter, self._selection, self._flags
        self._namespace.driver.call(lambda: adapter.disconnect(selection, close=close, flags=flags))


class RemoteSocket:
    """Show one socket of any process: what is known of it, and what can be done with it from afar."""

    __slots__ = ("_namespace", "data", "handshake", "id", "rooms")

    def __init__(self, namespace: Namespace, socket: Socket) -> None:
        self._namespace = namespace
        self.id: str = socket.id
        self.handshake: Handshake = socket.handshake
        self.rooms: frozenset[str] = frozenset(socket.rooms)
        self.data: dict[str, Any] = socket.data

    def _operator(self) -> BroadcastOperator:
        return BroadcastOperator(self._namespace, Selection((self.id,)))

    def emit(self, event: str | int, *args: Any) -> None:
        """Send an event to this socket."""
        self._operator().emit(event, *args)

    def timeout(self, seconds: float) -> BroadcastOperator:
        """Limit the wait for an acknowledgement; the answers come as a list of at most one."""
        return self._operator().timeout(seconds)

    def join(self, *rooms: Rooms) -> None:
        """Let this socket join ``rooms``."""
        self._operator().sockets_join(*rooms)

    def leave(self, *rooms: Rooms) -> None:
        """Let this socket leave ``rooms``."""
        self._operator().sockets_leave(*rooms)

    def disconnect(self, close: bool = False) -> None:
        """Put the client out of the namespace; with ``close``, close its connection."""
        self._operator().disconnect_sockets(close)

    def __repr__(self) -> str:
        return f"<RemoteSocket {self.id}>"
