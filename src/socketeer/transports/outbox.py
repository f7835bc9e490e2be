"""What is sent in a round of the event loop leaves at its end: all of it for one client in one write.

A system call empties the caches that the code around it needs. A server that reads, handles and writes client by client
pays for that each time; one that has handled everything that was read before it writes pays once.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from picows import WSMsgType

if TYPE_CHECKING:
    from socketeer.transports.picows import Wire

__all__ = ["Outbox", "frame_head", "outbox_of"]

_log = logging.getLogger("socketeer.transports.picows")

_TEXT = WSMsgType.TEXT
_FINAL, _COMPRESSED = 0x80, 0x40
_SHORT, _MEDIUM = 126, 65536
_medium = struct.Struct("!BBH").pack
_long = struct.Struct("!BBQ").pack


def frame_head(kind: Any, size: int, compressed: bool = False) -> bytes:
    """Write the head of a server's frame (RFC 6455 section 5.2)."""
    first = _FINAL | _COMPRESSED | kind if compressed else _FINAL | kind
    if size < _SHORT:
        return bytes((first, size))
    return _medium(first, 126, size) if size < _MEDIUM else _long(first, 127, size)


class Outbox:
    """Hold the wires of one event loop that have sent something in this round of it."""

    __slots__ = ("_loop", "_wires")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._wires: list[Wire] = []

    def add(self, wire: Wire) -> None:
        """Flush a wire, which is not in here yet, at the end of the round."""
        wires = self._wires
        if not wires:
            self._loop.call_soon(self._flush)
        wires.append(wire)

    def _flush(self) -> None:
        wires = iter(self._wires)  # flushing one may add others
        while True:
            try:
                for wire in wires:
                    wire.listed = False
                    text = wire.text
                    if text is not None:  # what wire.flush() would do: nearly always a wire has sent one small text
                        wire.text = None
                        wire.transport.send(_TEXT, text)
                    else:
                        wire.flush()
            except Exception:
                _log.exception("a WebSocket could not be written to")
            else:
                break
        self._wires.clear()


_outboxes: WeakKeyDictionary[asyncio.AbstractEventLoop, Outbox] = WeakKeyDictionary()


def outbox_of(loop: asyncio.AbstractEventLoop) -> Outbox:
    """Give the outbox of an event loop."""
    outbox = _outboxes.get(loop)
    if outbox is None:
        outbox = _outboxes[loop] = Outbox(loop)
    return outbox
