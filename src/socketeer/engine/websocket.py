"""The WebSocket transport of a session, and the probe that precedes it in an upgrade. No I/O.

Below stands a :class:`Wire`: one WebSocket of whichever lane. It delivers what arrives to its ``sink``, which is the
session itself once the transport is in use: between the wire and the session no call is left over.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from socketeer.engine.polling import Polling
from socketeer.engine.session import CloseCode, State, is_utf8
from socketeer.engine.timers import Timer

if TYPE_CHECKING:
    from socketeer.engine.session import Session
    from socketeer.protocol.packets import EnginePacket

__all__ = ["CLOSING_HANDSHAKE", "DEAF", "Limits", "Probe", "Sink", "TextWebSocket", "WebSocket", "Wire"]

_log = logging.getLogger("socketeer.engine.websocket")

_NOOP_INTERVAL = 0.1
"""How often a poll that keeps an upgrade waiting is released; the client may poll again before it pauses."""
CLOSING_HANDSHAKE = 2.0
"""How long the peer may take to answer a close frame."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Hold what a wire may carry: the bytes and the fragments of one message, and the bytes that wait to be sent."""

    max_size: int
    max_fragments: int
    max_buffered: int


class Sink(Protocol):
    """Take what arrives on a wire."""

    def receive_text(self, data: bytes) -> None:
        """Take the content of a text frame."""

    def receive_frame(self, frame: bytes) -> None:
        """Take the content of a binary frame."""

    def end(self, reason: str, description: str | None = None) -> None:
        """Take note that the wire is gone, or that its peer broke the rules of WebSocket."""


class Wire(Protocol):
    """Be one WebSocket: the seam between the engine and the I/O."""

    sink: Sink
    congested: bool
    """Whether bytes may be piling up, so that they have to be counted."""

    def send_text(self, data: bytes, compress: bool = True) -> None:
        """Send a text frame; ``compress`` says that it may be compressed where that was agreed upon."""

    def send_binary(self, data: bytes, compress: bool = True) -> None:
        """Send a binary frame."""

    def send_packet(self, text: bytes, attachments: Sequence[bytes], compress: bool = True) -> None:
        """Send a text frame, if it is not empty, and binary frames, in one go if possible."""

    def unsent(self) -> int:
        """Count the bytes that the operating system has not taken yet."""

    def is_writable(self) -> bool:
        """Tell whether a frame would leave at once."""

    def close(self, code: int = CloseCode.OK) -> None:
        """Send a close frame behind what is unsent; the connection ends when the peer has answered."""

    def disconnect(self) -> None:
        """Close the connection behind what is unsent."""

    def abort(self) -> None:
        """Close the connection now and throw away what is unsent."""


class WebSocket:
    """Send a session's packets through a wire."""

    __slots__ = ("_session", "_wire")

    name = "websocket"

    def __init__(self, session: Session, wire: Wire) -> None:
        self._session = session
        self._wire = wire

    @property
    def writable(self) -> bool:
        """Tell whether a frame would leave at once."""
        return self._wire.is_writable()

    @property
    def waiting(self) -> list[EnginePacket]:
        """Give the packets that wait here: there never are any."""
        return []

    def unsent(self) -> int:
        """Count the bytes that the operating system has not taken yet."""
        return self._wire.unsent()

    def send(self, text: bytes, attachments: Sequence[bytes], compress: bool = True) -> None:
        """Write a text frame, if it is not empty, and the binary frames that belong to it, in one go."""
        wire = self._wire
        if attachments:
            codec = self._session.revision.codec
            if not codec.bare_frames:
                attachments = [codec.frame(data) for data in attachments]
            wire.send_packet(text, attachments, compress)
        elif text:
            wire.send_text(text, compress)
        if wire.congested:
            self._check()

    def send_packet(self, packet: EnginePacket) -> None:
        """Write one packet that was buffered for another transport."""
        if packet.binary:
            self._wire.send_binary(self._session.revision.codec.frame(packet.data))
        else:
            self._wire.send_text(packet.data)

    def _check(self) -> None:
        unsent = self._wire.unsent()
        if unsent > self._session.options.max_buffered_bytes:
            self._session.overflow(unsent)

    def close(self) -> None:
        """Close the WebSocket behind what is unsent."""
        session = self._session
        self._wire.close()
        delay = session.options.close_timeout if self._wire.unsent() else CLOSING_HANDSHAKE
        session.end_within(delay)

    def abandon(self, code: CloseCode) -> None:
        """Close the WebSocket; do not wait for a peer that does not read."""
        if self._wire.unsent():
            self._wire.abort()
        else:
            self._wire.close(code)
            self._wire.disconnect()

    def hand_over(self) -> list[EnginePacket]:
        """Give away what is buffered: nothing ever is."""
        return []

    def let_go(self) -> None:
        """Forget the session, which is over."""
        del self._session


class TextWebSocket(WebSocket):
    """Send binary as base64 in text frames, for a client that asked for that with ``b64``."""

    __slots__ = ()

    def send(self, text: bytes, attachments: Sequence[bytes], compress: bool = True) -> None:
        """Write the text frames of a packet, one right after the other."""
        wire = self._wire
        if text:
            wire.send_text(text, compress)
        for data in attachments:
            wire.send_text(self._session.revision.codec.encode_base64(data), compress)
        if wire.congested:
            self._check()

    def send_packet(self, packet: EnginePacket) -> None:
        """Write one packet that was buffered for another transport."""
        encode = self._session.revision.codec.encode_base64
        self._wire.send_text(encode(packet.data) if packet.binary else packet.data)


class Probe:
    """Take the frames of a WebSocket that wants to become the transport of a polling session.

    The client asks with ``2probe``, is answered ``3probe``, pauses its polling, and takes over with ``5``. Anything
    else, or silence for ``upgrade_timeout``, closes this WebSocket and leaves the session as it was.
    """

    __slots__ = ("_kind", "_noop", "_session", "_timeout", "_wire")

    def __init__(self, session: Session, wire: Wire, kind: type[WebSocket] = WebSocket) -> None:
        self._session = session
        self._wire = wire
        self._kind = kind
        self._noop = Timer(self._release_poll)
        self._timeout = session.wheel.call_later(session.options.upgrade_timeout, self._expire)

    def receive_text(self, data: bytes) -> None:
        """Take the next step of the upgrade."""
        session = self._session
        if data == b"2probe":
            _log.debug("%s probed", session.id)
            self._wire.send_text(b"3probe")
            if session.conn is not None:
                session.conn.fire("upgrading", self._kind(session, self._wire))
            session.wheel.start(self._noop, _NOOP_INTERVAL)
        elif data == b"5" and session.state is not State.CLOSED:
            self._stop()
            self._wire.sink = session
            session.upgrade(self._kind(session, self._wire))
        else:
            self._fail("not a packet of an upgrade", CloseCode.OK if is_utf8(data) else CloseCode.NOT_UTF8)

    def receive_frame(self, frame: bytes) -> None:
        """Refuse a binary frame: an upgrade has none."""
        self._fail("binary frame in an upgrade")

    def end(self, reason: str, description: str | None = None) -> None:
        """Forget the upgrade: its WebSocket is gone."""
        self._fail(description or reason)

    def cancel(self, code: CloseCode = CloseCode.OK) -> None:
        """Close the WebSocket: the session ends, and the upgrade with it."""
        self._stop()
        self._wire.sink = DEAF
        self._wire.close(code)
        self._wire.disconnect()

    def _release_poll(self) -> None:
        transport = self._session.transport
        assert isinstance(transport, Polling)  # the timer stops with the swap
        transport.release()
        self._session.wheel.start(self._noop, _NOOP_INTERVAL)

    def _expire(self) -> None:
        self._fail("no upgrade packet within upgrade_timeout")

    def _fail(self, reason: str, code: CloseCode = CloseCode.OK) -> None:
        _log.debug("%s not upgraded: %s", self._session.id, reason)
        self._session.probe = None
        self.cancel(code)

    def _stop(self) -> None:
        self._session.wheel.stop(self._noop)
        self._session.wheel.stop(self._timeout)


class _Deaf:
    """Ignore whatever still arrives on a wire that is being closed."""

    def receive_text(self, data: bytes) -> None:
        pass

    def receive_frame(self, frame: bytes) -> None:
        pass

    def end(self, reason: str, description: str | None = None) -> None:
        pass


DEAF: Sink = _Deaf()
