"""What the bench measures: the workloads with their figures, as data, and the choices of a run."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.load.meter import Sample

MICRO = 1e6
QUIET = 0.1
"""How much of one core other programs may use while a run is measured."""
PLAIN = "plain"
"""The server as its manual has it, without any of the features that some workloads switch on."""

_BESIDE = ("fast", "node", "python-socketio", "socketioxide")
_AND_FLOOR = (*_BESIDE, "floor")
_MANY = 8000


def _cpu(sample: Sample) -> float:
    return sample.server_cpu / sample.count * MICRO


def _memory(sample: Sample) -> float:
    return (sample.growth or 0.0) / 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One workload: what is done, how often, by how many clients, and what its figure counts.

    ``load`` names the function of the load that runs it. ``size`` is that of a packet, or of its attachment where it is
    ``binary``. With a ``rate``, messages are sent at planned times instead of in a closed loop. ``feature`` is what the
    server has switched on. Each client is in so many ``rooms``. ``others`` are connected and not concerned, each in
    ``rooms_of_others`` of its own. ``servers`` are measured unless the command line names some; ``None`` are all. After
    ``warm_count`` messages a compiler that works while a program runs has made the most of it: Node's takes thousands
    of connections.
    """

    name: str
    family: str
    title: str
    load: str
    per: str = "message"
    unit: str = "µs"
    clients: int = 50
    size: int = 64
    binary: bool = False
    in_flight: int = 1
    rate: int | None = None
    feature: str = PLAIN
    rooms: int = 0
    others: int = 0
    rooms_of_others: int = 0
    servers: tuple[str, ...] | None = None
    websocket: bool = True
    timed: bool = True
    least_seconds: float = 0.0
    warm_count: int = 2000
    figure: Callable[[Sample], float] = _cpu

    @property
    def measure(self) -> str:
        """Return what the figure is, for the head of a table."""
        return f"{'server CPU' if self.timed else 'memory'} per {self.per}"

    @property
    def connections(self) -> int:
        """Return how many connections are open at once."""
        return (self.clients + self.others) * (1 if self.websocket else 2)


def _messages() -> Iterator[Scenario]:
    for load, family, noun, servers in (
        ("echo", "echoes", "Echo", _AND_FLOOR),
        ("ack", "acks", "Acknowledgement", _BESIDE),
    ):
        for name, size, title in (("", 64, "64 B"), ("-1k", 1024, "1 KB"), ("-64k", 65536, "64 KB")):
            yield Scenario(
                name=load + name,
                family=family,
                title=f"{noun}, {title}",
                load=load,
                size=size,
                servers=servers if name else None,
            )
            yield Scenario(
                name=f"{load}{name}-binary",
                family=family,
                title=f"{noun}, {title} binary",
                load=load,
                size=size,
                binary=True,
                servers=servers,
            )
    yield Scenario(name="stream", family="stream", title="Echo, 64 B, 10 in flight", load="echo", in_flight=10)
    yield Scenario(
        name="polling",
        family="polling",
        title="Echo by polling, 64 B",
        load="polling",
        websocket=False,
        warm_count=_MANY,
    )
    for name, rate in (("latency-1k", 1000), ("latency-5k", 5000)):
        yield Scenario(
            name=name,
            family="latencies",
            title=f"Echo, 64 B, {rate:,} a second",
            load="latency",
            rate=rate,
            servers=_AND_FLOOR,
        )


def _crowds() -> Iterator[Scenario]:
    for name, clients, servers in (("broadcast", 500, None), ("broadcast-5k", 5000, _BESIDE)):
        yield Scenario(
            name=name,
            family="broadcasts",
            title=f"Broadcast to {clients:,}",
            load="broadcast",
            per="recipient",
            clients=clients,
            in_flight=2,
            servers=servers,
        )
    yield Scenario(
        name="room",
        family="broadcasts",
        title="Broadcast to a room of 10 among 5,000",
        load="room",
        per="recipient",
        clients=10,
        others=4990,
        in_flight=10,
        servers=_BESIDE,
    )
    yield Scenario(
        name="rooms",
        family="rooms",
        title="5,000 clients join and leave 10 rooms each",
        load="rooms",
        per="join and leave",
        clients=5000,
        rooms=10,
        servers=_BESIDE,
    )


def _visits() -> Iterator[Scenario]:
    yield Scenario(
        name="connect",
        family="connects",
        title="Connect by WebSocket, join, leave",
        load="connect",
        per="connection",
        clients=16,
        warm_count=_MANY,
    )
    yield Scenario(
        name="connect-storm",
        family="connects",
        title="2,000 clients connect at once",
        load="connect-storm",
        per="connection",
        clients=2000,
        servers=_BESIDE,
        warm_count=_MANY // 2,
    )
    for name, title, rooms, servers in (
        ("disconnect-storm", "5,000 clients vanish at once", 0, ("fast", "node")),
        ("disconnect-rooms", "5,000 clients vanish at once, each in a room", 1, _BESIDE),
    ):
        yield Scenario(
            name=name,
            family="disconnects",
            title=title,
            load="disconnect-storm",
            per="connection",
            clients=5000,
            rooms=rooms,
            servers=servers,
            warm_count=_MANY // 2,
        )
    yield Scenario(
        name="heartbeats",
        family="idling",
        title="20,000 idle connections, heartbeat of 5 s",
        load="heartbeats",
        per="heartbeat",
        clients=20_000,
        feature="heartbeats",
        # python-socketio needs 430 µs for each of the 4,000 heartbeats a second, on one core: the run would never end.
        servers=("fast", "node", "socketioxide"),
        least_seconds=5.0,
    )
    yield Scenario(
        name="idle",
        family="idling",
        title="Idle WebSocket connections",
        load="idle",
        per="connection",
        unit="kB",
        clients=2000,
        timed=False,
        figure=_memory,
    )


def _features() -> Iterator[Scenario]:
    for name, title, load, feature in (
        ("item", "Echo of an object, 64 B", "item", PLAIN),
        ("typed", "The same with a typed payload", "item", "typed"),
        ("middleware", "Echo, 64 B, a middleware for events", "echo", "middleware"),
        ("catch-all", "Echo, 64 B, a catch-all handler", "echo", "catch-all"),
        ("recovery", "Echo, 64 B, connection state recovery", "echo", "recovery"),
    ):
        # A catch-all of python-socketio takes the place of a handler and does not stand beside it.
        servers = ("fast", "node") if name == "catch-all" else _BESIDE
        yield Scenario(name=name, family="features", title=title, load=load, feature=feature, servers=servers)
    yield Scenario(
        name="connect-middleware",
        family="features",
        title="Connect, join, leave, a middleware for clients",
        load="connect",
        per="connection",
        clients=16,
        warm_count=_MANY,
        feature="connect-middleware",
        servers=_BESIDE,
    )


SCENARIOS = {
    scenario.name: scenario for scenarios in (_messages(), _crowds(), _visits(), _features()) for scenario in scenarios
}
FAMILIES = tuple(dict.fromkeys(scenario.family for scenario in SCENARIOS.values()))


@dataclass(frozen=True, slots=True)
class Settings:
    """The choices of the command line; ``most_clients`` bounds those of every workload.

    A server is warm after ``warm_up`` seconds and, if it is to be ``warm``, after what the workload says.
    """

    rounds: int
    seconds: float
    warm_up: float
    warm: bool
    patience: float
    most_clients: int | None


@dataclass(frozen=True, slots=True)
class Run:
    """One sample and where it belongs; ``clients`` are all that were connected."""

    round: int
    scenario: str
    target: str
    versions: str
    clients: int
    sample: Sample
