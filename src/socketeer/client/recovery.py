"""What a client knows for the recovery of its state: a secret, and the offset of the last event that it got.

Servers add the offset to events as one more argument, without a mark; those that are volatile or ask for an
acknowledgement have none. The forms that adapters use are known here, so that handlers do not get it.
"""

from __future__ import annotations

import re
import string
from typing import Any

__all__ = ["Recovery"]

_COUNTED = re.compile(r"([0-9A-Za-z_-]{4})\.([0-9a-f]{1,16})")  # of this package
_STREAM = re.compile(r"\d{13}-\d+")  # of Redis streams
_OBJECT_ID = re.compile(r"[0-9a-f]{24}")  # of MongoDB
_YEAST = re.compile(r"([0-9A-Za-z_-]{7})(?:\.[0-9A-Za-z_-]+)?")  # of the memory of Node's server
_DIGITS = {
    digit: value for value, digit in enumerate(string.digits + string.ascii_uppercase + string.ascii_lowercase + "-_")
}
_CLOSE = 2 * 24 * 3600.0
"""How far the clock of the server may be from that of the client, in seconds."""


class Recovery:
    """Hold the secret of one socket, and the last offset."""

    __slots__ = ("_certain", "_mark", "offset", "pid")

    def __init__(self) -> None:
        self.pid: str | None = None
        self.offset: str | None = None
        self._certain = False  # whether the offset has one of the known forms
        self._mark: str | None = None

    def begin(self, pid: str | None) -> bool:
        """Take the secret that the server gives; tell whether it is the one from before."""
        if pid is not None and pid == self.pid:
            return True
        self.pid = pid
        self.offset = self._mark = None
        self._certain = False
        return False

    def auth(self) -> dict[str, str]:
        """Give what a CONNECT has to say."""
        if self.pid is None:
            return {}
        return {"pid": self.pid} if self.offset is None else {"pid": self.pid, "offset": self.offset}

    def take(self, args: list[Any], now: float) -> None:
        """Take the offset off an event that asks for no acknowledgement; ``now`` is the time since 1970."""
        last = args[-1]
        if not isinstance(last, str):
            return
        if len(args) > 1 and self._is_offset(last, now):
            self.offset = args.pop()
            self._certain = True
        elif not self._certain:
            self.offset = last  # of a form that is not known, or none

    def _is_offset(self, text: str, now: float) -> bool:
        match = _COUNTED.fullmatch(text)
        if match is not None and self._mark in (match[1], None):
            self._mark = match[1]
            return True
        if _STREAM.fullmatch(text):
            return _is_near(int(text[:13]) / 1000, now)
        if _OBJECT_ID.fullmatch(text):
            return _is_near(int(text[:8], 16), now)
        match = _YEAST.fullmatch(text)
        if match is None:
            return False
        milliseconds = 0
        for digit in match[1]:
            milliseconds = milliseconds * 64 + _DIGITS[digit]
        return _is_near(milliseconds / 1000, now)


def _is_near(time: float, now: float) -> bool:
    return abs(time - now) < _CLOSE
