"""Command one official client: a Node.js process that runs scenarios of tests/js and reports how they went.

A process serves all tests of its client version, since starting Node.js takes longer than most scenarios. Scenarios
run side by side in it.
"""

from __future__ import annotations

import itertools
import json
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from typing import Any

from tests.support.node import JS, NODE_MODULES, require_node

__all__ = ["CLIENTS", "TRANSPORTS", "Driver", "Run"]

CLIENTS: dict[str, int] = {"client1": 1, "client2": 2, "client3": 3, "client4": 4}
TRANSPORTS: tuple[str, ...] = ("polling", "websocket", "upgrade")


class Run:
    """Follow one scenario that runs in the driver's process."""

    def __init__(self, label: str, answer: Callable[[], None]) -> None:
        self.label = label
        self._answer = answer
        self._said: queue.Queue[dict[str, Any]] = queue.Queue()
        self._outcome: dict[str, Any] | None = None

    def put(self, message: dict[str, Any]) -> None:
        """Take a message of the scenario, from the driver's reading thread."""
        self._said.put(message)

    def said(self, word: str, timeout: float = 20) -> Any:
        """Wait until the scenario says ``word`` and return the value said with it."""
        message = self._take(timeout, f"saying {word!r}")
        if message.get("said") != word:
            self._outcome = message
            raise AssertionError(f"{self.label} did not say {word!r}: {message.get('error', message)}")
        return message.get("value")

    def result(self, timeout: float = 45) -> None:
        """Wait until the scenario is over; an ``AssertionError`` says why it failed."""
        while self._outcome is None:
            message = self._take(timeout, "its end")
            if "said" not in message:
                self._outcome = message
        if not self._outcome.get("ok"):
            raise AssertionError(f"{self.label}: {self._outcome['error']}")

    def go_on(self) -> None:
        """Tell the scenario that what it asked for is done."""
        self._answer()

    def follow(self, actions: Mapping[str, Callable[[], object]], timeout: float = 45) -> None:
        """Do what the scenario asks for by the words of ``actions`` until it is over; as :meth:`result`."""
        while self._outcome is None:
            message = self._take(timeout, "its end")
            if "said" in message:
                actions[message["said"]]()
                self.go_on()
            else:
                self._outcome = message
        self.result()

    def _take(self, timeout: float, what: str) -> dict[str, Any]:
        try:
            return self._said.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"{self.label}: waited {timeout} s for {what}") from None


class Driver:
    """Hold the Node.js process of one client version."""

    def __init__(self, client: str) -> None:
        self.client = client
        self._ids = itertools.count(1)
        self._runs: dict[int, Run] = {}
        self._process = subprocess.Popen(
            [require_node(), str(JS / "driver.js"), client, str(CLIENTS[client])],
            cwd=JS,
            env={**os.environ, "NODE_PATH": str(NODE_MODULES)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.scenarios: list[str] = self._read()["scenarios"]
        self._reader = threading.Thread(target=self._follow, name=f"reader of {client}", daemon=True)
        self._reader.start()

    def start(self, scenario: str, url: str, transport: str, **params: Any) -> Run:
        """Start a scenario; it goes on while the caller does other things."""
        number = next(self._ids)
        run = Run(f"{scenario} with {self.client} over {transport}", lambda: self._send({"id": number, "done": True}))
        self._runs[number] = run
        self._send({"id": number, "scenario": scenario, "url": url, "transport": transport, "params": params})
        return run

    def suspend(self) -> None:
        """Stop the process where it stands, as a laptop that is shut does: its connections stay open and silent."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a suspended process go on."""
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(20)
        self._reader.join(5)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _send(self, command: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError(f"the driver of {self.client} ended with status {self._process.wait(20)}")
        message: dict[str, Any] = json.loads(line)
        return message

    def _follow(self) -> None:
        while True:
            try:
                message = self._read()
            except (AssertionError, ValueError) as error:
                message = {"crash": str(error)}
            if "crash" in message:
                for run in self._runs.values():
                    run.put({"ok": False, "error": message["crash"]})
                if self._process.poll() is not None:
                    return
            elif "said" in message:
                self._runs[message["id"]].put(message)
            else:
                self._runs.pop(message["id"]).put(message)
