"""Blocking clients in memory, in tests that are plain functions; and the fixture that pytest gets from the package."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from socketeer import AckTimeout, ConnectionRefused, Disconnected, Server, Socket, TransportError, UsageError, sync
from socketeer.testing import AsgiNetwork, Clients, Stuck
from tests.testing.test_connect import WAYS, make_server
from tests.testing.test_network import lifespan_app


@pytest.fixture
def clients() -> Iterator[Clients]:
    """Return what the fixture of the package gives, whether that is installed or not."""
    with Clients() as clients:
        yield clients


def test_a_conversation(clients: Clients) -> None:
    io, rooms = Server(), []

    @io.of("/chat").event
    def say(socket: Socket, text: str) -> int:
        rooms.append(text)
        socket.broadcast.emit("said", socket.handshake.auth["name"], text)
        return len(rooms)

    ada, bob = (clients(io, "/chat", auth={"name": name}) for name in ("Ada", "Bob"))
    assert isinstance(ada, sync.ClientSocket)
    assert ada.connected
    assert ada.nsp == "/chat"
    ada.emit("say", "hello")
    assert rooms == ["hello"]  # what it leads to has happened
    event, args = bob.receive()
    assert (event, args) == ("said", ["Ada", "hello"])
    assert bob.emit_with_ack("say", "goodbye") == 2
    assert ada.receive() == ("said", ["Bob", "goodbye"])
    io.of("/chat").emit("news")
    assert ada.receive() == bob.receive() == ("news", [])
    bob.disconnect()
    assert len(clients.run(io.of("/chat").fetch_sockets())) == 1
    assert clients.time == 0.0


@pytest.mark.parametrize("way", WAYS)
def test_handlers_may_wait(clients: Clients, way: str) -> None:
    """They run in a thread, for which time stands still; while they wait for the server it goes on."""
    socket = clients(make_server(), **WAYS[way])
    begin = clients.time

    @socket.on("question")
    def answer(question: bytes) -> Any:
        return question, socket.timeout(100).emit_with_ack("sleep", 30)

    assert socket.emit_with_ack("ask", b"?") == (b"?", 30)
    assert clients.time == pytest.approx(begin + 30, abs=0.2)  # an upgrade takes a moment


def test_time_passes_when_it_is_told_to(clients: Clients) -> None:
    io, reasons = make_server(), []

    @io.on("connection")
    def connected(socket: Socket) -> None:
        socket.on("disconnect", lambda reason: reasons.append((reason, clients.time)))

    network = AsgiNetwork(io)
    socket = clients(network, randomization_factor=0)
    socket.on("disconnect", lambda reason: reasons.append((f"client: {reason}", clients.time)))
    clients.advance(30)
    assert clients.time == 30.0
    assert socket.connected
    network.hold()
    clients.advance(40)
    assert sorted(reasons) == [("client: ping timeout", 70.0), ("ping timeout", 70.0)]
    network.resume()
    assert socket.disconnected
    clients.advance(1)
    assert socket.connected
    clients.advance(100_000)  # beyond the limit, but it was asked for
    assert socket.connected


def test_a_network_can_be_disturbed_between_calls(clients: Clients) -> None:
    network, lost = AsgiNetwork(make_server()), threading.Event()
    socket = clients(network, randomization_factor=0)
    socket.io.on("close", lambda reason, description: lost.set())
    network.drop()
    assert socket.disconnected
    assert lost.is_set()  # in a thread, which was waited for
    with pytest.raises(AckTimeout):
        socket.timeout(0.5).emit_with_ack("add")
    network.down()
    clients.advance(60)
    assert socket.disconnected
    network.up()
    assert socket.timeout(10).emit_with_ack("add", 1) == 1


def test_what_cannot_be_is_told_at_once(clients: Clients) -> None:
    io = make_server()
    with pytest.raises(ConnectionRefused) as refused:
        clients(io, "/private", auth=lambda: {"token": "guess"})
    assert refused.value.data == {"status": 401}
    network = AsgiNetwork(io)
    network.down()
    with pytest.raises(TransportError, match="connection refused"):
        clients(network, reconnection=False)
    with pytest.raises(TypeError, match="reconection"):
        clients(io, reconection=False)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="an ASGI application is needed, not 'app'"):
        clients("app")
    with pytest.raises(
        Stuck, match=r"(?s)3600 s of virtual time.*The last .* failed: /socket\.io/: connection refused"
    ):
        clients(network)
    network.up()
    socket = clients(network)
    with pytest.raises(TimeoutError):
        socket.receive(timeout=60)
    with pytest.raises(Stuck, match=r"(?s)3600 s of virtual time.*receive \(") as stuck:
        socket.receive()
    assert "attempt to connect" not in str(stuck.value)
    io.emit("late")
    assert socket.receive() == ("late", [])  # which the call before does not take away


@pytest.mark.parametrize("way", WAYS)
def test_a_client_that_is_never_let_in_says_why(clients: Clients, way: str) -> None:
    with pytest.raises(Stuck, match=r"failed: /elsewhere/: .*HTTP 40[34]"):
        clients(make_server(), path="/elsewhere", **WAYS[way])


def test_inside_an_event_loop_it_says_what_to_use_instead(clients: Clients) -> None:
    io = Server()
    answers: list[Any] = []
    socket = clients(io)

    @io.event
    def ask(other: Socket) -> None:
        socket.emit("note")  # which does not wait
        for call in (lambda: socket.emit_with_ack("ask"), Clients):
            with pytest.raises(UsageError, match=r"socketeer\.testing\.connect"):
                call()
        answers.append("asked")

    socket.emit("ask")
    assert answers == ["asked"]


def test_at_the_end_all_is_told_and_nothing_is_left() -> None:
    io = make_server()
    reasons: list[str] = []

    @io.on("connection")
    def connected(socket: Socket) -> None:
        socket.on("disconnect", reasons.append)

    before = set(threading.enumerate())
    with Clients() as clients:
        sockets = [clients(io, **way) for way in WAYS.values()]
        sockets[0].on("anything", lambda: None)
        waiting = clients(AsgiNetwork(io), auto_connect=False)
    assert reasons == ["client namespace disconnect"] * len(sockets)
    assert not any(socket.connected for socket in sockets)
    for call in (waiting.connect, lambda: sockets[0].emit("add"), lambda: clients(io)):
        with pytest.raises(UsageError, match="have been closed"):
            call()
    deadline = time.monotonic() + 5
    while set(threading.enumerate()) - before:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_manual_is_true_for_pytest(tmp_path: Path) -> None:
    """Its tests run as those of a reader do, who has installed the package: it is loaded when the fixture is used."""
    page = Path(__file__).parents[2] / "docs" / "testing.md"
    blocks = re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    tests = [block for block in blocks if "def test_" in block]
    assert len(tests) == len(blocks) > 2
    (tmp_path / "test_0.py").write_text(
        "import sys\n\nloaded = 'socketeer' in sys.modules\n\ndef test_it():\n    assert not loaded\n"
    )
    for number, block in enumerate(tests, 1):
        (tmp_path / f"test_{number}.py").write_text(block)
    command = [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=50, check=False)
    assert f"{len(tests) + 1} passed" in done.stdout, done.stdout + done.stderr


def test_the_application_is_shut_down_even_if_a_handler_still_waits() -> None:
    events: list[str] = []
    with Clients() as clients:
        socket = clients(lifespan_app(events))

        @socket.on("poked")
        def wait() -> None:
            with pytest.raises(Disconnected):
                socket.emit_with_ack("an event that nobody answers")
            events.append("waited")

        socket.emit("poke me")
    assert events[:2] == ["startup", "connected"]
    assert sorted(events[2:]) == ["client namespace disconnect", "shutdown", "waited"]
