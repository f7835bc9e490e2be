"""One WebSocket on picows' C protocol: frames go from the socket straight to the sink, and back."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, cast

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport
from picows.common import WSUpgradeResponse, WSUpgradeResponseWithListener
from picows.picows import WSAutoPingStrategy, WSProtocol  # type: ignore[attr-defined]  # not in its stubs

from socketeer.engine.websocket import DEAF, Limits, Sink
from socketeer.transports.outbox import frame_head, outbox_of

__all__ = ["COPY_LIMIT", "QUIET", "Ping", "Wire", "begin", "feed", "make_protocol"]

_log = logging.getLogger("socketeer.transports.picows")

Ping = tuple[float | None, float | None]
"""The interval of WebSocket pings and the time to answer them, in seconds."""

_TEXT, _BINARY, _CONTINUATION = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION
_CLOSE, _PING = WSMsgType.CLOSE, WSMsgType.PING
COPY_LIMIT = 8192
"""Up to this size a frame is copied on its way out; the content of a larger one is written from where it is."""
_MOST_WAITING = 16
"""Beyond this many frames, or 8 KB, what waits leaves before the end of the round: handlers may take their time."""
_HIGH_WATER = 65536
"""The number of unsent bytes from which on the event loop says that they pile up, unless told otherwise."""


def _ignore(*_: Any) -> None:
    pass


class _Quiet:
    """Send what picows has to say about its peers to the debug log: a peer's errors are not ours."""

    log = debug = info = staticmethod(_ignore)

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  # the name that logging has for it
        return False

    def warning(self, message: str, *args: Any) -> None:
        _log.debug(message, *args)

    error = warning

    def exception(self, message: str, *args: Any) -> None:
        _log.exception(message, *args)


QUIET = _Quiet()
"""The logger to give to picows."""


class Wire(WSListener):
    """Be one WebSocket on picows. What is sent waits for the end of the round, in the :class:`Outbox`."""

    __slots__ = (
        "_closing",
        "_fragmented_size",
        "_fragmented_text",
        "_fragments",
        "_limits",
        "_outbox",
        "_waiting",
        "_waiting_size",
        "congested",
        "listed",
        "on_lost",
        "sink",
        "text",
        "transport",
    )

    def __init__(self, limits: Limits) -> None:
        self.sink: Sink = DEAF
        self.congested = False
        self.on_lost: Callable[[], None] = _ignore
        self.transport: WSTransport = None  # type: ignore[assignment]  # there from on_ws_connected on
        self.listed = False  # whether something was sent in this round
        self.text: bytes | None = None  # all that waits, where that is one small text
        self._waiting: list[bytes] = []  # or else heads of frames, and frames, and what is in them
        self._waiting_size = 0
        self._outbox = outbox_of(asyncio.get_running_loop())
        self._limits = limits
        self._fragments: list[bytes] | None = None
        self._fragmented_text = False
        self._fragmented_size = 0
        self._closing = False

    @property
    def max_size(self) -> int:
        """Give the largest frame that may come, in bytes."""
        return self._limits.max_size

    # -- to the client

    def send_text(self, data: bytes, compress: bool = True) -> None:
        """Send a text frame."""
        if self.listed or len(data) > COPY_LIMIT:
            self._add(_TEXT, data)
        else:
            self._outbox.add(self)
            self.listed = True
            self.text = data

    def send_binary(self, data: bytes, compress: bool = True) -> None:
        """Send a binary frame."""
        self._add(_BINARY, data)

    def send_packet(self, text: bytes, attachments: Sequence[bytes], compress: bool = True) -> None:
        """Send a text frame, if it is not empty, and binary frames."""
        if text:
            self.send_text(text, compress)
        for data in attachments:
            self.send_binary(data, compress)

    def send_answer(self, data: bytes) -> None:
        """Send the answer to the handshake, which everything else comes behind."""
        self._outbox.add(self)
        self.listed = True
        self._waiting.append(data)

    def _add(self, kind: WSMsgType, data: bytes, compressed: bool = False) -> None:
        """Put a frame behind those that wait."""
        waiting = self._waiting
        if not self.listed:
            self._outbox.add(self)
            self.listed = True
        elif self.text is not None:
            waiting.append(frame_head(_TEXT, len(self.text)) + self.text)
            self._waiting_size = len(self.text)
            self.text = None
        size = len(data)
        if size <= COPY_LIMIT:
            waiting.append(frame_head(kind, size, compressed) + data)
        else:
            waiting += (frame_head(kind, size, compressed), data)
        self._waiting_size += size
        if len(waiting) >= _MOST_WAITING or self._waiting_size > COPY_LIMIT:
            self.flush()

    def flush(self) -> None:
        """Write what waits, unless nothing may be sent any more."""
        transport = self.transport
        text, self.text = self.text, None
        if text is not None:
            transport.send(_TEXT, text)
        elif self._waiting:
            waiting, self._waiting, self._waiting_size = self._waiting, [], 0
            if not (transport.is_close_frame_sent or transport.is_disconnected):
                transport.underlying_transport.send(waiting)  # type: ignore[attr-defined]  # it is a _Transport

    def unsent(self) -> int:
        """Count the bytes that the operating system has not taken yet; it is offered all of them."""
        self.flush()
        return self.transport.underlying_transport.get_write_buffer_size()

    def is_writable(self) -> bool:
        """Tell whether the operating system took everything, and nothing was sent in this round."""
        return not (self.listed or self.unsent())

    def close(self, code: int | WSCloseCode = 1000, reason: str = "") -> None:
        """Send a close frame; the peer answers it, and that ends the connection."""
        if not self._closing:
            self._closing = True
            self.flush()
            self.transport.send_close(code, reason.encode())  # type: ignore[arg-type]  # any code will do

    def disconnect(self) -> None:
        """Close the connection behind what is unsent."""
        self._closing = True
        self.flush()
        self.transport.disconnect()

    def abort(self) -> None:
        """Close the connection now and throw away what is unsent."""
        self._closing = True
        self.text = None
        self._waiting.clear()
        self.transport.disconnect(graceful=False)

    def closing_words(self) -> tuple[int, str]:
        """Give the code and the reason of the closing handshake: the peer's, or else this side's (RFC 6455, 7.1.5)."""
        handshake: Any = self.transport.close_handshake
        closing: Any = handshake and (handshake.recv or handshake.sent)
        if not closing:
            return 1006, ""
        return int(closing.code) or 1005, closing.reason or ""

    def shutdown(self) -> None:
        """Close: uvicorn stops."""
        self.sink.end("server shutting down")
        self.close(1012)
        self.disconnect()

    # -- from picows

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Begin: the handshake has been answered."""
        self.transport = transport
        if self._limits.max_buffered < _HIGH_WATER:
            transport.underlying_transport.set_write_buffer_limits(self._limits.max_buffered)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take a frame, which nearly always is a whole text message, and all that was read."""
        kind = frame.msg_type
        if (
            frame.fin
            and self._fragments is None
            and not (frame.rsv1 or frame.rsv2 or frame.rsv3 or transport.is_close_frame_sent)
        ):
            if kind is _TEXT:
                self.sink.receive_text(frame.get_payload_as_bytes())
                return
            if kind is _BINARY:
                self.sink.receive_frame(frame.get_payload_as_bytes())
                return
        self._take(transport, frame, kind)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """End: the connection is gone."""
        on_lost, self.on_lost = self.on_lost, _ignore
        on_lost()
        sink, self.sink = self.sink, DEAF
        if transport.is_close_frame_sent and not self._closing:  # picows itself found the peer at fault
            handshake: Any = transport.close_handshake
            sent = handshake and handshake.sent
            sink.end("transport error", f"{int(sent.code)}: {sent.reason or ''}" if sent else None)
        else:
            sink.end("transport close")

    def pause_writing(self) -> None:
        """Take note that the peer reads more slowly than it is written to."""
        self.congested = True

    def resume_writing(self) -> None:
        """Take note that the peer has caught up."""
        self.congested = False

    # -- the rarer frames

    def _take(self, transport: WSTransport, frame: WSFrame, kind: WSMsgType) -> None:
        if kind is _CLOSE:
            self._take_close(transport, frame)
        elif transport.is_close_frame_sent:
            pass  # what was under way when this side began to close
        elif frame.rsv1 or frame.rsv2 or frame.rsv3:
            self._fail(WSCloseCode.PROTOCOL_ERROR, "reserved bits are set")
        elif kind is _CONTINUATION:
            self._take_continuation(frame)
        elif kind is _TEXT or kind is _BINARY:
            self._take_data(frame, kind)
        elif kind is _PING and not self.congested:  # one who does not read gets no pongs to keep
            transport.send_pong(frame.get_payload_as_bytes())

    def _take_data(self, frame: WSFrame, kind: WSMsgType) -> None:
        if self._fragments is not None:
            self._fail(WSCloseCode.PROTOCOL_ERROR, "a new message within a fragmented one")
        elif not frame.fin:
            self._fragments = [frame.get_payload_as_bytes()]
            self._fragmented_size = frame.payload_size
            self._fragmented_text = kind is _TEXT
        else:
            self._deliver(frame.get_payload_as_bytes(), kind is _TEXT)

    def _take_continuation(self, frame: WSFrame) -> None:
        fragments = self._fragments
        if fragments is None:
            self._fail(WSCloseCode.PROTOCOL_ERROR, "a continuation of nothing")
            return
        fragments.append(frame.get_payload_as_bytes())
        self._fragmented_size += frame.payload_size
        if len(fragments) > self._limits.max_fragments:
            self._fail(WSCloseCode.MESSAGE_TOO_BIG, "message of more than max_fragments")
        elif self._fragmented_size > self.max_size:
            self._fail(WSCloseCode.MESSAGE_TOO_BIG, "message of more than max_http_buffer_size")
        elif frame.fin:
            self._fragments = None
            self._deliver(b"".join(fragments), self._fragmented_text)

    def _deliver(self, message: bytes, text: bool) -> None:
        if text:
            self.sink.receive_text(message)
        else:
            self.sink.receive_frame(message)

    def _take_close(self, transport: WSTransport, frame: WSFrame) -> None:
        if not transport.is_close_frame_sent:
            self._closing = True
            self.flush()
            code = frame.get_close_code()
            self.transport.send_close(code if code != WSCloseCode.NO_INFO else WSCloseCode.OK)
        self.transport.disconnect()

    def _fail(self, code: WSCloseCode, reason: str) -> None:
        self._fragments = None
        self.close(code, reason)
        self.transport.disconnect()
        self.sink.end("transport error", reason)


class Acceptance:
    """Be the answer to a handshake: picows adds the proof that the key was read, and the wire writes it."""

    __slots__ = ("_fields", "_wire", "headers")

    status = HTTPStatus.SWITCHING_PROTOCOLS

    def __init__(self, wire: Wire, fields: bytes) -> None:
        self.headers: dict[str, str] = {}
        self._wire: Wire | None = wire
        self._fields = fields

    def to_bytes(self) -> bytearray:
        """Give nothing to picows, which keeps this object, so that nothing is to stay in it."""
        wire, fields = self._wire, self._fields
        self._wire, self._fields = None, b""
        if wire is not None:
            wire.send_answer(_ACCEPTED % (self.headers.pop("Sec-WebSocket-Accept").encode(), fields))
        return _NOTHING


_NOTHING = bytearray()
_ACCEPTED = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: %b\r\n%b\r\n"
)


def make_protocol(wire: Wire, fields: bytes, ping: Ping | None) -> Any:
    """Make the C protocol for one connection; it pings by itself only where ``ping`` says how.

    ``fields`` are headers for the answer to the handshake.
    """
    interval, timeout = ping if ping is not None else (None, None)
    answer = cast("WSUpgradeResponse", Acceptance(wire, fields))
    accepted = WSUpgradeResponseWithListener(answer, wire)
    return WSProtocol(
        None,
        None,
        False,
        lambda request: accepted,
        QUIET,
        True,
        None,
        bool(interval),
        interval,
        min(timeout or interval, interval) if interval else None,
        WSAutoPingStrategy.PING_WHEN_IDLE,
        False,
        wire.max_size,
        None,
        2048,
    )


class _Socket:
    """Show a socket to picows, which sets options that it has already or, in a Unix domain, cannot have."""

    __slots__ = ("_number",)

    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        return self._number

    def setsockopt(self, *_: Any) -> None:
        pass

    def getsockopt(self, *_: Any) -> int:
        return 0


def _no_writev(number: int, parts: list[bytes]) -> int:
    raise OSError


_writev: Callable[[int, list[bytes]], int] = getattr(os, "writev", _no_writev)
"""Windows has none."""


class _Transport:
    """Be the transport for picows: one whose socket is asked for nothing but its number, for uvloop's answers cost."""

    __slots__ = ("_number", "_secure", "_transport", "close", "get_write_buffer_size", "write")

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self.close = transport.close
        self.get_write_buffer_size = transport.get_write_buffer_size
        self.write = transport.write
        self._number: int = transport.get_extra_info("socket").fileno()
        self._secure: Any = transport.get_extra_info("ssl_object")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def send(self, parts: list[bytes]) -> None:
        """Write, past the event loop where nothing waits in it: as picows does with single frames."""
        transport = self._transport
        if not (self._secure or transport.get_write_buffer_size()):
            try:
                sent = _writev(self._number, parts)
            except OSError:
                sent = 0  # the event loop finds out what it is
            while parts and sent >= len(parts[0]):
                sent -= len(parts.pop(0))
            if sent:
                parts[0] = parts[0][sent:]
        if parts:
            transport.write(
                b"".join(parts)
            )  # writelines() of CPython 3.12.1 and 3.13.0 does not say that bytes pile up

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "socket":
            return _Socket(self._number)
        return self._secure if name == "ssl_object" else default


_NOBODY = asyncio.Protocol()


def begin(protocol: Any, transport: Any) -> None:
    """Give a connection to the protocol. Event loops switch Nagle's algorithm off by themselves."""
    protocol.connection_made(_Transport(transport))
    transport.set_protocol(_NOBODY)  # uvloop keeps the last protocol that had no buffer of its own: 2 kB of uvicorn's
    transport.set_protocol(protocol)


def feed(protocol: Any, data: bytes) -> None:
    """Let the protocol read ``data`` as if it had come from its transport."""
    while data:
        buffer = protocol.get_buffer(-1)
        taken = min(len(buffer), len(data))
        buffer[:taken] = data[:taken]
        protocol.buffer_updated(taken)
        data = data[taken:]
