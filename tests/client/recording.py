"""Servers that can be killed and started again, and keep what clients have them record: Node's and our own.

Ours is served by ``python -m tests.client.recording --port P --lane L --record FILE``; it does what
tests/js/client_server.js does, and takes options in the same words.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from socketeer import Socket
from tests.client.app import create
from tests.client.servers import KINDS, options_of
from tests.support.backend import ROOT
from tests.support.node_server import node_server
from tests.support.ports import free_port
from tests.support.process import announce
from tests.support.serving import wait_for_port

__all__ = ["Restartable", "read", "restartable"]


class Restartable(Protocol):
    """Be a server in a process of its own."""

    port: int

    def kill(self) -> None:
        """End the process as a crash would."""

    def restart(self) -> None:
        """Start a new process on the same port; the old one is killed if it still runs."""


def read(record: Path) -> list[Any]:
    """Read what was recorded; a line that a crash has cut short was never acknowledged."""
    lines = record.read_text().split("\n") if record.exists() else [""]
    return [json.loads(line) for line in lines[:-1]]


@contextmanager
def restartable(name: str, record: Path, **options: Any) -> Iterator[Restartable]:
    """Run a server of one of the ``KINDS`` until the block ends; ``options`` are those of Node's."""
    kind, _ = KINDS[name]
    if kind.startswith("node"):
        with node_server(int(kind[-1]), record=record, **options) as server:
            yield server
        return
    process = _Process(kind, record, options_of(kind, **options))
    try:
        process.restart()
        yield process
    finally:
        process.kill()


class _Process:
    """Hold the process of our own server."""

    def __init__(self, lane: str, record: Path, options: dict[str, Any]) -> None:
        self.port = free_port()
        arguments = ["--port", str(self.port), "--lane", lane, "--record", str(record), "--options"]
        self._command = [sys.executable, "-m", "tests.client.recording", *arguments, json.dumps(options)]
        self._process: subprocess.Popen[bytes] | None = None

    def restart(self) -> None:
        self.kill()
        self._process = subprocess.Popen(self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        wait_for_port(self.port)

    def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()
            assert process.returncode == -signal.SIGKILL, f"the server ended by itself: {process.returncode}"


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    """Serve, until the process that started this one ends it, or ends."""
    from tests.support.process import PlainServer
    from tests.support.serving import WEBSOCKET_CLASSES

    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--lane", required=True)
    parser.add_argument("--record", type=Path, required=True)
    parser.add_argument("--options", type=json.loads, required=True)
    arguments = parser.parse_args()
    io = create(**arguments.options)
    book = arguments.record.open("a")

    def write(socket: Socket) -> None:
        @socket.on("record")
        def record(value: Any) -> None:
            book.write(f"{json.dumps(value)}\n")
            book.flush()

    io.on("connection", write)
    io.of("/echo").on("connection", write)
    threading.Thread(target=announce, args=(arguments.port,), daemon=True).start()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if arguments.lane == "fast":
        io.listen(arguments.port)
    else:
        PlainServer(io, port=arguments.port, ws=WEBSOCKET_CLASSES[arguments.lane]).run()


if __name__ == "__main__":
    main()
