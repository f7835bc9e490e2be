"""The figures of a run of the bench: medians over the rounds, ratios to the peers, and the figures to reach."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from bench.load.meter import Sample
from bench.plan import SCENARIOS, Run, Scenario
from bench.targets import TARGETS

OURS = "fast"
"""The server whose ratios to its peers are what the bench is for."""

PEERS = ("node", "python-socketio", "socketioxide", "floor")

LABELS = {"python-socketio": "python", "python-socketio-default": "py-tasks", "socketioxide": "rust"}
"""What a server is called at the head of a column, where that is not its name."""


FEATURES = {
    "typed": "item",
    "middleware": "echo",
    "catch-all": "echo",
    "recovery": "echo",
    "connect-middleware": "connect",
}
"""The workloads with a feature switched on, and those without it."""


def label(target: str) -> str:
    """Return what a server is called at the head of a column."""
    return LABELS.get(target, target)


@dataclass(frozen=True, slots=True)
class Row:
    """One server in one scenario, with so many clients: medians over all rounds, and the lowest and the highest figure.

    The shares are those of one core, the latencies are in seconds, the memory in bytes. ``ratios`` holds the figure
    over that of each peer.
    """

    target: str
    clients: int
    median: float
    lowest: float
    highest: float
    per_second: float
    server_share: float
    load_share: float
    limited_by_load: bool
    p50: float | None
    p99: float | None
    memory: float
    ratios: dict[str, float]


@dataclass(frozen=True, slots=True)
class Aim:
    """A figure to reach: bounds for its ratio to those of peers, and for itself in the unit of its scenario.

    Without ``equal`` the figure has to stay below the bounds of the peers, not just reach them.
    """

    scenario: str
    peers: dict[str, float]
    bound: float | None = None
    equal: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one bound of an aim; without a peer, it is one of the figure itself."""

    scenario: str
    peer: str | None
    value: float
    bound: float
    equal: bool

    @property
    def met(self) -> bool:
        """Tell whether the figure is where it shall be."""
        return self.value <= self.bound if self.equal else self.value < self.bound


AIMS = (
    Aim("echo", {"node": 0.5, "python-socketio": 0.09, "floor": 1.35}),
    Aim("ack", {"node": 0.5, "python-socketio": 0.1}),
    Aim("echo-64k-binary", {"node": 0.8, "python-socketio": 0.3}),
    Aim("broadcast", {"node": 0.5, "python-socketio": 0.11}),
    Aim("polling", {"node": 0.9, "python-socketio": 0.35}),
    Aim("connect", {"node": 0.5, "python-socketio": 0.5}),
    Aim("idle", {"node": 1.0, "python-socketio": 1.0}, bound=16.0, equal=False),
    Aim("heartbeats", {"node": 1.0, "python-socketio": 1.0}, equal=False),
)


def summarise(runs: list[Run]) -> dict[str, list[Row]]:
    """Return the rows of each scenario that was measured, in the order of the tables."""
    return {name: rows for name, scenario in SCENARIOS.items() if (rows := _rows(scenario, runs))}


def verdicts(summary: dict[str, list[Row]]) -> list[Verdict]:
    """Return what became of the figures to reach, as far as they were measured."""
    found = []
    for aim in AIMS:
        for row in summary.get(aim.scenario, []):
            if row.target == OURS:
                if aim.bound is not None:
                    found.append(Verdict(aim.scenario, None, row.median, aim.bound, True))
                for peer, bound in aim.peers.items():
                    if peer in row.ratios:
                        found.append(Verdict(aim.scenario, peer, row.ratios[peer], bound, aim.equal))
    return found


def _rows(scenario: Scenario, runs: list[Run]) -> list[Row]:
    samples: dict[str, list[Sample]] = {}
    clients = {}
    for run in runs:
        if run.scenario == scenario.name:
            samples.setdefault(run.target, []).append(run.sample)
            clients[run.target] = run.clients
    medians = {target: median(map(scenario.figure, found)) for target, found in samples.items()}
    return [
        _row(scenario, target, clients[target], samples[target], medians) for target in TARGETS if target in samples
    ]


def _row(scenario: Scenario, target: str, clients: int, samples: list[Sample], medians: dict[str, float]) -> Row:
    figures = [scenario.figure(sample) for sample in samples]
    return Row(
        target,
        clients,
        medians[target],
        min(figures),
        max(figures),
        median(sample.count / sample.wall if sample.wall else 0.0 for sample in samples),
        median(sample.server_share for sample in samples),
        median(sample.load_share for sample in samples),
        2 * sum(sample.limited_by_load for sample in samples) > len(samples),
        _median_of_known(sample.p50 for sample in samples),
        _median_of_known(sample.p99 for sample in samples),
        median(sample.memory for sample in samples),
        {peer: medians[target] / medians[peer] for peer in PEERS if medians.get(peer)},
    )


def _median_of_known(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
