"""Loads of clients that come, stay or go."""

import asyncio
from time import perf_counter_ns

from bench.load import wire
from bench.load.client import AskingClient, Client, connect, connect_all, gather
from bench.load.crowds import connect_others, join
from bench.load.job import Job
from bench.load.messages import measure_workers
from bench.load.meter import LoadError, Meter, Sample, Tally
from bench.proc import resident_bytes

_MOST_VISITS = 60_000
_REHEARSAL = 200
_MEMBERS = 10
_SHARED = 50
"""Clients that are there before memory is compared: what all clients share comes with the first of them."""


class Visitor(Client):
    """A client that nothing is sent to but heartbeats, which it counts."""

    __slots__ = ()

    def __init__(self, tally: Tally) -> None:
        super().__init__(tally, wire.PINGED)

    def on_answers(self, count: int) -> None:
        self.tally.count += count
        self.pong()


async def come_and_go(job: Job, tally: Tally) -> Sample:
    """Measure clients that connect, join the main namespace and leave; the latency is that until they joined."""
    left = _MOST_VISITS

    async def worker() -> None:
        nonlocal left
        while not tally.stopping:
            if not left:
                raise LoadError(f"more than {_MOST_VISITS} connections would be needed: measure for fewer seconds")
            left -= 1
            client = AskingClient(tally)
            await _timed_connect(job.port, client)
            await client.leave()
            tally.count += 1

    return await measure_workers(job, tally, [worker() for _ in range(job.clients)])


async def connect_storm(job: Job, tally: Tally) -> Sample:
    """Measure clients that all connect at once, until the last of them joined."""
    await _rehearse(job, tally)
    clients = [AskingClient(tally) for _ in range(job.clients)]
    meter = Meter(job.pid, tally)
    await gather(_timed_connect(job.port, client) for client in clients)
    tally.count += len(clients)
    sample = meter.sample()
    for client in clients:
        client.leave_no_port()
    return sample


async def disconnect_storm(job: Job, tally: Tally) -> Sample:
    """Measure clients that all vanish at once, each out of a room where there are rooms, until the server is quiet."""
    await connect_others(job, tally)
    await _rehearse(job, tally)
    clients = [AskingClient(tally) for _ in range(job.clients)]
    await connect_all(job.port, clients)
    if job.rooms:
        await join(clients, [[f"{number // _MEMBERS}-{i}" for i in range(job.rooms)] for number in range(job.clients)])
    await asyncio.sleep(job.warm_up)
    meter = Meter(job.pid, tally)
    for client in clients:
        client.reset()
    tally.count += len(clients)
    return await meter.until_quiet()


async def idle(job: Job, tally: Tally) -> Sample:
    """Measure the memory that connections hold that say nothing."""
    control = AskingClient(tally)
    await connect(job.port, control)
    await connect_all(job.port, [Visitor(tally) for _ in range(_SHARED)])
    before = await _settled_memory(job, control)
    await connect_all(job.port, [Visitor(tally) for _ in range(job.clients)])
    after = await _settled_memory(job, control)
    tally.check()
    return Sample(job.clients, 0.0, 0.0, 0.0, 0.0, memory=after, growth=(after - before) / job.clients)


async def heartbeats(job: Job, tally: Tally) -> Sample:
    """Measure connections that say nothing but what the heartbeat asks for."""
    clients = [Visitor(tally) for _ in range(job.clients)]
    await connect_all(job.port, clients)
    return await job.window.measure(tally)


async def _timed_connect(port: int, client: Client) -> None:
    start = perf_counter_ns()
    await connect(port, client)
    client.tally.latencies.add(perf_counter_ns() - start)


async def _rehearse(job: Job, tally: Tally) -> None:
    """Let some clients come and vanish, so often that a compiler has made the most of it."""
    meter = Meter(job.pid, tally)
    for _ in range(0, max(job.warm_count, 1), _REHEARSAL):
        clients = [Visitor(tally) for _ in range(min(_REHEARSAL, job.clients))]
        await connect_all(job.port, clients)
        for client in clients:
            client.reset()
    await meter.until_quiet()


async def _settled_memory(job: Job, control: AskingClient) -> int:
    await asyncio.sleep(job.warm_up)
    await control.collect()
    await asyncio.sleep(0.2)
    return resident_bytes(job.pid)
