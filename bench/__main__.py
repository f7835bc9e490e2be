"""The command ``python -m bench``, and the way to its sub-commands."""

import argparse
import os
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from bench.options import attempt, count, installed, names, ready, seconds
from bench.plan import FAMILIES, SCENARIOS, Run, Settings
from bench.report import tables
from bench.report.results import Results, machine
from bench.runs import pairs, runs
from bench.targets import DEFAULT_TARGETS, HERE, TARGETS, TargetError

COMMANDS = {
    "clients": "many client sockets in one process",
    "growth": "cost against size",
    "plot": "charts of what was measured",
    "publish": "the figures of the manual",
    "saturation": "the load against the fastest servers",
    "soak": "memory over minutes",
    "startup": "imports and first requests",
}
_QUICK_CLIENTS = 500
_ONLY = f"workloads or families ({', '.join(FAMILIES)}), of"


def main() -> int:
    """Measure what the command line asks for, print the tables and write them as JSON."""
    if sys.argv[1:2] and sys.argv[1] in COMMANDS:
        return int(import_module(f"bench.{sys.argv[1]}").main(sys.argv[2:]))
    options = _options()
    if not ready():
        return 2
    settings = Settings(
        rounds=options.rounds,
        seconds=options.seconds,
        warm_up=0.3 if options.quick else 0.8,
        warm=not options.quick,
        patience=options.patience,
        most_clients=options.clients,
    )
    measured: list[Run] = []
    code = attempt(lambda: _measure(options.servers, options.only, settings, measured))
    if measured:
        _report(measured, settings, options)
    return code


def _measure(servers: list[str] | None, only: list[str], settings: Settings, measured: list[Run]) -> None:
    """Measure, and put each run into ``measured`` at once: an interrupted bench shows what it has."""
    scenarios = [scenario for scenario in SCENARIOS.values() if {scenario.name, scenario.family} & set(only)]
    targets = installed([TARGETS[name] for name in servers or DEFAULT_TARGETS])
    planned = pairs(targets, scenarios, chosen=servers is not None)
    if not planned:
        raise TargetError("nothing to measure: these servers can take none of these workloads")
    total = len(planned) * settings.rounds
    failed = 0
    for number, run in enumerate(runs(planned, settings), 1):
        if isinstance(run, TargetError):
            failed += 1
            line = f"FAILED: {run}"
        else:
            measured.append(run)
            scenario = SCENARIOS[run.scenario]
            line = f"{run.scenario:<19}{run.target:<16}{scenario.figure(run.sample):8.1f} {scenario.unit}"
        print(f"{number}/{total}  {line}", file=sys.stderr, flush=True)
    if failed:
        raise TargetError(f"{failed} of {total} runs failed")


def _report(measured: list[Run], settings: Settings, options: argparse.Namespace) -> None:
    results = Results(" ".join(["python -m bench", *sys.argv[1:]]), machine(), asdict(settings), measured)
    results.write(options.json)
    print(f"\n{tables.report(results, markdown=options.markdown, every_detail=options.long)}")
    print(f"\nAll samples: {os.path.relpath(options.json)}")


def _options() -> argparse.Namespace:
    commands = "; ".join(f"{name}: {purpose}" for name, purpose in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Compare the cost of Socket.IO servers.",
        epilog=f"Sub-commands, with --help of their own: {commands}.",
    )
    parser.add_argument("--rounds", type=count, help="interleaved rounds, medians of which are shown (3)")
    parser.add_argument("--seconds", type=seconds, help="the measured window of a run (1.5)")
    parser.add_argument("--only", type=names([*SCENARIOS, *FAMILIES]), help=f"{_ONLY}: {', '.join(SCENARIOS)}")
    parser.add_argument("--servers", type=names(TARGETS), help=f"servers, of {','.join(TARGETS)}")
    parser.add_argument("--quick", action="store_true", help="one round of one second: to try it, not to quote it")
    parser.add_argument("--clients", type=count, help="the most clients of a workload (no limit, --quick: 500)")
    parser.add_argument(
        "--patience",
        type=float,
        default=0.0,
        help="seconds for which a run disturbed by other programs is repeated (0)",
    )
    parser.add_argument("--json", type=Path, help="where to write all samples (results.json, part.json for a part)")
    parser.add_argument("--long", action="store_true", help="print a table for each workload, with all details")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.seconds = options.seconds or (1.0 if options.quick else 1.5)
    whole = not (options.quick or options.only or options.servers)
    options.json = options.json or HERE / ("results.json" if whole else "part.json")
    options.only = options.only or list(SCENARIOS)
    options.clients = options.clients or (_QUICK_CLIENTS if options.quick else None)
    return options


if __name__ == "__main__":
    sys.exit(main())
