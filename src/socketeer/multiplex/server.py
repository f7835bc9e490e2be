"""The server's side of a connection: clients ask to join namespaces, and are let in or refused. No I/O."""

from __future__ import annotations

import logging
from typing import Any, Final, Protocol

from socketeer.engine.http import Request
from socketeer.engine.session import Session, State
from socketeer.engine.timers import Timer
from socketeer.exceptions import PacketError
from socketeer.multiplex.connection import Connection, Host, Link, receive_with
from socketeer.options import ServerOptions
from socketeer.protocol import socket_json
from socketeer.protocol.packets import Packet, PacketType

__all__ = ["ServerConnection", "ServerHost"]

_log = logging.getLogger("socketeer.multiplex")

_CONNECT: Final = PacketType.CONNECT
_DISCONNECT: Final = PacketType.DISCONNECT
_CONNECT_ERROR: Final = PacketType.CONNECT_ERROR


class ServerHost(Host, Protocol):
    """Decide about the namespaces of a connection."""

    options: ServerOptions

    def connect(self, connection: ServerConnection, namespace: str, auth: Any, query: str) -> None:
        """Begin to let the client join; call ``accept`` or ``refuse`` of the connection, now or later.

        The link is to be named by ``set_joining`` before anything can happen that may close the connection.
        """

    def connection_closed(self, connection: ServerConnection) -> None:
        """Take note that the connection is over."""


class ServerConnection(Connection[Link]):
    """Multiplex the namespaces of one client."""

    __slots__ = ("_connect_timer", "_joining", "_left", "_waiting")

    put_out = "client namespace disconnect"

    _host: ServerHost

    def __init__(self, session: Session, host: ServerHost) -> None:
        super().__init__(session)
        self._host = host
        self._joining: dict[str, Link | None] = {}
        self._waiting: list[Packet] = []
        self._left: set[str] | None = None  # the namespaces that the server put the client out of
        self._connect_timer: Timer | None = session.wheel.call_later(
            host.options.connect_timeout, self._connect_timed_out
        )
        receive_with(self, host.format.decoder())
        if session.revision.implicit_root:
            self._begin("/", None, "")

    @property
    def request(self) -> Request:
        """Give the request that opened the connection."""
        return self.session.request

    def session_closed(self, reason: str, description: str | None) -> None:
        """Tell every namespace that the connection is over."""
        self.session.wheel.stop(self._connect_timer)
        self._connect_timer = None
        self._waiting.clear()
        joining, self._joining = self._joining, {}
        for link in [*self._forget(), *joining.values()]:
            if link is not None:
                link.left(reason, description)
        self._host.connection_closed(self)

    def _link_of(self, packet: Packet) -> Link | None:
        namespace = packet.namespace
        link = self.links.get(namespace)
        # What was under way when the server put the client out is no fault of the client.
        if link is None and self.session.revision.strict_namespaces and namespace not in (self._left or ()):
            raise PacketError(f"{packet.type.name} for the namespace {namespace!r:.100}, which was not joined")
        return link

    def _take_joining(self, packet: Packet) -> None:
        if packet.type is _CONNECT_ERROR:
            if self._link_of(packet) is not None:
                raise PacketError("CONNECT_ERROR from a client")
            return
        query = ""
        if self.session.revision.query_in_namespace:
            packet.namespace, query = socket_json.split_query(packet.namespace)
        namespace = packet.namespace
        if namespace in self.links:
            if self.session.revision.strict_namespaces:
                raise PacketError(f"second CONNECT for the namespace {namespace!r:.100}")
        elif namespace in self._joining:
            self._connect_again(namespace, packet.data)
        elif self.session.revision.implicit_root and "/" in self._joining:
            # Clients of this revision expect the main namespace to be joined before any other.
            if len(self._waiting) >= self._host.options.max_waiting_events:
                raise PacketError("more than max_waiting_events CONNECT packets before the main namespace was joined")
            packet.data = query
            self._waiting.append(packet)
        else:
            self._begin_one_more(namespace, packet.data, query)

    def _begin_one_more(self, namespace: str, auth: Any, query: str) -> None:
        if len(self.links) + len(self._joining) < self._host.options.max_namespaces:
            self._begin(namespace, auth, query)
        else:
            self._write(_CONNECT_ERROR, namespace, self.session.revision.refused("Too many namespaces", None))

    def _connect_again(self, namespace: str, auth: Any) -> None:
        """Let the latest credentials count: a client of revision 5 that gave up and tries again says so by CONNECT."""
        link = self._joining[namespace]
        if link is not None and self.session.revision.strict_namespaces:
            link.left("client namespace disconnect")
            self._begin(namespace, auth, "")

    def _begin(self, namespace: str, auth: Any, query: str) -> None:
        _log.debug("%s asks for %.100s", self.session.id, namespace)
        self._joining[namespace] = None
        if self._left:
            self._left.discard(namespace)
        self._host.connect(self, namespace, auth, query)

    def accept(self, namespace: str, link: Link, id: str, pid: str | None = None) -> None:
        """Let the client in: the answer to its CONNECT leaves now, with the secret by which it can be recovered."""
        _log.debug("%s is let into %s as %s", self.session.id, namespace, id)
        self._joining.pop(namespace, None)
        self._attach(namespace, link)
        self.session.wheel.stop(self._connect_timer)
        self._connect_timer = None
        self._write(_CONNECT, namespace, self.session.revision.connected(id, pid))
        self._go_on()

    def refuse(self, namespace: str, message: str, data: Any = None) -> None:
        """Answer CONNECT with a refusal; the connection stays, for other namespaces or another try."""
        _log.debug("%s is refused %.100s: %s", self.session.id, namespace, message)
        self._joining.pop(namespace, None)
        self._write(_CONNECT_ERROR, namespace, self.session.revision.refused(message, data))
        self._go_on()

    def _go_on(self) -> None:
        if self._waiting and "/" not in self._joining:
            waiting, self._waiting = self._waiting, []
            for packet in waiting:
                if self.session.state is not State.OPEN:
                    return  # the one before it closed the connection
                if packet.namespace not in self.links and packet.namespace not in self._joining:
                    self._begin_one_more(packet.namespace, None, packet.data)

    def is_joining(self, namespace: str) -> bool:
        """Tell whether an answer to CONNECT is still due."""
        return namespace in self._joining

    def interpose(self, namespace: str, link: Link, other: Link) -> None:
        """Let another link take what comes for one that was let in, and has not left."""
        if self.links.get(namespace) is link:
            self._attach(namespace, other)

    def set_joining(self, namespace: str, link: Link) -> None:
        """Name the link of a client that is joining: it is told if the connection is lost meanwhile."""
        if namespace in self._joining:
            self._joining[namespace] = link

    def leave(self, namespace: str) -> None:
        """Tell the client that it was put out of ``namespace``."""
        self.detach(namespace)
        if self._left is None:
            self._left = set()
        if len(self._left) < self._host.options.max_namespaces:
            self._left.add(namespace)
        self._write(_DISCONNECT, namespace)

    def _connect_timed_out(self) -> None:
        self.session.close("forced close")
