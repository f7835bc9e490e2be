"""What is measured: each scenario connects its clients, runs them and returns one sample."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass

from bench.load import wire
from bench.load.meter import LoadError, Sample, Tally, Window
from bench.load.polling import PollingClient
from bench.load.visitor import upgrade_request, visit
from bench.load.websocket import (
    Audience,
    AudienceClient,
    ControlClient,
    EchoClient,
    connect,
    connect_all,
    gather,
)
from bench.proc import resident_bytes

_VISITORS = 16
_MOST_VISITS = 20_000  # the kernel keeps the port of each for a minute


@dataclass(frozen=True, slots=True)
class Load:
    """How one run loads the server."""

    port: int
    window: Window
    clients: int
    in_flight: int
    size: int


async def echo(load: Load) -> Sample:
    """Measure an event that the server sends back."""
    packet = wire.event("echo", load.size)
    return await _closed_loop(load, packet, packet)


async def ack(load: Load) -> Sample:
    """Measure an event that the server acknowledges with what it got."""
    request = wire.ack_request(load.size)
    return await _closed_loop(load, request, wire.ack_answer(request))


async def broadcast(load: Load) -> Sample:
    """Measure an event to everybody; the count is that of the deliveries."""
    audience = Audience(Tally(), wire.event("broadcast", load.size))
    audience.clients = [AudienceClient(audience) for _ in range(load.clients)]
    await connect_all(load.port, audience.clients)
    for _ in range(load.in_flight):
        audience.trigger()
    return await load.window.measure(audience.tally)


async def polling(load: Load) -> Sample:
    """Measure an echo over HTTP long-polling: two requests."""
    tally = Tally()
    clients = [PollingClient(tally, load.port, wire.event("echo", load.size)) for _ in range(load.clients)]
    for client in clients:
        await client.open()
    return await _measure_workers(load, tally, [client.run() for client in clients])


async def idle(load: Load) -> Sample:
    """Measure the memory that connections hold that say nothing."""
    tally = Tally()
    control = ControlClient(tally)
    await connect(load.port, control)
    await connect_all(load.port, [ControlClient(tally) for _ in range(50)])  # the code and caches all of them share
    before = await _settled_memory(load, control)
    await connect_all(load.port, [ControlClient(tally) for _ in range(load.clients)])
    after = await _settled_memory(load, control)
    tally.stopping = True
    tally.check()
    return Sample(load.clients, 0.0, 0.0, 0.0, 0.0, memory=after, growth=(after - before) / load.clients)


async def come_and_go(load: Load) -> Sample:
    """Measure clients that connect, join the main namespace and leave."""
    tally = Tally()
    request = upgrade_request(load.port)
    left = _MOST_VISITS

    async def worker() -> None:
        nonlocal left
        while not tally.stopping:
            if not left:
                raise LoadError(f"more than {_MOST_VISITS} connections would be needed: measure for fewer seconds")
            left -= 1
            await visit(load.port, request)
            tally.count += 1

    return await _measure_workers(load, tally, [worker() for _ in range(_VISITORS)])


SCENARIOS: dict[str, Callable[[Load], Awaitable[Sample]]] = {
    "echo": echo,
    "ack": ack,
    "broadcast": broadcast,
    "polling": polling,
    "idle": idle,
    "connect": come_and_go,
}


async def _closed_loop(load: Load, request: bytes, answer: bytes) -> Sample:
    tally = Tally()
    clients = [EchoClient(tally, request, answer) for _ in range(load.clients)]
    await connect_all(load.port, clients)
    for client in clients:
        for _ in range(load.in_flight):
            client.ask()
    return await load.window.measure(tally)


async def _measure_workers(load: Load, tally: Tally, workers: list[Coroutine[None, None, None]]) -> Sample:
    """Measure while the workers run; what ends a worker early ends the measurement."""
    working = asyncio.ensure_future(gather(workers))
    measuring = asyncio.ensure_future(load.window.measure(tally))
    await asyncio.wait((working, measuring), return_when=asyncio.FIRST_COMPLETED)
    if not measuring.done():
        measuring.cancel()
    await working
    return await measuring


async def _settled_memory(load: Load, control: ControlClient) -> int:
    await asyncio.sleep(load.window.warm_up)
    await control.collect()
    await asyncio.sleep(0.2)
    return resident_bytes(load.window.pid)
