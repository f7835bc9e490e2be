"""How long to wait before the next attempt to connect."""

from __future__ import annotations

import math
from collections.abc import Callable

__all__ = ["Backoff"]

_MOST_DOUBLINGS = 64
"""A pause doubled so often is longer than any limit, and still a number."""


class Backoff:
    """Double a pause with each attempt, up to a limit, and let chance make it shorter or longer by a part of itself.

    ``chance`` gives a number from 0 to 1.
    """

    __slots__ = ("_chance", "_delay", "_delay_max", "_factor", "attempts")

    def __init__(self, delay: float, delay_max: float, factor: float, chance: Callable[[], float]) -> None:
        self._delay = delay
        self._delay_max = delay_max
        self._factor = factor
        self._chance = chance
        self.attempts = 0

    def next(self) -> float:
        """Count an attempt, and give the pause before it in seconds."""
        delay = min(math.ldexp(self._delay, min(self.attempts, _MOST_DOUBLINGS)), self._delay_max)
        self.attempts += 1
        delay += delay * self._factor * (2 * self._chance() - 1)
        # What goes beyond the limit is put below it by as much: cut off, half of the clients would come at one time.
        return delay if delay <= self._delay_max else 2 * self._delay_max - delay

    def reset(self) -> None:
        """Begin with the shortest pause again."""
        self.attempts = 0
