"""A server that somebody else's uvicorn runs ends as promptly as one that it runs itself."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from tests.support.ports import free_port
from tests.support.serving import LANES, WEBSOCKET_CLASSES

APPLICATION = """
from flask import Flask
from socketeer import Server

io = Server()

@io.event
def disconnect(socket, reason):
    print("left:", reason, flush=True)

beside_flask = io.attach(Flask("shop"))
"""


def _fetch(url: str, body: bytes | None = None) -> bytes:
    with urllib.request.urlopen(url, data=body, timeout=20) as response:
        content: bytes = response.read()
    return content


def _handshake(base: str, patience: float = 15.0) -> str:
    end = time.monotonic() + patience
    while True:
        try:
            return str(json.loads(_fetch(base)[1:])["sid"])
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("name", ["io", "beside_flask"])
def test_a_poll_that_waits_does_not_hold_up_the_end(name: str, lane: str, tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "application.py").write_text(APPLICATION)
    command = [sys.executable, "-m", "uvicorn", f"application:{name}", "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--ws", WEBSOCKET_CLASSES[lane], "--log-level", "warning"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        base = f"http://127.0.0.1:{port}/socket.io/?EIO=4&transport=polling"
        session = f"{base}&sid={_handshake(base)}"
        _fetch(session, b"40")
        assert _fetch(session).startswith(b"40")
        answers: list[bytes] = []
        poll = threading.Thread(target=lambda: answers.append(_fetch(session)))
        poll.start()
        time.sleep(0.3)  # the poll is on its way, and nothing tells when it has come
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=10)
        poll.join(10)
        assert answers == [b"1"]
        assert output == "left: server shutting down\n"
    finally:
        process.kill()
        process.wait(10)
