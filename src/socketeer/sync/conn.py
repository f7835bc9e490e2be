"""The connection below a manager, as blocking code sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload

from socketeer.engine.conn import Conn as AsyncConn
from socketeer.engine.conn import ConnPacket
from socketeer.engine.http import Request
from socketeer.engine.session import Transport
from socketeer.sync.portal import Portal
from socketeer.sync.threads import Worker, bare

__all__ = ["Conn"]

F = TypeVar("F", bound=Callable[..., Any])


class Conn:
    """Be the Engine.IO connection of a manager; :class:`socketeer.Conn` has the list of its events.

    Listeners run in a thread, some time after what they are told of.
    """

    __slots__ = ("_conn", "_portal", "_worker")

    def __init__(self, portal: Portal, worker: Worker, conn: AsyncConn) -> None:
        self._portal = portal
        self._worker = worker
        self._conn = conn

    @property
    def id(self) -> str:
        """Give the id of the session, which is a secret of this client."""
        return self._conn.id

    @property
    def protocol(self) -> int:
        """Give the revision of Engine.IO: 4, or 3 with servers 1.x and 2.x."""
        return self._conn.protocol

    @property
    def transport(self) -> Transport:
        """Give the transport of the moment, whose ``name`` is ``polling`` or ``websocket``."""
        return self._conn.transport

    @property
    def upgraded(self) -> bool:
        """Tell whether the connection began on polling and has left it."""
        return self._conn.upgraded

    @property
    def ready_state(self) -> str:
        """Give ``open``, ``closing`` or ``closed``."""
        return self._conn.ready_state

    @property
    def request(self) -> Request:
        """Give the request of the handshake."""
        return self._conn.request

    @property
    def remote_address(self) -> str:
        """Give the address that the handshake came from: of a client's connection there is none."""
        return self._conn.remote_address

    @property
    def write_buffer(self) -> list[ConnPacket]:
        """Give the packets that wait to be sent."""
        return self._portal.call(lambda: self._conn.write_buffer)

    def send(
        self,
        data: str | bytes | bytearray | memoryview,
        *,
        compress: bool = True,
        callback: Callable[[], object] | None = None,
    ) -> None:
        """Send an Engine.IO message, beside those of Socket.IO; ``callback`` is called once it has left."""
        self._portal.call(self._conn.send, data, compress=compress, callback=self._worker.posted(callback))

    write = send

    def close(self, discard: bool = False) -> None:
        """Close the connection behind what is queued; with ``discard`` now, and without it."""
        self._portal.call(self._conn.close, discard)

    @overload
    def on(self, event: str) -> Callable[[F], F]: ...
    @overload
    def on(self, event: str, listener: F) -> F: ...
    def on(self, event: str, listener: F | None = None) -> F | Callable[[F], F]:
        """Call ``listener`` at each ``event``; as a decorator without one."""
        return self._register(self._portal.call(self._conn.on, event), listener)

    @overload
    def once(self, event: str) -> Callable[[F], F]: ...
    @overload
    def once(self, event: str, listener: F) -> F: ...
    def once(self, event: str, listener: F | None = None) -> F | Callable[[F], F]:
        """Call ``listener`` at the next ``event`` only."""
        return self._register(self._portal.call(self._conn.once, event), listener)

    def _register(self, register: Callable[[Any], Any], listener: F | None) -> F | Callable[[F], F]:
        def decorate(function: F) -> F:
            self._portal.call(register, self._worker.posted(function))
            return function

        return decorate if listener is None else decorate(listener)

    def off(self, event: str | None = None, listener: Callable[..., Any] | None = None) -> None:
        """Remove one listener, every listener of an event, or all."""
        self._portal.call(self._conn.off, event, listener)

    def listeners(self, event: str) -> list[Callable[..., Any]]:
        """Give the listeners of an event."""
        return [bare(listener) for listener in self._portal.call(self._conn.listeners, event)]
