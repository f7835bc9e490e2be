"""One WebSocket on picows whose messages are compressed (RFC 7692)."""

from __future__ import annotations

import asyncio

from picows import WSCloseCode, WSFrame, WSMsgType, WSTransport

from socketeer.engine.deflate import Agreement, Deflater, Inflater, InvalidData, TooLarge
from socketeer.engine.websocket import Limits
from socketeer.transports.picows import Wire

__all__ = ["DeflateWire", "InflatingWire", "room_for"]

_TEXT, _BINARY = WSMsgType.TEXT, WSMsgType.BINARY
_LEAST_ROOM = 64


def room_for(max_size: int) -> int:
    """Give the most bytes that a message of so many may have when it is compressed."""
    return max_size + max_size // 1024 + _LEAST_ROOM


class InflatingWire(Wire):
    """Be one WebSocket on picows that takes compressed messages, if that was agreed upon.

    ``peer_takes_over`` says whether the peer compresses a message with what it remembers of those before; None where
    nothing was agreed upon.
    """

    __slots__ = ("_compressed", "_inflater", "_peer_takes_over")

    def __init__(self, limits: Limits, peer_takes_over: bool | None) -> None:
        super().__init__(limits)
        self._peer_takes_over = peer_takes_over
        self._inflater: Inflater | None = None  # made for the first message that needs it
        self._compressed = False  # whether the message that comes in fragments is

    @property
    def max_size(self) -> int:
        """Give the largest frame that may come: what cannot be compressed grows a little."""
        most = self._limits.max_size
        return most if self._peer_takes_over is None else room_for(most)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take a frame; one that is not compressed has no room to grow."""
        if frame.payload_size > self._limits.max_size and not frame.rsv1:
            self._fail_too_large()
        else:
            super().on_ws_frame(transport, frame)

    def _take(self, transport: WSTransport, frame: WSFrame, kind: WSMsgType) -> None:
        if kind is _TEXT or kind is _BINARY:
            compressed = frame.rsv1 and not (frame.rsv2 or frame.rsv3) and self._peer_takes_over is not None
            if compressed and self._fragments is None and not transport.is_close_frame_sent:
                self._compressed = True
                self._take_data(frame, kind)
                return
        super()._take(transport, frame, kind)

    def _deliver(self, message: bytes, text: bool) -> None:
        compressed, self._compressed = self._compressed, False
        try:
            if compressed:
                if self._inflater is None:
                    self._inflater = Inflater(takes_over=bool(self._peer_takes_over))
                message = self._inflater.decompress(message, self._limits.max_size)
            elif len(message) > self._limits.max_size:
                raise TooLarge
        except TooLarge:
            self._fail_too_large()
        except InvalidData as error:
            self._fail(WSCloseCode.INVALID_TEXT, f"message that cannot be decompressed: {error}")
        else:
            super()._deliver(message, text)

    def _fail_too_large(self) -> None:
        self._fail(WSCloseCode.MESSAGE_TOO_BIG, "message of more than max_http_buffer_size")


class DeflateWire(InflatingWire):
    """Be one WebSocket on picows that uses permessage-deflate as agreed."""

    __slots__ = ("_bits", "_deflate", "_deflater", "_threshold")

    def __init__(self, limits: Limits, agreement: Agreement) -> None:
        super().__init__(limits, agreement.client_takes_over)
        self._deflate = deflate = agreement.deflate
        self._bits = agreement.bits
        self._threshold = deflate.options.threshold
        self._deflater = Deflater(deflate.options.level, agreement.bits) if agreement.server_takes_over else None

    # -- to the client

    def send_text(self, data: bytes, compress: bool = True) -> None:
        """Send a text frame, compressed if it is worth it."""
        if compress and len(data) >= self._threshold:
            self._send_compressed(_TEXT, data)
        else:
            super().send_text(data)

    def send_binary(self, data: bytes, compress: bool = True) -> None:
        """Send a binary frame, compressed if it is worth it."""
        if compress and len(data) >= self._threshold:
            self._send_compressed(_BINARY, data)
        else:
            super().send_binary(data)

    def _send_compressed(self, kind: WSMsgType, data: bytes) -> None:
        if self._deflater is not None:
            message, compressed = self._deflater.compress(data), True
        else:
            message = self._compress_once(data)
            compressed = len(message) < len(data)
            if not compressed:
                message = data
        self._add(kind, message, compressed)

    def _compress_once(self, data: bytes) -> bytes:
        deflate = self._deflate
        if not deflate.keeps:
            # The recipients of a broadcast are all served in this round of the event loop.
            asyncio.get_running_loop().call_soon(deflate.forget)
        return deflate.compress_once(data, self._bits)
