"""The measured window: what was handled in it, and what it cost the server and the load."""

import asyncio
import time
from dataclasses import asdict, dataclass

from bench.proc import cpu_seconds, machine_cpu_seconds


@dataclass(frozen=True, slots=True)
class Sample:
    """What one run measured; times in seconds. ``other_cpu`` is what neither the server nor the load used."""

    count: int
    wall: float
    server_cpu: float
    load_cpu: float
    other_cpu: float
    memory: int = 0

    @property
    def disturbance(self) -> float:
        """Return how much of one core other programs used meanwhile."""
        return self.other_cpu / self.wall if self.wall else 0.0

    def as_json(self) -> dict[str, float]:
        """Return the fields by their names."""
        return asdict(self)


class LoadError(Exception):
    """The server did not do what the load asks, so there is nothing to measure."""


class Tally:
    """What the clients of one run report to: how many messages came back, and the first thing that went wrong."""

    def __init__(self) -> None:
        self.count = 0
        self.stopping = False
        self.failure: str | None = None

    def fail(self, reason: str) -> None:
        """Remember the first failure, unless the run is over anyway."""
        if self.failure is None and not self.stopping:
            self.failure = reason

    def check(self) -> None:
        """Raise ``LoadError`` if anything failed."""
        if self.failure is not None:
            raise LoadError(self.failure)


@dataclass(frozen=True, slots=True)
class Window:
    """How long to warm the server up and how long to measure, and whose CPU to read."""

    pid: int
    warm_up: float
    seconds: float

    async def measure(self, tally: Tally) -> Sample:
        """Measure while the clients run, and return what happened between the two readings."""
        await asyncio.sleep(self.warm_up)
        before = self._reading(tally)
        await asyncio.sleep(self.seconds)
        after = self._reading(tally)
        tally.stopping = True
        tally.check()
        count, wall, server, load, all_cpu = (end - start for start, end in zip(before, after, strict=True))
        if not count:
            raise LoadError(f"nothing came back within {self.seconds} s")
        return Sample(int(count), wall, server, load, max(0.0, all_cpu - server - load))

    def _reading(self, tally: Tally) -> tuple[float, float, float, float, float]:
        server = cpu_seconds(self.pid)
        return tally.count, time.perf_counter(), server, time.process_time(), machine_cpu_seconds()
