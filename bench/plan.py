"""What a run of the bench consists of: the scenarios with their figures, and the rounds of runs."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.load.meter import Sample
from bench.proc import machine_cpu_seconds, two_cores
from bench.targets import HERE, Target, TargetError, running

MICRO = 1e6
QUIET = 0.1
"""How much of one core other programs may use while a run is measured."""
_LOOK = 0.3


def _cpu(sample: Sample) -> float:
    return sample.server_cpu / sample.count * MICRO


def _memory(sample: Sample) -> float:
    return (sample.growth or 0.0) / 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One workload: what is done, how often, by how many clients, and what its figure counts.

    ``load`` names the function of the load that runs it. ``size`` is that of a packet, or of its attachment where it is
    ``binary``. With a ``rate``, messages are sent at planned times instead of in a closed loop.
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
    feature: str | None = None
    websocket: bool = True
    timed: bool = True
    figure: Callable[[Sample], float] = _cpu

    @property
    def measure(self) -> str:
        """Return what the figure is, for the head of a table."""
        return f"{'server CPU' if self.timed else 'memory'} per {self.per}"


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(name="echo", family="echo", title="Echo, 64 B", load="echo"),
        Scenario(name="stream", family="stream", title="Echo, 64 B, 10 in flight", load="echo", in_flight=10),
        Scenario(name="ack", family="ack", title="Acknowledgement, 64 B", load="ack"),
        Scenario(
            name="broadcast",
            family="broadcast",
            title="Broadcast to 500",
            load="broadcast",
            per="recipient",
            clients=500,
        ),
        Scenario(name="polling", family="polling", title="Echo by polling, 64 B", load="polling", websocket=False),
        Scenario(
            name="connect",
            family="connect",
            title="Connect by WebSocket, join, leave",
            load="connect",
            per="connection",
            clients=16,
        ),
        Scenario(
            name="idle",
            family="idle",
            title="Idle WebSocket connections",
            load="idle",
            per="connection",
            unit="kB",
            clients=2000,
            timed=False,
            figure=_memory,
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Settings:
    """The choices of the command line."""

    rounds: int
    seconds: float
    warm_up: float
    in_flight: int | None
    size: int
    idle_clients: int
    patience: float


@dataclass(frozen=True, slots=True)
class Run:
    """One sample and where it belongs."""

    round: int
    scenario: str
    target: str
    versions: str
    sample: Sample


def runs(targets: list[Target], scenarios: list[Scenario], settings: Settings) -> Iterator[Run]:
    """Measure round by round, every server once in each, so that a disturbance of the machine hits all alike.

    The order of the servers turns from round to round. Each run has a server process of its own.
    """
    for number in range(settings.rounds):
        for scenario in scenarios:
            turned = targets[number % len(targets) :] + targets[: number % len(targets)]
            for target in turned:
                if scenario.websocket or not target.websocket_only:
                    yield _quiet_run(number, scenario, target, settings)


def _quiet_run(number: int, scenario: Scenario, target: Target, settings: Settings) -> Run:
    """Run until nothing else kept the machine busy or the patience is over, and return the least disturbed run.

    What decides is the disturbance alone: it is measured apart from the figure.
    """
    end = time.monotonic() + (settings.patience if scenario.timed else 0.0)
    _await_quiet(end)
    best = _run(number, scenario, target, settings)
    while best.sample.disturbance > QUIET and time.monotonic() < end:
        _await_quiet(end)
        best = min(best, _run(number, scenario, target, settings), key=lambda run: run.sample.disturbance)
    return best


def _await_quiet(end: float) -> None:
    while time.monotonic() < end:
        before = machine_cpu_seconds()
        time.sleep(_LOOK)
        if machine_cpu_seconds() - before <= QUIET * _LOOK:
            return


def _run(number: int, scenario: Scenario, target: Target, settings: Settings) -> Run:
    server_core, load_core = two_cores()
    with running(target, server_core) as server:
        clients = settings.idle_clients if scenario.name == "idle" else scenario.clients
        options = {
            "--port": server.port,
            "--pid": server.pid,
            "--clients": clients,
            "--in-flight": settings.in_flight or scenario.in_flight,
            "--size": settings.size,
            "--warm-up": settings.warm_up,
            "--seconds": settings.seconds,
        }
        if load_core is not None:
            options["--core"] = load_core
        arguments = [str(word) for option in options.items() for word in option]
        done = subprocess.run(
            [sys.executable, "-m", "bench.load", scenario.load, *arguments],
            cwd=HERE.parent,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            raise TargetError(f"{scenario.name} against {target.title} failed, see above")
        return Run(number, scenario.name, target.name, server.versions, Sample(**json.loads(done.stdout)))
