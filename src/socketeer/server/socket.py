"""One client in one namespace: what handlers get, and the end of every packet's way in and the start of its way out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Set
from enum import Enum
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final, TypeVar

from socketeer.adapters.base import PLAIN, Flags, LostSession, Selection
from socketeer.engine.conn import Conn, conn_of
from socketeer.engine.http import Request
from socketeer.handling.acks import Ack, Done, arguments_of
from socketeer.handling.emitting import AckCallback, check_timeout, encode_event
from socketeer.handling.handlers import Handler
from socketeer.multiplex.encoded import Body, Encoded
from socketeer.multiplex.server import ServerConnection
from socketeer.protocol.socket_json import dump_arguments, dump_event
from socketeer.server.broadcast import BroadcastOperator, Rooms, room_names
from socketeer.server.handshake import Handshake
from socketeer.server.listening import SocketListening
from socketeer.server.packet_guard import PacketGuard
from socketeer.server.socket_operator import SocketOperator

if TYPE_CHECKING:
    from socketeer.server.namespace import Namespace
    from socketeer.server.server import Server

__all__ = ["Socket", "State"]

F = TypeVar("F", bound=Callable[..., Any])

_log = logging.getLogger("socketeer.server")


class State(Enum):
    """Name the states of a socket."""

    JOINING = "joining"
    """The middleware has not let it in yet."""
    CONNECTED = "connected"
    LEAVING = "leaving"
    """The client is gone; ``disconnecting`` handlers still see the rooms."""
    DISCONNECTED = "disconnected"

    __hash__ = object.__hash__  # that of Enum is a function in Python


_TRANSITIONS: dict[State, frozenset[State]] = {
    State.JOINING: frozenset({State.CONNECTED, State.DISCONNECTED}),
    State.CONNECTED: frozenset({State.LEAVING}),
    State.LEAVING: frozenset({State.DISCONNECTED}),
    State.DISCONNECTED: frozenset(),
}

_JOINING: Final = State.JOINING
_CONNECTED: Final = State.CONNECTED
_LEAVING: Final = State.LEAVING
_DISCONNECTED: Final = State.DISCONNECTED
"""See :mod:`socketeer.engine.session`."""


_RECOVERABLE = frozenset(
    {
        "transport error",
        "transport close",
        "forced close",
        "ping timeout",
        "server shutting down",
        "forced server close",
    }
)
"""The reasons for which a socket ends but its client may come back."""


class Socket(SocketListening):
    """Be one client in one namespace.

    Its own events are ``disconnecting`` and ``disconnect``: their handlers get the reason and, as a second argument, a
    description or None. Emitting, joining, leaving and disconnecting may be called from any thread; the rest belongs to
    the event loop.
    """

    __slots__ = (
        "_attaching",
        "_connection",
        "_lost",
        "_open",
        "_plain",
        "_session",
        "_shared",
        "_state",
        "_waiting",
        "_waiting_all",
        "data",
        "handshake",
        "id",
        "nsp",
        "recovered",
    )

    def __init__(self, nsp: Namespace, connection: ServerConnection, id: str, handshake: Handshake) -> None:
        super().__init__(nsp.driver)
        self.id = id
        """The public id: another one for each namespace (clients 1.x and 2.x: derived from the session's)."""
        self.nsp = nsp
        """The namespace."""
        self.handshake = handshake
        """What the client said when it connected."""
        self.data: dict[str, Any] = {}
        """Whatever the application keeps for this client; visible through ``fetch_sockets()``."""
        self.recovered = False
        """Whether the client has come back, and is what it was: see the option ``connection_state_recovery``."""
        self._connection = connection
        self._session = connection.session
        self._open = True  # whether it may send: until the client has left
        self._plain = nsp.event_prefix is not None  # whether nothing stands between emit() and the session
        self._state = _JOINING
        self._shared = nsp.handlers.by_event
        self._guard: PacketGuard | None = None
        self._lost: LostSession | None = None  # what would be kept of it
        self._attaching = 0  # connection handlers that have not returned
        self._waiting: list[tuple[list[Any], int | None]] | None = None
        self._waiting_all = False  # whether every event waits, or only those that no handler takes yet

    def __repr__(self) -> str:
        return f"<Socket {self.id} of {self.nsp.name}>"

    # -- what it is

    @property
    def connected(self) -> bool:
        """Tell whether the client is in the namespace; for ``disconnecting`` handlers it still is."""
        return self.takes_events or self._state is _LEAVING

    @property
    def disconnected(self) -> bool:
        """Tell whether the client is not, or no longer, in the namespace."""
        return not self.connected

    @property
    def takes_events(self) -> bool:
        """Tell whether what the client sends is still dispatched."""
        return self._state is _CONNECTED and self._open

    @property
    def joining(self) -> bool:
        """Tell whether the middleware is still at work."""
        return self._state is _JOINING

    @property
    def rooms(self) -> Set[str]:
        """Give the rooms the socket is in; the first one is its own id."""
        return set(self.nsp.adapter.rooms_of(self))

    @property
    def server(self) -> Server:
        """Give the server."""
        return self.nsp.server

    @property
    def request(self) -> Request:
        """Give the request that opened the connection; ``request.state`` is what middleware has found out."""
        return self._session.request

    @property
    def conn(self) -> Conn:
        """Give the Engine.IO connection below, which all namespaces of the client share."""
        return conn_of(self._session)

    @property
    def client(self) -> ServerConnection:
        """Give what stands between the namespaces of the client and its Engine.IO connection."""
        return self._connection

    @property
    def recovers(self) -> bool:
        """Tell whether the client can say what it got last."""
        return self._session.revision.recovers

    @property
    def protocol(self) -> int:
        """Give the number of the Engine.IO revision that the client speaks: 3 or 4."""
        return self._connection.session.revision.engine

    @property
    def transport(self) -> str:
        """Name the transport of the moment: ``polling`` or ``websocket``."""
        return self._connection.session.transport.name

    # -- listening

    def _listen(self, event: str | int, function: F, *, once: bool = False) -> F:
        super()._listen(event, function, once=once)
        if self._waiting and not self._waiting_all:
            self.nsp.driver.call_soon(self._admit_waiting)
        return function

    def _set_outgoing(self, handlers: tuple[Handler, ...]) -> None:
        super()._set_outgoing(handlers)
        self._plain = self._open and not handlers and self.nsp.event_prefix is not None

    # -- emitting

    def emit(self, event: str | int, *args: Any, ack: AckCallback | None = None) -> None:
        """Send an event; it is encoded and queued at once, in the order of the calls. May be called from any thread.

        ``ack`` is called with the arguments of the client's acknowledgement. Raises ``ValueError`` for a reserved name,
        ``TypeError`` for arguments that cannot be encoded. Does nothing once the client is gone.
        """
        nsp = self.nsp
        if self._plain and ack is None and nsp.driver.thread == get_ident():
            text = dump_event(event, args)
            if text is not None:
                self._session.write(nsp.event_prefix + text, ())  # type: ignore[operator]  # there is one: it is plain
                return
            packet = encode_event(event, args, nsp.format, nsp.name).event(nsp.name)
            self._session.write(packet.text, packet.attachments)
            return
        body = encode_event(event, args, nsp.format, nsp.name)
        if ack is not None:
            nsp.driver.call(self.ask, body, PLAIN, self.plain_callback(ack))
        else:
            nsp.driver.call(self.emit_body, body, PLAIN)

    def emit_body(self, body: Body, flags: Flags) -> None:
        """Send an event that has been encoded."""
        nsp = self.nsp
        if not nsp.recovery:
            self.deliver(body.event(nsp.name), flags)
        elif self._state is _JOINING:
            self.deliver((nsp.adapter.stamp(body, self._lost) if self.recovers else body).event(nsp.name), flags)
        else:  # so that it is kept for the client
            nsp.adapter.broadcast(body, Selection((self.id,)), flags)

    def send(self, *args: Any, ack: AckCallback | None = None) -> None:
        """Send a ``message`` event."""
        self.emit("message", *args, ack=ack)

    write = send

    async def emit_with_ack(self, event: str | int, *args: Any) -> Any:
        """Send an event and give the client's answer: None, one value, or a tuple of several.

        Raises ``Disconnected`` as soon as the client is gone. Use ``timeout()`` to limit the wait.
        """
        return await SocketOperator(self).emit_with_ack(event, *args)

    def timeout(self, seconds: float) -> SocketOperator:
        """Limit the wait for an acknowledgement: its callback then gets an error, or None, before the answer."""
        return SocketOperator(self, timeout=check_timeout(seconds))

    def compress(self, compress: bool) -> SocketOperator:
        """Say whether the packet may be compressed, where the options and the client let it be."""
        return SocketOperator(self).compress(compress)

    @property
    def volatile(self) -> SocketOperator:
        """Drop the event if the client cannot take it at once."""
        return SocketOperator(self).volatile

    # -- to others

    @property
    def broadcast(self) -> BroadcastOperator:
        """Select every other socket of the namespace."""
        return BroadcastOperator(self.nsp, Selection((), (self.id,)))

    def to(self, *rooms: Rooms) -> BroadcastOperator:
        """Select the other sockets in any of ``rooms``."""
        return self.broadcast.to(*rooms)

    def in_(self, *rooms: Rooms) -> BroadcastOperator:
        """Select the other sockets in any of ``rooms``: the same as :meth:`to`."""
        return self.broadcast.to(*rooms)

    def except_(self, *rooms: Rooms) -> BroadcastOperator:
        """Select the other sockets that are in none of ``rooms``."""
        return self.broadcast.except_(*rooms)

    @property
    def local(self) -> BroadcastOperator:
        """Select every other socket of this process."""
        return self.broadcast.local

    # -- rooms and leaving

    def join(self, *rooms: Rooms) -> None:
        """Join rooms; does nothing once the client is gone."""
        self.nsp.driver.call(self._join, room_names(rooms))

    def _join(self, rooms: tuple[str, ...]) -> None:
        if self._state in (_JOINING, _CONNECTED):
            _log.debug("%s joins %r", self.id, rooms)
            self.nsp.adapter.add(self, rooms)

    def leave(self, room: str) -> None:
        """Leave a room."""
        self.nsp.driver.call(self._leave_room, room)

    def _leave_room(self, room: str) -> None:
        _log.debug("%s leaves %r", self.id, room)
        self.nsp.adapter.remove(self, room)

    def disconnect(self, close: bool = False) -> None:
        """Put the client out of the namespace; it does not come back by itself. ``close`` ends its connection too."""
        self.nsp.driver.call(self._disconnect, close)

    def _disconnect(self, close: bool) -> None:
        connection = self._connection
        if close:
            self._shut()
            for name, link in list(connection.links.items()):
                connection.leave(name)
                link.left("server namespace disconnect")
            connection.close("forced server close")
        elif self.takes_events:
            self._shut()
            connection.leave(self.nsp.name)
            self.left("server namespace disconnect")
        elif self._state is _JOINING:
            self.nsp.refuse(self, "Connection refused", None)

    # -- from the connection

    def receive_event(self, args: list[Any], id: int | None) -> None:
        """Take an event of the client."""
        event = args[0]
        handlers = self._shared.get(event) if self._handlers is None else self._handlers_of(event)
        if handlers and len(handlers) == 1 and self._waiting is None and not (self._unstarted or self._any):
            handler = handlers[0]
            if len(args) == handler.exact or (handler.plain and handler.fits(len(args) - 1)):
                # Nearly every event: one handler, called at once, with the list in which the arguments came.
                if handler.bound:
                    args[0] = self
                else:
                    del args[0]
                try:
                    value = handler.function(*args)
                    if id is not None or value is not None:
                        self._take_value(value, event, id)
                except (Exception, asyncio.CancelledError) as error:  # of a future that it asked for its result
                    self.nsp.report(error, self, event)
                return
            if handler.payload is not None:
                del args[0]
                self._offer(handler, args, event, None if id is None else Ack(self, id, 1))
                return
        if self._waiting is not None and (self._waiting_all or not self._has_handlers(event)):
            self._wait(args, id)
        else:
            if self._waiting:  # a handler has just been attached, and earlier events of its name come first
                self._admit_waiting()
            self._dispatch(args, id)

    def left(self, reason: str, description: str | None = None) -> None:
        """Go through the end of the socket: ``disconnecting``, the rooms, ``disconnect``."""
        if self._state is _JOINING:
            self._shut()
            self._become(_DISCONNECTED)
            if self.recovered:
                self._persist(reason)
            self.nsp.give_up(self)
        elif self._state is _CONNECTED:
            self._shut()
            self._depart(reason, description)

    def _depart(self, reason: str, description: str | None) -> None:
        if self._waiting_all:  # its events come first, and they wait for the connection handlers
            self.nsp.driver.call_soon(self._leave, reason, description)
        else:
            self._leave(reason, description)

    def _leave(self, reason: str, description: str | None) -> None:
        if self._state is not _CONNECTED:
            return
        self._admit_waiting()
        self._become(_LEAVING)
        self._fire_disconnecting(reason, description)

    def _fire_disconnecting(self, reason: str, description: str | None) -> None:
        if self._fire("disconnecting", reason, description):
            self.nsp.driver.call_soon(self._gone, reason, description)
        else:
            self._gone(reason, description)

    def _gone(self, reason: str, description: str | None) -> None:
        self._become(_DISCONNECTED)
        _log.debug("%s disconnected from %s: %s", self.id, self.nsp.name, reason)
        self._persist(reason)
        self.nsp.forget(self)
        self._fail_acks()
        self._fire("disconnect", reason, description)
        self._waiting = None

    def _shut(self) -> None:
        """Send nothing any more."""
        self._open = self._plain = False

    def _persist(self, reason: str) -> None:
        """Let the adapter keep what belongs to the client, if it did not leave on purpose."""
        adapter, lost = self.nsp.adapter, self._lost
        if lost is not None and reason in _RECOVERABLE:
            lost.rooms = tuple(adapter.rooms_of(self))
            lost.data = self.data
            adapter.persist(lost)

    def _become(self, state: State) -> None:
        if state not in _TRANSITIONS[self._state]:
            raise RuntimeError(f"a socket cannot go from {self._state} to {state}")
        self._state = state

    # -- connecting

    def connect(self) -> None:
        """Enter the namespace, and let the ``connection`` handlers attach theirs before any event is dispatched."""
        if self._lost is not None and not self.nsp.adapter.covers(self._lost):
            self._session.end("transport error", "what the client missed was forgotten while its middleware ran")
            return
        self._become(_CONNECTED)
        _log.debug("%s connected to %s", self.id, self.nsp.name)
        self.nsp.remember(self)
        self._waiting = []
        self._waiting_all = True
        self._enter()
        unstarted = self._unstarted
        handlers = self.nsp.connection_handlers()
        self._attaching = len(handlers)
        for handler in handlers:
            self._start(handler, handler.trim((self,)), "connection", None, self._attached)
        if self._unstarted > unstarted:
            self.nsp.driver.call_soon(self._begin_dispatch)
        else:
            self._begin_dispatch()

    def _enter(self) -> None:
        """Answer the client's CONNECT, and send what it missed where it has come back."""
        adapter = self.nsp.adapter
        missed: list[Encoded] = []
        if self.nsp.recovery and self.recovers:
            if self._lost is None:
                self._lost = LostSession(self.id, self.nsp.server.generate_id(), (), self.data, adapter.position())
            else:  # what it says it has got is still all that is known of it
                missed = adapter.missed(self._lost)
        pid = None if self._lost is None else self._lost.pid
        self._connection.accept(self.nsp.name, self._guard or self, self.id, pid)
        for packet in missed:
            self.deliver(packet)

    def recover(self, lost: LostSession) -> None:
        """Be what the client was before it lost its connection."""
        self._lost = lost
        self.data = lost.data
        self.recovered = True
        self.nsp.adapter.add(self, lost.rooms)

    def refuse(self, message: str, data: Any) -> None:
        """Tell the client that it was not let in."""
        self._connection.refuse(self.nsp.name, message, data)

    def _begin_dispatch(self) -> None:
        self._waiting_all = False
        self._admit_waiting()

    def _attached(self) -> None:
        self._attaching -= 1
        if not self._attaching:
            self._admit_waiting()

    def _wait(self, args: list[Any], id: int | None) -> None:
        assert self._waiting is not None
        if self._waiting_all or len(self._waiting) < self.nsp.server.options.max_waiting_events:
            self._waiting.append((args, id))
        else:
            _log.warning("%s: more than max_waiting_events events that nobody listens to; they are dropped", self.id)
            self._waiting = None

    def _admit_waiting(self) -> None:
        """Dispatch what can be dispatched; events without a handler wait on while a connection handler runs."""
        if self._waiting is None or self._waiting_all:
            return
        waiting, self._waiting = self._waiting, [] if self._attaching else None
        for args, id in waiting:
            if self._waiting is None or self._has_handlers(args[0]):
                self._dispatch(args, id)
            else:
                self._waiting.append((args, id))

    # -- dispatch

    def _hand_over_waiting(self) -> list[tuple[list[Any], int | None]]:
        """Give the events that wait to a middleware, so that none gets past it by coming early."""
        waiting = self._waiting or []
        if waiting:
            self._waiting = []
        return waiting

    def refuse_event(self, error: BaseException, event: Any) -> None:
        """Report an event that a middleware has dropped."""
        if self._handlers_of("error"):
            self._fire("error", error)
        else:
            self.nsp.report(error, self, event)

    def overrun(self) -> None:
        """End the connection of a client that sends faster than its events are handled."""
        self._session.end("transport error", "more than max_queued_events events wait to be handled")

    def _handlers_of(self, event: Any) -> tuple[Handler, ...]:
        shared = self._shared.get(event)
        if self._handlers is None:
            return shared or ()
        own = self._handlers.by_event.get(event)
        return (shared + own) if shared and own else (shared or own or ())

    def _dispatch(self, args: list[Any], id: int | None) -> None:
        if self._state is _CONNECTED:
            super()._dispatch(args, id)

    def _discard_once(self, event: Any, handler: Handler) -> bool:
        return super()._discard_once(event, handler) or self.nsp.handlers.discard(event, handler)

    def _report(self, error: BaseException, event: Any) -> None:
        self.nsp.report(error, self, event)

    def _note_unheard(self, args: list[Any], ack: Ack | None) -> None:
        if not self._any:
            self.nsp.note_unheard(self, args[0])

    def call_back(self, function: Callable[..., Any], *args: Any) -> None:
        """Call a callback of the application, which may be async; its exception is reported."""
        self.nsp.call_back(function, *args)

    def answer(self, args: list[Any], id: int) -> None:
        """Send an acknowledgement, from any thread. Raises ``TypeError`` for arguments that cannot be encoded."""
        nsp = self.nsp
        nsp.driver.call(self.deliver, nsp.format.ack(args, nsp.name, id))

    def _acknowledge(self, value: Any, id: int) -> None:
        """Answer an event with what its handler has returned."""
        nsp = self.nsp
        if self._plain:
            text = dump_arguments(value)
            if text is not None:
                self._session.write(b"%b%d%b" % (nsp.ack_prefix, id, text), ())  # type: ignore[str-format]  # as in emit
                return
        self.deliver(nsp.format.ack(arguments_of(value), nsp.name, id))

    # -- to the client

    def deliver(self, packet: Encoded, flags: Flags = PLAIN) -> None:
        """Send a packet; a volatile one only if it can leave at once."""
        if self._open:
            if self._outgoing and packet.args:
                self._show_outgoing(packet.args)
            if flags is PLAIN:
                self._session.write(packet.text, packet.attachments)
            elif not flags.volatile or self._session.writable:
                self._session.write(packet.text, packet.attachments, flags.compress)

    def deliver_with_ack(self, packet: Encoded, id: int, done: Done, flags: Flags = PLAIN) -> None:
        """Send an event that asks for an acknowledgement; ``done`` gets its arguments, or None if the client leaves."""
        if not self._open:
            done(None)
            return
        self._expect_ack(id, done)
        self.deliver(packet, flags)

    def ask(self, body: Body, flags: Flags, done: Done) -> int:
        """Send an event that asks for an acknowledgement, and give the id under which it is awaited.

        Where it is dropped for being volatile nobody will answer, but the wait ends when the client leaves.
        """
        id = self.nsp.next_ack_id()
        self.deliver_with_ack(body.event(self.nsp.name, id), id, done, flags)
        return id
