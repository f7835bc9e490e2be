"""Run a load test: connect the clients, let them warm up, measure, and wait for the answers that are left."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import cycle
from time import monotonic, perf_counter, perf_counter_ns, process_time
from typing import NamedTuple

from socketeer.cli.bench.crowd import Crowd
from socketeer.cli.bench.histogram import Histogram
from socketeer.cli.bench.pacing import Metronome
from socketeer.cli.bench.plan import Plan
from socketeer.cli.bench.sender import Sender
from socketeer.cli.bench.tally import Tally
from socketeer.cli.connecting import Target
from socketeer.client import ClientSocket

__all__ = ["Load", "LoadError", "Status"]

_TICK = 0.05
_TICKS_EACH = 4
_PAUSE = 0.1


class LoadError(Exception):
    """Say why there is nothing to measure."""


class Status(NamedTuple):
    """Say what goes on and how much of it is done, where that is known."""

    phase: str
    share: float | None
    counted: str
    answered: int
    errors: int
    p50: float | None
    p99: float | None


class Load:
    """Run one plan once; the figures stay when it is over, or was cancelled, which ends it early."""

    def __init__(self, target: Target, plan: Plan, show: Callable[[Status], None]) -> None:
        self.tally = Tally()
        self.lag = Histogram()
        self.connected = self.lost = 0
        self.transports: dict[str, int] = {}
        self.wall = self.cpu = 0.0
        self.answered = 0
        self.interrupted = False
        self._plan = plan
        self._show = show
        self._crowd = Crowd(target, plan.timeout, self.tally)
        self._crowd.on_loss = self._lose
        self._senders: dict[ClientSocket, Sender] = {}
        self._phase = "connecting"
        self._progress: Callable[[], float | None] = lambda: None
        self._over = asyncio.Event()
        self._first_sent: float | None = None
        self._silent = False

    async def run(self) -> None:
        """Do it all; raise :class:`LoadError` where nothing can be measured."""
        watching = asyncio.create_task(self._watch())
        watching.add_done_callback(lambda _: self._over.set())  # without it nothing is given up any more
        try:
            await (self._visit() if self._plan.mode == "connect" else self._stay())
        except asyncio.CancelledError:
            self.interrupted = True
            task = asyncio.current_task()
            assert task is not None
            task.uncancel()
        finally:
            watching.cancel()
            self.transports = self.transports or self._crowd.transports()
            await self._crowd.close()
        (end,) = await asyncio.gather(watching, return_exceptions=True)
        if isinstance(end, Exception):
            raise end

    # -- phases

    async def _stay(self) -> None:
        """Connect everyone once, and let them send or listen."""
        await self._connect_all()
        await self._crowd.settle()
        self.transports = self._crowd.transports()
        if not len(self._crowd):  # while it grew, nobody could tell that all were lost
            self._over.set()
        gc.collect()
        gc.freeze()  # else the collector's look at every client delays what is measured
        try:
            async with self._sending():
                await self._measure()
            await self._drain()
        finally:
            gc.unfreeze()

    async def _visit(self) -> None:
        """Let everyone connect and leave, over and over."""
        self._begin_phase("connecting")
        await self._crowd.leave(await self._connect_first())
        turns = self._turns()
        async with asyncio.TaskGroup() as tasks:
            visits = [tasks.create_task(self._visits(turns)) for _ in range(self._plan.clients)]
            try:
                await self._measure()
            finally:
                for each in visits:
                    each.cancel()

    def _begin_phase(self, phase: str, seconds: float | None = None) -> None:
        since = monotonic()
        self._phase = phase
        self._progress = lambda: (monotonic() - since) / seconds if seconds else None

    async def _measure(self) -> None:
        await self._spend("warming up", self._plan.warmup)
        if not self._over.is_set():
            async with self._window():
                await self._spend("measuring", self._plan.duration)

    async def _spend(self, phase: str, seconds: float) -> None:
        """Let time pass, less of it when there is nothing left to wait for."""
        self._begin_phase(phase, seconds)
        await self._pause(seconds)
        self._check()

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._over.wait()
        except TimeoutError:
            pass

    @asynccontextmanager
    async def _window(self) -> AsyncIterator[None]:
        """Measure what happens meanwhile."""
        if self._plan.mode == "connect":
            self.tally.connects.clear()
        self.tally.begin()
        self.lag.clear()
        wall, cpu = perf_counter(), process_time()
        try:
            yield
        finally:
            self.wall, self.cpu = perf_counter() - wall, process_time() - cpu
            self.answered = self.tally.answered

    @asynccontextmanager
    async def _sending(self) -> AsyncIterator[None]:
        """Send events meanwhile."""
        senders = [*self._senders.values()]
        metronome = None
        if senders:
            self._first_sent = monotonic()
            interval = 0 if self._plan.rate is None else int(1e9 * len(senders) / self._plan.rate)
            for sender in senders:
                sender.start(interval)
        if senders and self._plan.rate is not None:
            turns = cycle(senders)
            metronome = Metronome(self._plan.rate, lambda due: next(turns).offer(due))
            metronome.start()
        try:
            yield
        finally:
            if metronome is not None:
                metronome.stop()
            for sender in senders:
                sender.stop()

    async def _drain(self) -> None:
        """Wait for the answers to what was sent: those that take long are the ones that matter."""
        self._begin_phase("waiting for the last answers")
        while any(sender.waiting for sender in self._senders.values()) and not self._over.is_set():
            await self._pause(_TICK)
        self._check()

    def _check(self) -> None:
        if self._silent:
            raise LoadError(_silence(self._plan))

    # -- connections

    async def _connect_all(self) -> None:
        count, rate = self._plan.clients, self._plan.connect_rate
        self._begin_phase("connecting")
        self._keep(await self._connect_first())
        if count > 1:
            self.tally.connects.clear()  # the first one has to import things
        started = monotonic()
        self._progress = lambda: self.connected / count
        async with asyncio.TaskGroup() as tasks:
            for number in range(1, count):
                if rate is not None:
                    await asyncio.sleep(started + number / rate - monotonic())
                tasks.create_task(self._join())

    async def _connect_first(self) -> ClientSocket:
        socket = await self._crowd.open(perf_counter_ns())
        if socket is None:
            kind, detail = next(iter(self.tally.failures))
            raise LoadError(f"{kind}: {detail}" if detail else kind)
        return socket

    async def _join(self) -> None:
        socket = await self._crowd.open(perf_counter_ns())
        if socket is not None:
            self._keep(socket)

    def _keep(self, socket: ClientSocket) -> None:
        self.connected += 1
        tally, event = self.tally, self._plan.event
        if self._plan.sends:
            self._senders[socket] = Sender(socket, self._plan, tally)
        elif event:
            socket.on(event, lambda *_: tally.hear(event))
        else:
            socket.on_any(lambda name, *_: tally.hear(name))

    def _lose(self, socket: ClientSocket) -> None:
        self.lost += 1
        sender = self._senders.pop(socket, None)
        if sender is not None and (lost := sender.lose()):
            self.tally.fail("unanswered", "its client was disconnected", lost)
        if self._plan.mode != "connect" and self._phase != "connecting" and not len(self._crowd):
            self._over.set()

    def _turns(self) -> Callable[[], int]:
        """Return a function that gives the nanosecond at which the next connection is due."""
        rate, started = self._plan.connect_rate, perf_counter_ns()
        numbers = iter(range(1 << 62))
        return perf_counter_ns if rate is None else lambda: started + int(next(numbers) * 1e9 / rate)

    async def _visits(self, turns: Callable[[], int]) -> None:
        while True:
            due = turns()
            if (early := due - perf_counter_ns()) > 0:
                await asyncio.sleep(early / 1e9)
            socket = await self._crowd.open(due)
            if socket is None:
                await asyncio.sleep(_PAUSE)
                continue
            self.tally.answered += 1
            await self._crowd.leave(socket)

    # -- meanwhile

    async def _watch(self) -> None:
        """Give up what takes too long, see how late this loop is, and show how it goes."""
        tick = 0
        while True:
            before = perf_counter_ns()
            await asyncio.sleep(_TICK)
            self.lag.record(perf_counter_ns() - before - int(_TICK * 1e9))
            tick += 1
            if tick % _TICKS_EACH == 0:
                self._expire()
                self._show(self._status())

    def _expire(self) -> None:
        now = perf_counter_ns()
        for sender in [*self._senders.values()]:
            sender.expire(now)
        first = self._first_sent
        if first is None or self.tally.ever_answered:
            self._first_sent = None
        elif monotonic() > first + self._plan.timeout and len(self._crowd):
            self._silent = True
            self._over.set()

    def _status(self) -> Status:
        times = self.tally.connects if self._plan.mode == "connect" else self.tally.latencies
        tally = self.tally
        return Status(
            self._phase,
            self._progress(),
            self._plan.counted,
            tally.answered,
            tally.errors,
            times.quantile(0.5),
            times.quantile(0.99),
        )


def _silence(plan: Plan) -> str:
    """Say that the server answers nothing, and what may help."""
    if plan.mode == "echo":
        return (
            f"no event {plan.echo!r} came within {plan.timeout:g} s: "
            f"does the server handle {plan.event!r}, and send {plan.echo!r} back?"
        )
    return (
        f"the server acknowledged no {plan.event!r} within {plan.timeout:g} s: does it handle that event, and answer? "
        "If it sends an event in return, name that with --echo; if not, there is --mode listen"
    )
