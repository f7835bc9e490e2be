"""Socket.IO over one session: namespaces side by side, and packets with their attachments put together. No I/O.

What both sides of a connection do is here; :mod:`~socketeer.multiplex.server` lets clients join namespaces, and
:mod:`~socketeer.multiplex.client` asks for that. Above stands a :class:`Host`, and for each namespace a :class:`Link`.
A packet that breaks the protocol raises ``PacketError``; the session below ends over it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar

from socketeer.engine.session import Receiver, Session
from socketeer.engine.timers import Timer
from socketeer.exceptions import PacketError
from socketeer.multiplex.encoded import Format
from socketeer.protocol import socket_json
from socketeer.protocol.packets import RESERVED_EVENTS, Packet, PacketType
from socketeer.protocol.parsers import Decoder, check_packet

__all__ = ["Connection", "Host", "Link", "receive_with"]

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
    """Be one namespace of a connection: what users call a socket."""

    def receive_event(self, args: list[Any], id: int | None) -> None:
        """Take an event: its name and its arguments; ``id`` where an acknowledgement is asked for."""

    def receive_ack(self, id: int, args: list[Any]) -> None:
        """Take the acknowledgement of an event that was sent."""

    def left(self, reason: str, description: str | None = None) -> None:
        """Take note that the namespace was left, or the connection lost."""


L = TypeVar("L", bound=Link)


class Host(Protocol):
    """Write the packets of a connection in ``format``."""

    format: Format


class _Partial:
    """Hold a packet whose attachments are still coming."""

    __slots__ = ("attachments", "packet", "size")

    def __init__(self, packet: Packet, size: int) -> None:
        self.packet = packet
        self.attachments: list[bytes] = []
        self.size = size


class Connection(Generic[L]):
    """Multiplex the namespaces of one session."""

    __slots__ = ("_attachment_timer", "_host", "_partial", "_root", "links", "session")

    put_out: ClassVar[str]
    """The reason for which a link is left when the peer sends DISCONNECT."""

    _host: Host

    def __init__(self, session: Session) -> None:
        self.session = session
        self.links: dict[str, L] = {}
        self._root: L | None = None
        self._partial: _Partial | None = None
        self._attachment_timer: Timer | None = None

    # -- from the peer

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
            self._link_of(packet)
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
        """Take note that the connection is over."""
        raise NotImplementedError

    def _forget(self) -> Sequence[L]:
        """Forget everything, and give the links."""
        self.session.wheel.stop(self._attachment_timer)
        self._attachment_timer = None
        self._partial = None
        links, self.links, self._root = self.links, {}, None
        return list(links.values())

    def _dispatch(self, packet: Packet) -> None:
        kind = packet.type
        if kind is _CONNECT or kind is _CONNECT_ERROR:
            self._take_joining(packet)
            return
        link = self._link_of(packet)
        if link is None:
            return
        if kind is _EVENT:
            link.receive_event(packet.data, packet.id)
        elif kind is _ACK:
            assert packet.id is not None
            link.receive_ack(packet.id, packet.data)
        else:
            assert kind is _DISCONNECT
            self.detach(packet.namespace)
            link.left(self.put_out)

    def _take_joining(self, packet: Packet) -> None:
        """Take a CONNECT or a CONNECT_ERROR."""
        raise NotImplementedError

    def _link_of(self, packet: Packet) -> L | None:
        """Give the link that a packet is for; None where it is to be ignored."""
        return self.links.get(packet.namespace)

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

    # -- to the peer

    def _write(self, kind: PacketType, namespace: str, data: Any = None) -> None:
        packet = self._host.format.packet(kind, namespace, data)
        self.session.write(packet.text, packet.attachments)

    def _attach(self, namespace: str, link: L) -> None:
        self.links[namespace] = link
        if namespace == "/":
            self._root = link

    def detach(self, namespace: str) -> None:
        """Forget the link of a namespace that was left."""
        self.links.pop(namespace, None)
        if namespace == "/":
            self._root = None

    def close(self, reason: str) -> None:
        """Leave every namespace and close the connection."""
        self.session.close(reason)


class _Parsing:
    """Read what comes with a parser of the application's choice, instead of as JSON."""

    def __init__(self, connection: Connection[Any], decoder: Decoder) -> None:
        self._connection = connection
        self._decoder = decoder
        self.session_closed = connection.session_closed

    def receive_text(self, data: bytes) -> None:
        try:
            self._add(data[1:].decode("utf-8", "surrogatepass"))
        except UnicodeDecodeError:
            raise PacketError("text that is not UTF-8") from None

    def receive_binary(self, data: bytes) -> None:
        self._add(data)

    def _add(self, chunk: str | bytes) -> None:
        try:
            packet = self._decoder.add(chunk)
        except PacketError:
            raise
        except Exception as error:
            _log.exception("the parser failed over a message of the peer")
            raise PacketError(f"the parser failed: {type(error).__name__}") from None
        if packet is not None:
            self._connection._dispatch(check_packet(packet))


class _Log:
    """Log what a connection receives; it is in the way only where the scope is on when the connection is made."""

    def __init__(self, receiver: Receiver, id: str) -> None:
        self._receiver = receiver
        self._id = id

    def receive_text(self, data: bytes) -> None:
        _log.debug("%s decodes %.200r", self._id, data[1:])
        self._receiver.receive_text(data)

    def receive_binary(self, data: bytes) -> None:
        _log.debug("%s takes %d bytes", self._id, len(data))
        self._receiver.receive_binary(data)

    def session_closed(self, reason: str, description: str | None) -> None:
        _log.debug("%s is over: %s (%s)", self._id, reason, description or "no description")
        self._receiver.session_closed(reason, description)


def receive_with(connection: Connection[Any], decoder: Decoder | None) -> None:
    """Let a connection take what its session receives: by a parser's decoder, if there is one, else as JSON."""
    receiver: Receiver = connection if decoder is None else _Parsing(connection, decoder)
    if _log.isEnabledFor(logging.DEBUG):
        receiver = _Log(receiver, connection.session.id)
    connection.session.receiver = receiver
