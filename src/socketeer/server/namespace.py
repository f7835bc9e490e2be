"""A namespace: its middleware, its handlers, its sockets."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from socketeer.adapters.base import Adapter, LostSession
from socketeer.exceptions import ConnectionRefused, UsageError
from socketeer.handling.acks import ack_future, arguments_of
from socketeer.handling.dispatch import call_back
from socketeer.handling.emitting import AckCallback
from socketeer.handling.handlers import BadArguments, Handler, Handlers
from socketeer.protocol.packets import PacketType
from socketeer.server.broadcast import Broadcasting, BroadcastOperator
from socketeer.server.collector import Collector
from socketeer.server.handshake import Handshake, Joining
from socketeer.server.listening import CONNECTION, Listening, check_event_of_client
from socketeer.server.ordered import OrderedSocket
from socketeer.server.socket import Socket

if TYPE_CHECKING:
    from socketeer.server.parent_namespace import ParentNamespace
    from socketeer.server.server import Server
    from socketeer.transports.driver import Driver

__all__ = ["Middleware", "Namespace"]

F = TypeVar("F", bound=Callable[..., Any])
Middleware = Callable[[Socket], Any]

_log = logging.getLogger("socketeer.server")

_OWN_EVENTS = CONNECTION | {"error", "new_namespace"}
"""The events of a namespace that no other server may send."""
_OF_SOCKETS = frozenset({"disconnect", "disconnecting"})


class Namespace(Broadcasting, Listening):
    """Hold one namespace; made by ``Server.of``."""

    def __init__(self, server: Server, name: str) -> None:
        self.server = server
        self.name = name
        self.driver: Driver = server.driver
        self.sockets: dict[str, Socket] = {}
        """The sockets of this process that are connected, by id."""
        self.handlers = Handlers()
        self.own_handlers = Handlers()
        self.middlewares: list[Middleware] = []
        self.declarations: list[type[Any]] = []
        self.format = server.format
        self.recovery = server.options.connection_state_recovery is not None
        """Whether clients that lost their connection may come back as what they were."""
        self.adapter: Adapter = self._make_adapter()
        self.event_prefix = None if self.recovery else self.format.prefix(name)
        """What stands before every plain event; None where there is more to an event than that."""
        self.ack_prefix = self.format.prefix(name, PacketType.ACK)
        """What stands before the id of every plain acknowledgement; None where events are no JSON."""
        self.parent: ParentNamespace | None = None
        """The parent of a namespace that was made because a client asked for it."""
        self._socket_class = OrderedSocket if server.options.event_concurrency == "ordered" else Socket
        self._ack_ids = itertools.count()
        self._arriving = 0  # clients that are on their way in
        self._misplaced: set[Any] = set()
        self.leaving: dict[str, asyncio.Event] = {}
        """Those who lost their connection while their handlers run in turn, by the secret by which they come back."""
        self.adapter.on_empty = self.tidy

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def _make_adapter(self) -> Adapter:
        return self.server.make_adapter(self)

    # -- registration

    def _listener(self) -> Namespace:
        return self

    def _operator(self) -> BroadcastOperator:
        return BroadcastOperator(self)

    def listen(self, event: str, function: F, *, once: bool = False) -> F:
        """Register a handler of the namespace itself."""
        if event in _OF_SOCKETS:
            raise UsageError(f"{event!r} is an event of a socket: use socket.on({event!r}) or @io.event({event!r})")
        self.own_handlers.add("connection" if event in CONNECTION else event, Handler(function, once=once))
        return function

    def stop_listening(self, event: str | None, function: Callable[..., Any] | None) -> None:
        """Remove handlers, of the namespace itself and those for every socket."""
        self.own_handlers.remove("connection" if event in CONNECTION else event, function)
        self.handlers.remove(event, function)

    def add_event(self, event: str | int, function: F) -> F:
        """Register a handler for every socket."""
        if event in CONNECTION:
            return self.listen("connection", function)
        check_event_of_client(event)
        self.handlers.add(event, Handler(function, bound=1, typed=True))
        return function

    def add_middleware(self, middleware: F) -> F:
        """Register a middleware."""
        if not callable(middleware):
            raise TypeError(f"a middleware must be callable, not {middleware!r}")
        self.middlewares.append(middleware)
        return middleware

    def connection_handlers(self) -> tuple[Handler, ...]:
        """Give the handlers of a new socket, those registered with ``once`` for the last time."""
        handlers = self.own_handlers.by_event.get("connection", ())
        for handler in handlers:
            if handler.once:
                self.own_handlers.discard("connection", handler)
        return handlers

    # -- clients

    def connect(self, joining: Joining) -> None:
        """Begin to let a client in, unless it has gone meanwhile."""
        pid = joining.auth.get("pid") if self.recovery and isinstance(joining.auth, dict) else None
        if isinstance(pid, str) and joining.connection.session.revision.recovers:
            self._arriving += 1
            self.driver.spawn(self._restore(joining, pid, joining.auth.get("offset")))
        else:
            self._let_in(joining, None)

    async def _restore(self, joining: Joining, pid: str, offset: Any) -> None:
        lost = None
        try:
            if (leaving := self.leaving.get(pid)) is not None:
                await leaving.wait()
            if offset is None or isinstance(offset, str):
                lost = await self.adapter.restore(pid, offset)
        except Exception as error:
            self.report(error, None, "connection")
        self._arriving -= 1
        if lost is not None:
            if not joining.connection.is_joining(self.name):
                self.adapter.persist(lost)
            secrets = ("pid", "offset")
            auth = {name: value for name, value in joining.auth.items() if name not in secrets}
            joining = joining._replace(auth=auth)
        self._let_in(joining, lost)

    def _let_in(self, joining: Joining, lost: LostSession | None) -> None:
        connection = joining.connection
        if not connection.is_joining(self.name):
            self.tidy()
            return
        revision = connection.session.revision
        id = revision.socket_id(connection.session.id, self.name, self.server.generate_id)
        socket = self._socket_class(self, connection, id if lost is None else lost.id, Handshake.of(joining))
        self._arriving += 1
        connection.set_joining(self.name, socket)
        skip = False
        if lost is not None:
            socket.recover(lost)
            recovery = self.server.options.connection_state_recovery
            skip = recovery is not None and recovery.skip_middlewares
        if self.middlewares and not skip:
            self._go_through(socket, iter(tuple(self.middlewares)))
        else:
            socket.connect()

    def _go_through(self, socket: Socket, middlewares: Any) -> None:
        """Go through the middleware without a task for as long as none has to be awaited."""
        try:
            for middleware in middlewares:
                if not socket.joining:
                    return
                outcome = middleware(socket)
                if inspect.isawaitable(outcome):
                    self.driver.spawn(self._await(socket, outcome, middlewares))
                    return
        except Exception as error:
            self._refuse_by(socket, error)
            return
        if socket.joining:
            socket.connect()

    async def _await(self, socket: Socket, outcome: Any, middlewares: Any) -> None:
        try:
            await outcome
        except Exception as error:
            self._refuse_by(socket, error)
        except asyncio.CancelledError:
            self.refuse(socket, "Connection refused", None)
            raise
        else:
            self._go_through(socket, middlewares)

    def _refuse_by(self, socket: Socket, error: Exception) -> None:
        if isinstance(error, ConnectionRefused):
            try:
                self.format.packet(PacketType.CONNECT_ERROR, self.name, [error.message, error.data])
            except (TypeError, ValueError) as unspeakable:
                error = unspeakable
        if isinstance(error, ConnectionRefused):
            _log.debug("%s refused: %s", socket.id, error.message)
            self.refuse(socket, error.message, error.data)
        else:
            self.report(error, socket, "connection", "a middleware")
            self.refuse(socket, "Connection refused", None)

    def refuse(self, socket: Socket, message: str, data: Any) -> None:
        """Refuse a client that is joining."""
        if socket.joining:
            socket.left("refused")
            socket.refuse(message, data)

    def remember(self, socket: Socket) -> None:
        """Count a socket among the connected ones."""
        self._arriving -= 1
        self.sockets[socket.id] = socket
        self.adapter.add(socket, (socket.id,))

    def give_up(self, socket: Socket) -> None:
        """Forget a socket that was on its way in."""
        self._arriving -= 1
        self.adapter.remove_all(socket)
        self.tidy()

    def forget(self, socket: Socket) -> None:
        """Count a socket no longer among the connected ones, and take it out of its rooms."""
        if self.sockets.get(socket.id) is socket:
            del self.sockets[socket.id]
        self.adapter.remove_all(socket)
        self.tidy()

    def tidy(self) -> None:
        """Let the server forget a namespace that was made on demand and that nobody is in, or may come back to."""
        unused = not (self.sockets or self._arriving) and self.adapter.is_empty()
        if unused and self.parent is not None and self.server.options.cleanup_empty_child_namespaces:
            if self.parent.children.get(self.name) is self:
                del self.parent.children[self.name]
            self.server.forget_namespace(self)

    # -- other servers

    def emit_to_servers(self, event: str, args: tuple[Any, ...], ack: AckCallback | None) -> None:
        """Send an event to this namespace on every other server."""
        if event in _OWN_EVENTS:
            raise ValueError(f"{event!r} is an event of the namespace itself")
        self.driver.call(self._emit_to_servers, [event, *args], ack)

    def _emit_to_servers(self, args: list[Any], ack: AckCallback | None) -> None:
        if ack is None:
            self.adapter.server_side_emit(args)
            return
        callback = ack
        collector = Collector(lambda error, responses: self.call_back(callback, error, responses))
        collector.start(self.driver.wheel, self.server.options.ack_timeout)
        self.adapter.server_side_emit(args, collector)

    def receive_server_side_emit(self, args: list[Any], answer: Callable[..., None] | None = None) -> None:
        """Take an event of another server; called by the adapter. ``answer`` sends an acknowledgement back."""
        event = args[0]
        if event in _OWN_EVENTS:
            return
        first = None if answer is None else _first_only(answer)
        for handler in self.own_handlers.by_event.get(event, ()):
            if handler.once and not self.own_handlers.discard(event, handler):
                continue
            self.driver.spawn(self._run_own(handler, args[1:], event, first))

    async def _run_own(self, handler: Handler, args: list[Any], event: Any, answer: Callable[..., None] | None) -> None:
        try:
            if handler.wants_ack:
                value = handler.function(*handler.trim(args), ack=answer)
            else:
                value = handler.function(*handler.trim(args))
            if inspect.isawaitable(value):
                value = await value
            if answer is not None and not handler.wants_ack:
                answer(*arguments_of(value))
        except Exception as error:
            self.report(error, None, event)

    # -- for sockets and operators

    def next_ack_id(self) -> int:
        """Give an id for an acknowledgement that no socket of the namespace waits for."""
        return next(self._ack_ids)

    def future(self) -> asyncio.Future[Any]:
        """Make a future on the server's event loop. Raises UsageError on any other."""
        return ack_future(self.driver, "server")

    def check_addressable(self) -> None:
        """Raise UsageError where there are no sockets of one's own to wait for."""

    def note_unheard(self, socket: Socket, event: Any) -> None:
        """Take note of an event that nobody listens to; somebody may have listened in the wrong place."""
        _log.debug("%s: nobody listens to %.100r", socket.id, event)
        if event in self.own_handlers.by_event and event not in _OWN_EVENTS and event not in self._misplaced:
            self._misplaced.add(event)
            _log.warning(
                "a client sent %r, whose handler was registered with io.on(), for events of other servers: "
                "use @io.event(%r), or socket.on() within a connection handler",
                event,
                event,
            )

    def fire(self, event: str, *args: Any) -> None:
        """Call the handlers of an event of the namespace itself."""
        for handler in self.own_handlers.by_event.get(event, ()):
            if not handler.once or self.own_handlers.discard(event, handler):
                self.call_back(handler.function, *handler.trim(args))

    def call_back(self, function: Callable[..., Any], *args: Any) -> None:
        """Call a callback of the application, which may be async; its exception is reported."""
        call_back(self.driver, self._report_callback, function, *args)

    def _report_callback(self, error: BaseException) -> None:
        self.report(error, None, None, "a callback")

    def report(self, error: BaseException, socket: Socket | None, event: Any, where: str | None = None) -> None:
        """Log what went wrong in a handler, or an event that fits none, and give it to the ``error`` handlers.

        ``where`` it went wrong is said if that is no handler of ``event``.
        """
        if isinstance(error, BadArguments):
            _log.warning("%s", error)
        else:
            _log.error("exception in %s", where or f"a handler of {event!r}", exc_info=error)
        hooks = self.own_handlers.by_event.get("error", ())
        if self is not self.server.sockets:
            hooks += self.server.sockets.own_handlers.by_event.get("error", ())
        for hook in hooks:
            self._call_hook(hook, (error, socket, event))

    def _call_hook(self, hook: Handler, args: tuple[Any, ...]) -> None:
        if hook.once and not (
            self.own_handlers.discard("error", hook) or self.server.sockets.own_handlers.discard("error", hook)
        ):
            return
        try:
            outcome = hook.function(*hook.trim(args))
        except Exception:
            _log.exception("exception in a handler of 'error'")
            return
        if inspect.iscoroutine(outcome):
            self.driver.spawn(self._finish_hook(outcome))

    async def _finish_hook(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        try:
            await coroutine
        except Exception:
            _log.exception("exception in a handler of 'error'")


def _first_only(answer: Callable[..., None]) -> Callable[..., None]:
    """Let one of several handlers answer."""
    left = [answer]

    def first(*args: Any) -> None:
        if left:
            left.pop()(*args)

    return first
