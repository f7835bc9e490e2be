"""The command ``python -m bench saturation``: can the load keep the fastest servers busy?

The share that a server uses of its core has to come near to all of it as more is in flight, while the load has time to
spare; else its rate would be that of the load.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

from bench.options import attempt, count, installed, names, ready, seconds
from bench.plan import QUIET, SCENARIOS, Settings
from bench.report.results import machine
from bench.runs import run
from bench.targets import HERE, TARGETS

_STEPS = ((1, 1), (2, 1), (5, 1), (10, 1), (25, 1), (50, 1), (100, 1), (50, 10), (100, 10))
_BUSY = 0.95
_FASTEST = ["fast", "socketioxide", "floor"]


@dataclass(frozen=True, slots=True)
class Step:
    """What a server and the load used, as shares of their cores, with so many clients and events in flight of each."""

    target: str
    clients: int
    in_flight: int
    per_second: float
    server: float
    load: float
    micro: float
    p50: float | None
    disturbance: float


def main(argv: list[str]) -> int:
    """Measure each server under more and more load, and say whether it was kept busy."""
    parser = argparse.ArgumentParser(prog="python -m bench saturation", description="Show that the load saturates.")
    parser.add_argument("--servers", type=names(TARGETS), default=_FASTEST, help=f"servers ({','.join(_FASTEST)})")
    parser.add_argument("--only", type=names(["echo", "ack"]), default=["echo"], help="workload (echo)")
    parser.add_argument("--seconds", type=seconds, default=2.0, help="the measured window of a step (2)")
    parser.add_argument("--json", type=Path, default=HERE / "saturation.json", help="where to write the steps")
    parser.add_argument("--steps", type=_pairs, default=_STEPS, help="clients x events in flight: 1x1,50x1,50x10")
    options = parser.parse_args(argv)
    if not ready():
        return 2
    settings = Settings(1, options.seconds, warm_up=0.5, warm=True, patience=0.0, most_clients=None)
    found: list[Step] = []
    code = attempt(lambda: found.extend(_steps(options, settings)))
    if found:
        facts = {"machine": machine(), "settings": asdict(settings), "steps": [asdict(step) for step in found]}
        options.json.write_text(json.dumps(facts, indent=2) + "\n")
        print(f"\nAll steps: {options.json}")
    return code


def _steps(options: argparse.Namespace, settings: Settings) -> Iterator[Step]:
    for target in installed([TARGETS[name] for name in options.servers]):
        for workload in options.only:
            print(f"\n{target.title}, {SCENARIOS[workload].title}")
            print("  clients  in flight  per second  server  load  µs per message  p50 ms")
            steps = []
            for clients, in_flight in options.steps:
                scenario = replace(SCENARIOS[workload], clients=clients, in_flight=in_flight)
                sample = run(0, scenario, target, settings).sample
                step = Step(
                    target.name,
                    clients,
                    in_flight,
                    sample.count / sample.wall,
                    sample.server_share,
                    sample.load_share,
                    scenario.figure(sample),
                    sample.p50,
                    sample.disturbance,
                )
                print(_line(step), flush=True)
                steps.append(step)
            print(f"  {verdict(steps)}")
            yield from steps


def _pairs(text: str) -> list[tuple[int, int]]:
    return [(count(clients), count(in_flight)) for clients, in_flight in (step.split("x") for step in text.split(","))]


def verdict(steps: list[Step]) -> str:
    """Say whether the load kept a server busy, as far as that can be said."""
    busiest = max(steps, key=lambda step: step.server)
    if busiest.server >= _BUSY:
        return f"saturated: {busiest.server:.0%} of its core, while the load used {busiest.load:.0%}"
    if median(step.disturbance for step in steps) > QUIET:
        return "not to be judged, for other programs were busy meanwhile"
    return f"NOT saturated: {busiest.server:.0%} of its core at most"


def _line(step: Step) -> str:
    p50 = "" if step.p50 is None else f"{step.p50 * 1e3:.2f}"
    return (
        f"  {step.clients:>7}{step.in_flight:>11}{step.per_second:>12,.0f}{step.server:>8.0%}{step.load:>6.0%}"
        f"{step.micro:>16.1f}{p50:>8}"
    )
