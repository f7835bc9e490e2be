"""Servers with the application of the official clients' tests: in this process, in one of their own, or Node's.

A "front" names what the clients meet: a lane of ours, or "reference", Node's own server with the same application.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.node import JS, NODE_MODULES, require_node
from tests.support.ports import free_port
from tests.support.serving import serving

__all__ = ["FRONTS", "REFERENCE", "ServerProcess", "backend"]

REFERENCE = "reference"
FRONTS: tuple[str, ...] = ("fast", "portable")
ROOT = Path(__file__).resolve().parents[2]
REFERENCE_NAMES = {
    "ping_interval": "pingInterval",
    "ping_timeout": "pingTimeout",
    "allow_eio3": "allowEIO3",
    "allow_upgrades": "allowUpgrades",
    "transports": "transports",
    "cleanup_empty_child_namespaces": "cleanupEmptyChildNamespaces",
    "connection_state_recovery": "connectionStateRecovery",
    "parser": "parser",
    "max_disconnection_duration": "maxDisconnectionDuration",
    "skip_middlewares": "skipMiddlewares",
}


class ServerProcess:
    """Run the application in a process of its own, so that it can be killed."""

    def __init__(self, front: str, port: int = 0, **options: Any) -> None:
        """Start the server and wait until it listens; ``options`` are those of ``Server``."""
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._process = subprocess.Popen(
            _command(front, port or free_port(), options),
            cwd=ROOT,
            env={**os.environ, "NODE_PATH": str(NODE_MODULES), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, name="reader of the server process", daemon=True)
        self._reader.start()
        self.port = int(self.line("listening"))
        self.url = f"http://127.0.0.1:{self.port}"

    def line(self, word: str, timeout: float = 20) -> str:
        """Wait for the next line of output that begins with ``word`` and return the rest of it."""
        while True:
            try:
                line = self._lines.get(timeout=timeout)
            except queue.Empty:
                raise AssertionError(f"waited {timeout} s for the server to print {word!r}") from None
            if line is None:
                raise AssertionError(f"the server ended before it printed {word!r}")
            first, _, rest = line.partition(" ")
            if first == word:
                return rest

    def kill(self) -> None:
        """End the process as a crash would."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ask the process to end and return its exit status."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        self._process.send_signal(number)
        try:
            status = self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
            raise AssertionError(f"the server did not end by {number.name}") from None
        finally:
            self._reader.join(5)
        return status

    def close(self) -> None:
        """Kill the process if it still runs."""
        if self._process.poll() is None:
            self.kill()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                self._lines.put(line.rstrip("\n"))
        self._lines.put(None)


def _command(front: str, port: int, options: dict[str, Any]) -> list[str]:
    if front == REFERENCE:
        return [require_node(), str(JS / "reference_server.js"), json.dumps({"port": port, **_renamed(options)})]
    arguments = ["--port", str(port), "--lane", front, "--options", json.dumps(options)]
    return [sys.executable, "-m", "tests.support.process", *arguments]


def _renamed(options: dict[str, Any]) -> dict[str, Any]:
    """Give the options of Node's server; its times are milliseconds."""

    def convert(value: Any) -> Any:
        if isinstance(value, dict):
            return _renamed(value)
        return round(value * 1000) if isinstance(value, float) else value

    return {REFERENCE_NAMES[name]: convert(value) for name, value in options.items()}


@contextmanager
def backend(front: str, **options: Any) -> Iterator[str]:
    """Serve the application until the block ends and yield the server's URL; ``options`` are those of ``Server``."""
    if front == REFERENCE:
        server = ServerProcess(front, **options)
        try:
            yield server.url
        finally:
            server.close()
    else:
        from tests.support.app import create

        with serving(create(**options), front) as running:
            yield running.url
