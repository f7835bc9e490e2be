"""One WebSocket of a client on picows."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from picows import WSMsgType, WSTransport

from socketeer.client.dialing import ignore_failure
from socketeer.engine.deflate import Deflater
from socketeer.engine.websocket import Limits, Sink
from socketeer.engine.websocket import Wire as WireProtocol
from socketeer.exceptions import TransportError
from socketeer.options.client import ClientDeflate
from socketeer.transports.deflate import InflatingWire
from socketeer.transports.picows import COPY_LIMIT

__all__ = ["OFFER", "Agreement", "ClientWire", "agree"]

OFFER: Final = "permessage-deflate; client_no_context_takeover; client_max_window_bits"
"""What a client asks for that compresses: each of its messages by itself."""
_TEXT = WSMsgType.TEXT
_MOST_WAITING = 16
_LEAST_BITS = 9  # of zlib
_ANSWER = re.compile(
    r"permessage-deflate((?:\s*;\s*(?:client_no_context_takeover|server_no_context_takeover"
    r'|(?:client|server)_max_window_bits\s*=\s*"?(?:[89]|1[0-5])"?))*)\s*'
)
_BITS = re.compile(r'client_max_window_bits\s*=\s*"?(\d+)')


@dataclass(frozen=True, slots=True)
class Agreement:
    """Hold how messages are compressed."""

    options: ClientDeflate
    bits: int
    """The window with which this side compresses."""
    server_takes_over: bool
    """Whether the server compresses a message with what it remembers of those before."""


def agree(options: ClientDeflate | None, answer: str) -> Agreement | None:
    """Read the server's ``Sec-WebSocket-Extensions``. Raises ``TransportError`` for what was not offered."""
    if not answer:
        return None
    match = _ANSWER.fullmatch(answer)
    if options is None or match is None:
        raise TransportError(f"WebSocket failed: the server answers with an extension not offered: {answer:.100}")
    bits = _BITS.search(match[1])
    return Agreement(options, int(bits[1]) if bits else 15, "server_no_context_takeover" not in match[1])


class ClientWire(InflatingWire):
    """Be one WebSocket of a client. What is sent waits for the end of the round; picows masks and writes each frame.

    ``begin`` gives the sink once the WebSocket is open.
    """

    __slots__ = ("_agreement", "_begin", "_frames")

    def __init__(self, limits: Limits, begin: Callable[[WireProtocol], Sink], agreement: Agreement | None) -> None:
        super().__init__(limits, None if agreement is None else agreement.server_takes_over)
        self._begin: Callable[[WireProtocol], Sink] | None = begin
        self._agreement = agreement
        self._frames: list[tuple[WSMsgType, bytes, bool]] = []

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Begin: the server has agreed."""
        super().on_ws_connected(transport)
        begin, self._begin = self._begin, None
        if begin is not None:
            self.sink = begin(self)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """End: the connection is gone."""
        if transport.is_close_frame_sent:  # perhaps by picows itself, which has found the server at fault
            ignore_failure(transport)
        super().on_ws_disconnected(transport)

    def send_text(self, data: bytes, compress: bool = True) -> None:
        """Send a text frame, compressed if it is worth it."""
        agreement = self._agreement
        if agreement is not None and compress and len(data) >= agreement.options.threshold:
            self._send_compressed(_TEXT, data, agreement)
        else:
            super().send_text(data)

    def send_binary(self, data: bytes, compress: bool = True) -> None:
        """Send a binary frame, compressed if it is worth it."""
        agreement = self._agreement
        if agreement is not None and compress and len(data) >= agreement.options.threshold:
            self._send_compressed(WSMsgType.BINARY, data, agreement)
        else:
            super().send_binary(data)

    def _send_compressed(self, kind: WSMsgType, data: bytes, agreement: Agreement) -> None:
        if agreement.bits >= _LEAST_BITS:
            message = Deflater(agreement.options.level, agreement.bits).compress(data)
            if len(message) < len(data):
                self._add(kind, message, True)
                return
        self._add(kind, data)

    def _add(self, kind: WSMsgType, data: bytes, compressed: bool = False) -> None:
        frames = self._frames
        if not self.listed:
            self._outbox.add(self)
            self.listed = True
        elif self.text is not None:
            frames.append((_TEXT, self.text, False))
            self._waiting_size = len(self.text)
            self.text = None
        frames.append((kind, data, compressed))
        self._waiting_size += len(data)
        if len(frames) >= _MOST_WAITING or self._waiting_size > COPY_LIMIT:
            self.flush()

    def flush(self) -> None:
        """Write what waits, unless nothing may be sent any more."""
        transport = self.transport
        text, self.text = self.text, None
        if text is not None:
            transport.send(_TEXT, text)
        elif self._frames:
            frames, self._frames, self._waiting_size = self._frames, [], 0
            for kind, data, compressed in frames:
                if transport.is_close_frame_sent or transport.is_disconnected:
                    break
                transport.send(kind, data, True, compressed)

    def abort(self) -> None:
        """Close the connection now and throw away what is unsent."""
        self._frames.clear()
        if self.transport is not None:
            super().abort()
