"""A timer wheel: every deadline of every session on one timer of the event loop.

Starting, moving and stopping a timer costs a few dictionary operations and no system call. The wheel reads no clock of
its own: the clock is injected, and whoever drives the wheel calls :meth:`TimerWheel.advance` at
:meth:`TimerWheel.next_deadline`. Deadlines are met late by at most one tick, and early by at most half of one.
"""

from __future__ import annotations

import heapq
import logging
import math
from collections.abc import Callable

__all__ = ["TICK", "Timer", "TimerWheel"]

TICK = 0.001
"""The width of a slot in seconds: timers due within one slot fire together."""

_SLACK = 64
"""How many numbers of slots that are gone may stay in the order, beside one for each slot that is not."""

_log = logging.getLogger("socketeer.engine.timers")


def _due(timer: Timer) -> float:
    return timer.due


class Timer:
    """Hold one deadline; made by :meth:`TimerWheel.timer`, started and stopped through the wheel."""

    __slots__ = ("callback", "due", "slot")

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback = callback
        self.due = 0.0
        self.slot = -1


class TimerWheel:
    """Keep timers in slots of :data:`TICK` seconds.

    ``clock`` gives the time in seconds. ``wake`` is called with a deadline whenever it becomes the earliest one, so
    that the driver can arm its own timer.
    """

    def __init__(self, clock: Callable[[], float], wake: Callable[[float], None] | None = None) -> None:
        self.clock = clock
        self.wake = wake
        self._slots: dict[int, set[Timer]] = {}
        self._order: list[int] = []  # a heap of slot numbers; a number whose slot is gone is dropped when it comes up

    def start(self, timer: Timer, delay: float) -> None:
        """Let ``timer`` fire once in ``delay`` seconds, whatever it was set to before.

        A deadline that moves later stays in its slot until the slot comes up, so that a heartbeat costs no work for
        each message.
        """
        timer.due = self.clock() + delay
        slot = math.ceil(timer.due / TICK)
        if 0 <= timer.slot <= slot:
            return
        self._remove(timer)
        self._put(timer, slot)

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Make and start a timer in one step."""
        timer = Timer(callback)
        self.start(timer, delay)
        return timer

    def stop(self, timer: Timer | None) -> None:
        """Forget ``timer``; do nothing where it is not set."""
        if timer is not None:
            self._remove(timer)
            timer.due = math.inf

    def next_deadline(self) -> float | None:
        """Give the time at which :meth:`advance` has something to do."""
        while self._order and self._order[0] not in self._slots:
            heapq.heappop(self._order)
        return self._order[0] * TICK if self._order else None

    def advance(self) -> None:
        """Fire every timer that is due, in the order of their deadlines.

        An exception in a callback is logged and does not keep the others from firing.
        """
        now = self.clock() + TICK / 2  # the event loop's own clock may be a little coarser than the slots
        current = math.floor(now / TICK)
        ready: list[Timer] = []
        while self._order and self._order[0] <= current:
            for timer in self._slots.pop(heapq.heappop(self._order), ()):
                timer.slot = -1
                if timer.due <= now:
                    ready.append(timer)
                else:
                    self._put(timer, max(math.ceil(timer.due / TICK), current + 1))
        ready.sort(key=_due)
        for timer in ready:
            if timer.slot < 0 and timer.due <= now:  # neither restarted nor stopped by a callback before it
                try:
                    timer.callback()
                except Exception:
                    _log.exception("a timer's callback failed")

    def _put(self, timer: Timer, slot: int) -> None:
        timer.slot = slot
        timers = self._slots.get(slot)
        if timers is not None:
            timers.add(timer)
            return
        self._slots[slot] = {timer}
        heapq.heappush(self._order, slot)
        if self.wake is not None and self._order[0] == slot:
            self.wake(slot * TICK)

    def _remove(self, timer: Timer) -> None:
        slot, timer.slot = timer.slot, -1
        timers = self._slots.get(slot)
        if timers is None:
            return
        timers.discard(timer)
        if not timers:
            del self._slots[slot]
            if len(self._order) > 2 * len(self._slots) + _SLACK:
                self._order = sorted(self._slots)  # which is a heap too
