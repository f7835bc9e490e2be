"""Programs that serve: how they end when told to, and what ``DEBUG`` makes them say."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from socketeer.debug import SCOPES
from tests.support.ports import free_port
from tests.support.raw import Client
from tests.wire.peers import TEXT, PollingPeer, WebSocketPeer, eventually, frame

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
from socketeer import Server

io = Server()

@io.event
def disconnect(socket, reason):
    print(reason, flush=True)
"""
WAYS: dict[str, str] = {
    "listen": "io.listen({port})",
    "serve": "import asyncio\nasyncio.run(io.serve({port}))",
    "uvicorn, fast": 'import uvicorn\nuvicorn.run(io, port={port}, log_level="warning",'
    ' ws="socketeer.transports.uvicorn:WebSocketProtocol")',
    "uvicorn, portable": 'import uvicorn\nuvicorn.run(io, port={port}, log_level="warning", ws="websockets-sansio")',
}


# A shell has what it runs in the background ignore SIGINT, and so does whatever is begun from there.
_HEED_SIGINT = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"


class Program:
    """Run a program that serves, in a process of its own."""

    def __init__(self, source: str, port: int, **environment: str) -> None:
        self.port = port
        self.process = subprocess.Popen(
            [sys.executable, "-c", _HEED_SIGINT + textwrap.dedent(source)],
            cwd=ROOT,
            env={**{name: value for name, value in os.environ.items() if name != "DEBUG"}, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            self._wait()
        except BaseException:
            self.kill()
            raise

    def _wait(self) -> None:
        deadline = time.monotonic() + 20
        while True:
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline
            try:
                PollingPeer(self.port).post("1")
            except OSError:
                time.sleep(0.05)
            else:
                return

    def end(self, number: signal.Signals) -> tuple[str, str, float]:
        """Send a signal; give what was printed, and how long the end took."""
        started = time.monotonic()
        self.process.send_signal(number)
        try:
            out, err = self.process.communicate(timeout=10)
        finally:
            self.kill()
        return out, err, time.monotonic() - started

    def kill(self) -> None:
        """End the process if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("way", WAYS)
def test_a_program_ends_soon_whatever_its_clients_do(way: str, number: signal.Signals) -> None:
    port = free_port()
    program = Program(PROGRAM + WAYS[way].format(port=port), port)
    try:
        websocket = Client(port)
        websocket.join()
        idle, waiting = PollingPeer(port), PollingPeer(port)
        for peer in (idle, waiting):
            peer.send("40")
            peer.poll()
        pending = waiting.pending_get()
        answers: list[Any] = []
        reader = threading.Thread(target=lambda: answers.append(pending.finish()))
        reader.start()
        out, err, seconds = program.end(number)
        reader.join(5)
        websocket.closed()
        websocket.close()
    finally:
        program.kill()
    assert seconds < 3.5
    assert out.splitlines() == ["server shutting down"] * 3
    assert answers[0].status == 200
    if number is signal.SIGINT and way == "serve":
        assert err.rstrip().endswith("KeyboardInterrupt")  # what Python makes of it in any program that lets it
    else:
        assert err == ""


def test_engine_io_alone_ends_as_soon() -> None:
    port = free_port()
    source = "from socketeer import EngineServer\n\nio = EngineServer(path='/socket.io')\n"
    program = Program(source + WAYS["uvicorn, portable"].format(port=port), port)
    try:
        pending = PollingPeer(port).pending_get()
        program.end(signal.SIGTERM)
        reply = pending.finish()
    finally:
        program.kill()
    assert (reply.status, reply.body) == (200, b"1")


@pytest.mark.parametrize("way", ["listen", "serve"])
def test_the_exit_status_tells_of_a_port_that_is_taken(way: str) -> None:
    port = free_port()
    program = Program(PROGRAM + WAYS[way].format(port=port), port)
    try:
        second = subprocess.run(
            [sys.executable, "-c", PROGRAM + WAYS[way].format(port=port)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    finally:
        program.end(signal.SIGTERM)
    assert second.returncode != 0
    assert "OSError: [Errno 98] Address already in use" in second.stderr


# DEBUG.


def say(debug: str | None, source: str = "") -> list[str]:
    """Run a server that one client visits; give what it logged."""
    port = free_port()
    environment = {} if debug is None else {"DEBUG": debug}
    program = Program(source + PROGRAM + f"io.listen({port})", port, **environment)
    try:
        client = Client(port)
        client.join()
        client.emit("nobody takes it")
        client.leave()
        client.send("9")
        client.closed()
        client.close()
        polling = PollingPeer(port)
        upgraded = WebSocketPeer(port, polling.upgrade_target)
        upgraded.send("2probe")
        assert upgraded.receive() == "3probe"
        upgraded.close()
        polling.pending_get().abort()
        eventually(polling.is_dead)
        broken = Client(port)
        broken.websocket.raw(frame(TEXT, b"unmasked", mask=False))
        broken.closed()
        broken.close()
        _, err, _ = program.end(signal.SIGTERM)
    finally:
        program.kill()
    return err.splitlines()


def test_without_debug_nothing_is_said() -> None:
    assert say(None) == []
    assert say("") == []


@pytest.mark.parametrize("pattern", ["socketeer*", "*", "socket.io*,engine*"])
def test_everything_is_said(pattern: str) -> None:
    lines = say(pattern)
    said = "\n".join(lines)
    scopes = {line.split(" ")[2] for line in lines}
    elsewhere = {"socketeer.client", "socketeer.transports.portable"}
    if pattern == "socket.io*,engine*":
        elsewhere.add("socketeer.transports.picows")
    assert scopes == set(SCOPES) - elsewhere
    for words in (
        "nobody takes it",
        "parse error",
        " connected to /",
        "disconnected from /: client namespace disconnect",
    ):
        assert words in said


def test_one_scope_is_said() -> None:
    said = say("socketeer:server")
    assert said
    assert {line.split(" ")[2] for line in said} == {"socketeer.server"}


def test_what_is_excluded_is_not_said() -> None:
    said = say("socketeer*,-socketeer.engine*")
    assert any("socketeer.server" in line for line in said)
    assert not any("socketeer.engine" in line for line in said)


def test_an_application_that_logs_itself_gets_the_records() -> None:
    said = say("socketeer*", "import logging\nlogging.basicConfig(format='MINE %(name)s %(message)s')\n")
    assert said
    assert all(line.startswith("MINE ") for line in said)
