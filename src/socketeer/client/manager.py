"""The manager: one connection to a server, made again when it is lost, and the sockets that share it."""

from __future__ import annotations

import asyncio
import functools
import logging
import random
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, Unpack, overload

from socketeer.client.address import Address, Cookies, read_url
from socketeer.client.backoff import Backoff
from socketeer.client.keeper import client_driver
from socketeer.client.network import Network
from socketeer.client.opening import Opening
from socketeer.client.socket import ClientSocket
from socketeer.engine.conn import Conn, conn_of
from socketeer.engine.events import Events
from socketeer.engine.session import Session
from socketeer.engine.timers import Timer
from socketeer.exceptions import TransportError, UsageError
from socketeer.multiplex.client import ClientConnection, ClientLink
from socketeer.multiplex.encoded import Format, JsonFormat, ParserFormat
from socketeer.options.client import (
    ConnectOptions,
    ManagerKeywords,
    ManagerOptions,
    SocketKeywords,
    SocketOptions,
    check_manager_keywords,
    check_socket_keywords,
    split_options,
)

__all__ = ["Manager", "connect"]

F = TypeVar("F", bound=Callable[..., Any])

_log = logging.getLogger("socketeer.client")

_EVENTS = frozenset(
    (
        "open",
        "error",
        "ping",
        "packet",
        "close",
        "reconnect_attempt",
        "reconnect",
        "reconnect_error",
        "reconnect_failed",
    )
)


def _real_network(options: ManagerOptions) -> Network:
    from socketeer.client.real_network import SocketNetwork  # which a program that only serves does not need

    return SocketNetwork(options)


class Manager:
    """Hold one connection to a server, for all namespaces.

    The options are those of :class:`socketeer.options.client.ManagerOptions`. Made in a coroutine it connects at once,
    unless ``auto_connect`` is off; made elsewhere when it is told to in one. All of it belongs to one event loop.
    """

    def __init__(self, url: str, **options: Unpack[ManagerKeywords]) -> None:
        check_manager_keywords(options, "Manager")
        self._address = read_url(url)
        self._given: dict[str, Any] = {**options}
        self.url = url
        """The URL of the server."""
        self.options = ManagerOptions(**self._given)
        """The options."""
        parser = self.options.parser
        self.format: Format = JsonFormat(self.options.max_attachments) if parser is None else ParserFormat(parser)
        """How packets are written."""
        self.ready_state = "closed"
        """One of ``closed``, ``opening`` and ``open``."""
        self.driver = client_driver()
        self.connection: ClientConnection | None = None
        self._network: Network = (self.options.network or _real_network)(self.options)
        self._cookies = Cookies(self.options.cookies, self.options.path, keep=self.options.with_credentials)
        self._sockets: dict[str, ClientSocket] = {}
        self._events = Events(_EVENTS, self.driver.spawn)
        self._backoff = Backoff(
            self.options.reconnection_delay,
            self.options.reconnection_delay_max,
            self.options.randomization_factor,
            random.random,
        )
        self._attempt: asyncio.Task[Exception | None] | None = None
        self._attempts = 0  # so far
        self._timer: Timer | None = None
        self._reconnecting = False
        self._skip_reconnect = False
        self._had_websocket = False  # whether the last connection got as far as WebSocket
        self._ending: set[Session] = set()
        self._watchers: list[asyncio.Future[None]] = []
        if self.options.auto_connect and self.driver.loop is not None:
            self.open()

    def __repr__(self) -> str:
        return f"<Manager of {self.url}, {self.ready_state}>"

    # -- sockets

    def socket(self, namespace: str = "/", **options: Unpack[SocketKeywords]) -> ClientSocket:
        """Give the socket of a namespace, which is made when it is first asked for, and connects.

        Raises ``UsageError`` for a name with a comma, which the protocol has no place for.
        """
        check_socket_keywords(options, "socket")
        if "," in namespace:
            raise UsageError(f"a namespace has no comma, but {namespace!r} has")
        if not namespace.startswith("/"):
            namespace = f"/{namespace}"
        socket = self._sockets.get(namespace)
        if socket is None:
            socket = self._sockets[namespace] = ClientSocket(self, namespace, SocketOptions(**options))
        if self.options.auto_connect and not socket.active and self.driver.loop is not None:
            socket.connect()
        return socket

    def can_be_shared(self, address: Address, options: ManagerKeywords) -> bool:
        """Tell whether a socket of this address, with these options of the connection, can use this one."""
        same = address._replace(namespace=self._address.namespace) == self._address
        return (
            same
            and address.namespace not in self._sockets
            and all(name in self._given and self._given[name] == value for name, value in options.items())
        )

    @property
    def alive(self) -> bool:
        """Tell whether there is a connection, or will be without anybody's asking."""
        return self.ready_state != "closed" or self.waits

    @property
    def waits(self) -> bool:
        """Tell whether another attempt to connect is due."""
        return self._reconnecting

    @property
    def next_attempt(self) -> float | None:
        """Give the seconds until the next attempt to connect; None where none is due."""
        return None if self._timer is None else max(self._timer.due - self.driver.wheel.clock(), 0.0)

    @property
    def engine(self) -> Conn | None:
        """Give the Engine.IO connection of the moment: its id, its transport, its events; None where there is none."""
        return None if self.connection is None else conn_of(self.connection.session)

    # -- listening

    @overload
    def on(self, event: str) -> Callable[[F], F]: ...
    @overload
    def on(self, event: str, listener: F) -> F: ...
    def on(self, event: str, listener: F | None = None) -> F | Callable[[F], F]:
        """Call ``listener`` at each ``event``; as a decorator without one.

        | event | arguments | when |
        |---|---|---|
        | ``open`` |  | the connection was made |
        | ``error`` | exception | it could not be made |
        | ``ping`` |  | a heartbeat came |
        | ``packet`` | ``Packet`` | a packet came, before it is acted upon |
        | ``close`` | reason, description | the connection was lost or closed |
        | ``reconnect_attempt`` | number | another attempt begins |
        | ``reconnect`` | number | it succeeded |
        | ``reconnect_error`` | exception | it failed |
        | ``reconnect_failed`` |  | there will be no further one: see ``reconnection_attempts`` |

        Raises ``UsageError`` for an event that does not exist.
        """
        self._observe(event)
        return self._events.on(event) if listener is None else self._events.on(event, listener)

    @overload
    def once(self, event: str) -> Callable[[F], F]: ...
    @overload
    def once(self, event: str, listener: F) -> F: ...
    def once(self, event: str, listener: F | None = None) -> F | Callable[[F], F]:
        """Call ``listener`` at the next ``event`` only."""
        self._observe(event)
        return self._events.once(event) if listener is None else self._events.once(event, listener)

    def off(self, event: str | None = None, listener: Callable[..., Any] | None = None) -> None:
        """Remove one listener, every listener of an event, or all."""
        self._events.off(event, listener)

    def listeners(self, event: str) -> list[Callable[..., Any]]:
        """Give the listeners of an event."""
        return self._events.listeners(event)

    def _observe(self, event: str) -> None:
        """Let the connection tell of what it would not: packets, and heartbeats."""
        if self.connection is None:
            return
        if event == "packet":
            self.connection.watch(self._show_packet)
        elif event == "ping":
            conn_of(self.connection.session).forward("heartbeat", self._show_ping)

    def _show_packet(self, packet: Any) -> None:
        self._events.fire("packet", packet)

    def _show_ping(self) -> None:
        self._events.fire("ping")

    # -- opening

    def open(self) -> None:
        """Connect, unless that is done or under way. To be called in a coroutine, or a handler."""
        if self.ready_state != "closed":
            return
        self._bind()
        self._stop_timer()
        if not self.driver.keep(self):  # the event loop ends, and this is a handler of that
            self._reconnecting = False
            return
        self._skip_reconnect = False
        self.ready_state = "opening"
        self._attempts += 1
        self._attempt = attempt = self.driver.spawn(self._run_attempt())
        assert attempt is not None
        attempt.add_done_callback(self._attempt_over)
        self._wake_watchers()

    def connect(self) -> None:
        """Connect: the same as :meth:`open`."""
        self.open()

    def _bind(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise UsageError("a client connects in a coroutine; programs without asyncio use socketeer.sync") from None
        if self.driver.loop is not None and self.driver.loop is not loop and not self.driver.loop.is_closed():
            raise UsageError("this client belongs to another event loop")
        self.driver.bind()

    async def _run_attempt(self) -> Exception | None:
        """Try to connect; give what was in the way."""
        try:
            await asyncio.sleep(0)  # whoever made the manager goes first
            async with asyncio.timeout(self.options.timeout):
                await self._try_transports()
        except TimeoutError:
            return TransportError("timeout")
        except (TransportError, UsageError) as error:
            return error
        except Exception as error:  # of a function among the options, most likely
            _log.exception("an attempt to connect to %s failed", self.url)
            return error
        return None

    def _attempt_over(self, attempt: asyncio.Task[Exception | None]) -> None:
        if attempt is not self._attempt:  # one that was given up, and another one has begun
            return
        self._attempt = None
        error = TransportError("the attempt was cancelled") if attempt.cancelled() else attempt.result()
        if error is not None and self.ready_state == "opening":
            self._failed(error)
        self._settle()

    async def _try_transports(self) -> None:
        transports = list(self.options.transports)
        if self.options.remember_upgrade and self._had_websocket and "websocket" in transports:
            transports.sort(key="websocket".__ne__)
        if not self.options.try_all_transports:
            del transports[1:]
        opening = Opening(
            self._address,
            self.options,
            self._network,
            self._cookies,
            self.driver,
            functools.partial(self._opened, self._attempts),
            self._upgraded,
            self._ended,
        )
        for transport in transports:
            try:
                await opening.run(transport)
            except TransportError as error:
                if transport == transports[-1]:
                    raise
                _log.debug("%s over %s: %s", self.url, transport, error)
            else:
                break

    def _opened(self, attempt: int, session: Session) -> None:
        if attempt != self._attempts or self.ready_state != "opening":  # closed meanwhile
            session.end("forced close")
            return
        _log.debug("%s is connected as %s", self.url, session.id)
        self.ready_state = "open"
        self._had_websocket = session.transport.name == "websocket"
        self._ending.add(session)
        self.connection = ClientConnection(session, self)
        for event in ("packet", "ping"):
            if self._events.has(event):
                self._observe(event)
        self._events.fire("open")
        for socket in list(self._sockets.values()):
            if socket.active and self.connection is not None:
                socket.join()
        if self._reconnecting and self.ready_state == "open":
            attempts = self._backoff.attempts
            self._reconnecting = False
            self._backoff.reset()
            self._events.fire("reconnect", attempts)

    def _upgraded(self) -> None:
        self._had_websocket = True

    def _failed(self, error: Exception) -> None:
        _log.debug("%s cannot be reached: %s", self.url, error)
        self.ready_state = "closed"
        self._had_websocket = False
        self._events.fire("error", error)
        for socket in list(self._sockets.values()):
            socket.not_connected(error)
        if isinstance(error, UsageError):  # that nothing but another program can mend
            self._reconnecting = False
            self._give_up(error)
        elif self._reconnecting:
            self._reconnecting = False
            self._reconnect(error)
            self._events.fire("reconnect_error", error)
        elif self.options.reconnection and self._backoff.attempts == 0 and self.ready_state == "closed":
            self._reconnect(error)
        else:
            self._give_up(error)

    # -- the end, and the next beginning

    def connection_closed(self, links: Sequence[ClientLink], reason: str, description: str | None) -> None:
        """Take note that the connection is over, and tell its sockets."""
        self.connection = None
        self.ready_state = "closed"
        self._backoff.reset()
        self._events.fire("close", reason, description)
        for link in links:
            link.left(reason, description)
        if self.options.reconnection and not self._skip_reconnect:
            self._reconnect(TransportError(f"the connection was lost: {description or reason}"))
        else:
            self._give_up(TransportError(f"the connection was lost: {description or reason}"))

    def _reconnect(self, error: Exception) -> None:
        if self._reconnecting or self._skip_reconnect or self.ready_state != "closed":
            return
        most = self.options.reconnection_attempts
        if most is not None and self._backoff.attempts >= most:
            self._backoff.reset()
            self._events.fire("reconnect_failed")
            self._give_up(error)
            return
        delay = self._backoff.next()
        _log.debug("%s: next attempt in %.3f s", self.url, delay)
        self._reconnecting = True
        self._timer = self.driver.wheel.call_later(delay, self._attempt_again)

    def _attempt_again(self) -> None:
        self._timer = None
        self._events.fire("reconnect_attempt", self._backoff.attempts)
        if not self._skip_reconnect:  # else a listener has closed it
            self.open()

    def _give_up(self, error: Exception) -> None:
        if self.alive:  # a listener has connected again
            return
        for socket in list(self._sockets.values()):
            socket.given_up(error)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        self.driver.wheel.stop(timer)

    def close(self) -> None:
        """Close the connection behind what is queued, and do not connect again."""
        self._skip_reconnect = True
        self._reconnecting = False
        self._stop_timer()
        if self.connection is not None:
            self.connection.close("forced close")
        else:
            self.ready_state = "closed"
            if self._attempt is not None:
                self._attempt.cancel()
            self._give_up(TransportError("the manager was closed"))
        self._settle()

    disconnect = close

    def close_if_unused(self) -> None:
        """Close the connection if no socket needs it any more."""
        if not any(other.active for other in self._sockets.values()):
            self.close()

    def _ended(self, session: Session) -> None:
        self._ending.discard(session)
        self._settle()

    def _settle(self) -> None:
        """Take note, where it is so, that nothing is left, and nothing to come."""
        if self._attempt is None and not self._ending and not self.alive:
            self.driver.release(self)
            self._wake_watchers()

    def _wake_watchers(self) -> None:
        watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            if not watcher.done():
                watcher.set_result(None)

    async def wait_closed(self) -> None:
        """Wait until nothing is left of connections that were closed: what was queued has been sent by then.

        Somebody who connects again ends the wait.
        """
        while not self.alive and (self._attempt is not None or self._ending):
            future = asyncio.get_running_loop().create_future()
            self._watchers.append(future)
            try:
                await future
            finally:
                if future in self._watchers:
                    self._watchers.remove(future)

    async def abort(self, *, drop: bool = False) -> None:
        """End at once what is being closed: there is no time to wait for the server.

        With ``drop`` no connection is left for a goodbye behind the end: the event loop ends.
        """
        if not self.alive:
            for session in list(self._ending):
                session.end("forced close")
            await self._network.release()
        if drop:
            self._network.drop()


def connect(url: str, **options: Unpack[ConnectOptions]) -> ClientSocket:
    """Connect to a server, and give the socket of the namespace that the URL's path names.

    Returns at once; ``async with`` and ``await`` wait until it is connected. Sockets with the same server share a
    connection, unless ``multiplex`` is off, ``force_new`` is on, one has the same namespace, or the options of the
    connection differ. The options are those of :class:`~socketeer.options.client.ManagerOptions` and
    :class:`~socketeer.options.client.SocketOptions`. Raises ``UsageError`` for a URL that is none of a server.
    """
    manager_options, socket_options, own = split_options(options, "connect")
    address = read_url(url)
    if own["multiplex"] and not own["force_new"]:
        driver = client_driver()
        if driver.loop is not None:
            key = f"{address.secure} {address.host} {manager_options.get('path', '/socket.io')}"
            manager = driver.managers.get(key)
            if manager is not None and manager.can_be_shared(address, manager_options):
                return manager.socket(address.namespace, **socket_options)
            made = Manager(url, **manager_options)
            if manager is None or not manager.alive:  # one that has ended is of no use to who comes later
                driver.managers[key] = made
            return made.socket(address.namespace, **socket_options)
    return Manager(url, **manager_options).socket(address.namespace, **socket_options)
