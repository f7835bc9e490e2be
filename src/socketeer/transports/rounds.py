"""Rounds of an event loop: they tell whether a volatile packet comes right behind another one."""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

__all__ = ["Round", "round_of"]


class Round:
    """Number those rounds of an event loop in which something was noted."""

    __slots__ = ("_loop", "_noted", "number")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._noted = False
        self.number = 1

    def note(self) -> int:
        """Give the number of this round, which the next one will not have."""
        if not self._noted:
            self._noted = True
            self._loop.call_soon(self._end)
        return self.number

    def _end(self) -> None:
        self._noted = False
        self.number += 1


_rounds: WeakKeyDictionary[asyncio.AbstractEventLoop, Round] = WeakKeyDictionary()


def round_of(loop: asyncio.AbstractEventLoop) -> Round:
    """Give the rounds of an event loop."""
    rounds = _rounds.get(loop)
    if rounds is None:
        rounds = _rounds[loop] = Round(loop)
    return rounds
