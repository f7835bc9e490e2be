"""The same server on encrypted connections and on Unix domain sockets, on both lanes."""

from __future__ import annotations

import asyncio
import http.client
import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect, unix_connect

from socketeer import Server, Socket
from tests.support.certificate import make_certificate
from tests.support.serving import WEBSOCKET_CLASSES, serving

ROOT = Path(__file__).resolve().parents[2]
QUERY = "/socket.io/?EIO=4&transport="


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Give the files of a self-signed certificate and of its key."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


async def talk(websocket: Any) -> None:
    """Join, and exchange small and large events of text and bytes."""

    async def receive() -> Any:
        return await asyncio.wait_for(websocket.recv(), 20)

    assert (await receive()).startswith('0{"sid":')
    await websocket.send("40")
    assert (await receive()).startswith('40{"sid":')
    await receive()  # the welcome of the application
    for text in ("small", "x" * 300_000):
        await websocket.send(f'42["message","{text}"]')
        assert await receive() == f'42["message","{text}"]'
    for data in (b"small", b"y" * 300_000):
        await websocket.send('451-["message",{"_placeholder":true,"num":0}]')
        await websocket.send(data)
        assert await receive() == '451-["message",{"_placeholder":true,"num":0}]'
        assert await receive() == data


def test_an_encrypted_connection(lane: str, certificate: tuple[str, str]) -> None:
    io = Server()
    sockets: list[Socket] = []

    @io.on("connection")
    def connected(socket: Socket) -> None:
        sockets.append(socket)
        socket.emit("welcome")
        socket.on("message", socket.send)

    trusting = ssl.create_default_context(cafile=certificate[0])

    # On an event loop: OpenSSL forbids two threads to share a connection, as the blocking client of websockets does.
    async def come_and_go(farewell: bool) -> None:
        url = f"wss://127.0.0.1:{running.port}{QUERY}websocket"
        async with connect(url, ssl=trusting, proxy=None) as websocket:
            if farewell:
                await talk(websocket)
            else:
                await asyncio.wait_for(websocket.recv(), 20)
                websocket.transport.abort()

    with serving(io, lane, ssl_certfile=certificate[0], ssl_keyfile=certificate[1]) as running:
        asyncio.run(come_and_go(farewell=True))
        assert sockets[0].handshake.secure
        assert sockets[0].handshake.address == "127.0.0.1"
        origin = {"Origin": f"https://127.0.0.1:{running.port}"}
        connection = http.client.HTTPSConnection("127.0.0.1", running.port, context=trusting, timeout=20)
        connection.request("GET", f"{QUERY}polling", headers=origin)
        assert connection.getresponse().status == 200
        connection.close()
        asyncio.run(come_and_go(farewell=False))  # neither that of the WebSocket nor that of TLS


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
    async def converse() -> None:
        url = f"ws://localhost{QUERY}websocket"
        async with unix_connect(unix_server, url) as one, unix_connect(unix_server, url) as two:
            await talk(one)
            await talk(two)
            await one.send("41")  # and the server stops while these are open

    asyncio.run(converse())
