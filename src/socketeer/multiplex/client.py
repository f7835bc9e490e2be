"""The client's side of a connection: sockets ask to join namespaces, and hear whether they may. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Protocol

from socketeer.engine.session import Session
from socketeer.multiplex.connection import Connection, Host, Link, receive_with
from socketeer.protocol import socket_json
from socketeer.protocol.packets import Packet, PacketType

__all__ = ["ClientConnection", "ClientHost", "ClientLink"]

_MOMENT = 0.05
_CONNECT: Final = PacketType.CONNECT
_DISCONNECT: Final = PacketType.DISCONNECT


class ClientLink(Link, Protocol):
    """Be one namespace that was joined, or that an answer is due for."""

    @property
    def connected(self) -> bool:
        """Tell whether the answer was there."""

    def accepted(self, id: str, pid: str | None) -> None:
        """Take note that the namespace was joined: as ``id``, to be recovered with the secret ``pid``."""

    def refused(self, message: str, data: Any) -> None:
        """Take note that the server does not let this client join."""


class ClientHost(Host, Protocol):
    """Hold the connection."""

    def connection_closed(self, links: Sequence[ClientLink], reason: str, description: str | None) -> None:
        """Take note that the connection is over, and tell its links."""


class ClientConnection(Connection[ClientLink]):
    """Multiplex the namespaces that one client has joined on a server."""

    __slots__ = ("_joins_root", "_left", "_on_packet", "_root_joined")

    put_out = "io server disconnect"

    _host: ClientHost

    def __init__(self, session: Session, host: ClientHost) -> None:
        super().__init__(session)
        self._host = host
        self._on_packet: Callable[[Packet], object] | None = None
        self._joins_root = session.revision.implicit_root  # whether the server is yet to do so, unasked
        self._root_joined: Packet | None = None  # that it did, before any socket was there
        self._left: dict[str, float] = {}  # when namespaces were left
        receive_with(self, host.format.decoder())
        if session.pings:
            session.receiver = _Hearing(session)

    def watch(self, on_packet: Callable[[Packet], object]) -> None:
        """Show every packet to ``on_packet``, before it is acted upon."""
        self._on_packet = on_packet
        self._root = None  # whose packets would not come this way

    def join(self, namespace: str, link: ClientLink, auth: dict[str, Any]) -> None:
        """Ask to join; the link takes what comes from here on, also before the answer.

        Raises ``TypeError`` for ``auth`` that cannot be written.
        """
        revision = self.session.revision
        packet = self._host.format.packet(_CONNECT, *revision.joining(namespace, auth))
        self._attach(namespace, link)
        if namespace == "/" and (joined := self._root_joined) is not None:
            self._root_joined = None
            self.session.wheel.call_later(0, partial(self._take_joining, joined))  # when it has its handlers
        elif namespace != "/" or not self._joins_root:
            self.session.write(packet.text, packet.attachments)

    def leave(self, namespace: str) -> None:
        """Leave a namespace and tell the server."""
        self.detach(namespace)
        self._left[namespace] = self.session.wheel.clock()
        self._write(_DISCONNECT, namespace)

    def pause_before(self, namespace: str) -> float:
        """Give how long to wait before a namespace is joined that was left: Node's server needs a moment to notice."""
        left = self._left.pop(namespace, None)
        return 0.0 if left is None else left + _MOMENT - self.session.wheel.clock()

    def session_closed(self, reason: str, description: str | None) -> None:
        """Take note that the connection is over."""
        self._host.connection_closed(self._forget(), reason, description)

    def _attach(self, namespace: str, link: ClientLink) -> None:
        self.links[namespace] = link
        if namespace == "/" and self._on_packet is None:
            self._root = link

    def _dispatch(self, packet: Packet) -> None:
        if self._on_packet is not None:
            self._on_packet(packet)
        super()._dispatch(packet)

    def _take_joining(self, packet: Packet) -> None:
        session = self.session
        namespace, _ = socket_json.split_query(packet.namespace)
        link = self.links.get(namespace)
        if namespace == "/" and session.revision.implicit_root:
            self._joins_root = False
            self._root_joined = packet if link is None and packet.type is _CONNECT else None
        if link is None or link.connected:
            return  # of no interest, or a second answer
        if packet.type is _CONNECT:
            link.accepted(*session.revision.read_connected(packet.data, session.id, namespace))
        else:
            self.detach(namespace)
            link.refused(*session.revision.read_refused(packet.data))


class _Hearing:
    """Let whatever is received count for an answer to a heartbeat: servers of revision 4 may answer late."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._receiver = session.receiver
        self.session_closed = session.receiver.session_closed

    def receive_text(self, data: bytes) -> None:
        self._session.hear()
        self._receiver.receive_text(data)

    def receive_binary(self, data: bytes) -> None:
        self._session.hear()
        self._receiver.receive_binary(data)
