"""The same server on encrypted connections and on Unix domain sockets, on both lanes."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect, unix_connect

from socketeer import Server, Socket
from tests.support.certificate import make_certificate
from tests.support.serving import WEBSOCKET_CLASSES, serving

ROOT = Path(__file__).resolve().parents[2]
QUERY = "/socket.io/?EIO=4&transport="


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Give the files of a self-signed certificate and of its key."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


def talk(websocket: Any) -> None:
    """Join, and exchange small and large events of text and bytes."""
    assert websocket.recv(5).startswith('0{"sid":')
    websocket.send("40")
    assert websocket.recv(5).startswith('40{"sid":')
    websocket.recv(5)  # the welcome of the application
    for text in ("small", "x" * 300_000):
        websocket.send(f'42["message","{text}"]')
        assert websocket.recv(5) == f'42["message","{text}"]'
    for data in (b"small", b"y" * 300_000):
        websocket.send('451-["message",{"_placeholder":true,"num":0}]')
        websocket.send(data)
        assert websocket.recv(5) == '451-["message",{"_placeholder":true,"num":0}]'
        assert websocket.recv(5) == data


def test_an_encrypted_connection(lane: str, certificate: tuple[str, str]) -> None:
    io = Server()
    sockets: list[Socket] = []

    @io.on("connection")
    def connected(socket: Socket) -> None:
        sockets.append(socket)
        socket.emit("welcome")
        socket.on("message", socket.send)

    trusting = ssl.create_default_context(cafile=certificate[0])
    with serving(io, lane, ssl_certfile=certificate[0], ssl_keyfile=certificate[1]) as running:
        with connect(f"wss://127.0.0.1:{running.port}{QUERY}websocket", ssl=trusting, proxy=None) as websocket:
            talk(websocket)
            assert sockets[0].handshake.secure
            assert sockets[0].handshake.address == "127.0.0.1"
        origin = {"Origin": f"https://127.0.0.1:{running.port}"}
        connection = http.client.HTTPSConnection("127.0.0.1", running.port, context=trusting, timeout=5)
        connection.request("GET", f"{QUERY}polling", headers=origin)
        assert connection.getresponse().status == 200
        connection.close()
        with connect(f"wss://127.0.0.1:{running.port}{QUERY}websocket", ssl=trusting, proxy=None) as websocket:
            websocket.recv(5)
            websocket.socket.shutdown(socket.SHUT_RDWR)  # without the farewell of TLS


@pytest.fixture
def unix_server(lane: str) -> Iterator[str]:
    """Run uvicorn's own command on a Unix domain socket; give its path."""
    folder = tempfile.mkdtemp()  # that of a test may be too long for the address of a socket
    path = os.path.join(folder, "s")
    command = [sys.executable, "-m", "uvicorn", "--factory", "tests.support.app:create", "--uds", path]
    command += ["--ws", WEBSOCKET_CLASSES[lane], "--log-level", "warning"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 20
        while not os.path.exists(path):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
        yield path
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            _, said = process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        finally:
            shutil.rmtree(folder)
    assert said == ""


def test_a_unix_domain_socket(unix_server: str) -> None:
    first = unix_connect(unix_server, f"ws://localhost{QUERY}websocket")
    second = unix_connect(unix_server, f"ws://localhost{QUERY}websocket")
    with first as one, second as two:
        talk(one)
        talk(two)
        one.send("41")  # and the server stops while these are open
