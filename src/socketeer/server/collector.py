"""The acknowledgements of a broadcast put together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from socketeer.engine.timers import Timer, TimerWheel
from socketeer.exceptions import AckTimeout
from socketeer.handling.acks import flatten

__all__ = ["Collector"]


class Collector:
    """Collect the acknowledgements of one broadcast and say when they are complete."""

    __slots__ = ("_done", "_expected", "_finished", "_left", "_timer", "_wheel", "responses")

    def __init__(self, done: Callable[[AckTimeout | None, list[Any]], None]) -> None:
        self.responses: list[Any] = []
        self._timer: Timer | None = None
        self._wheel: TimerWheel | None = None
        self._done = done
        self._expected: int | None = None
        self._left = 0
        self._finished = False

    def start(self, wheel: TimerWheel, seconds: float) -> None:
        """Begin to wait, so many seconds at the most."""
        self._wheel = wheel
        self._timer = wheel.call_later(seconds, self.time_out)

    def expect(self, count: int) -> None:
        """Take note of how many sockets the event goes to."""
        self._expected = (self._expected or 0) + count
        self._check()

    def answered(self, args: list[Any] | None) -> None:
        """Take the answer of one socket, or None for one that left."""
        if args is None:
            self._left += 1
        else:
            self.responses.append(flatten(args))
        self._check()

    def time_out(self) -> None:
        """Give up waiting."""
        missing = (self._expected or 0) - self._left - len(self.responses)
        self._finish(
            AckTimeout(f"{missing} of {self._expected or 0} did not acknowledge in time", list(self.responses))
        )

    def _check(self) -> None:
        if self._expected is not None and self._left + len(self.responses) >= self._expected:
            self._finish(None)

    def _finish(self, error: AckTimeout | None) -> None:
        if not self._finished:
            self._finished = True
            if self._wheel is not None:
                self._wheel.stop(self._timer)
            self._done(error, list(self.responses))
