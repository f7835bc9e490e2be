"""The command ``python -m bench startup``: what it takes until a server is there.

That is the import of the package, the time from the start of the process until it listens, and the first request. Every
figure comes from a process that was just started, with its files in the page cache and its bytecode compiled.
"""

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.options import installed, names, ready
from bench.proc import two_cores
from bench.report.results import machine
from bench.report.tables import Table, as_text, where
from bench.targets import HERE, INCUMBENT, NODE, TARGETS, running
from bench.targets import program as runnable

_TOP = 10
_COUNT_MODULES = "import sys; before = len(sys.modules); import {}; print(len(sys.modules) - before)"
_IMPORT_TIME = re.compile(r"^import time: +(\d+) \| +(\d+) \| ( *)(\S+)$", re.MULTILINE)
_POLL = b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
_UPGRADE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c2l4dGVlbiBieXRlcyBvaw==\r\n\r\n"
)
_JOIN = bytes((0x81, 0x82, 0, 0, 0, 0)) + b"40"  # a client's frame; the mask leaves the text as it is


@dataclass(frozen=True, slots=True)
class Import:
    """The import of a package: seconds beyond those of the bare interpreter, and the modules it brings."""

    wall: float
    cpu: float
    modules: int | None


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds from the start of the process until it listens, and for the first request of each kind."""

    listening: float
    polling: float
    websocket: float


@dataclass(frozen=True, slots=True)
class Costly:
    """One module among the most expensive ones: seconds by itself, and with what it imports."""

    name: str
    itself: float
    total: float


PACKAGES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "fast": ("socketeer", "python", (sys.executable,)),
    "python-socketio": ("socketio", "python", (str(INCUMBENT / "bin" / "python"),)),
    "node": ("socket.io", "node", ("node",)),
}
"""The package of a server, its language, and the program that imports it."""


SERVERS = ("fast", "portable", "node", "python-socketio", "socketioxide")
"""All that speak both transports."""


def main(argv: list[str]) -> int:
    """Measure, print the tables and write them as JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench startup", description=__doc__)
    parser.add_argument("--times", type=int, default=15, help="processes of each kind, medians of which are shown (15)")
    parser.add_argument("--servers", type=names(SERVERS), default=SERVERS, help=f"servers, of {','.join(SERVERS)}")
    parser.add_argument("--json", type=Path, default=HERE / "startup.json", help="where to write the figures")
    options = parser.parse_args(argv)
    if not ready():
        return 2
    servers = [target.name for target in installed([TARGETS[name] for name in options.servers])]
    with tempfile.TemporaryDirectory() as bytecode:
        os.environ.update(PYTHONDONTWRITEBYTECODE="", PYTHONPYCACHEPREFIX=bytecode)
        imports = {name: measure_import(name, options.times) for name in servers if name in PACKAGES}
        costly = costliest(options.times) if "fast" in servers else []
        starts = measure_starts(servers, options.times)
    facts = {
        "machine": machine(),
        "times": options.times,
        "imports": {name: asdict(found) for name, found in imports.items()},
        "costliest": [asdict(module) for module in costly],
        "starts": {name: asdict(start) for name, start in starts.items()},
    }
    options.json.write_text(json.dumps(facts, indent=1) + "\n")
    print("\n\n".join([where(machine()), *map(as_text, tables(facts))]))
    return 0


def tables(facts: dict[str, Any]) -> list[Table]:
    """Return the tables of what ``main`` has written."""
    imports = [["", "wall, ms", "CPU, ms", "modules"]]
    for name, found in facts["imports"].items():
        modules = "" if found["modules"] is None else str(found["modules"])
        imports.append([PACKAGES[name][0], _ms(found["wall"]), _ms(found["cpu"]), modules])
    starts = [["", "listening, ms", "first polling handshake, ms", "first WebSocket joined, ms"]]
    starts += [
        [TARGETS[name].title, _ms(start["listening"]), _ms(start["polling"]), _ms(start["websocket"])]
        for name, start in facts["starts"].items()
    ]
    costly = [["", "itself, ms", "with what it imports, ms"]]
    costly += [[module["name"], _ms(module["itself"]), _ms(module["total"])] for module in facts["costliest"]]
    titled = {
        "Import, beyond the bare interpreter": imports,
        "Start of the process, and the first request to it": starts,
        "The most expensive modules of import socketeer, by themselves (-X importtime)": costly,
    }
    return [Table(f"{title}; medians of {facts['times']}", lines) for title, lines in titled.items() if len(lines) > 1]


def measure_import(name: str, times: int) -> Import:
    """Return the medians over fresh processes, each beside one that imports nothing."""
    package, language, program = PACKAGES[name]
    program = (runnable(program[0]), *program[1:])
    command = (
        [*program, "-c", f"import {package}"] if language == "python" else [*program, "-e", f"require('{package}')"]
    )
    nothing = [*program, command[-2], ""]
    _spent(command)  # compiles the bytecode
    full, bare = zip(*((_spent(command), _spent(nothing)) for _ in range(times)), strict=True)
    wall, cpu = (median(spent[part] for spent in full) - median(spent[part] for spent in bare) for part in (0, 1))
    return Import(wall, cpu, _modules(package, program) if language == "python" else None)


def costliest(times: int) -> list[Costly]:
    """Return the modules that take longest to import by themselves: for each the median over fresh processes."""
    found: dict[str, list[tuple[int, int]]] = {}
    for _ in range(times):
        command = [sys.executable, "-X", "importtime", "-c", "import socketeer"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        for itself, total, _, name in _IMPORT_TIME.findall(done.stderr):
            found.setdefault(name, []).append((int(itself), int(total)))
    medians = [
        Costly(name, *(median(pair[part] for pair in pairs) / 1e6 for part in (0, 1))) for name, pairs in found.items()
    ]
    return sorted(medians, key=lambda module: -module.itself)[:_TOP]


def measure_starts(servers: list[str], times: int) -> dict[str, Start]:
    """Return medians over servers that were just started, one for each first request, the servers in turn."""
    found: dict[str, list[tuple[float, float, float]]] = {}
    for turn in range(times + 1):
        for name in servers:
            listening, polling = _first(name, _poll)
            _, websocket = _first(name, _join)
            if turn:  # the first one compiles the bytecode
                found.setdefault(name, []).append((listening, polling, websocket))
    return {name: Start(*(median(values) for values in zip(*all_, strict=True))) for name, all_ in found.items()}


def _first(name: str, request: Callable[[int], None]) -> tuple[float, float]:
    """Start a server: return the seconds until it listens and those of the first request."""
    core, _ = two_cores()
    begin = time.perf_counter()
    with running(TARGETS[name], core) as server:
        listening = time.perf_counter()
        request(server.port)
        return listening - begin, time.perf_counter() - listening


def _poll(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(_POLL)
        _receive_until(connection, b'0{"sid":')


def _join(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(_UPGRADE)
        _receive_until(connection, b'0{"sid":')
        connection.sendall(_JOIN)
        _receive_until(connection, b'40{"sid":')


def _receive_until(connection: socket.socket, wanted: bytes) -> None:
    received = b""
    while wanted not in received:
        data = connection.recv(65_536)
        if not data:
            raise RuntimeError(f"the server ended a connection after {received[-80:]!r}")
        received += data


def _spent(command: list[str]) -> tuple[float, float]:
    """Run a process, and return its wall and its CPU seconds."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, cwd=NODE)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command[-1]!r} ended with {process.returncode}")
    return wall, usage.ru_utime + usage.ru_stime


def _modules(package: str, program: tuple[str, ...]) -> int:
    """Return how many modules the package brings into a fresh interpreter."""
    command = [*program, "-c", _COUNT_MODULES.format(package)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f}"
