"""The command ``python -m bench clients``: many client sockets in one process, ours and python-socketio's.

Both connect to our server, on a core of its own. Each client is a connection of its own. The CPU and the memory are
those of the process with the clients.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryFile
from typing import Any

from bench.options import attempt, count, names, ready, seconds
from bench.proc import allow_open_files, pin, two_cores
from bench.report.results import machine
from bench.report.tables import Table, as_text, where
from bench.targets import HERE, INCUMBENT, TARGETS, TargetError, install, running

LIBRARIES: dict[str, tuple[str, str, str]] = {
    "socketeer": ("socketeer", sys.executable, "bench.crowd.socketeer_clients"),
    "python-socketio": (
        "python-socketio",
        str(INCUMBENT / "bin" / "python"),
        "bench.crowd.python_socketio_clients",
    ),
}
"""The title of a library, the Python that has it, and its program."""
WAYS = ("websocket", "polling,websocket", "polling")
"""Lists of transports: the second one upgrades."""
_BROADCASTS = 30
_SHOWN = 2000


@dataclass(frozen=True, slots=True)
class Crowd:
    """What one crowd has cost: bytes and seconds of CPU, for each client, each second of it, or each message."""

    memory: float
    connecting: float
    idle: float
    asking: float
    receiving: float


def main(argv: list[str]) -> int:
    """Measure, print the tables and write them as JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench clients", description=__doc__)
    parser.add_argument("--clients", type=count, default=1000, help="clients in one process (1000)")
    parser.add_argument("--rounds", type=int, default=3, help="how often to measure; medians are shown (3)")
    parser.add_argument("--idle", type=seconds, default=10.0, help="seconds to watch idle clients (10)")
    parser.add_argument("--seconds", type=seconds, default=3.0, help="seconds to ask for acknowledgements (3)")
    parser.add_argument("--libraries", type=names(LIBRARIES), default=[*LIBRARIES], help="of " + ",".join(LIBRARIES))
    parser.add_argument("--json", type=Path, default=HERE / "clients.json", help="where to write the figures")
    options = parser.parse_args(argv)
    if not ready():
        return 2
    allow_open_files()
    found: dict[str, dict[str, Crowd]] = {}
    code = attempt(lambda: found.update(measure(options)))
    if found:
        facts = {
            "machine": machine(),
            "clients": options.clients,
            "rounds": options.rounds,
            "ways": {way: {name: asdict(crowd) for name, crowd in crowds.items()} for way, crowds in found.items()},
        }
        options.json.write_text(json.dumps(facts, indent=1) + "\n")
        print("\n\n".join([where(machine()), *map(as_text, tables(facts))]))
    return code


def tables(facts: dict[str, Any]) -> list[Table]:
    """Return the tables of what ``main`` has written."""
    found = []
    for way, crowds in facts["ways"].items():
        lines = [["", "kB a client", "connect, µs", "idle, µs/s", "ask, µs", "receive, µs"]]
        lines += [[LIBRARIES[name][0], *_cells(crowd)] for name, crowd in crowds.items()]
        if len(crowds) == len(LIBRARIES):
            ours, theirs = (crowds[name] for name in LIBRARIES)
            lines.append(["ratio", *(f"{ours[part] / theirs[part]:.2f}" for part in ours)])
        title = f"{facts['clients']:,} clients in one process, {way}; medians of {facts['rounds']}"
        found.append(Table(title, lines))
    return found


def _cells(crowd: dict[str, float]) -> list[str]:
    memory, *times = crowd.values()
    return [f"{memory / 1000:.1f}", *(_microseconds(each) for each in times)]


def _microseconds(seconds: float) -> str:
    value = seconds * 1e6
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def measure(options: argparse.Namespace) -> dict[str, dict[str, Crowd]]:
    """Return the medians for each way and library, measured in turn."""
    libraries: list[str] = options.libraries
    if "python-socketio" in libraries:
        install(TARGETS["python-socketio"])
    found: dict[str, dict[str, list[Crowd]]] = {way: {name: [] for name in libraries} for way in WAYS}
    server, load = two_cores()
    for _ in range(options.rounds):
        for way in WAYS:
            for name in libraries:
                with running(TARGETS["fast"], server, "crowd") as served:
                    url = f"http://127.0.0.1:{served.port}"
                    found[way][name].append(_crowd(options, name, url, way, load))
    return {way: {name: _median(crowds) for name, crowds in by_name.items()} for way, by_name in found.items()}


def _median(crowds: Sequence[Crowd]) -> Crowd:
    columns = zip(*(asdict(crowd).values() for crowd in crowds), strict=True)
    return Crowd(*(median(column) for column in columns))


def _crowd(options: argparse.Namespace, name: str, url: str, way: str, core: int | None) -> Crowd:
    with _process(name, url, options.clients, way, core) as (tell, hear):
        begun = hear()
        steps = []
        for step in (f"idle {options.idle}", f"ask {options.seconds}", f"broadcast {_BROADCASTS}"):
            tell(step)
            steps.append(hear())
    idle, *others = [figures["cpu"] / figures["events"] for figures in steps]
    return Crowd(begun["memory"], begun["connecting"], idle / options.idle, *others)


@contextmanager
def _process(name: str, url: str, clients: int, way: str, core: int | None) -> Iterator[Any]:
    """Run the program of a library, and give what tells it a step and what hears of its figures."""
    _, python, module = LIBRARIES[name]
    errors = TemporaryFile("w+")  # noqa: SIM115  # closed at the end
    process = subprocess.Popen(
        [python, "-m", module, url, str(clients), way],
        cwd=HERE.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        preexec_fn=lambda: pin(core),
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def tell(step: str) -> None:
        print(step, file=process.stdin, flush=True)

    def hear() -> dict[str, float]:
        line = process.stdout.readline() if process.stdout is not None else ""
        if not line:
            errors.seek(0)
            raise TargetError(f"the clients of {name} ended over {way}: {errors.read()[-_SHOWN:].strip()}")
        figures: dict[str, float] = json.loads(line)
        return figures

    try:
        yield tell, hear
    finally:
        process.stdin.close()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
        errors.close()
