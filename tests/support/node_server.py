"""Run Node's own server, of 4.x or of 2.x, in a process of its own, for the tests of a client.

What it does for clients is in tests/js/client_server.js and the files beside it.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tests.support.node import JS, NODE_MODULES, require_node
from tests.support.ports import free_port

__all__ = ["NodeServer", "node_server"]

PATIENCE = 30.0


class NodeServer:
    """Hold a server that can be killed and started again on the same port; to be used from any thread."""

    def __init__(self, version: int, *, record: Path | None = None, **options: Any) -> None:
        """Start the server and wait until it listens.

        ``options`` are those of the server in its own names (``pingInterval=300``), with those of client_server.js.
        What clients have it record is kept in the file ``record``, for the tests and for the next process.
        """
        self.version = version
        self.port = free_port()
        self.process: subprocess.Popen[str]
        self._options = options
        self._record = record
        self._log: list[str] = []
        self._alive = False
        self.start()
        self.url = f"{'https' if 'cert' in options else 'http'}://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """Give what all its processes have written to standard error."""
        return "".join(self._log)

    def start(self) -> None:
        """Start a process, on the port of the last one, and wait until it listens."""
        assert not self._alive, "the server runs already"
        self.process = subprocess.Popen(
            self._command(),
            cwd=JS,
            env={**os.environ, "NODE_PATH": str(NODE_MODULES)},
            stdin=subprocess.PIPE,  # its end tells the process that this one is gone, by whatever way
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._alive = True
        lines: queue.Queue[str] = queue.Queue()
        self._readers = [
            threading.Thread(target=_read, args=(self.process.stdout, lines.put), daemon=True),
            threading.Thread(target=_read, args=(self.process.stderr, self._log.append), daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        try:
            self.port = json.loads(lines.get(timeout=PATIENCE))["port"]
        except (queue.Empty, ValueError):
            self.kill()
            raise AssertionError(f"the server does not listen:\n{self.log}") from None

    def kill(self) -> None:
        """End the process as a crash would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End the process in order: its clients are told."""
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        """Start a new process on the same port; the old one is killed if it still runs."""
        if self._alive:
            self.kill()
        self.start()

    def close(self) -> None:
        """Kill the process if it runs; it is an ``AssertionError`` if it ended by itself."""
        if not self._alive:
            return
        status = self.process.poll()
        self.kill()
        assert status is None, f"the server ended by itself with status {status}:\n{self.log}"

    def _command(self) -> list[str]:
        script = [require_node(), str(JS / "client_server.js"), str(self.version), str(self.port)]
        record = [] if self._record is None else ["--record", str(self._record)]
        return [*script, "--options", json.dumps(self._options), *record]

    def _end(self, number: signal.Signals) -> None:
        process = self.process
        process.send_signal(number)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"the server did not end by {number.name}") from None
        finally:
            self._alive = False
            assert process.stdin is not None
            process.stdin.close()
            for reader in self._readers:
                reader.join(PATIENCE)


def _read(stream: IO[str], put: Callable[[str], object]) -> None:
    with stream:
        for line in stream:
            put(line)
    put("")


@contextmanager
def node_server(version: int, *, record: Path | None = None, **options: Any) -> Iterator[NodeServer]:
    """Run a server until the block ends; see :class:`NodeServer`."""
    server = NodeServer(version, record=record, **options)
    try:
        yield server
    finally:
        server.close()
