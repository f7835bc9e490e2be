"""What the clients of a load test report to: counts, latencies, and what went wrong."""

from __future__ import annotations

from collections import Counter
from time import perf_counter_ns

from socketeer.cli.bench.histogram import Histogram
from socketeer.cli.bench.units import printable

__all__ = ["Tally"]

_MOST_KINDS = 100


class Tally:
    """Count what happens: ``sent`` and ``latencies`` are of the events that were due since ``begin``.

    What went wrong with connections counts from the start, all else from then.
    """

    def __init__(self) -> None:
        self.latencies = Histogram()
        self.connects = Histogram()
        self.failures: Counter[tuple[str, str]] = Counter()
        self.heard: Counter[str] = Counter()
        self._answered_before = self.answered = 0
        self.begin()

    def begin(self) -> None:
        """Begin the window that is measured."""
        self.latencies.clear()
        self.heard.clear()
        self.since = perf_counter_ns()
        self._answered_before += self.answered
        self.sent = self.answered = self.timeouts = self.late = self.unasked = self.unsent = 0

    def fail(self, kind: str, detail: str = "", count: int = 1) -> None:
        """Count what went wrong with a connection; past a hundred, details are left out."""
        entry = (kind, printable(detail))
        if entry not in self.failures and len(self.failures) >= _MOST_KINDS:
            entry = (kind, "")
        self.failures[entry] += count

    def hear(self, event: str) -> None:
        """Count an event that came to a listener."""
        self.answered += 1
        if event in self.heard or len(self.heard) < _MOST_KINDS:
            self.heard[event] += 1

    def answer(self, due: int, now: int) -> None:
        """Count an answer to an event that was due then."""
        self.answered += 1
        if due >= self.since:
            self.latencies.record(now - due)

    @property
    def ever_answered(self) -> bool:
        """Tell whether any answer came, be it before the window."""
        return self._answered_before + self.answered > 0

    @property
    def errors(self) -> int:
        """Return how much went wrong."""
        return self.timeouts + sum(self.failures.values())
