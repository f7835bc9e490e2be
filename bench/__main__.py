"""The command ``python -m bench``."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Collection
from dataclasses import asdict
from pathlib import Path

from bench.plan import FAMILIES, SCENARIOS, Run, Settings
from bench.report import tables
from bench.report.results import Results, machine
from bench.runs import pairs, runs
from bench.targets import DEFAULT_TARGETS, HERE, TARGETS, TargetError, installed

_QUICK_CLIENTS = 500
_ONLY = f"workloads or families ({', '.join(FAMILIES)}), of"


def main() -> int:
    """Measure what the command line asks for, print the tables and write them as JSON."""
    options = _options()
    if sys.platform != "linux":
        print("bench: the CPU and the memory of a process are read from Linux' /proc", file=sys.stderr)
        return 2
    settings = Settings(
        rounds=options.rounds,
        seconds=options.seconds,
        warm_up=0.3 if options.quick else 1.0,
        patience=options.patience,
        most_clients=options.clients,
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # no server outlives the bench
    measured: list[Run] = []
    code = 0
    try:
        _measure(options.servers, options.only, settings, measured)
    except TargetError as error:
        print(f"bench: {error}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        code = 130
    if measured:
        _report(measured, settings, options)
    return code


def _measure(servers: list[str] | None, names: list[str], settings: Settings, measured: list[Run]) -> None:
    """Measure, and put each run into ``measured`` at once: an interrupted bench shows what it has."""
    scenarios = [scenario for scenario in SCENARIOS.values() if {scenario.name, scenario.family} & set(names)]
    targets = installed(servers or DEFAULT_TARGETS)
    planned = pairs(targets, scenarios, chosen=servers is not None)
    total = len(planned) * settings.rounds
    for number, run in enumerate(runs(planned, settings), 1):
        measured.append(run)
        scenario = SCENARIOS[run.scenario]
        figure = f"{scenario.figure(run.sample):8.1f} {scenario.unit}"
        print(f"{number}/{total}  {run.scenario:<19}{run.target:<16}{figure}", file=sys.stderr, flush=True)


def _report(measured: list[Run], settings: Settings, options: argparse.Namespace) -> None:
    results = Results(" ".join(["python -m bench", *sys.argv[1:]]), machine(), asdict(settings), measured)
    results.write(options.json)
    print(f"\n{tables.report(results, markdown=options.markdown, every_detail=options.long)}")
    print(f"\nAll samples: {os.path.relpath(options.json)}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Compare the cost of Socket.IO servers.")
    parser.add_argument("--rounds", type=_count, help="interleaved rounds, medians of which are shown (3)")
    parser.add_argument("--seconds", type=_seconds, help="the measured window of a run (2)")
    parser.add_argument("--only", type=_names([*SCENARIOS, *FAMILIES]), help=f"{_ONLY}: {', '.join(SCENARIOS)}")
    parser.add_argument("--servers", type=_names(TARGETS), help=f"servers, of {','.join(TARGETS)}")
    parser.add_argument("--quick", action="store_true", help="one round of one second: to try it, not to quote it")
    parser.add_argument("--clients", type=_count, help="the most clients of a workload (no limit, --quick: 500)")
    parser.add_argument(
        "--patience",
        type=float,
        default=0.0,
        help="seconds for which a run disturbed by other programs is repeated (0)",
    )
    parser.add_argument("--json", type=Path, default=HERE / "results.json", help="where to write all samples")
    parser.add_argument("--long", action="store_true", help="print a table for each workload, with all details")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.seconds = options.seconds or (1.0 if options.quick else 2.0)
    options.only = options.only or list(SCENARIOS)
    options.clients = options.clients or (_QUICK_CLIENTS if options.quick else None)
    return options


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 50_000:
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and 50,000")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.5 <= value <= 60:
        raise argparse.ArgumentTypeError(f"{text} is not between 0.5 and 60")
    return value


def _names(known: Collection[str]) -> Callable[[str], list[str]]:
    """Return what splits a list of names and refuses those that are not known."""

    def split(text: str) -> list[str]:
        names = text.split(",")
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
        return names

    return split


if __name__ == "__main__":
    sys.exit(main())
