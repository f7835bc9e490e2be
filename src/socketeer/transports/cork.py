"""Frames that are written in one go: the answers to what a client has sent in one go."""

from __future__ import annotations

import struct
from typing import Any

from picows import WSMsgType, WSTransport

__all__ = ["Cork", "frame"]

_FINAL, _COMPRESSED = 0x80, 0x40
_SHORT = 126
_MOST_FRAMES = 16
_MOST_BYTES = 8192
"""Beyond these the frames leave: handlers may take their time, and large frames are none the better for waiting."""
_medium = struct.Struct("!BBH").pack


def frame(kind: Any, message: bytes, compressed: bool = False) -> bytes:
    """Put a message of less than 64 KiB into a frame of a server (RFC 6455 section 5.2)."""
    size = len(message)
    first = _FINAL | _COMPRESSED | kind if compressed else _FINAL | kind
    return (bytes((first, size)) if size < _SHORT else _medium(first, _SHORT, size)) + message


class Cork:
    """Stand in for the transport of a WebSocket and keep its frames back until :meth:`flush`.

    Whatever else is asked of the transport comes behind them.
    """

    __slots__ = ("_frames", "_size", "_transport")

    def __init__(self, transport: WSTransport) -> None:
        self._transport: Any = transport
        self._frames: list[bytes] = []
        self._size = 0

    def __getattr__(self, name: str) -> Any:
        self.flush()
        return getattr(self._transport, name)

    def send(self, kind: WSMsgType, message: bytes, fin: bool = True, rsv1: bool = False) -> None:
        """Keep a frame back; none is a fragment."""
        if len(message) > _MOST_BYTES:
            self.flush()
            self._transport.send(kind, message, fin, rsv1)
            return
        self._frames.append(frame(kind, message, rsv1))
        self._size += len(message)
        if len(self._frames) >= _MOST_FRAMES or self._size > _MOST_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what was kept back, unless nothing may be sent any more."""
        frames, transport = self._frames, self._transport
        if frames:
            self._frames, self._size = [], 0
            if not (transport.is_close_frame_sent or transport.is_disconnected):
                transport.underlying_transport.send(b"".join(frames))
