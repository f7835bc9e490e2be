"""Loads that concern many sockets: broadcasts, and rooms joined and left."""

from collections import deque
from time import perf_counter_ns

from bench.load import wire
from bench.load.client import AskingClient, Client, connect_all, gather
from bench.load.job import Job
from bench.load.messages import measure_workers
from bench.load.meter import Sample, Tally

_JOINING_AT_ONCE = 50


class Audience:
    """The clients of a broadcast: as often as all of them have one, another is asked for."""

    def __init__(self, tally: Tally, exchange: wire.Exchange, size: int) -> None:
        self.clients = [AudienceClient(self, tally, exchange.answer) for _ in range(size)]
        self._tally = tally
        self._request = exchange.request
        self._due = 0
        self._sent: list[int] = []

    def trigger(self) -> None:
        """Ask for one more broadcast, unless the run is over."""
        if not self._tally.stopping:
            self._sent.append(perf_counter_ns())
            self.clients[0].transport.write(self._request)

    def received(self, first: int, count: int) -> None:
        """Count what one of them got: so many broadcasts from the one with the number ``first`` on."""
        now = perf_counter_ns()
        for sent in self._sent[first : first + count]:
            self._tally.latencies.add(now - sent)
        self._tally.count += count
        self._due += count
        if self._due >= len(self.clients):
            self._due -= len(self.clients)
            self.trigger()


class AudienceClient(AskingClient):
    """One recipient of the broadcasts."""

    __slots__ = ("_audience", "_seen")

    def __init__(self, audience: Audience, tally: Tally, answer: bytes) -> None:
        super().__init__(tally, answer)
        self._audience = audience
        self._seen = 0

    def on_answers(self, count: int) -> None:
        if self._asked is not None:
            super().on_answers(count)
        else:
            self._audience.received(self._seen, count)
            self._seen += count


async def broadcast(job: Job, tally: Tally) -> Sample:
    """Measure an event to everybody; the count is that of the deliveries."""
    return await _to_audience(job, tally, wire.broadcast(job.size), [])


async def room(job: Job, tally: Tally) -> Sample:
    """Measure an event to the clients in one room, while the others are in none."""
    return await _to_audience(job, tally, wire.room(job.size), ["few"])


async def rooms(job: Job, tally: Tally) -> Sample:
    """Measure clients that leave their rooms and join them again, one after the other; the count is that of rooms.

    Each room has as many members as each client has rooms.
    """
    await connect_others(job, tally)
    clients = [AskingClient(tally) for _ in range(job.clients)]
    await connect_all(job.port, clients)
    idle = deque(clients)
    names = [[str((number + i) % job.clients) for i in range(job.rooms)] for number in range(job.clients)]
    await join(clients, names)
    exchanges = {
        client: (wire.membership("leave", own), wire.membership("join", own))
        for client, own in zip(clients, names, strict=True)
    }

    async def worker() -> None:
        while not tally.stopping:
            client = idle.popleft()
            sent = perf_counter_ns()
            for exchange in exchanges[client]:
                await client.ask(exchange)
            tally.latencies.add(perf_counter_ns() - sent)
            tally.count += job.rooms
            idle.append(client)

    return await measure_workers(job, tally, [worker() for _ in range(min(_JOINING_AT_ONCE, job.clients))])


async def connect_others(job: Job, tally: Tally) -> None:
    """Connect the clients that have no part in what is measured, each in rooms of its own."""
    others = [AskingClient(tally) for _ in range(job.others)]
    await connect_all(job.port, others)
    if job.rooms_of_others:
        await join(others, [[f"{number}-{i}" for i in range(job.rooms_of_others)] for number in range(job.others)])


async def join(clients: list[AskingClient], names: list[list[str]]) -> None:
    """Let each client join the rooms that are named for it."""
    waiting = iter(zip(clients, names, strict=True))

    async def worker() -> None:
        for client, own in waiting:
            await client.ask(wire.membership("join", own))

    await gather(worker() for _ in range(_JOINING_AT_ONCE))


async def _to_audience(job: Job, tally: Tally, exchange: wire.Exchange, names: list[str]) -> Sample:
    await connect_others(job, tally)
    audience = Audience(tally, exchange, job.clients)
    clients: list[Client] = [*audience.clients]
    await connect_all(job.port, clients)
    if names:
        await join([*audience.clients], [names] * job.clients)
    for _ in range(job.in_flight):
        audience.trigger()
    return await job.window.measure_and_drain(tally)
