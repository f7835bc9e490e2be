"""The command ``python -m bench growth``: what does an operation cost as the server gets fuller?

Broadcasts to a small room, joining, leaving and disconnecting are measured among more and more sockets and rooms that
are not concerned. The samples go to a file, of which ``python -m bench plot`` makes a chart.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from bench.options import attempt, count, installed, names, ready, seconds
from bench.plan import SCENARIOS, Scenario, Settings
from bench.report.results import machine
from bench.runs import run
from bench.targets import HERE, TARGETS, Target

_BYSTANDERS = 500
_SOCKETS = (500, 2000, 5000, 10_000)
_ROOMS = (0, 4, 20, 100)


@dataclass(frozen=True, slots=True)
class Series:
    """One curve: a workload, the field of it that grows, and the sizes to measure.

    ``concerned`` tells whether what grows has a part in the operation, so that the cost may depend on it.
    """

    name: str
    title: str
    grows: str
    scenario: Scenario
    field: str
    values: Sequence[int]
    concerned: bool = False

    def at(self, value: int) -> Scenario:
        """Return the workload of one size."""
        size: dict[str, Any] = {self.field: value}
        return replace(self.scenario, **size)

    def size(self, value: int) -> int:
        """Return how many there are of what grows."""
        return value * _BYSTANDERS if self.field == "rooms_of_others" else value


_room = replace(SCENARIOS["room"], title="Broadcast to a room of 10")
_rooms = replace(SCENARIOS["rooms"], title="Join and leave a room", clients=50)
_gone = replace(SCENARIOS["disconnect-rooms"], title="Disconnect", clients=1000, feature="calm")

SERIES = (
    Series("room-sockets", _room.title, "other sockets", _room, "others", _SOCKETS),
    Series(
        "recipients", "Broadcast to all", "recipients", SCENARIOS["broadcast"], "clients", (100, 500, 2000, 5000), True
    ),
    Series("join-sockets", _rooms.title, "other sockets", _rooms, "others", _SOCKETS),
    Series("join-rooms", _rooms.title, "other rooms", replace(_rooms, others=_BYSTANDERS), "rooms_of_others", _ROOMS),
    Series("disconnect-sockets", _gone.title, "other sockets", _gone, "others", _SOCKETS),
    Series(
        "disconnect-rooms", _gone.title, "other rooms", replace(_gone, others=_BYSTANDERS), "rooms_of_others", _ROOMS
    ),
)


def main(argv: list[str]) -> int:
    """Measure the curves, print them and write them as JSON."""
    options = _options(argv)
    if not ready():
        return 2
    settings = Settings(options.rounds, options.seconds, warm_up=0.5, warm=True, patience=0.0, most_clients=None)
    curves: list[dict[str, Any]] = []
    code = attempt(lambda: _measure(options, settings, curves))
    if curves:
        facts = {"machine": machine(), "settings": asdict(settings), "series": curves}
        options.json.write_text(json.dumps(facts, indent=2) + "\n")
        print(f"\nAll curves: {options.json}")
    return code


def _measure(options: argparse.Namespace, settings: Settings, curves: list[dict[str, Any]]) -> None:
    targets = installed([TARGETS[name] for name in options.servers])
    for series in SERIES:
        if series.name in options.only:
            print(f"\n{series.title} against {series.grows}, {series.scenario.measure}, {series.scenario.unit}")
            able = [target for target in targets if target.can(series.scenario)]
            curves += _curves(series, able, options.most, settings)


def _curves(series: Series, targets: list[Target], most: int, settings: Settings) -> list[dict[str, Any]]:
    """Measure the curve of each server, the rounds interleaved."""
    costs: dict[tuple[str, int], list[float]] = {}
    values = [value for value in series.values if value <= most]
    for number in range(settings.rounds):
        for value in values:
            for target in targets:
                sample = run(number, series.at(value), target, settings).sample
                costs.setdefault((target.name, value), []).append(series.scenario.figure(sample))
    return [_curve(series, target, {value: costs[target.name, value] for value in values}) for target in targets]


def _curve(series: Series, target: Target, costs: dict[int, list[float]]) -> dict[str, Any]:
    points = [
        {"size": series.size(value), "cost": median(found), "lowest": min(found), "highest": max(found)}
        for value, found in costs.items()
    ]
    cells = "  ".join(f"{point['size']:>7,}: {point['cost']:7.2f}" for point in points)
    print(f"  {target.title:<28}{cells}", flush=True)
    return {
        "name": series.name,
        "title": series.title,
        "grows": series.grows,
        "concerned": series.concerned,
        "measure": series.scenario.measure,
        "unit": series.scenario.unit,
        "target": target.name,
        "points": points,
    }


def _options(argv: list[str]) -> argparse.Namespace:
    known = [series.name for series in SERIES]
    parser = argparse.ArgumentParser(prog="python -m bench growth", description="Measure cost against size.")
    parser.add_argument("--rounds", type=count, default=3, help="rounds, medians of which are kept (3)")
    parser.add_argument("--seconds", type=seconds, default=1.0, help="the measured window of a run (1)")
    parser.add_argument("--servers", type=names(TARGETS), default=["fast", "node"], help="servers (fast,node)")
    parser.add_argument("--only", type=names(known), default=known, help=f"curves, of {','.join(known)}")
    parser.add_argument("--most", type=int, default=sys.maxsize, help="leave out the sizes beyond it")
    parser.add_argument("--json", type=Path, default=HERE / "growth.json", help="where to write the curves")
    return parser.parse_args(argv)
