"""The portable lane under other ASGI servers than uvicorn: each runs by its own command."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.node import missing
from tests.support.ports import free_port
from tests.support.raw import ACK, Client
from tests.wire.peers import PollingPeer, Refused, WebSocketPeer, eventually, request

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
from tests.support.app import create

io = create(max_buffered_bytes=2_000_000)

@io.event("ends")
def ends(socket):
    return seen

@io.event("polls")
def polls(socket, sid):
    return io.engine.sessions[sid].transport.writable

@io.event("flood")
def flood(socket, id):
    for _ in range(50):
        io.to(id).emit("flood", "x" * 1_000_000)

seen = []

@io.event("disconnect")
def gone(socket, reason):
    seen.append([socket.id, reason])
"""
COMMANDS: dict[str, str] = {
    "hypercorn": "-m hypercorn --bind 127.0.0.1:{port} --graceful-timeout 1 program:io",
    "granian": "-m granian --interface asgi --host 127.0.0.1 --port {port} --no-access-log program:io",
    "daphne": "-m daphne --bind 127.0.0.1 --port {port} program:io",
}


@pytest.fixture(scope="module", params=COMMANDS)
def port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Run a server by its own command; give its port."""
    name = request.param
    if importlib.util.find_spec(name) is None:
        missing(f"{name} is not installed")
    folder = tmp_path_factory.mktemp(name)
    (folder / "program.py").write_text(PROGRAM)
    port = free_port()
    with (folder / "said").open("w") as said:
        process = subprocess.Popen(
            [sys.executable, *COMMANDS[name].format(port=port).split()],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src"), str(folder)])},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
    try:
        _wait(process, port, folder / "said")
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
    words = (folder / "said").read_text()
    assert "Traceback" not in words, words


def _wait(process: subprocess.Popen[bytes], port: int, said: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        assert process.poll() is None, said.read_text()
        try:
            PollingPeer(port).post("1")
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(said.read_text())


def visit(port: int, transport: str) -> Client:
    client = Client(port, transport=transport)
    client.join()
    assert client.event() == ["welcome", "stranger"]
    return client


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_events_both_ways(port: int, transport: str) -> None:
    client = visit(port, transport)
    for value in (1, "\u20ac\U0001f600", {"a": [None]}, "x" * 200_000):
        client.emit("echo", value)
        assert client.event() == ["echo", value]
        assert client.call("give back", value) == [value]
    client.emit("many", 120)
    events = client.events(120)
    assert [event[1] for event in events] == list(range(120))
    assert events[100][2] == bytes([100])
    client.close()


def test_binary(port: int) -> None:
    client = visit(port, "websocket")
    data = bytes(range(256)) * 400
    client.send('51-7["give back",{"_placeholder":true,"num":0}]', data)
    assert client.packet() == (ACK, "/", 7, [data])
    client.close()


def test_an_upgrade(port: int) -> None:
    peer = PollingPeer(port)
    peer.send("40")
    assert peer.receive().startswith("40")
    assert peer.receive() == '42["welcome","stranger"]'
    websocket = WebSocketPeer(port, peer.upgrade_target)
    websocket.send("2probe")
    assert websocket.receive() == "3probe"
    websocket.send("5")
    websocket.send('42["echo","upgraded"]')
    assert websocket.receive() == '42["echo","upgraded"]'
    websocket.close()


@pytest.mark.parametrize("transport", ["websocket", "polling"])
@pytest.mark.parametrize("close", [False, True])
def test_being_put_out(port: int, transport: str, close: bool) -> None:
    client = visit(port, transport)
    client.emit("kick", close)
    assert [client.event(), client.event()] == [["bye", 1], ["bye", b"2"]]
    assert client.packet().type == 1
    if close:
        client.closed()
    client.close()


def test_refusals(port: int) -> None:
    assert request(port, "GET", "/elsewhere").status == 404
    assert request(port, "GET", "/socket.io/?EIO=4").json()["code"] == 0
    assert request(port, "POST", "/socket.io/?EIO=4&transport=polling").json()["code"] == 2
    assert request(port, "GET", "/socket.io/socket.io.js").status == 200
    for target in ("/elsewhere", "/socket.io/?EIO=4&transport=websocket&sid=unknown"):
        with pytest.raises(Refused) as caught:
            WebSocketPeer(port, target)
        assert 400 <= caught.value.reply.status < 500


def test_clients_that_leave_are_noticed(port: int) -> None:
    witness = visit(port, "websocket")
    leaving = Client(port)
    id = leaving.join()
    leaving.close()
    eventually(lambda: [id, "transport close"] in witness.call("ends")[0])
    breaking = Client(port)
    id = breaking.join()
    breaking.send("9")
    breaking.closed()
    breaking.close()
    eventually(lambda: [id, "parse error"] in witness.call("ends")[0])
    polling = PollingPeer(port)
    polling.send("40")
    id = json.loads(polling.receive()[2:])["sid"]
    assert polling.receive() == '42["welcome","stranger"]'
    get = polling.pending_get()
    # granian does not show the application a request whose client has gone before it was called.
    eventually(lambda: witness.call("polls", polling.sid) == [True])
    get.abort()
    eventually(lambda: [id, "transport error"] in witness.call("ends")[0])
    witness.close()


def test_a_message_that_is_too_large_ends_the_connection(port: int) -> None:
    witness = visit(port, "websocket")
    client = Client(port)
    id = client.join()
    client.emit("echo", "x" * 1_000_000)
    assert client.closed() in (1009, 1000)  # daphne knows no code for it
    client.close()
    eventually(lambda: [id, "transport error"] in witness.call("ends")[0])
    witness.close()


def test_a_client_that_does_not_read_is_closed(port: int) -> None:
    witness = visit(port, "websocket")
    slow = Client(port)
    id = slow.join()
    witness.emit("flood", id)
    eventually(lambda: [id, "transport error"] in witness.call("ends")[0])
    slow.close()
    witness.close()
