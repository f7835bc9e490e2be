"""Run `socketeer demo` as a user does, in a process that a test may kill and start again on the same port."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.ports import free_port

__all__ = ["SOCKETEER", "Demo", "demo"]

SOCKETEER = Path(sys.executable).with_name("socketeer")
"""The command that the package installs."""


class Demo:
    """Hold the demo's process."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, and wait for the line that says where it is."""
        self._process = subprocess.Popen(
            [str(SOCKETEER), "demo", "--port", str(self.port)],
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.startswith(f"The chat is at {self.url}"), line

    def kill(self) -> None:
        """Kill it at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


@contextmanager
def demo() -> Iterator[Demo]:
    """Run the demo until the block ends."""
    running = Demo(free_port())
    running.start()
    try:
        yield running
    finally:
        running.kill()
