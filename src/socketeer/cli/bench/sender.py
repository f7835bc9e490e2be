"""One client's events: each is sent when it is due, waits for its answer, and is given up when that takes too long."""

from __future__ import annotations

from functools import partial
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from socketeer.cli.bench.plan import Plan
from socketeer.cli.bench.tally import Tally

if TYPE_CHECKING:
    from socketeer.client import ClientSocket

__all__ = ["Sender"]


class Sender:
    """Send the events of one client.

    What is due while ``inflight`` events wait for their answers is held back. Since the events of a client are due at
    even intervals, the number of those held and the time of the first one are all that has to be known of them.
    """

    __slots__ = (
        "_held",
        "_held_due",
        "_interval",
        "_number",
        "_plan",
        "_sending",
        "_socket",
        "_tally",
        "_timeout",
        "_waiting",
    )

    def __init__(self, socket: ClientSocket, plan: Plan, tally: Tally) -> None:
        self._socket = socket
        self._plan = plan
        self._tally = tally
        self._timeout = int(plan.timeout * 1e9)
        self._interval = self._held = self._held_due = self._number = 0
        self._sending = False
        self._waiting: dict[int, tuple[int, int]] = {}  # number: when it was due, when it was sent; the oldest first
        if plan.echo is not None:
            socket.on(plan.echo, self._came_back)

    @property
    def waiting(self) -> int:
        """Return how many events wait for their answers."""
        return len(self._waiting)

    def start(self, interval: int) -> None:
        """Begin to send: at once where there is no rate, else what ``offer`` brings every ``interval`` nanoseconds."""
        self._interval = interval
        self._sending = True
        if self._plan.rate is None:
            for _ in range(self._plan.inflight):
                self._send(perf_counter_ns())

    def stop(self) -> None:
        """Send no more, not even what is held back."""
        self._sending = False
        self._tally.unsent += self._held
        self._held = 0

    def lose(self) -> int:
        """Stop for good; return how many events will never be answered."""
        self.stop()
        lost = len(self._waiting)
        self._waiting.clear()
        return lost

    def offer(self, due: int) -> None:
        """Send an event that is due, or hold it back."""
        if not self._sending:
            self._tally.unsent += 1
        elif not self._held and len(self._waiting) < self._plan.inflight:
            self._send(due)
        else:
            if not self._held:
                self._held_due = due
            self._held += 1

    def expire(self, now: int) -> None:
        """Give up the events that waited too long."""
        while self._waiting:
            number, (_, sent) = next(iter(self._waiting.items()))
            if now - sent <= self._timeout:
                return
            del self._waiting[number]
            self._tally.timeouts += 1
            self._next(perf_counter_ns())

    def _send(self, due: int) -> None:
        plan = self._plan
        self._number = number = self._number + 1
        self._waiting[number] = (due, perf_counter_ns())
        if due >= self._tally.since:
            self._tally.sent += 1
        if plan.echo is None:
            self._socket.emit(plan.event, *plan.payload, ack=partial(self._answered, number))
        else:
            self._socket.emit(plan.event, *plan.payload)

    def _answered(self, number: int, *_: Any) -> None:
        waiting = self._waiting.pop(number, None)
        if waiting is None:
            self._tally.late += 1
            return
        due, sent = waiting
        now = perf_counter_ns()
        if now - sent <= self._timeout:
            self._tally.answer(due, now)
        else:
            self._tally.timeouts += 1
            self._tally.late += 1
        self._next(now)

    def _came_back(self, *_: Any) -> None:
        if self._waiting:
            self._answered(next(iter(self._waiting)))
        else:
            self._tally.unasked += 1

    def _next(self, now: int) -> None:
        if not self._sending:
            return
        if self._plan.rate is None:
            self._send(now)
        elif self._held:
            self._held -= 1
            due = self._held_due
            self._held_due += self._interval
            self._send(due)
