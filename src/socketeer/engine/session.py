"""One Engine.IO session: its state, its heartbeat, and the way packets take through it. No I/O.

Packets come in through :meth:`Session.receive_text` and :meth:`Session.receive_frame`, straight from the WebSocket or
from the body of a POST, and go up to the session's receiver. They go out through ``Session.write`` to the transport
of the moment: :class:`~socketeer.engine.polling.Polling`, which buffers, or
:class:`~socketeer.engine.websocket.WebSocket`, which writes. An idle session on a WebSocket owns one timer and nothing
else that is its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Final, Protocol

from socketeer.engine.timers import Timer, TimerWheel
from socketeer.exceptions import PacketError
from socketeer.protocol.packets import EnginePacket

if TYPE_CHECKING:
    from socketeer.engine.conn import Conn
    from socketeer.engine.http import Request
    from socketeer.engine.websocket import WebSocket
    from socketeer.protocol.revisions import Revision

__all__ = [
    "CloseCode",
    "ObservedSession",
    "Receiver",
    "Session",
    "SessionOptions",
    "State",
    "Write",
    "is_utf8",
    "trace_enabled",
]

_log = logging.getLogger("socketeer.engine.session")

_PING, _PONG, _MESSAGE, _BASE64, _CLOSE = b"234b1"
_PING_PACKET, _PONG_PACKET = b"2", b"3"


class State(Enum):
    """Name the states of a session."""

    OPEN = "open"
    CLOSING = "closing"
    """Closed by this side; over polling the last packets are still on their way."""
    CLOSED = "closed"

    __hash__ = object.__hash__  # that of Enum is a function in Python


class CloseCode(IntEnum):
    """Name the codes with which the engine closes a WebSocket (RFC 6455 section 7.4.1)."""

    OK = 1000
    NOT_UTF8 = 1007
    TOO_BIG = 1009


_TRANSITIONS: dict[State, frozenset[State]] = {
    State.OPEN: frozenset({State.CLOSING, State.CLOSED}),
    State.CLOSING: frozenset({State.CLOSED}),
    State.CLOSED: frozenset(),
}

_OPEN: Final = State.OPEN
_CLOSING: Final = State.CLOSING
_CLOSED: Final = State.CLOSED
"""Members as names of their own: CPython 3.11 takes as long to find one by its class as to call a function."""


class Write(Protocol):
    """Send a text packet, if it is not empty, and the binary packets that belong to it."""

    def __call__(self, text: bytes, attachments: Sequence[bytes], compress: bool = True, /) -> None: ...


class Receiver(Protocol):
    """Take what a session receives."""

    def receive_text(self, data: bytes) -> None:
        """Take a text message; ``data`` starts with the type digit of its Engine.IO packet."""

    def receive_binary(self, data: bytes) -> None:
        """Take a binary message."""

    def session_closed(self, reason: str, description: str | None) -> None:
        """Take note that the session is over; called once."""


class _Nobody:
    """Receive nothing: listeners of the connection get its messages by themselves."""

    def receive_text(self, data: bytes) -> None:
        if not is_utf8(data):
            raise PacketError("not UTF-8")

    def receive_binary(self, data: bytes) -> None:
        pass

    def session_closed(self, reason: str, description: str | None) -> None:
        pass


_NOBODY = _Nobody()


class SessionOptions(Protocol):
    """Be what a session goes by, on either side: those of a server's options that concern one session."""

    @property
    def ping_interval(self) -> float: ...
    @property
    def ping_timeout(self) -> float: ...
    @property
    def upgrade_timeout(self) -> float: ...
    @property
    def close_timeout(self) -> float: ...
    @property
    def attachment_timeout(self) -> float: ...
    @property
    def max_attachments(self) -> int: ...
    @property
    def max_packet_bytes(self) -> int: ...
    @property
    def max_buffered_bytes(self) -> int: ...


class Transport(Protocol):
    """Carry the packets of a session."""

    @property
    def name(self) -> str:
        """Give ``polling`` or ``websocket``."""

    @property
    def writable(self) -> bool:
        """Tell whether a packet would leave at once."""

    @property
    def waiting(self) -> list[EnginePacket]:
        """Give the packets that wait to be fetched."""

    def unsent(self) -> int:
        """Count the bytes that have not left."""

    def send(self, text: bytes, attachments: Sequence[bytes], compress: bool = True, /) -> None:
        """Send a text packet, if it is not empty, and the binary messages that belong to it."""

    def close(self) -> None:
        """Close behind what is unsent, and see to it that the session ends."""

    def abandon(self, code: CloseCode) -> None:
        """Close at once: the session is over."""

    def hand_over(self) -> list[EnginePacket]:
        """Give what waits to the transport that takes over."""

    def let_go(self) -> None:
        """Forget the session, which is over."""


class Upgrade(Protocol):
    """Be an attempt to move a session to another transport."""

    def cancel(self) -> None:
        """Give it up."""


class Session:
    """Hold one Engine.IO session, on the server's side or on the client's.

    Both are alike but for the heartbeat: ``pings`` says whether this side sends it, which by default is as it is for
    a server. ``on_closed`` is called once, after the receiver was told.
    """

    __slots__ = (
        "_heartbeat",
        "_max_buffered",
        "_on_closed",
        "_pinged",
        "_transport",
        "conn",
        "id",
        "options",
        "pings",
        "probe",
        "receiver",
        "request",
        "revision",
        "state",
        "wheel",
        "write",
    )

    receiver: Receiver
    """Who takes what is received: nobody until somebody is set."""
    request: Request
    """The request of the handshake."""
    write: Write
    """Send a text packet and its binary attachments as one unit; does nothing once the session is closing."""

    def __init__(
        self,
        id: str,
        revision: Revision,
        options: SessionOptions,
        wheel: TimerWheel,
        on_closed: Callable[[Session], None],
        pings: bool | None = None,
    ) -> None:
        self.id = id
        self.revision = revision
        self.options = options
        self.wheel = wheel
        self.state = _OPEN
        self.receiver = _NOBODY
        self.probe: Upgrade | None = None
        self.conn: Conn | None = None  # once somebody has asked for it: see conn_of()
        self._on_closed = on_closed
        self.pings = revision.server_pings if pings is None else pings
        self._pinged = False
        self._heartbeat = Timer(self._beat)
        wheel.start(
            self._heartbeat, options.ping_interval if self.pings else options.ping_interval + options.ping_timeout
        )

    # -- from the peer

    def receive_text(self, data: bytes) -> None:
        """Take a text packet: its type digit and its data.

        A packet that breaks the protocol closes the session with ``parse error``; nothing is raised.
        """
        if self.state is not _OPEN:
            return
        try:
            kind = data[0] if data else 0
            if kind == _MESSAGE:
                self.receiver.receive_text(data)
            elif len(data) > 1 and not is_utf8(data):
                raise PacketError("not UTF-8")
            elif kind == _PONG:
                self._receive_pong()
            elif kind == _PING:
                self._receive_ping()
            elif kind == _BASE64:
                self.receiver.receive_binary(self.revision.codec.decode_base64(data))
            elif kind == _CLOSE:
                self.end("transport close")
            elif kind not in b"056":  # open, upgrade, noop: nothing to do
                raise PacketError("unknown packet type" if data else "empty packet")
        except PacketError as error:
            if self.transport.name == "websocket" and not is_utf8(data):  # a breach of WebSocket itself
                self.end("transport error", "text that is not UTF-8", CloseCode.NOT_UTF8)
            else:
                self.end("parse error", str(error))

    def receive_frame(self, frame: bytes) -> None:
        """Take the content of a binary WebSocket frame."""
        if self.state is not _OPEN:
            return
        try:
            codec = self.revision.codec
            if codec.bare_frames:
                self.receiver.receive_binary(frame)
                return
            packet = codec.unframe(frame)
            if packet.binary:
                self.receiver.receive_binary(packet.data)
                return
        except PacketError as error:
            self.end("parse error", str(error))
            return
        self.receive_text(packet.data)

    def receive_binary(self, data: bytes) -> None:
        """Take a binary message from a polling payload."""
        if self.state is not _OPEN:
            return
        try:
            self.receiver.receive_binary(data)
        except PacketError as error:
            self.end("parse error", str(error))

    # -- to the peer

    @property
    def transport(self) -> Transport:
        """Give the transport of the moment."""
        return self._transport

    @transport.setter
    def transport(self, transport: Transport) -> None:
        self._transport = transport
        if self.state is _OPEN:
            self.write = transport.send  # one call less on the way of every packet

    @property
    def writable(self) -> bool:
        """Tell whether a packet would leave at once: what a volatile packet needs."""
        return self.state is _OPEN and self.transport.writable

    def close(self, reason: str = "forced close") -> None:
        """Close the session from this side, after what is queued has been sent.

        The receiver is told at once. Over polling, last packets that have not been taken within ``close_timeout`` are
        lost.
        """
        if self.state is not _OPEN:
            return
        _log.debug("%s closing: %s", self.id, reason)
        self._become(_CLOSING)  # an upgrade may still end, and then takes the last packets with it
        self.transport.close()
        self.receiver.session_closed(reason, None)

    def end(self, reason: str, description: str | None = None, code: CloseCode = CloseCode.OK) -> None:
        """End the session now: the peer left, broke the protocol or fell silent; ``code`` is for a WebSocket."""
        if self.state is _CLOSED:
            return
        _log.debug("%s closed: %s (%s)", self.id, reason, description or "no description")
        told = self.state is _CLOSING
        self._become(_CLOSED)
        if self.conn is not None:
            self.conn.ending()
        self.drop_probe()
        self.wheel.stop(self._heartbeat)
        self.transport.abandon(code)
        try:
            if not told:
                self.receiver.session_closed(reason, description)
        finally:
            if self.conn is not None:
                self.conn.ended("forced close" if told else reason, description)
            self._on_closed(self)
            self._let_go()

    def _let_go(self) -> None:
        """Undo the cycles of references, so that what is over does not wait for the garbage collector."""
        self.receiver = _NOBODY
        self._heartbeat.callback = _nothing
        self.transport.let_go()

    def end_within(self, seconds: float) -> None:
        """End a closing session whose peer does not do its part; the heartbeat's timer has nothing else to do."""
        self.wheel.start(self._heartbeat, seconds)

    def overflow(self, unsent: int) -> None:
        """End a session whose peer reads too slowly."""
        self.end("transport error", f"{unsent} unsent bytes, more than max_buffered_bytes")

    # -- heartbeat

    @property
    def overdue(self) -> bool:
        """Tell whether the peer has been silent for too long, also where no timer could notice it yet.

        Timers are late where the process was stopped, or its event loop kept busy.
        """
        return not self.pings and self.wheel.clock() > self._heartbeat.due

    def _beat(self) -> None:
        options = self.options
        if self.state is _CLOSING:
            self.end("forced close")
        elif self.pings and not self._pinged:
            self._pinged = True
            self.wheel.start(self._heartbeat, options.ping_timeout)
            self.write(_PING_PACKET, ())
        else:
            self.end("ping timeout")

    def _receive_pong(self) -> None:
        if not self.pings:
            raise PacketError("pong from the side that sends the pings")
        self.hear()

    def hear(self) -> None:
        """Take note that the peer lives: it has answered a heartbeat."""
        if self._pinged:  # an answer that nobody asked for changes nothing
            self._pinged = False
            self.wheel.start(self._heartbeat, self.options.ping_interval)

    def _receive_ping(self) -> None:
        if self.pings:
            raise PacketError("ping from the side that answers the pings")
        self.wheel.start(self._heartbeat, self.options.ping_interval + self.options.ping_timeout)
        self.write(_PONG_PACKET, ())

    # -- upgrade

    def upgrade(self, transport: WebSocket) -> None:
        """Move to ``transport``; what was buffered for polling leaves first."""
        packets = self.transport.hand_over()
        self.transport = transport
        self.probe = None
        _log.debug("%s upgraded to %s", self.id, transport.name)
        if self.conn is not None:
            self.conn.fire("upgrade", transport)
        self._flush(packets, transport)
        if self.state is _CLOSING:
            transport.close()

    def _flush(self, packets: list[EnginePacket], transport: WebSocket) -> None:
        if packets and self.conn is not None:
            self.conn.flushing(packets)
        for packet in packets:
            transport.send_packet(packet)
        if packets and self.conn is not None:
            self.conn.flushed()

    def drop_probe(self) -> None:
        """Give up an upgrade that is not finished."""
        probe, self.probe = self.probe, None
        if probe is not None:
            probe.cancel()

    def _become(self, state: State) -> None:
        if state not in _TRANSITIONS[self.state]:
            raise RuntimeError(f"a session cannot go from {self.state} to {state}")
        self.state = state
        self.write = _discard


def _nothing() -> None:
    """Stand in for the heartbeat once the session is over."""


def _discard(text: bytes, attachments: Sequence[bytes], compress: bool = True) -> None:
    """Stand in for the way out once the session is closing."""


class ObservedSession(Session):
    """Tell the listeners of ``conn`` about each packet, and log it.

    Used instead of :class:`Session` where the ``socketeer.engine.session`` scope is on, and from the moment on at which
    somebody listens to the packets of a session.
    """

    __slots__ = ()

    def receive_text(self, data: bytes) -> None:
        _log.debug("%s received %.200r", self.id, data)
        self._observe(super().receive_text, data, data, binary=False)

    def receive_frame(self, frame: bytes) -> None:
        try:
            packet = self.revision.codec.unframe(frame)
        except PacketError:
            packet = EnginePacket(b"")
        if packet.binary:
            _log.debug("%s received %d binary bytes", self.id, len(packet.data))
            self._observe(super().receive_frame, frame, packet.data, binary=True)
        else:
            super().receive_frame(frame)

    def receive_binary(self, data: bytes) -> None:
        _log.debug("%s received %d binary bytes", self.id, len(data))
        self._observe(super().receive_binary, data, data, binary=True)

    def _observe(self, receive: Callable[[bytes], None], raw: bytes, data: bytes, *, binary: bool) -> None:
        conn = self.conn if self.state is _OPEN else None
        packet = conn.read(data, binary=binary) if conn is not None else None
        receive(raw)
        if conn is not None:
            conn.done(packet)

    @property
    def transport(self) -> Transport:
        return self._transport

    @transport.setter
    def transport(self, transport: Transport) -> None:
        self._transport = transport
        if self.state is _OPEN:
            self.write = self._write_observed

    def _write_observed(self, text: bytes, attachments: Sequence[bytes], compress: bool = True) -> None:
        _log.debug("%s sends %.200r and %d attachments", self.id, text, len(attachments))
        transport, conn = self._transport, self.conn
        if conn is None:
            transport.send(text, attachments, compress)
            return
        packets = [EnginePacket(data, True) for data in attachments]
        if text:
            packets.insert(0, EnginePacket(text))
        polling = transport.name == "polling"  # which says by itself when a poll takes them
        conn.created(packets)
        if not polling:
            conn.flushing(packets)
        if self.state is _OPEN:  # else a listener has closed it
            transport.send(text, attachments, compress)
            if not polling:
                conn.flushed()


def is_utf8(data: bytes) -> bool:
    """Tell whether text is what it should be."""
    try:
        return data.isascii() or bool(data.decode())
    except UnicodeDecodeError:
        return False


def trace_enabled() -> bool:
    """Tell whether sessions made now should log each packet."""
    return _log.isEnabledFor(logging.DEBUG)
