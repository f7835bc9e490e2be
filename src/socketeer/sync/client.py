"""The client for blocking code: :func:`connect`, and sockets and managers that hand on to the asynchronous ones."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, overload

from socketeer.client.manager import Manager as AsyncManager
from socketeer.client.manager import connect as connect_async
from socketeer.client.socket import ClientSocket as AsyncSocket
from socketeer.client.socket import Received
from socketeer.handling.emitting import AckCallback
from socketeer.options.client import (
    ConnectOptions,
    ManagerKeywords,
    ManagerOptions,
    SocketKeywords,
    SocketOptions,
)
from socketeer.sync.conn import Conn
from socketeer.sync.listening import Listening
from socketeer.sync.portal import Ended, Portal
from socketeer.sync.process import background
from socketeer.sync.socket_operator import ClientOperator
from socketeer.sync.threads import Worker, bare

__all__ = ["ClientSocket", "Manager", "connect", "connect_through"]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class ClientSocket(Listening):
    """Be one namespace of a server, for blocking code: what :class:`socketeer.ClientSocket` can, from any thread.

    What waits there by ``await`` waits here for as long, and Ctrl+C ends the wait. Handlers are called in a thread of
    the socket, one at a time and in order, so that they may wait too; those that are ``async`` run in the event loop.
    """

    def __init__(self, portal: Portal, socket: AsyncSocket) -> None:
        self._portal = portal
        self._socket = socket
        self._worker = Worker(f"socketeer.sync handlers of {socket.nsp}", lambda: socket.active)
        self._io = portal.call(Manager.of, portal, socket.io)
        self._io.know(self)
        self._awaited = False  # whether connect() has given it, and nothing was done with it yet
        socket.on_end = self._worker.wake

    def __repr__(self) -> str:
        return f"<sync.ClientSocket {self.id or 'not connected'} of {self.nsp}>"

    # -- what it is

    @property
    def asynchronous(self) -> AsyncSocket:
        """Give the socket that this one stands for, for coroutines in its event loop: handlers that are ``async``."""
        return self._socket

    @property
    def io(self) -> Manager:
        """Give the manager, which holds the connection."""
        return self._io

    @property
    def nsp(self) -> str:
        """Give the namespace."""
        return self._socket.nsp

    @property
    def options(self) -> SocketOptions:
        """Give the options."""
        return self._socket.options

    @property
    def id(self) -> str | None:
        """Give the id by which the server knows the socket; None while it is not connected."""
        return self._socket.id

    @property
    def connected(self) -> bool:
        """Tell whether the namespace is joined."""
        return self._socket.connected

    @property
    def disconnected(self) -> bool:
        """Tell whether it is not; see :meth:`wait_disconnected`."""
        return not self._socket.connected

    @property
    def active(self) -> bool:
        """Tell whether it is connected, or will be without being told to."""
        return self._socket.active

    @property
    def recovered(self) -> bool:
        """Tell whether the server has remembered the socket from before the last disconnection."""
        return self._socket.recovered

    @property
    def transport(self) -> str | None:
        """Name the transport of the moment: ``polling`` or ``websocket``; None while it is not connected."""
        return self._socket.transport

    @property
    def auth(self) -> Any:
        """Give what the namespace is told of the client at the next connection: a mapping, or a function, or None.

        It can be set. A function is called in a thread of its own.
        """
        return bare(self._socket.auth)

    @auth.setter
    def auth(self, auth: Mapping[str, Any] | Callable[[], Any] | None) -> None:
        self._socket.auth = _in_thread(auth)

    # -- connecting

    def connect(self) -> Self:
        """Connect, wait until it is connected, and stay connected from now on.

        Raises ``ConnectionRefused`` where the server refuses it, and ``TransportError`` where it cannot connect and
        will not try again: that is, with ``reconnection`` off, or after ``reconnection_attempts``.
        """
        self._awaited = False
        self._portal.run(_connected, self._socket)
        return self

    open = connect

    def disconnect(self) -> Self:
        """Leave the namespace, and with it the connection where no other socket needs it; it does not come back.

        Does not wait until what was emitted has been sent: ``with`` does, and the end of the program.
        """
        self._awaited = False
        self._portal.call(self._socket.disconnect)
        return self

    close = disconnect

    def __enter__(self) -> Self:
        """Connect; see :meth:`connect`. Does nothing where :func:`connect` has done so just now."""
        if not self._awaited:
            return self.connect()
        self._awaited = False
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Disconnect, and wait until what was emitted has been sent."""
        if error is not None and not isinstance(error, Exception):  # as Ctrl+C, which is in a hurry
            self.disconnect()
        else:
            with contextlib.suppress(Ended):
                self._portal.run(self._socket.__aexit__, kind, error, traceback)

    def wait_disconnected(self, timeout: float | None = None) -> str:
        """Wait until it is not connected any more, and give the reason.

        That is at the next disconnection, or at once where it was connected and is not. Another connection may follow.
        Raises ``TimeoutError`` after so many seconds.
        """
        return self._portal.run(_within, timeout, self._socket.wait_disconnected)

    # -- emitting

    def emit(self, event: str | int, *args: Any, ack: AckCallback | None = None) -> None:
        """Send an event, in the order of the calls, without waiting; while there is no connection, the event waits.

        ``ack`` is called in the socket's thread with the arguments of the server's acknowledgement; with the options
        ``ack_timeout`` or ``retries`` with an error or None before them. Raises ``ValueError`` for a reserved name,
        ``TypeError`` for arguments that cannot be encoded, ``UsageError`` where more than ``max_buffered_emits`` events
        would wait.
        """
        self._portal.post(self._socket.emit, event, *args, ack=self._worker.threaded(ack))

    def send(self, *args: Any, ack: AckCallback | None = None) -> None:
        """Send a ``message`` event."""
        self.emit("message", *args, ack=ack)

    write = send

    def emit_with_ack(self, event: str | int, *args: Any) -> Any:
        """Send an event and wait for the server's answer: None, one value, or a tuple of several.

        Raises ``Disconnected`` if the connection is lost before the answer comes, unless ``retries`` sends it again.
        Use ``timeout()`` to limit the wait.
        """
        return self._portal.run(self._socket.emit_with_ack, event, *args)

    def timeout(self, seconds: float) -> ClientOperator:
        """Limit the wait for an acknowledgement: its callback then gets an error, or None, before the answer."""
        return ClientOperator(self._portal, self._worker, self._socket.timeout(seconds))

    def compress(self, compress: bool) -> ClientOperator:
        """Say whether the packet may be compressed, where the options and the server let it be."""
        return ClientOperator(self._portal, self._worker, self._socket.compress(compress))

    @property
    def volatile(self) -> ClientOperator:
        """Drop the event if it cannot leave at once."""
        return ClientOperator(self._portal, self._worker, self._socket.volatile)

    # -- events that no handler takes

    def receive(self, timeout: float | None = None) -> Received:
        """Wait for the next event that no handler takes.

        Raises ``TimeoutError`` after so many seconds, and ``Disconnected`` where the socket will not come back.
        """
        return self._portal.run(self._socket.receive, timeout)

    def __iter__(self) -> Self:
        """Give the events that no handler takes, as pairs of a name and a list of arguments.

        They are kept from the first one after connecting; before anybody asks for them, only the latest 1,000. Ends
        when the socket is disconnected and will not come back by itself. Raises ``UsageError`` where more than
        ``max_waiting_events`` events wait: those behind them are lost.
        """
        self._portal.call(self._socket.__aiter__)
        return self

    def __next__(self) -> Received:
        try:
            return self._portal.run(self._socket.__anext__)
        except StopAsyncIteration:
            raise StopIteration from None


class Manager:
    """Hold one connection to a server, for all namespaces; for blocking code, from any thread.

    The options are those of :class:`socketeer.options.client.ManagerOptions`. Connects at once, in the background,
    unless ``auto_connect`` is off.
    """

    def __init__(self, url: str, **options: Unpack[ManagerKeywords]) -> None:
        portal = background()
        self._become(portal, portal.call(AsyncManager, url, **_in_threads(options)))

    @classmethod
    def of(cls, portal: Portal, manager: AsyncManager) -> Manager:
        """Give the one that stands for an asynchronous manager; to be called in the event loop."""
        known = _managers.get(id(manager))
        if known is None:
            known = cls.__new__(cls)
            known._become(portal, manager)
        return known

    def _become(self, portal: Portal, manager: AsyncManager) -> None:
        self._portal = portal
        self._manager = manager
        self._worker = Worker(f"socketeer.sync listeners of {manager.url}")
        self._sockets: dict[str, ClientSocket] = {}
        _managers[id(manager)] = self
        portal.adopt(manager)

    def __repr__(self) -> str:
        return f"<sync.Manager of {self.url}, {self.ready_state}>"

    @property
    def url(self) -> str:
        """Give the URL of the server."""
        return self._manager.url

    @property
    def options(self) -> ManagerOptions:
        """Give the options."""
        return self._manager.options

    @property
    def ready_state(self) -> str:
        """Give ``closed``, ``opening`` or ``open``."""
        return self._manager.ready_state

    @property
    def alive(self) -> bool:
        """Tell whether there is a connection, or will be without anybody's asking."""
        return self._manager.alive

    @property
    def waits(self) -> bool:
        """Tell whether another attempt to connect is due."""
        return self._manager.waits

    @property
    def next_attempt(self) -> float | None:
        """Give the seconds until the next attempt to connect; None where none is due."""
        return self._portal.call(lambda: self._manager.next_attempt)

    @property
    def engine(self) -> Conn | None:
        """Give the Engine.IO connection of the moment: its id, its transport, its events; None where there is none."""
        conn = self._portal.call(lambda: self._manager.engine)
        return None if conn is None else Conn(self._portal, self._worker, conn)

    def socket(self, namespace: str = "/", **options: Unpack[SocketKeywords]) -> ClientSocket:
        """Give the socket of a namespace, which is made when it is first asked for, and connects in the background.

        Its :meth:`ClientSocket.connect` waits until it is connected.
        """
        return self._portal.call(self._socket, namespace, _in_threads(options))

    def _socket(self, namespace: str, options: Any) -> ClientSocket:
        socket = self._manager.socket(namespace, **options)
        return self._sockets.get(socket.nsp) or ClientSocket(self._portal, socket)

    def know(self, socket: ClientSocket) -> None:
        """Take note of the socket of a namespace."""
        self._sockets[socket.nsp] = socket

    # -- listening

    @overload
    def on(self, event: str) -> Callable[[F], F]: ...
    @overload
    def on(self, event: str, listener: F) -> F: ...
    def on(self, event: str, listener: F | None = None) -> F | Callable[[F], F]:
        """Call ``listener`` at each ``event``, in a thread; as a decorator without one.

        :meth:`socketeer.Manager.on` has the list of events. Raises ``UsageError`` for an event that does not exist.
        """
        return self._register(self._portal.call(self._manager.on, event), listener)

    @overload
    def once(self, event: str) -> Callable[[F], F]: ...
    @overload
    def once(self, event: str, listener: F) -> F: ...
    def once(self, event: str, listener: F | None = None) -> F | Callable[[F], F]:
        """Call ``listener`` at the next ``event`` only."""
        return self._register(self._portal.call(self._manager.once, event), listener)

    def _register(self, register: Callable[[Any], Any], listener: F | None) -> F | Callable[[F], F]:
        def decorate(function: F) -> F:
            self._portal.call(register, self._worker.posted(function))
            return function

        return decorate if listener is None else decorate(listener)

    def off(self, event: str | None = None, listener: Callable[..., Any] | None = None) -> None:
        """Remove one listener, every listener of an event, or all."""
        self._portal.call(self._manager.off, event, listener)

    def listeners(self, event: str) -> list[Callable[..., Any]]:
        """Give the listeners of an event."""
        return [bare(listener) for listener in self._portal.call(self._manager.listeners, event)]

    # -- opening and closing

    def open(self) -> None:
        """Connect in the background, unless that is done or under way."""
        self._portal.call(self._manager.open)

    def connect(self) -> None:
        """Connect in the background: the same as :meth:`open`."""
        self.open()

    def close(self) -> None:
        """Close the connection behind what is queued, and do not connect again."""
        self._portal.call(self._manager.close)

    disconnect = close

    def wait_closed(self) -> None:
        """Wait until nothing is left of connections that were closed: what was queued has been sent by then."""
        self._portal.run(self._manager.wait_closed)


_managers: weakref.WeakValueDictionary[int, Manager] = weakref.WeakValueDictionary()


def connect(url: str, **options: Unpack[ConnectOptions]) -> ClientSocket:
    """Connect to a server, and give the socket of the namespace that the URL's path names, when it is connected.

    The options are those of :func:`socketeer.connect`; functions among them are called in threads, and may wait. With
    ``auto_connect`` off the socket is given at once, and connects by :meth:`ClientSocket.connect`. Raises
    ``ConnectionRefused`` where the server refuses it, ``TransportError`` where it cannot connect and will not try
    again: that is, with ``reconnection`` off, or after ``reconnection_attempts``.
    """
    return connect_through(background(), url, **options)


def connect_through(portal: Portal, url: str, **options: Unpack[ConnectOptions]) -> ClientSocket:
    """Connect in the event loop that a portal leads into; see :func:`connect`."""
    socket = ClientSocket(portal, portal.run(_connect, url, _in_threads(options)))
    socket._awaited = options.get("auto_connect", True)
    return socket


async def _connect(url: str, options: Any) -> AsyncSocket:
    socket = connect_async(url, **options)
    return await socket.__aenter__() if options.get("auto_connect", True) else socket


async def _connected(socket: AsyncSocket) -> None:
    socket.connect()
    await socket.__aenter__()


async def _within(seconds: float | None, function: Callable[[], Awaitable[T]]) -> T:
    async with asyncio.timeout(seconds):
        return await function()


def _in_threads(options: Mapping[str, Any]) -> Any:
    """Wrap the functions among the options."""
    wrapped = dict(options)
    for name in ("auth", "query", "extra_headers"):
        if name in wrapped:
            wrapped[name] = _in_thread(wrapped[name])
    of_transports = wrapped.get("transport_options")
    if isinstance(of_transports, Mapping):
        wrapped["transport_options"] = {
            transport: _in_threads(of_one) if isinstance(of_one, Mapping) else of_one
            for transport, of_one in of_transports.items()
        }
    return wrapped


def _in_thread(value: T) -> T:
    return Worker("socketeer.sync options").threaded(value)
