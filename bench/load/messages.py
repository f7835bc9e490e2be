"""Loads of messages between one client and the server: closed loops, planned times, polling."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from itertools import count
from time import perf_counter_ns

from bench.load import wire
from bench.load.client import EchoClient, PacedClient, RecoverableClient, connect_all, gather
from bench.load.job import Job
from bench.load.meter import Sample, Tally
from bench.load.polling import PollingClient

_BURST = 64


async def echo(job: Job, tally: Tally) -> Sample:
    """Measure an event that the server sends back."""
    return await _closed_loop(job, tally, wire.echo(job.size, job.binary))


async def ack(job: Job, tally: Tally) -> Sample:
    """Measure an event that the server acknowledges with what it got."""
    return await _closed_loop(job, tally, wire.ack(job.size, job.binary))


async def item(job: Job, tally: Tally) -> Sample:
    """Measure an object that the server sends back."""
    return await _closed_loop(job, tally, wire.item(job.size))


async def latency(job: Job, tally: Tally) -> Sample:
    """Measure echoes at planned times; what is late counts from when it was to be sent."""
    assert job.rate is not None
    clients = [PacedClient(tally, wire.echo(job.size, job.binary)) for _ in range(job.clients)]
    await connect_all(job.port, clients)

    def count_missing() -> None:
        now = perf_counter_ns()
        for client in clients:
            for planned in client.planned:
                tally.latencies.add(now - planned)

    pacing = asyncio.ensure_future(_pace(clients, job.rate, tally))
    try:
        return replace(await job.window.measure(tally, count_missing), paced=True)
    finally:
        pacing.cancel()


async def polling(job: Job, tally: Tally) -> Sample:
    """Measure an echo over HTTP long-polling: two requests."""
    clients = [PollingClient(tally, job.port, wire.echo_packet(job.size)) for _ in range(job.clients)]
    for client in clients:
        await client.open()
    return await measure_workers(job, tally, [client.run() for client in clients])


async def measure_workers(job: Job, tally: Tally, workers: list[Coroutine[None, None, None]]) -> Sample:
    """Measure while the workers run; what ends a worker early ends the measurement."""
    working = asyncio.ensure_future(gather(workers))
    measuring = asyncio.ensure_future(job.window.measure(tally))
    await asyncio.wait((working, measuring), return_when=asyncio.FIRST_COMPLETED)
    if not measuring.done():
        measuring.cancel()
    await working
    return await measuring


async def _closed_loop(job: Job, tally: Tally, exchange: wire.Exchange) -> Sample:
    kind = RecoverableClient if job.feature == "recovery" else EchoClient
    clients = [kind(tally, exchange) for _ in range(job.clients)]
    await connect_all(job.port, clients)
    for client in clients:
        client.start(job.in_flight)
    return await job.window.measure_and_drain(tally)


async def _pace(clients: list[PacedClient], rate: int, tally: Tally) -> None:
    """Send in turn, evenly spaced. It never sleeps: the timers of an event loop are as coarse as a fast answer."""
    start, gap = perf_counter_ns(), 1e9 / rate
    for number in count():
        planned = start + int(number * gap)
        if not number % _BURST:
            await asyncio.sleep(0)  # also when it is late, or no answer would ever be seen
        while perf_counter_ns() < planned:  # noqa: ASYNC110
            await asyncio.sleep(0)
        if tally.stopping:
            return
        clients[number % len(clients)].send(planned)
