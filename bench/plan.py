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


def _cpu_per_message(sample: Sample) -> float:
    return sample.server_cpu / sample.count * MICRO


def _kilobytes_per_connection(sample: Sample) -> float:
    return sample.memory / sample.count / 1000


@dataclass(frozen=True, slots=True)
class Scenario:
    """One table: what is measured, in which unit, with how many clients."""

    name: str
    title: str
    unit: str
    clients: int
    figure: Callable[[Sample], float] = _cpu_per_message
    websocket: bool = True
    in_flight: int = 1
    timed: bool = True


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("echo", "Echo over WebSocket, server CPU per message", "µs", 50),
        Scenario(
            "stream", "The same echo, 8 messages of a client in flight, server CPU per message", "µs", 50, in_flight=8
        ),
        Scenario("ack", "Acknowledged event over WebSocket, server CPU per message", "µs", 50),
        Scenario("broadcast", "Broadcast over WebSocket, server CPU per recipient", "µs", 500),
        Scenario(
            "polling", "Echo over HTTP polling (a GET and a POST), server CPU per message", "µs", 50, websocket=False
        ),
        Scenario("connect", "Connect by WebSocket, join and leave, server CPU per connection", "µs", 16),
        Scenario(
            "idle", "Memory of an idle WebSocket connection", "kB", 2000, figure=_kilobytes_per_connection, timed=False
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
            [sys.executable, "-m", "bench.load", scenario.name, *arguments],
            cwd=HERE.parent,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            raise TargetError(f"{scenario.name} against {target.title} failed, see above")
        return Run(number, scenario.name, target.name, server.versions, Sample(**json.loads(done.stdout)))
