"""Count latencies cheaply and in bounded memory: each bucket is at most a 128th of its values wide.

hdrhistogram's Python package is a C extension that is seldom released, for what takes one list here.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Histogram", "Row"]

_BUCKETS = 57 << 7  # for every count of nanoseconds below 2**63
_MOST_ROWS = 16
_DECADES = 20
_FEW = 0.001
# Preferred numbers (ISO 3): a decade in 20, 10, 5 or 3 steps, of which a histogram takes the finest that fits.
_R20 = (1.0, 1.12, 1.25, 1.4, 1.6, 1.8, 2.0, 2.24, 2.5, 2.8, 3.15, 3.55, 4.0, 4.5, 5.0, 5.6, 6.3, 7.1, 8.0, 9.0)
_SERIES: tuple[Sequence[float], ...] = (_R20, _R20[::2], _R20[::4], (1.0, 2.0, 5.0), (1.0,))


@dataclass(frozen=True, slots=True)
class Row:
    """Hold how many values are at least ``start`` and below ``end``; times in seconds."""

    start: float
    end: float
    count: int


class Histogram:
    """Count times; they come in as nanoseconds and are given as seconds."""

    __slots__ = ("_counts", "_max", "_min", "_sum", "count")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget what was counted."""
        self._counts = [0] * _BUCKETS
        self._min, self._max, self._sum, self.count = 1 << 63, 0, 0, 0

    def record(self, nanoseconds: int) -> None:
        """Count one time; a clock that went back gives 0."""
        if nanoseconds < 0:
            nanoseconds = 0
        shift = nanoseconds.bit_length() - 8
        if shift > 0:
            self._counts[(shift << 7) + (nanoseconds >> shift)] += 1
        else:
            self._counts[nanoseconds] += 1
        self.count += 1
        self._sum += nanoseconds
        if nanoseconds < self._min:
            self._min = nanoseconds
        if nanoseconds > self._max:
            self._max = nanoseconds

    @property
    def min(self) -> float | None:
        """Return the least, exactly, or ``None`` without any."""
        return self._min / 1e9 if self.count else None

    @property
    def max(self) -> float | None:
        """Return the greatest, exactly, or ``None`` without any."""
        return self._max / 1e9 if self.count else None

    @property
    def mean(self) -> float | None:
        """Return the arithmetic mean, exactly, or ``None`` without any."""
        return self._sum / self.count / 1e9 if self.count else None

    def quantile(self, share: float) -> float | None:
        """Return what ``share`` of the values did not exceed, within 0.4%, or ``None`` without any."""
        left = share * self.count
        for middle, count in self._middles():
            left -= count
            if left <= 0:
                return min(max(middle, self._min), self._max) / 1e9
        return self.max

    def rows(self, most: int = _MOST_ROWS) -> list[Row]:
        """Return the values in at most ``most`` rows between round, log-spaced times.

        The few values far from the others are in the first and the last row, so that they do not make all rows wide.
        """
        if not self.count:
            return []
        least, greatest = (1e9 * (self.quantile(share) or 0.0) for share in (_FEW, 1 - _FEW))
        for series in _SERIES:
            edges = _edges(series, least, greatest)
            if len(edges) - 1 <= most:
                break
        edges[0] = _edges(series, self._min, self._min)[0]
        edges[-1] = _edges(series, self._max, self._max)[-1]
        counts = [0] * (len(edges) - 1)
        for middle, count in self._middles():
            counts[max(0, min(bisect_right(edges, middle), len(counts)) - 1)] += count
        return [Row(edges[row] / 1e9, edges[row + 1] / 1e9, count) for row, count in enumerate(counts)]

    def _middles(self) -> Iterator[tuple[float, int]]:
        """Yield the middle of each bucket that has a count, and the count."""
        for bucket, count in enumerate(self._counts):
            if count:
                shift = max((bucket >> 7) - 1, 0)
                first = (bucket - (shift << 7)) << shift
                yield first + ((1 << shift) - 1) / 2, count


def _edges(series: Sequence[float], least: float, greatest: float) -> list[float]:
    """Return the numbers of a series of which the first is not above ``least`` and the last above ``greatest``."""
    numbers = [0.0, *(round(number * 10.0**decade, 2) for decade in range(_DECADES) for number in series)]
    return numbers[bisect_right(numbers, least) - 1 : bisect_right(numbers, greatest) + 1]
