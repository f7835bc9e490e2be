"""The servers under comparison: how each is installed, started and ended."""

import os
import shutil
import socket
import subprocess
import sys
import threading
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench import cargo
from bench.plan import PLAIN, Scenario
from bench.proc import pin

HERE = Path(__file__).parent
NODE = HERE / "node"
INCUMBENT = HERE / ".venv"
REQUIREMENTS = HERE / "requirements.txt"
_INSTALLED = INCUMBENT / "installed"
_START_LIMIT = 30.0


class TargetError(Exception):
    """A server could not be installed or started."""


class TargetSkipped(TargetError):
    """A server that a comparison can do without cannot be installed on this machine."""


@dataclass(frozen=True, slots=True)
class Target:
    """One server: the name in the tables, and the command that gets the port and the name of a feature.

    ``loads`` are those it can take, ``None`` if it can take all.
    """

    name: str
    title: str
    command: tuple[str, ...]
    features: frozenset[str] = frozenset()
    loads: frozenset[str] | None = None

    @property
    def websocket_only(self) -> bool:
        """Tell whether the server knows no polling."""
        return self.loads is not None and "polling" not in self.loads

    def can(self, scenario: Scenario) -> bool:
        """Tell whether the server has what the scenario asks for."""
        return scenario.feature in {PLAIN, *self.features} and (self.loads is None or scenario.load in self.loads)


@dataclass(frozen=True, slots=True)
class Running:
    """A started server."""

    pid: int
    port: int
    versions: str


def _ours(lane: str) -> Target:
    command = (sys.executable, "-m", "bench.servers.socketeer_app", lane)
    features = {"heartbeats", "calm", "typed", "middleware", "catch-all", "recovery", "connect-middleware", "crowd"}
    return Target(lane, f"socketeer, {lane} lane", command, frozenset(features))


def _incumbent(name: str, title: str, handlers: str) -> Target:
    command = (str(INCUMBENT / "bin" / "python"), "-m", "bench.servers.python_socketio_app", handlers)
    return Target(name, title, command, frozenset({"heartbeats", "calm", "catch-all"}))


TARGETS = {
    target.name: target
    for target in (
        _ours("fast"),
        _ours("portable"),
        Target(
            "node",
            "socket.io on Node.js",
            ("node", "--expose-gc", str(NODE / "server.js")),
            frozenset({"heartbeats", "calm", "middleware", "catch-all", "recovery", "connect-middleware"}),
        ),
        _incumbent("python-socketio", "python-socketio on uvicorn", "in-turn"),
        _incumbent("python-socketio-default", "python-socketio, a task for each event", "in-tasks"),
        Target("socketioxide", "socketioxide on axum", (str(cargo.PROGRAM),), frozenset({"heartbeats"})),
        Target(
            "floor",
            "bare picows",
            (sys.executable, "-m", "bench.servers.floor"),
            loads=frozenset({"echo", "ack", "latency", "broadcast", "connect", "connect-storm", "idle"}),
        ),
    )
}
DEFAULT_TARGETS = tuple(name for name in TARGETS if name != "python-socketio-default")


def install(target: Target) -> None:
    """Install what the server needs and this environment lacks: npm's packages, or the incumbent's environment.

    Raises ``TargetError`` if the machine cannot, ``TargetSkipped`` if it is one to do without.
    """
    if target.name == "node" and not (NODE / "node_modules" / "socket.io").is_dir():
        npm = _tool("npm")
        _step("install Node's socket.io", [npm, "ci", "--no-audit", "--no-fund"], NODE)
    elif target.name.startswith("python-socketio") and not _holds(_INSTALLED, REQUIREMENTS.read_text()):
        print("bench: install python-socketio into bench/.venv", flush=True)
        venv.create(INCUMBENT, with_pip=True, symlinks=True)
        pip = [str(INCUMBENT / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps"]
        _step("install python-socketio", [*pip, "-r", str(REQUIREMENTS)], HERE)
        _INSTALLED.write_text(REQUIREMENTS.read_text())
    elif target.name == "socketioxide" and not cargo.is_built():
        _build_in_rust()


def _build_in_rust() -> None:
    try:
        builder = _tool("cargo")
        cargo.prepare(builder)
        _step("build socketioxide", [builder, "build", "--release", "--locked", "--target-dir", "target"], cargo.BUILD)
    except (TargetError, ValueError, OSError, subprocess.CalledProcessError) as error:
        raise TargetSkipped(str(error)) from error


@contextmanager
def running(target: Target, core: int | None, feature: str = PLAIN) -> Iterator[Running]:
    """Start a server on a free port, pinned to ``core``, with a feature switched on, and end it afterwards.

    Raises ``TargetError`` if it does not listen within half a minute.
    """
    port = _free_port()
    process = subprocess.Popen(
        [program(target.command[0]), *target.command[1:], str(port), feature],
        cwd=HERE.parent,
        env={"PYTHONDONTWRITEBYTECODE": "1", **os.environ, "NODE_ENV": "production"},
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: pin(core),
    )
    try:
        yield Running(process.pid, port, _await_ready(target, process))
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _await_ready(target: Target, process: "subprocess.Popen[str]") -> str:
    """Return the versions from the line a server prints when it listens."""
    assert process.stdout is not None
    timer = threading.Timer(_START_LIMIT, process.kill)
    timer.start()
    try:
        line = process.stdout.readline()
    finally:
        timer.cancel()
        timer.join()
    if not line.startswith("ready "):
        raise TargetError(f"{target.title} did not start: {line.strip() or 'see its output above'}")
    return line.removeprefix("ready ").strip()


def _holds(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


def _step(purpose: str, command: list[str], folder: Path) -> None:
    print(f"bench: {purpose}", flush=True)
    done = subprocess.run(command, cwd=folder, check=False)
    if done.returncode:
        raise TargetError(f"could not {purpose}: {Path(command[0]).name} ended with {done.returncode}")


def _tool(name: str) -> str:
    """Return the path of a program: of this environment, else of the machine."""
    folders = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    path = shutil.which(name, path=folders)
    if path is None:
        raise TargetError(f"{name} is not installed")
    return path


@cache
def program(name: str) -> str:
    """Return the path of a program that runs as it is: ``node`` from PyPI is a script that starts another process."""
    path = _tool(name)
    if name == "node":
        path = subprocess.run(
            [path, "-p", "process.execPath"], capture_output=True, text=True, check=True
        ).stdout.strip()
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
