"""What is sent in a round of the event loop leaves at its end: all of it for one connection in one write.

A system call empties the caches that the code around it needs. A server that reads, handles and writes client by client
pays for that each time; one that has handled everything that was read before it writes pays once.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from typing import Any, Protocol

from picows import WSMsgType, WSTransport

__all__ = ["Outbox", "Sender", "frame_head", "outbox_of"]

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


class Sender(Protocol):
    """Be a connection that has something to write."""

    listed: bool
    """Whether it is in the outbox: whether something was sent in this round."""
    text: bytes | None
    """All that waits, where that is one small text for a WebSocket."""

    @property
    def transport(self) -> WSTransport:
        """Give what takes ``text``."""

    def flush(self) -> None:
        """Write whatever waits."""


class Outbox:
    """Hold the connections of one event loop that have sent something in this round of it."""

    __slots__ = ("_senders", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._senders: list[Sender] = []

    def add(self, sender: Sender) -> None:
        """Flush one, which is not in here yet, at the end of the round."""
        senders = self._senders
        if not senders:
            self.loop.call_soon(self._flush)
        senders.append(sender)

    def _flush(self) -> None:
        senders = iter(self._senders)  # flushing one may add others
        while True:
            try:
                for sender in senders:
                    sender.listed = False
                    text = sender.text
                    if text is not None:  # what flush() would do: nearly always a WebSocket has sent one small text
                        sender.text = None
                        sender.transport.send(_TEXT, text)
                    else:
                        sender.flush()
            except Exception:
                _log.exception("a connection could not be written to")
            else:
                break
        self._senders.clear()


_latest: Outbox | None = None


def outbox_of(loop: asyncio.AbstractEventLoop) -> Outbox:
    """Give the outbox of an event loop.

    The latest one is kept, and with it its loop until another one asks. With loops in several threads a loop may get
    more than one, which does no harm: a connection stays with its own.
    """
    global _latest
    outbox = _latest
    if outbox is None or outbox.loop is not loop:
        outbox = _latest = Outbox(loop)
    return outbox
