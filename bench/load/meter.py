"""The measured window: what was handled in it, and what it cost the server and the load."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Protocol

from bench.proc import cpu_seconds, machine_cpu_seconds, resident_bytes

_BUSY_SERVER = 0.85
_BUSY_LOAD = 0.9
_DRAIN = 0.05
_CLOSING_TURNS = 3
_LOOK = 0.05
_QUIET = 0.04
_QUIET_LOOKS = 6
_MOST_WARM_UP = 8.0
_BUCKETS = 57 << 7  # for every count of nanoseconds below 2**63


@dataclass(frozen=True, slots=True)
class Sample:
    """What one run measured; times in seconds, memory in bytes.

    ``other_cpu`` is what neither the server nor the load used. The latencies are ``None`` where a scenario has none.
    ``memory`` is what the server holds at the end of the window, ``growth`` what each connection added to it where
    that is the figure. A load that is ``paced`` never sleeps, whatever there is to do.
    """

    count: int
    wall: float
    server_cpu: float
    load_cpu: float
    other_cpu: float
    p50: float | None = None
    p99: float | None = None
    memory: int = 0
    growth: float | None = None
    paced: bool = False

    @property
    def server_share(self) -> float:
        """Return how much of its core the server used."""
        return self.server_cpu / self.wall if self.wall else 0.0

    @property
    def load_share(self) -> float:
        """Return how much of its core the load used."""
        return self.load_cpu / self.wall if self.wall else 0.0

    @property
    def limited_by_load(self) -> bool:
        """Tell whether the rate is that of the load: it was at its limit while the server had time to spare."""
        return not self.paced and self.server_share < _BUSY_SERVER and self.load_share > _BUSY_LOAD

    @property
    def disturbance(self) -> float:
        """Return how much of one core other programs used meanwhile."""
        return self.other_cpu / self.wall if self.wall else 0.0

    def as_json(self) -> dict[str, float | None]:
        """Return the fields by their names."""
        return asdict(self)


class LoadError(Exception):
    """The server did not do what the load asks, so there is nothing to measure."""


class Latencies:
    """A histogram of bounded size whose buckets are a 128th of their value wide."""

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS

    def add(self, nanoseconds: int) -> None:
        """Count one latency."""
        shift = nanoseconds.bit_length() - 8
        if shift < 0:
            shift = 0
        self._counts[(shift << 7) + (nanoseconds >> shift)] += 1

    def clear(self) -> None:
        """Forget what was counted."""
        self._counts = [0] * _BUCKETS

    def quantile(self, share: float) -> float | None:
        """Return the latency, in seconds, that ``share`` of those counted did not exceed, or ``None`` without any."""
        left = share * sum(self._counts)
        for bucket, count in enumerate(self._counts):
            left -= count
            if count and left <= 0:
                shift = max((bucket >> 7) - 1, 0)
                return ((bucket - (shift << 7)) << shift) / 1e9
        return None


class Connection(Protocol):
    """What has to be ended with the run."""

    def reset(self) -> None:
        """End it at once."""


class Tally:
    """What the clients of one run report to: how many messages came back and when, and the first failure."""

    def __init__(self) -> None:
        self.count = 0
        self.latencies = Latencies()
        self.stopping = False
        self.failure: str | None = None
        self.connections: set[Connection] = set()

    def fail(self, reason: str) -> None:
        """Remember the first failure, unless the run is over anyway."""
        if self.failure is None and not self.stopping:
            self.failure = reason

    async def close(self) -> None:
        """End the run and every connection that is left."""
        self.stopping = True
        for connection in [*self.connections]:
            connection.reset()
        for _ in range(_CLOSING_TURNS):
            await asyncio.sleep(0)

    def check(self) -> None:
        """Raise ``LoadError`` if anything failed."""
        if self.failure is not None:
            raise LoadError(self.failure)


class Meter:
    """What happens between its making and a sample."""

    def __init__(self, pid: int, tally: Tally) -> None:
        self._pid = pid
        self._tally = tally
        tally.latencies.clear()
        self._before = self._reading()

    def sample(self) -> Sample:
        """Return what happened up to now.

        Raises ``LoadError`` if anything failed.
        """
        after = self._reading()
        self._tally.check()
        count, wall, server, load, all_cpu = (end - start for start, end in zip(self._before, after, strict=True))
        latencies = self._tally.latencies
        return Sample(
            int(count),
            wall,
            server,
            load,
            max(0.0, all_cpu - server - load),
            latencies.quantile(0.5),
            latencies.quantile(0.99),
            resident_bytes(self._pid),
        )

    async def until_quiet(self) -> Sample:
        """Return what happened until the server had nothing left to do; the wait that shows it is no part of it."""
        sample, quiet = self.sample(), 0
        busy = sample
        while quiet < _QUIET_LOOKS:
            await asyncio.sleep(_LOOK)
            before, sample = sample, self.sample()
            if sample.server_cpu - before.server_cpu < _QUIET * _LOOK:
                quiet += 1
            else:
                busy, quiet = sample, 0
        return replace(sample, wall=busy.wall, load_cpu=busy.load_cpu, other_cpu=busy.other_cpu)

    def _reading(self) -> tuple[float, float, float, float, float]:
        server = cpu_seconds(self._pid)
        return self._tally.count, time.perf_counter(), server, time.process_time(), machine_cpu_seconds()


@dataclass(frozen=True, slots=True)
class Window:
    """How long to warm the server up and how long to measure, and whose CPU to read.

    The server is warm after ``warm_up`` seconds and ``warm_count`` messages or what else is counted, but 8 seconds are
    enough in any case.
    """

    pid: int
    warm_up: float
    seconds: float
    warm_count: int = 0

    async def measure(self, tally: Tally, finish: Callable[[], None] | None = None) -> Sample:
        """Measure while the clients run; ``finish`` may add to the latencies at the end."""
        await self._warm_up(tally)
        meter = Meter(self.pid, tally)
        await asyncio.sleep(self.seconds)
        tally.stopping = True
        if finish is not None:
            finish()
        sample = meter.sample()
        if not sample.count:
            raise LoadError(f"nothing came back within {self.seconds} s")
        return sample

    async def _warm_up(self, tally: Tally) -> None:
        """Wait until the server has done a thing often enough for its compiler to have made the most of it."""
        begun, enough = time.perf_counter(), tally.count + self.warm_count
        await asyncio.sleep(self.warm_up)
        while tally.count < enough and time.perf_counter() - begun < _MOST_WARM_UP:
            tally.check()
            await asyncio.sleep(_LOOK)

    async def measure_and_drain(self, tally: Tally) -> Sample:
        """Measure, and wait for the last answers: some servers complain about clients that went before."""
        sample = await self.measure(tally)
        await asyncio.sleep(_DRAIN)
        return sample
