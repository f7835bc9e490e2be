"""The runs of a plan: every server once in each round, each time in a process of its own."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace

from bench.load.job import Job
from bench.load.meter import Sample
from bench.plan import QUIET, Run, Scenario, Settings
from bench.proc import allow_open_files, machine_cpu_seconds, two_cores
from bench.targets import HERE, Running, Target, TargetError, running

_LOOK = 0.3
_SPARE_FILES = 100
_NEARLY = 0.95
"""What share of the clients a workload may have to do without where the limit of open files is in the way."""


def pairs(targets: Sequence[Target], scenarios: Sequence[Scenario], chosen: bool) -> list[tuple[Scenario, Target]]:
    """Return who is measured in what, in the order of a round: all that can, if the servers were ``chosen``."""
    return [
        (scenario, target)
        for scenario in scenarios
        for target in targets
        if target.can(scenario) and (chosen or scenario.servers is None or target.name in scenario.servers)
    ]


def runs(planned: list[tuple[Scenario, Target]], settings: Settings) -> Iterator[Run | TargetError]:
    """Measure round by round, so that a disturbance of the machine hits all alike; what fails leaves the others alone.

    The order of the servers turns from round to round.
    """
    for number in range(settings.rounds):
        for scenario in dict.fromkeys(scenario for scenario, _ in planned):
            targets = [target for other, target in planned if other is scenario]
            turn = number % len(targets)
            for target in targets[turn:] + targets[:turn]:
                try:
                    yield _quiet_run(number, scenario, target, settings)
                except TargetError as error:
                    yield error


def bounded(scenario: Scenario, settings: Settings) -> Scenario:
    """Return the scenario with as many clients as the settings and the limit of open files leave it.

    Raises ``TargetError`` if these would be so few that it was another workload.
    """
    if settings.most_clients is not None:
        clients = min(scenario.clients, settings.most_clients)
        scenario = replace(scenario, clients=clients, others=min(scenario.others, settings.most_clients - clients))
    limit = allow_open_files()
    missing = scenario.connections - (limit - _SPARE_FILES)
    if missing <= 0:
        return scenario
    if missing > (1 - _NEARLY) * scenario.connections:
        raise TargetError(
            f"{scenario.name} needs {scenario.connections + _SPARE_FILES:,} open files and the limit is {limit:,}: "
            f"raise it (ulimit -Hn), or measure fewer by --clients"
        )
    print(f"bench: {scenario.name}: {missing} clients fewer, for the limit of open files is {limit:,}", file=sys.stderr)
    fewer = min(missing, scenario.others)
    return replace(scenario, clients=scenario.clients - (missing - fewer), others=scenario.others - fewer)


def _quiet_run(number: int, scenario: Scenario, target: Target, settings: Settings) -> Run:
    """Run until nothing else kept the machine busy or the patience is over, and return the least disturbed run.

    What decides is the disturbance alone: it is measured apart from the figure.
    """
    end = time.monotonic() + (settings.patience if scenario.timed else 0.0)
    _await_quiet(end)
    best = run(number, scenario, target, settings)
    while best.sample.disturbance > QUIET and time.monotonic() < end:
        _await_quiet(end)
        best = min(best, run(number, scenario, target, settings), key=lambda run: run.sample.disturbance)
    return best


def _await_quiet(end: float) -> None:
    while time.monotonic() < end:
        before = machine_cpu_seconds()
        time.sleep(_LOOK)
        if machine_cpu_seconds() - before <= QUIET * _LOOK:
            return


def run(number: int, scenario: Scenario, target: Target, settings: Settings) -> Run:
    """Start the server, load it and end it.

    Raises ``TargetError`` if the server or the load fails.
    """
    scenario = bounded(scenario, settings)
    server_core, load_core = two_cores()
    with running(target, server_core, scenario.feature) as server:
        job = _job(scenario, settings, server, load_core)
        done = subprocess.run(
            [sys.executable, "-m", "bench.load", scenario.load],
            input=json.dumps(asdict(job)),
            cwd=HERE.parent,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
    if done.returncode:
        raise TargetError(f"{scenario.name} against {target.title} failed, see above")
    sample = Sample(**json.loads(done.stdout))
    return Run(number, scenario.name, target.name, server.versions, scenario.clients + scenario.others, sample)


def _job(scenario: Scenario, settings: Settings, server: Running, core: int | None) -> Job:
    return Job(
        port=server.port,
        pid=server.pid,
        core=core,
        warm_up=settings.warm_up,
        warm_count=scenario.warm_count if settings.warm else 0,
        seconds=max(settings.seconds, scenario.least_seconds),
        clients=scenario.clients,
        in_flight=scenario.in_flight,
        size=scenario.size,
        binary=scenario.binary,
        rate=scenario.rate,
        feature=scenario.feature,
        rooms=scenario.rooms,
        others=scenario.others,
        rooms_of_others=scenario.rooms_of_others,
    )
