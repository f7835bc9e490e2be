"""Socket.IO over one session: namespaces side by side, and packets with their attachments put together. No I/O.

Above stands a :class:`Host`, which decides about namespaces, and for each namespace that the client joined or is
joining a :class:`Link`. A packet that breaks the protocol raises ``PacketError``; the session below ends over it.
"""

from __future__ import annotations

import logging
from typing import Any, Final, Protocol

from socketeer.engine.http import Request
from socketeer.engine.session import Session, State
from socketeer.engine.timers import Timer
from socketeer.exceptions import PacketError
from socketeer.multiplex.encoded import Format
from socketeer.protocol import socket_json
from socketeer.protocol.packets import RESERVED_EVENTS, Packet, PacketType
from socketeer.protocol.parsers import Decoder, check_packet

__all__ = ["Connection", "Host", "Link", "ParserConnection", "connect"]

_log = logging.getLogger("socketeer.multiplex")

_loads = socket_json.loads

_CONNECT: Final = PacketType.CONNECT
_DISCONNECT: Final = PacketType.DISCONNECT
_EVENT: Final = PacketType.EVENT
_ACK: Final = PacketType.ACK
_CONNECT_ERROR: Final = PacketType.CONNECT_ERROR
_ONE_ATTACHMENT = b'451-["'
_MOST_HEAD = len(b"42") + socket_json.MOST_DIGITS + len(b'["')


class Link(Protocol):
    """Be one namespace of a connection: what the server calls a socket."""

    def receive_event(self, args: list[Any], id: int | None) -> None:
        """Take an event: its name and its arguments; ``id`` where an acknowledgement is asked for."""

    def receive_ack(self, id: int, args: list[Any]) -> None:
        """Take the acknowledgement of an event that was sent."""

    def left(self, reason: str, description: str | None = None) -> None:
        """Take note that the namespace was left, or the connection lost."""


class Host(Protocol):
    """Decide about the namespaces of a connection.

    ``format`` is how its packets are written.
    """

    format: Format

    def connect(self, connection: Connection, namespace: str, auth: Any, query: str) -> None:
        """Begin to let the client join; call ``accept`` or ``refuse`` of the connection, now or later.

        The link is to be named by ``set_joining`` before anything can happen that may close the connection.
        """

    def connection_closed(self, connection: Connection) -> None:
        """Take note that the connection is over."""


class _Partial:
    """Hold a packet whose attachments are still coming."""

    __slots__ = ("attachments", "packet", "size")

    def __init__(self, packet: Packet, size: int) -> None:
        self.packet = packet
        self.attachments: list[bytes] = []
        self.size = size


class Connection:
    """Multiplex the namespaces of one session."""

    __slots__ = (
        "_attachment_timer",
        "_connect_timer",
        "_host",
        "_joining",
        "_left",
        "_partial",
        "_root",
        "_waiting",
        "links",
        "session",
    )

    def __init__(self, session: Session, host: Host) -> None:
        self.session = session
        self.links: dict[str, Link] = {}
        self._host = host
        self._root: Link | None = None
        self._joining: dict[str, Link | None] = {}
        self._waiting: list[Packet] = []
        self._left: set[str] | None = None  # the namespaces that the server put the client out of
        self._partial: _Partial | None = None
        self._attachment_timer: Timer | None = None
        self._connect_timer: Timer | None = session.wheel.call_later(
            session.options.connect_timeout, self._connect_timed_out
        )
        session.receiver = self
        if session.revision.implicit_root:
            self._begin("/", None, "")

    @property
    def request(self) -> Request:
        """Give the request that opened the connection."""
        return self.session.request

    # -- from the client

    def receive_text(self, data: bytes) -> None:
        """Take a text message. Raises PacketError for what breaks the protocol."""
        if self._partial is not None:
            raise PacketError("text where an attachment is due")
        if (root := self._root) is not None and data[1:2] == b"2":
            # Most packets by far: an event of the main namespace, with or without the id of an acknowledgement.
            start = 2 if data[2:4] == b'["' else data.find(b'["', 3, _MOST_HEAD)
            if start == 2 or (start > 2 and data[2:start].isdigit()):
                try:
                    args = _loads(data[start:])
                except ValueError:
                    args = socket_json.load(data[start:])
                if args[0] in RESERVED_EVENTS:
                    raise PacketError(f"{args[0]!r} is a reserved event name")
                root.receive_event(args, None if start == 2 else int(data[2:start]))
                return
        if data.startswith(_ONE_ATTACHMENT) and self._root is not None and self.session.options.max_attachments:
            # Most binary packets: an event of the main namespace with one attachment.
            packet = Packet(_EVENT, "/", socket_json.load(data[4:]), None, 1)
            if packet.data[0] in RESERVED_EVENTS:
                raise PacketError(f"{packet.data[0]!r} is a reserved event name")
            self._begin_attachments(packet, len(data))
            return
        packet = socket_json.decode(data, self.session.options.max_attachments)
        if packet.attachments:
            self._link(packet)
            self._begin_attachments(packet, len(data))
        else:
            self._dispatch(packet)

    def receive_binary(self, data: bytes) -> None:
        """Take a binary message: the next attachment. Raises PacketError where none is due."""
        partial = self._partial
        if partial is None:
            raise PacketError("binary message where no attachment is due")
        partial.attachments.append(data)
        partial.size += len(data)
        if partial.size > self.session.options.max_packet_bytes:
            raise PacketError("binary packet of more than max_packet_bytes")
        packet = partial.packet
        if len(partial.attachments) == packet.attachments:
            self._partial = None
            socket_json.restore(packet.data, partial.attachments)
            self._dispatch(packet)

    def session_closed(self, reason: str, description: str | None) -> None:
        """Tell every namespace that the connection is over."""
        self._stop_timers()
        self._partial = None
        self._waiting.clear()
        joining, self._joining = self._joining, {}
        links, self.links, self._root = self.links, {}, None
        for link in [*links.values(), *joining.values()]:
            if link is not None:
                link.left(reason, description)
        self._host.connection_closed(self)

    def _dispatch(self, packet: Packet) -> None:
        kind = packet.type
        if kind is _CONNECT:
            self._connect(packet)
            return
        link = self._link(packet)
        if link is None:
            return
        if kind is _EVENT:
            link.receive_event(packet.data, packet.id)
        elif kind is _ACK:
            assert packet.id is not None
            link.receive_ack(packet.id, packet.data)
        elif kind is _DISCONNECT:
            self.detach(packet.namespace)
            link.left("client namespace disconnect")
        else:
            raise PacketError("CONNECT_ERROR from a client")

    def _link(self, packet: Packet) -> Link | None:
        namespace = packet.namespace
        link = self.links.get(namespace)
        # What was under way when the server put the client out is no fault of the client.
        if link is None and self.session.revision.strict_namespaces and namespace not in (self._left or ()):
            raise PacketError(f"{packet.type.name} for the namespace {namespace!r:.100}, which was not joined")
        return link

    def _begin_attachments(self, packet: Packet, size: int) -> None:
        session = self.session
        if size > session.options.max_packet_bytes:
            raise PacketError("binary packet of more than max_packet_bytes")
        self._partial = _Partial(packet, size)
        if self._attachment_timer is None:
            self._attachment_timer = Timer(self._attachments_timed_out)
        session.wheel.start(self._attachment_timer, session.options.attachment_timeout)

    def _attachments_timed_out(self) -> None:
        if self._partial is not None:  # the timer is not stopped when a packet is complete: most come in one piece
            self.session.end("parse error", "attachments did not arrive within attachment_timeout")

    # -- joining and leaving

    def _connect(self, packet: Packet) -> None:
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
            if len(self._waiting) >= self.session.options.max_waiting_events:
                raise PacketError("more than max_waiting_events CONNECT packets before the main namespace was joined")
            packet.data = query
            self._waiting.append(packet)
        else:
            self._begin_one_more(namespace, packet.data, query)

    def _begin_one_more(self, namespace: str, auth: Any, query: str) -> None:
        if len(self.links) + len(self._joining) < self.session.options.max_namespaces:
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
        self.links[namespace] = link
        if namespace == "/":
            self._root = link
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

    def _write(self, kind: PacketType, namespace: str, data: Any = None) -> None:
        packet = self._host.format.packet(kind, namespace, data)
        self.session.write(packet.text, packet.attachments)

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
            self.links[namespace] = other
            if namespace == "/":
                self._root = other

    def set_joining(self, namespace: str, link: Link) -> None:
        """Name the link of a client that is joining: it is told if the connection is lost meanwhile."""
        if namespace in self._joining:
            self._joining[namespace] = link

    def detach(self, namespace: str) -> None:
        """Forget the link of a namespace that was left."""
        self.links.pop(namespace, None)
        if namespace == "/":
            self._root = None

    def leave(self, namespace: str) -> None:
        """Tell the client that it was put out of ``namespace``."""
        self.detach(namespace)
        if self._left is None:
            self._left = set()
        if len(self._left) < self.session.options.max_namespaces:
            self._left.add(namespace)
        self._write(_DISCONNECT, namespace)

    def _connect_timed_out(self) -> None:
        self.session.close("forced close")

    def close(self, reason: str) -> None:
        """Put the client out of every namespace and close the connection."""
        self.session.close(reason)

    def _stop_timers(self) -> None:
        wheel = self.session.wheel
        wheel.stop(self._connect_timer)
        wheel.stop(self._attachment_timer)
        self._connect_timer = self._attachment_timer = None


class ParserConnection(Connection):
    """Multiplex the namespaces of one session whose packets are written by a parser of the application's choice."""

    __slots__ = ("_decoder",)

    def __init__(self, session: Session, host: Host, decoder: Decoder) -> None:
        self._decoder = decoder
        super().__init__(session, host)

    def receive_text(self, data: bytes) -> None:
        """Take a text message. Raises PacketError for what breaks the protocol."""
        try:
            self._add(data[1:].decode("utf-8", "surrogatepass"))
        except UnicodeDecodeError:
            raise PacketError("text that is not UTF-8") from None

    def receive_binary(self, data: bytes) -> None:
        """Take a binary message. Raises PacketError for what breaks the protocol."""
        self._add(data)

    def _add(self, chunk: str | bytes) -> None:
        try:
            packet = self._decoder.add(chunk)
        except PacketError:
            raise
        except Exception as error:
            _log.exception("the parser failed over a message of a client")
            raise PacketError(f"the parser failed: {type(error).__name__}") from None
        if packet is not None:
            self._dispatch(check_packet(packet))


class _Log:
    """Log what a connection receives; it is in the way only where the scope is on when the connection is made."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._id = connection.session.id

    def receive_text(self, data: bytes) -> None:
        _log.debug("%s decodes %.200r", self._id, data[1:])
        self._connection.receive_text(data)

    def receive_binary(self, data: bytes) -> None:
        _log.debug("%s takes %d bytes", self._id, len(data))
        self._connection.receive_binary(data)

    def session_closed(self, reason: str, description: str | None) -> None:
        _log.debug("%s is over: %s (%s)", self._id, reason, description or "no description")
        self._connection.session_closed(reason, description)


def connect(session: Session, host: Host) -> Connection:
    """Put a connection on a new session."""
    decoder = host.format.decoder()
    connection = Connection(session, host) if decoder is None else ParserConnection(session, host, decoder)
    if _log.isEnabledFor(logging.DEBUG):
        session.receiver = _Log(connection)
    return connection
