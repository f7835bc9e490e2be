"""Call a function when events are due, more closely than the timers of event loops, which know milliseconds only."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from time import perf_counter_ns

__all__ = ["Metronome"]

_FINEST = 500_000  # what is due within half a millisecond is due in one call


class Metronome:
    """Call ``due(time)`` in the event loop for each event of an even rate, with the nanosecond at which it was due.

    A thread wakes the loop. When the loop was busy meanwhile it gets every call that it missed, with its own time.
    """

    def __init__(self, rate: float, due: Callable[[int], None]) -> None:
        self._interval = 1e9 / rate
        self._due = due
        self._start = 0
        self._count = 0
        self._stopped = threading.Event()
        self._waking = False
        self._thread = threading.Thread(target=self._wake, name="bench metronome", daemon=True)

    def start(self) -> None:
        """Begin; the first event is due now."""
        self._loop = asyncio.get_running_loop()
        self._start = perf_counter_ns()
        self._thread.start()

    def stop(self) -> None:
        """End the calls."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def _wake(self) -> None:
        interval = max(self._interval, _FINEST)
        beat = float(self._start)
        while not self._stopped.is_set():
            if not self._waking:
                self._waking = True
                self._loop.call_soon_threadsafe(self._beat)
            beat += interval * max(1, -(-(perf_counter_ns() - beat) // interval))
            self._stopped.wait((beat - perf_counter_ns()) / 1e9)

    def _beat(self) -> None:
        self._waking = False
        if self._stopped.is_set():
            return
        now = perf_counter_ns()
        while (due := self._start + int(self._count * self._interval)) <= now:
            self._count += 1
            self._due(due)
