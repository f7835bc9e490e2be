"""The loads by name."""

from collections.abc import Awaitable, Callable

from bench.load import crowds, messages, visits
from bench.load.job import Job
from bench.load.meter import Sample, Tally

LOADS: dict[str, Callable[[Job, Tally], Awaitable[Sample]]] = {
    "echo": messages.echo,
    "ack": messages.ack,
    "item": messages.item,
    "latency": messages.latency,
    "polling": messages.polling,
    "broadcast": crowds.broadcast,
    "room": crowds.room,
    "rooms": crowds.rooms,
    "connect": visits.come_and_go,
    "connect-storm": visits.connect_storm,
    "disconnect-storm": visits.disconnect_storm,
    "idle": visits.idle,
    "heartbeats": visits.heartbeats,
}


async def load(name: str, job: Job) -> Sample:
    """Run one of the loads, and leave no connection behind.

    Raises ``LoadError`` if the server does not do what the load asks.
    """
    tally = Tally()
    try:
        return await LOADS[name](job, tally)
    finally:
        await tally.close()
