"""The command ``python -m bench``."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Collection
from dataclasses import asdict
from pathlib import Path

from bench.plan import SCENARIOS, Run, Scenario, Settings, runs
from bench.proc import allow_open_files
from bench.report import tables
from bench.report.results import Results, machine
from bench.targets import HERE, TARGETS, Target, TargetError, TargetSkipped, install

_SPARE_FILES = 500


def main() -> int:
    """Measure what the command line asks for, print the tables and write them as JSON."""
    options = _options()
    if sys.platform != "linux":
        print("bench: the CPU and the memory of a process are read from Linux' /proc", file=sys.stderr)
        return 2
    settings = Settings(
        rounds=options.rounds,
        seconds=options.seconds,
        warm_up=0.5 if options.quick else 1.5,
        in_flight=options.in_flight,
        size=options.size,
        idle_clients=options.connections,
        patience=options.patience,
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # no server outlives the bench
    measured: list[Run] = []
    code = 0
    try:
        allow_open_files(settings.idle_clients + _SPARE_FILES)
        _measure(options.servers, options.only, settings, measured)
    except (TargetError, RuntimeError) as error:
        print(f"bench: {error}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        code = 130
    if measured:
        _report(measured, settings, options)
    return code


def _measure(names: list[str], scenarios: list[str], settings: Settings, measured: list[Run]) -> None:
    """Measure, and put each run into ``measured`` at once: an interrupted bench shows what it has."""
    targets = _installed([TARGETS[name] for name in names])
    wanted: list[Scenario] = [SCENARIOS[name] for name in scenarios]
    for run in runs(targets, wanted, settings):
        measured.append(run)
        scenario = SCENARIOS[run.scenario]
        figure = f"{scenario.figure(run.sample):8.1f} {scenario.unit}"
        print(f"round {run.round + 1}: {run.scenario:<10}{run.target:<16}{figure}", file=sys.stderr, flush=True)


def _installed(targets: list[Target]) -> list[Target]:
    """Install the servers and return those that the machine can run; raises ``TargetError`` if there are none."""
    installed = []
    for target in targets:
        try:
            install(target)
        except TargetSkipped as reason:
            print(f"bench: {target.title} is left out: {reason}", file=sys.stderr)
        else:
            installed.append(target)
    if not installed:
        raise TargetError("no server is left to measure")
    return installed


def _report(measured: list[Run], settings: Settings, options: argparse.Namespace) -> None:
    results = Results(" ".join(["python -m bench", *sys.argv[1:]]), machine(), asdict(settings), measured)
    results.write(options.json)
    print(f"\n{tables.report(results, markdown=options.markdown, every_detail=options.long)}")
    print(f"\nAll samples: {os.path.relpath(options.json)}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Compare the cost of Socket.IO servers.")
    parser.add_argument("--rounds", type=_count, help="interleaved rounds, medians of which are shown (3)")
    parser.add_argument("--seconds", type=_seconds, help="the measured window of a run (4)")
    parser.add_argument("--only", type=_names(SCENARIOS), help=f"scenarios, of {','.join(SCENARIOS)}")
    parser.add_argument("--servers", type=_names(TARGETS), help=f"servers, of {','.join(TARGETS)}")
    parser.add_argument("--quick", action="store_true", help="one round of one second: to try it, not to quote it")
    parser.add_argument("--in-flight", type=_count, help="messages each client keeps on its way (1, or 8 in stream)")
    parser.add_argument("--size", type=_count, default=64, help="bytes of an event's packet (64)")
    parser.add_argument("--connections", type=_count, default=2000, help="idle connections (2000)")
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
    options.seconds = options.seconds or (1.0 if options.quick else 4.0)
    options.only = options.only or list(SCENARIOS)
    options.servers = options.servers or list(TARGETS)
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
