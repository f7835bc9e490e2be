"""What an application registers: with a namespace, or the server for its main one, and with a single socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from socketeer.handling.acks import settle
from socketeer.handling.dispatch import Dispatcher
from socketeer.handling.emitting import AckCallback
from socketeer.handling.listening import check_listened, check_name
from socketeer.server.packet_guard import PacketGuard

if TYPE_CHECKING:
    from socketeer.multiplex.server import ServerConnection
    from socketeer.server.namespace import Namespace
    from socketeer.server.socket import Socket

__all__ = ["CONNECTION", "Listening", "SocketListening", "check_event_of_client"]

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T", bound=type[Any])

CONNECTION = frozenset({"connection", "connect"})
"""The names of the event of a new client."""


_OWN_EVENTS = frozenset({"disconnect", "disconnecting"})


def check_event_of_client(event: Any) -> None:
    """Raise TypeError or UsageError unless handlers of this event may be called some day."""
    check_listened(event, _OWN_EVENTS, "client")


class Listening:
    """Offer everything that an application registers with a namespace."""

    __slots__ = ()

    def _listener(self) -> Namespace:
        raise NotImplementedError

    @overload
    def on(self, event: str) -> Callable[[F], F]: ...
    @overload
    def on(self, event: str, handler: F) -> F: ...
    def on(self, event: str, handler: F | None = None) -> F | Callable[[F], F]:
        """Call ``handler`` for an event of the namespace itself; as a decorator without ``handler``.

        ``connection`` (or ``connect``) gives the socket of a new client. ``error`` gives the exception of a handler, or
        the ``BadArguments`` of an event that fits none; further arguments: the socket and the event, each or None.
        ``new_namespace``, of the server, gives a namespace that has been made. Any other name is that of an event which
        other servers send by :meth:`server_side_emit`; those of clients are for ``socket.on`` and ``io.event``.
        """
        listener = self._listener()
        check_name(event)
        if handler is None:
            return lambda function: listener.listen(event, function)
        return listener.listen(event, handler)

    @overload
    def once(self, event: str) -> Callable[[F], F]: ...
    @overload
    def once(self, event: str, handler: F) -> F: ...
    def once(self, event: str, handler: F | None = None) -> F | Callable[[F], F]:
        """Call ``handler`` for the next such event only; as a decorator without ``handler``."""
        listener = self._listener()
        check_name(event)
        if handler is None:
            return lambda function: listener.listen(event, function, once=True)
        return listener.listen(event, handler, once=True)

    def off(self, event: str | None = None, handler: Callable[..., Any] | None = None) -> None:
        """Remove one handler, every handler of an event, or all, as registered by :meth:`on` and :meth:`event`."""
        self._listener().stop_listening(event, handler)

    def listeners(self, event: str) -> list[Callable[..., Any]]:
        """Give the handlers of an event of the namespace itself."""
        return self._listener().own_handlers.functions("connection" if event in CONNECTION else event)

    def event_names(self) -> list[str | int]:
        """Give the events that have handlers: those of the namespace itself and those of every socket."""
        listener = self._listener()
        return [*listener.own_handlers.by_event, *listener.handlers.by_event]

    @overload
    def event(self, name: F) -> F: ...
    @overload
    def event(self, name: str | int) -> Callable[[F], F]: ...
    def event(self, name: F | str | int) -> F | Callable[[F], F]:
        """Register a handler for every socket of the namespace: it gets the socket and the event's arguments.

        Without a name the function's own is the event's. ``connection``, ``disconnecting`` and ``disconnect`` work too.
        """
        listener = self._listener()
        if callable(name):
            if not hasattr(name, "__name__"):
                raise TypeError(f"{name!r} has no name of its own: give the event's, @io.event('...')")
            return listener.add_event(name.__name__, name)
        return lambda function: listener.add_event(name, function)

    def emits(self, events: T) -> T:
        """Declare which events clients get, as a decorator: of a Protocol with a method for each, or a ``TypedDict``.

        Nothing is checked or called: it is for ``socketeer types``, and for who reads the program.
        """
        self._listener().declarations.append(events)
        return events

    def use(self, middleware: F) -> F:
        """Let ``middleware`` see each socket before it is let in; sync or async, in the order of registration.

        Raising ``ConnectionRefused`` refuses the client with its message and data. Any other exception refuses it with
        a neutral message and is logged.
        """
        return self._listener().add_middleware(middleware)

    def server_side_emit(self, event: str, *args: Any, ack: AckCallback | None = None) -> None:
        """Send an event to this namespace on every other server of the cluster, not on this one.

        ``ack`` is called once, with an error or None and the list of their answers: an empty one where there is no
        other server. Raises ``ValueError`` for the events that a namespace has itself.
        """
        self._listener().emit_to_servers(event, args, ack)

    async def server_side_emit_with_ack(self, event: str, *args: Any) -> list[Any]:
        """Send an event to this namespace on every other server, and give their answers.

        Raises ``AckTimeout``, which carries the answers so far, after the option ``ack_timeout``.
        """
        future: asyncio.Future[list[Any]] = self._listener().future()
        self.server_side_emit(event, *args, ack=settle(future))
        return await future


class SocketListening(Dispatcher):
    """Offer everything that an application registers with one socket."""

    __slots__ = ("_guard",)

    nsp: Namespace
    _connection: ServerConnection
    _guard: PacketGuard | None

    def _check_listened(self, event: Any) -> None:
        check_event_of_client(event)

    def _hand_over_waiting(self) -> list[tuple[list[Any], int | None]]:
        raise NotImplementedError

    def use(self, middleware: F) -> F:
        """Let ``middleware`` see each event of the client before its handlers, with its name and its list of arguments.

        It may be async, and may change the list; events wait for the one before them. Raising drops the event: the
        exception goes to the ``error`` handlers of the socket, or where there are none of the namespace.
        """
        if not callable(middleware):
            raise TypeError(f"a middleware must be callable, not {middleware!r}")
        if self._guard is None:
            self._guard = PacketGuard(cast("Socket", self))
            self._connection.interpose(self.nsp.name, cast("Socket", self), self._guard)
            self._guard.hold(self._hand_over_waiting())
        self._guard.middlewares.append(middleware)
        return middleware
