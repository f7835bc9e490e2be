"""One namespace of a server, as a client has it: the end of every packet's way in and the start of its way out."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Callable, Coroutine, Generator, Mapping
from functools import partial
from types import CoroutineType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from socketeer.adapters.base import PLAIN, Flags
from socketeer.client.inbox import Inbox, Received
from socketeer.client.recovery import Recovery
from socketeer.client.retries import RetryQueue
from socketeer.client.socket_operator import ClientOperator
from socketeer.exceptions import ConnectionRefused, Disconnected, TransportError, UsageError
from socketeer.handling.acks import Ack, Done
from socketeer.handling.dispatch import Dispatcher
from socketeer.handling.emitting import AckCallback, check_timeout, encode_event
from socketeer.handling.handlers import BadArguments, Handler
from socketeer.handling.listening import check_listened
from socketeer.multiplex.encoded import Body, Encoded
from socketeer.options.client import SocketOptions
from socketeer.transports.driver import EAGER, close_with

if TYPE_CHECKING:
    from socketeer.client.manager import Manager
    from socketeer.multiplex.client import ClientConnection

__all__ = ["ClientSocket", "Received"]

_log = logging.getLogger("socketeer.client")

_OWN_EVENTS = frozenset({"connect", "connect_error", "disconnect"})


_FAREWELL = 1.0
"""How long a task that is cancelled waits for its connection to close in order, in seconds."""


def _do_nothing() -> None: ...


class _Answers:
    """Answer the events that came over one connection: on the next one, their ids would be those of others."""

    __slots__ = ("_connection", "_socket")

    def __init__(self, socket: ClientSocket, connection: ClientConnection | None) -> None:
        self._socket = socket
        self._connection = connection

    def answer(self, args: list[Any], id: int) -> None:
        """Send an acknowledgement, unless the connection is gone."""
        self._socket.answer(args, id, self._connection)


class _Disconnection:
    """Tell whether a socket is disconnected; wait for it to be."""

    __slots__ = ("_socket",)

    def __init__(self, socket: ClientSocket) -> None:
        self._socket = socket

    def __bool__(self) -> bool:
        return not self._socket.connected

    def __await__(self) -> Generator[Any, None, str]:
        return self._socket.wait_disconnected().__await__()


class ClientSocket(Dispatcher):
    """Be one namespace of a server.

    Emitting, disconnecting, ``on`` and ``once`` may be done in any thread; the rest belongs to the event loop.

    Own events:

    | event | arguments | when |
    |---|---|---|
    | ``connect`` |  | the namespace was joined, also after a reconnection |
    | ``connect_error`` | exception | it could not be: ``ConnectionRefused`` is final, ``TransportError`` is not |
    | ``disconnect`` | reason, description | it was left, or the connection lost |
    """

    __slots__ = (
        "_active",
        "_again",
        "_asking",
        "_buffer",
        "_connect_waiters",
        "_disconnect_waiters",
        "_early",
        "_end",
        "_joining",
        "_next_id",
        "_reason",
        "_recovery",
        "_retries",
        "_unasked",
        "auth",
        "connected",
        "id",
        "inbox",
        "io",
        "nsp",
        "on_end",
        "options",
        "recovered",
    )

    def __init__(self, io: Manager, nsp: str, options: SocketOptions) -> None:
        super().__init__(io.driver)
        self.io = io
        """The manager, which holds the connection."""
        self.nsp = nsp
        """The namespace."""
        self.options = options
        """The options."""
        self.auth = options.auth
        """What the namespace is told of the client at the next connection: a mapping, or a function that gives one."""
        self.id: str | None = None
        """The id by which the server knows the socket; None while it is not connected."""
        self.connected = False
        """Whether the namespace is joined."""
        self.recovered = False
        """Whether the server has remembered the socket from before the last disconnection."""
        self.on_end: Callable[[], object] = _do_nothing
        """Called when it will not connect by itself any more."""
        self._active = False
        self._again = False  # whether to join anew when the answer is there that is due
        self._joining: ClientConnection | None = None  # the connection on which an answer to CONNECT is due
        self._asking: asyncio.Task[Any] | None = None  # asks the option ``auth``, where that is async
        self._recovery: Recovery | None = None
        self._next_id = 0  # for acknowledgements
        self._unasked = 0  # the same for events that ask for none
        self._early: list[tuple[list[Any], int | None]] = []  # came before the namespace was joined
        # What was to be sent while there was no connection, by the id of its acknowledgement or a negative number.
        self._buffer: dict[int, tuple[Encoded, Flags]] = {}
        self._retries = RetryQueue(self) if options.retries else None
        self.inbox = Inbox(options.max_waiting_events)
        self._connect_waiters: list[asyncio.Future[None]] = []
        self._disconnect_waiters: list[asyncio.Future[str]] = []
        self._reason: str | None = None  # for the last disconnection
        self._end: Exception | None = None  # why it will not connect by itself any more

    def __repr__(self) -> str:
        return f"<ClientSocket {self.id or 'not connected'} of {self.nsp}>"

    # -- what it is

    @property
    def active(self) -> bool:
        """Tell whether it is connected, or will be without being told to."""
        return self._active

    @property
    def disconnected(self) -> _Disconnection:
        """Tell whether it is not connected; when awaited, wait until it is not any more, and give the reason.

        That is at the next disconnection, or at once where it was connected and is not. Another connection may follow.
        """
        return _Disconnection(self)

    @property
    def transport(self) -> str | None:
        """Name the transport of the moment: ``polling`` or ``websocket``; None while it is not connected."""
        connection = self.io.connection
        return connection.session.transport.name if self.connected and connection is not None else None

    # -- connecting

    def connect(self) -> Self:
        """Connect, and stay connected from now on. To be called in a coroutine or a handler, unless it is connected."""
        if self._active and (self.connected or self.io.ready_state != "closed"):
            return self
        self._active = True
        self._end = None
        if self.io.connection is not None:
            self.join()
        elif not self.io.waits:
            self.io.open()
        return self

    open = connect

    def disconnect(self) -> Self:
        """Leave the namespace, and with it the connection where no other socket needs it; it does not come back."""
        self._driver.call(self._disconnect)
        return self

    close = disconnect

    def _disconnect(self) -> None:
        connection = self.io.connection
        if connection is not None and self.connected:
            connection.leave(self.nsp)  # else the server is told when it answers: before, it may not know the socket
        was_connected = self.connected
        self._end_with(Disconnected("io client disconnect"))
        if was_connected:
            self.left("io client disconnect")
        self.io.close_if_unused()

    def _end_with(self, end: Exception) -> None:
        """Do not come back by itself."""
        self._active = False
        self._stop_joining()
        self._end = end
        waiters, self._connect_waiters = self._connect_waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(end)
        if not self.connected:
            self._tell_disconnected(str(end))
        self.inbox.wake()
        if self._retries is not None:
            self._retries.wake()
        self.on_end()

    def _tell_disconnected(self, reason: str) -> None:
        waiters, self._disconnect_waiters = self._disconnect_waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(reason)

    def _stop_joining(self) -> None:
        self._joining = None
        self._again = False
        asking, self._asking = self._asking, None
        if asking is not None:
            asking.cancel()

    # -- from the manager

    def join(self) -> None:
        """Ask the server to let the socket join its namespace: there is a connection now."""
        connection = self.io.connection
        assert connection is not None
        self._stop_joining()
        self._joining = connection
        if connection.links.get(self.nsp) is self:
            self._again = True  # behind the answer that is still due from the time before disconnect()
        elif (pause := connection.pause_before(self.nsp)) > 0:
            self._driver.wheel.call_later(pause, partial(self._join_unless, connection))
        else:
            self._ask_to_join(connection)

    def _join_unless(self, connection: ClientConnection) -> None:
        if self._joining is connection and self.nsp not in connection.links:
            self._ask_to_join(connection)

    def _ask_to_join(self, connection: ClientConnection) -> None:
        try:
            auth = self.auth() if callable(self.auth) else self.auth
        except Exception as error:
            self._cannot_join(error)
            return
        if inspect.isawaitable(auth):
            self._asking = self._driver.spawn(self._join_later(connection, auth))
            if inspect.iscoroutine(auth):
                close_with(self._asking, auth)
        else:
            self._join(connection, auth)

    async def _join_later(self, connection: ClientConnection, auth: Any) -> None:
        try:
            auth = await auth
        except Exception as error:
            if self._joining is connection:
                self._cannot_join(error)
            return
        except asyncio.CancelledError:
            self._give_up_joining(connection, Disconnected("the auth function was cancelled"))
            raise
        self._join(connection, auth)

    def _join(self, connection: ClientConnection, auth: Any) -> None:
        if self._joining is not connection or self.io.connection is not connection:
            return  # gone meanwhile
        try:
            if auth is not None and not isinstance(auth, Mapping):
                raise TypeError(f"option 'auth': the function must give a mapping, not {auth!r:.100}")
            known = {} if self._recovery is None else self._recovery.auth()
            connection.join(self.nsp, self, {**known, **(auth or {})})
        except TypeError as error:
            self._cannot_join(error)

    def _cannot_join(self, error: Exception) -> None:
        """End: the application's own function has failed."""
        _log.error("%s cannot be joined", self.nsp, exc_info=error)
        # Not now: whoever has just made the socket may be about to register handlers.
        self._driver.call_soon(self._give_up_joining, self._joining, error)

    def _give_up_joining(self, connection: ClientConnection, error: Exception) -> None:
        if self._joining is connection:
            self._refuse(error)

    def _refuse(self, error: Exception) -> None:
        self._end_with(error)
        self._early.clear()
        self._fire("connect_error", error)
        self.io.close_if_unused()

    def not_connected(self, error: Exception) -> None:
        """Take note that an attempt to connect has failed."""
        if self._active and not self.connected:
            self._fire("connect_error", error)

    def given_up(self, error: Exception) -> None:
        """Take note that there will be no further attempt to connect."""
        if self._active and not self.connected:
            self._end_with(error)

    # -- from the connection

    def accepted(self, id: str, pid: str | None) -> None:
        """Take note that the namespace was joined: first what waits is sent, then what came early is handled."""
        connection = self.io.connection
        if self._joining is None or self._again:  # disconnect() was called meanwhile, and perhaps connect() after it
            if connection is not None:
                connection.leave(self.nsp)
                if self._again:
                    self.join()
            return
        self._joining = self._asking = None
        if self._recovery is None and pid is not None:
            self._recovery = Recovery()
        self.recovered = self._recovery is not None and self._recovery.begin(pid)
        self.id = id
        self.connected = True
        self._reason = None
        buffer, self._buffer = self._buffer, {}
        for packet, flags in buffer.values():
            self._write(packet, flags)
        early, self._early = self._early, []
        for args, number in early:
            self.receive_event(args, number)
        if not self.connected:  # a handler has disconnected it
            return
        if self._retries is not None:
            self._retries.go_on()
        waiters, self._connect_waiters = self._connect_waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._fire("connect")

    def refused(self, message: str, data: Any) -> None:
        """Take note that the server does not let the socket join."""
        if self._again:
            self.join()
        elif self._joining is not None:
            self._refuse(ConnectionRefused(message, data))

    def receive_event(self, args: list[Any], id: int | None) -> None:
        """Take an event; one that comes before the answer to CONNECT waits for it."""
        if not self.connected:
            if self._active and len(self._early) < self.options.max_waiting_events:
                self._early.append((args, id))
            return
        if id is None and self._recovery is not None:
            self._recovery.take(args, time.time())
        self._dispatch(args, id)

    def left(self, reason: str, description: str | None = None) -> None:
        """Take note that the namespace was left, or the connection lost."""
        was_connected, self.connected = self.connected, False
        was_joining = self._joining is not None and reason != "forced close"
        self._stop_joining()
        self._early.clear()
        self.id = None
        if was_connected:
            self._reason = reason
        if reason == "io server disconnect" and self._active:
            self._end_with(Disconnected(reason))
        if was_connected:
            self._tell_disconnected(reason)
            self._fail_acks()
            self._fire("disconnect", reason, description)
        elif was_joining:
            self._fire("connect_error", TransportError(f"the connection was lost: {description or reason}"))
        if reason == "io server disconnect":
            self.io.close_if_unused()

    # -- what the dispatcher asks for

    def _spawn(self, running: Coroutine[Any, Any, None], handler: CoroutineType[Any, Any, Any]) -> None:
        super()._spawn(running, handler)
        if not EAGER:
            self._driver.call_soon(self._check_begun, handler)

    def _check_begun(self, handler: CoroutineType[Any, Any, Any]) -> None:
        """Count out a handler whose task was cancelled before it could begin."""
        if inspect.getcoroutinestate(handler) == inspect.CORO_CREATED:
            self._unstarted -= 1
            handler.close()

    def _check_listened(self, event: Any) -> None:
        check_listened(event, _OWN_EVENTS, "server")

    def _add_handler(self, event: str | int, handler: Handler) -> None:
        self._driver.call(super()._add_handler, event, handler)

    def _report(self, error: BaseException, event: Any) -> None:
        what = "a callback" if event is None else f"a handler of {event!r}"
        if isinstance(error, BadArguments):
            _log.warning("%s: %s", self.nsp, error)
        else:
            _log.error("%s: %s failed", self.nsp, what, exc_info=error)

    def _make_ack(self, id: int, handlers: int) -> Ack:
        return Ack(_Answers(self, self.io.connection), id, handlers)

    def answer(self, args: list[Any], id: int, connection: ClientConnection | None = None) -> None:
        """Send an acknowledgement, from any thread, if ``connection`` is still the one there is.

        Raises ``TypeError`` for arguments that cannot be encoded.
        """
        self._driver.call(self._answer, self.io.format.ack(args, self.nsp, id), connection)

    def _answer(self, packet: Encoded, connection: ClientConnection | None) -> None:
        if self.connected and connection is self.io.connection:
            self._write(packet, PLAIN)

    # -- emitting

    def emit(self, event: str | int, *args: Any, ack: AckCallback | None = None) -> None:
        """Send an event, in the order of the calls; while there is no connection it waits. May be called in any thread.

        ``ack`` is called with the arguments of the server's acknowledgement; with the options ``ack_timeout`` or
        ``retries`` with an error or None before them. Raises ``ValueError`` for a reserved name, ``TypeError`` for
        arguments that cannot be encoded, ``UsageError`` where more than ``max_buffered_emits`` events would wait.
        """
        ClientOperator(self).emit(event, *args, ack=ack)

    def send(self, *args: Any, ack: AckCallback | None = None) -> None:
        """Send a ``message`` event."""
        self.emit("message", *args, ack=ack)

    write = send

    async def emit_with_ack(self, event: str | int, *args: Any) -> Any:
        """Send an event and give the server's answer: None, one value, or a tuple of several.

        Raises ``Disconnected`` if the connection is lost before the answer comes, unless ``retries`` sends it again.
        Use ``timeout()`` to limit the wait.
        """
        return await ClientOperator(self).emit_with_ack(event, *args)

    def timeout(self, seconds: float) -> ClientOperator:
        """Limit the wait for an acknowledgement: its callback then gets an error, or None, before the answer."""
        return ClientOperator(self, timeout=check_timeout(seconds))

    def compress(self, compress: bool) -> ClientOperator:
        """Say whether the packet may be compressed, where the options and the server let it be."""
        return ClientOperator(self).compress(compress)

    @property
    def volatile(self) -> ClientOperator:
        """Drop the event if it cannot leave at once."""
        return ClientOperator(self).volatile

    def encode(self, event: str | int, args: tuple[Any, ...], flags: Flags) -> Body:
        """Encode an event. Raises what :meth:`emit` does."""
        if not flags.volatile:
            queued = len(self._buffer if self._retries is None else self._retries)
            if queued - self.connected >= self.options.max_buffered_emits:  # with a connection the first is under way
                raise UsageError(f"emit({event!r}): more than max_buffered_emits events wait")
        return encode_event(event, args, self.io.format, self.nsp)

    def call(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function in the thread of the event loop."""
        self._driver.call(function, *args)

    def transmit(self, body: Body, flags: Flags, done: Done | None = None) -> int:
        """Send an event, or keep it until there is a connection; give the id under which its answer is awaited."""
        connection = self.io.connection
        # Where timers were kept from firing, the connection may be long gone: then it is not safe to send.
        sendable = self.connected and connection is not None and not (self._buffer or connection.session.overdue)
        if flags.volatile and not (sendable and connection is not None and connection.session.writable):
            if done is not None:
                self._driver.call_soon(done, None)
            return -1
        if done is not None:
            number = self._next_id
            self._next_id += 1
            self._expect_ack(number, done)
        else:
            self._unasked -= 1
            number = self._unasked
        packet = body.event(self.nsp, None if done is None else number)
        if sendable:
            self._write(packet, flags)
        else:
            if self.connected and connection is not None and not self._buffer:
                self._driver.call_soon(connection.session.end, "ping timeout")
            self._buffer[number] = packet, flags
        return number

    def _write(self, packet: Encoded, flags: Flags) -> None:
        connection = self.io.connection
        if connection is None:
            return
        if self._outgoing and packet.args:
            self._show_outgoing(packet.args)
        connection.session.write(packet.text, packet.attachments, flags.compress)

    @property
    def retries(self) -> RetryQueue | None:
        """Give the queue of events that are sent again until they are acknowledged, with the option ``retries``."""
        return self._retries

    def forget_ack(self, id: int) -> None:
        """Wait no longer for an acknowledgement; what was not sent yet is not going to be."""
        super().forget_ack(id)
        self._buffer.pop(id, None)

    def _fail_acks(self) -> None:
        """Tell who waits for an acknowledgement that none will come, unless the event has not been sent yet."""
        acks, self._acks = self._acks or {}, None
        for id, done in acks.items():
            if id in self._buffer:
                self._expect_ack(id, done)
            else:
                done(None)

    # -- waiting

    async def __aenter__(self) -> Self:
        """Wait until it is connected.

        Raises ``ConnectionRefused`` where the server refuses it, and ``TransportError`` where it cannot connect and
        will not try again: that is, with ``reconnection`` off, or after ``reconnection_attempts``.
        """
        try:
            await self._wait_connected()
        except BaseException as error:
            await self._leave(error)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Disconnect, and wait until what was emitted has been sent: a second at the most where it is cancelled.

        Where the block ends without an error, the option ``retries`` has first each event acknowledged, or given up.
        """
        if error is None and self._retries is not None:
            try:
                while self._retries and self._active:
                    await self._wait(self._retries.waiters)
            except asyncio.CancelledError as cancelled:
                await self._leave(cancelled)
                raise
        await self._leave(error)

    def __await__(self) -> Generator[Any, None, Self]:
        """Wait until it is connected; see ``async with``, which also disconnects."""
        return self._wait_connected().__await__()

    async def _wait_connected(self) -> Self:
        if not self.connected:
            if not (self._active and self.io.alive):
                self.connect()
            if self._end is not None:
                raise self._end
            await self._wait(self._connect_waiters)
        return self

    async def _leave(self, error: BaseException | None) -> None:
        self.disconnect()
        try:
            async with asyncio.timeout(_FAREWELL if isinstance(error, asyncio.CancelledError) else None):
                await self.io.wait_closed()
        except TimeoutError:
            await self.io.abort()

    async def wait_disconnected(self) -> str:
        """Wait until it is not connected any more: see ``disconnected``."""
        if not self.connected:
            if self._reason is not None:
                return self._reason
            if not self._active:
                return str(self._end or "io client disconnect")
        reason: str = await self._wait(self._disconnect_waiters)
        return reason

    @staticmethod
    async def _wait(waiters: list[Any]) -> Any:
        future = asyncio.get_running_loop().create_future()
        waiters.append(future)
        try:
            return await future
        finally:
            if future in waiters:
                waiters.remove(future)

    # -- events that no handler takes

    def _note_unheard(self, args: list[Any], ack: Ack | None) -> None:
        if self.inbox.asked or not self._any:  # else a catch-all handler has got it
            self.inbox.put(Received(args[0], args[1:], ack))

    def __aiter__(self) -> Self:
        """Give the events that no handler takes, as pairs of a name and a list of arguments.

        They are kept from the first one after connecting; before anybody asks for them, only the latest 1,000. Ends
        when the socket is disconnected and will not come back by itself. Raises ``UsageError`` where more than
        ``max_waiting_events`` events wait: those behind them are lost.
        """
        self.inbox.asked = True
        return self

    async def __anext__(self) -> Received:
        received = await self.inbox.next(self._is_active)
        if received is None:
            raise StopAsyncIteration
        return received

    async def receive(self, timeout: float | None = None) -> Received:  # noqa: ASYNC109  # what users expect
        """Give the next event that no handler takes, as ``async for`` does.

        Raises ``TimeoutError`` after so many seconds, and ``Disconnected`` where the socket will not come back.
        """
        async with asyncio.timeout(timeout):
            received = await self.inbox.next(self._is_active)
        if received is None:
            raise Disconnected(str(self._end or "not connected"))
        return received

    def _is_active(self) -> bool:
        return self._active
