"""The client for blocking code does what the asynchronous one does, from any thread, and its handlers may wait."""

from __future__ import annotations

import asyncio
import inspect
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

import socketeer
from socketeer import AckTimeout, ConnectionRefused, Disconnected, TransportError, UsageError, sync
from tests.client.servers import TRANSPORTS, Farm, Peer

BETWEEN_FLOORS = {
    "ClientSocket": {
        *("accepted", "answer", "call", "call_back", "encode", "forget_ack", "given_up", "inbox", "join", "left"),
        *(
            "not_connected",
            "on_end",
            "plain_callback",
            "receive_ack",
            "receive_event",
            "refused",
            "retries",
            "transmit",
        ),
    },
    "ClientOperator": set(),
    "Manager": {"abort", "can_be_shared", "connection", "connection_closed", "driver", "close_if_unused", "format"},
    "Conn": {"created", "done", "ended", "ending", "fire", "flushed", "flushing", "forward", "read"},
}
OWN = {"ClientSocket": {"asynchronous"}, "Manager": {"know", "of"}}
MORE_PARAMETERS = {"wait_disconnected": ["timeout"]}


def connect(peer: Peer, namespace: str = "", **options: Any) -> sync.ClientSocket:
    return sync.connect(f"{peer.url}{namespace}", **{"eio": peer.eio, "reconnection_delay": 0.01, **options})


def eventually(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.002)


@pytest.fixture
def socket(ours: Peer) -> Iterator[sync.ClientSocket]:
    with connect(ours, transports=["websocket"], force_new=True) as socket:
        yield socket


@pytest.fixture(autouse=True)
def nothing_fails(caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever is logged as an error fails a test that does not look at the log itself."""
    yield
    if "caplog" not in inspect.signature(request.function).parameters:
        assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


# -- the same, word for word


def names_of(cls: type) -> set[str]:
    """Give the public names of a class and of its instances."""
    source = "\n".join(inspect.getsource(part) for part in cls.__mro__ if part.__module__.startswith("socketeer."))
    attributes = {line.strip()[5:].split(":")[0].split(" ")[0] for line in source.splitlines() if "  self." in line}
    return {name for name in {*dir(cls), *attributes} if name.isidentifier() and not name.startswith("_")}


@pytest.mark.parametrize("name", ["ClientSocket", "ClientOperator", "Manager", "Conn"])
def test_whatever_the_asynchronous_client_offers_is_there(name: str) -> None:
    theirs, ours = getattr(socketeer, name), getattr(sync, name)
    assert names_of(theirs) - names_of(ours) == BETWEEN_FLOORS[name]
    assert names_of(ours) - names_of(theirs) == OWN.get(name, set())
    for method in names_of(theirs) & names_of(ours):
        if inspect.isfunction(getattr(theirs, method, None)):
            expected = list(inspect.signature(getattr(theirs, method)).parameters) + MORE_PARAMETERS.get(method, [])
            assert list(inspect.signature(getattr(ours, method)).parameters) == expected, method
            assert not inspect.iscoroutinefunction(getattr(ours, method))


def test_a_conversation(server: Peer, transport: str) -> None:
    """Over every transport with every server, in each revision."""
    with connect(server, transports=TRANSPORTS[transport]) as socket:
        eventually(lambda: socket.transport == TRANSPORTS[transport][-1])
        assert (socket.connected, socket.disconnected, socket.active) == (True, False, True)
        assert (socket.nsp, socket.recovered) == ("/", False)
        assert socket.id is not None
        assert socket.emit_with_ack("handshake")["id"] == socket.id
        assert socket.emit_with_ack("echo", 1, b"\1", {"a": [None]}) == (1, b"\1", {"a": [None]})
        assert socket.timeout(5).compress(False).emit_with_ack("echo", 7) == 7
        with pytest.raises(AckTimeout):
            socket.timeout(0.01).emit_with_ack("never")
        for number in range(20):
            socket.emit("echo", number)
        assert [socket.receive(5)[1] for _ in range(20)] == [[number] for number in range(20)]
        socket.emit("ask", "question", 2)
        for item in socket:
            assert (item.event, item.args) == ("question", [2])
            assert item.ack is not None
            item.ack("answer")
            break
        assert socket.receive(5) == ("answered", ["answer"])
        with pytest.raises(TimeoutError):
            socket.receive(0.01)
        id = socket.id
    assert (socket.connected, socket.disconnected, socket.active) == (False, True, False)
    assert socket.wait_disconnected() == "io client disconnect"
    with connect(server) as other:
        assert other.emit_with_ack("gone", id) in ("client namespace disconnect", "transport close")


# -- connecting


def test_what_cannot_be_connected_raises(ours: Peer) -> None:
    with pytest.raises(ConnectionRefused, match="not authorized") as refused:
        connect(ours, "/admin", auth={"token": "wrong"})
    assert refused.value.data == {"code": 1}
    with pytest.raises(TransportError):
        sync.connect("http://127.0.0.1:1", reconnection=False)
    with pytest.raises(TypeError, match="did you mean 'transports'"):
        sync.connect(ours.url, transport=["websocket"])  # type: ignore[call-arg]
    with pytest.raises(UsageError, match="http://"):
        sync.connect("localhost")


def test_a_socket_can_wait_to_be_told_to_connect(ours: Peer) -> None:
    socket = connect(ours, "/admin", auto_connect=False, auth={"token": "wrong"})
    assert not socket.active
    socket.volatile.emit("echo", "lost")
    socket.emit("echo", "kept")
    with pytest.raises(ConnectionRefused):
        socket.connect()
    heard: list[str] = []
    socket.auth = lambda: {"token": "secret"}
    socket.on("connect", lambda: heard.append(threading.current_thread().name))
    assert socket.connect() is socket
    assert socket.connected
    eventually(lambda: heard)
    assert heard == ["socketeer.sync handlers of /admin"]
    assert socket.receive(5) == ("echo", ["kept"])
    assert socket.emit_with_ack("attempts", "/admin")[-2:] == [{"token": "wrong"}, {"token": "secret"}]
    socket.disconnect()
    assert socket.disconnected


def test_a_socket_that_is_put_out_at_once_does_not_connect_again_by_itself(ours: Peer) -> None:
    socket = connect(ours)
    socket.emit("bye")
    assert socket.wait_disconnected(5) == "io server disconnect"
    with socket:  # which would have been the same statement
        assert socket.disconnected
    with socket:
        assert socket.connected


def test_functions_among_the_options_may_wait(ours: Peer) -> None:
    asked: list[str] = []

    def ask(what: str) -> Callable[[], dict[str, str]]:
        def give() -> dict[str, str]:
            asked.append(what)
            with connect(ours, force_new=True) as other:  # which cannot be done in the event loop's thread
                return {what: str(other.emit_with_ack("echo", what))}

        return give

    query, headers, auth = ask("q"), ask("x-test"), ask("a")
    with connect(ours, query=query, transport_options={"polling": {"extra_headers": headers}}, auth=auth) as socket:
        shake = socket.emit_with_ack("handshake")
        assert (shake["query"]["q"], shake["headers"]["x-test"], shake["auth"]) == ("q", "x-test", {"a": "a"})
        assert socket.auth is auth
        again = connect(ours, "/echo", query=query, transport_options={"polling": {"extra_headers": headers}})
        assert again.io is socket.io  # the same functions: one connection can serve both
        again.disconnect()
    assert asked == ["q", "x-test", "a"]


def test_the_end_of_a_connection_ends_every_wait(server: Peer) -> None:
    with connect(server) as socket, ThreadPoolExecutor() as pool:
        reason = pool.submit(socket.wait_disconnected)
        events = pool.submit(list, socket)
        answer = pool.submit(socket.emit_with_ack, "never")
        answer_in_time = pool.submit(socket.timeout(30).emit_with_ack, "never")
        with pytest.raises(TimeoutError):
            socket.wait_disconnected(0.05)
        socket.emit("bye")
        assert reason.result(20) == "io server disconnect"
        assert events.result(20) == []
        for future in (answer, answer_in_time):
            with pytest.raises(Disconnected):
                future.result(20)
        with pytest.raises(Disconnected):
            socket.receive()
        assert socket.wait_disconnected() == "io server disconnect"
        assert socket.connect().connected


def test_who_waits_for_the_end_of_a_socket_that_never_connects_is_told(ours: Peer) -> None:
    socket = connect(ours, "/refused", auto_connect=False)
    with ThreadPoolExecutor() as pool:
        connecting = pool.submit(socket.connect)
        eventually(lambda: socket.active or connecting.done())
        assert pool.submit(socket.wait_disconnected).result(20)
        assert isinstance(connecting.exception(5), ConnectionRefused)


# -- handlers


def test_handlers_run_one_at_a_time_in_a_thread_of_their_socket_and_may_wait(socket: sync.ClientSocket) -> None:
    seen: list[tuple[int, int]] = []
    busy = threading.Lock()

    @socket.on("flood")
    def flood(number: int, text: str) -> None:
        assert busy.acquire(blocking=False)
        if number % 5 == 0:
            assert socket.emit_with_ack("echo", number) == number
        seen.append((number, threading.get_ident()))
        busy.release()

    socket.emit("flood", 50, 1)
    eventually(lambda: len(seen) == 50)
    assert [number for number, _ in seen] == list(range(50))
    assert {thread for _, thread in seen}.isdisjoint({threading.get_ident()})
    assert len({thread for _, thread in seen}) == 1


def test_what_handlers_give_back_answers(socket: sync.ClientSocket) -> None:
    @socket.on("sum")
    def add(a: int, b: int) -> int:
        return a + b

    @socket.on("later")
    def later(text: str, ack: Callable[..., None]) -> None:
        threading.Timer(0.01, ack, (text, "two")).start()

    @socket.on("async")
    async def divide(a: int, b: int) -> tuple[int, int]:
        await asyncio.sleep(0)
        assert await socket.asynchronous.emit_with_ack("echo", a) == a
        return divmod(a, b)

    socket.on("given", lambda: divide(9, 4))
    asked = [("sum", 1, 2), ("later", "one"), ("async", 7, 2), ("given",)]
    for event, *args in asked:
        socket.emit("ask", event, *args)
        expected = {"sum": [3], "later": ["one", "two"], "async": [3, 1], "given": [2, 1]}[str(event)]
        assert socket.receive(5) == ("answered", expected)
    socket.emit("ask", "sum", 1, "2")
    assert "b: Expected `int`" in socket.receive(5)[1][0]["error"]["message"]


def test_annotations_may_name_what_is_local(socket: sync.ClientSocket) -> None:
    @dataclass
    class Point:
        x: int

    @socket.on("point")
    def point(point: Point) -> int:
        return point.x

    socket.emit("ask", "point", {"x": 5})
    assert socket.receive(5) == ("answered", [5])


def test_exceptions_of_handlers_are_logged(socket: sync.ClientSocket, caplog: pytest.LogCaptureFixture) -> None:
    errors: list[BaseException] = [ValueError("so it is"), StopIteration(), SystemExit(3), KeyboardInterrupt()]

    @socket.on("echo")
    def fail(number: int) -> None:
        raise errors[number]

    @socket.on("binary")
    async def leave() -> None:
        sys.exit(4)

    for number in range(len(errors)):
        socket.emit("echo", number)
    socket.emit("binary")
    eventually(lambda: len(caplog.records) >= len(errors) + 1)
    assert socket.emit_with_ack("echo", 1) == 1
    told = "\n".join(record.exc_text or "" for record in caplog.records)
    for text in ("so it is", "StopIteration", "SystemExit in a thread", "KeyboardInterrupt in a thread"):
        assert text in told


def test_handlers_are_known_by_the_functions_that_they_are(socket: sync.ClientSocket) -> None:
    heard: list[tuple[str, Any]] = []

    class Listener:
        def hear(self, *args: Any) -> None:
            heard.append(("hear", args))

    listener = Listener()
    assert socket.on("echo", listener.hear) == listener.hear
    socket.once("echo", heard.append)
    socket.on_any(listener.hear)
    socket.prepend_any(print)
    assert socket.listeners("echo") == [listener.hear, heard.append]
    assert socket.event_names() == ["echo"]
    assert socket.listeners_any() == [print, listener.hear]
    socket.off_any(print)
    socket.emit("echo", 1)
    eventually(lambda: len(heard) == 3)
    assert heard == [("hear", ("echo", 1)), ("hear", (1,)), 1]
    assert socket.listeners("echo") == [listener.hear]
    socket.off("echo", listener.hear)
    socket.off_any()
    assert (socket.listeners("echo"), socket.listeners_any(), socket.event_names()) == ([], [], [])
    socket.emit("echo", 2)
    assert socket.receive(5) == ("echo", [2])


def test_what_is_sent_can_be_seen(socket: sync.ClientSocket) -> None:
    seen: list[Any] = []
    socket.on_any_outgoing(lambda *args: seen.append(args))
    socket.prepend_any_outgoing(first := lambda event: seen.append(event))
    assert socket.listeners_any_outgoing()[0] is first
    socket.emit("x", 1)
    eventually(lambda: len(seen) == 2)
    assert seen == ["x", ("x", 1)]
    socket.off_any_outgoing()
    assert socket.listeners_any_outgoing() == []


def test_callbacks_of_acknowledgements_run_in_the_thread_of_handlers(socket: sync.ClientSocket) -> None:
    told: list[Any] = []

    def answered(*args: Any) -> None:
        told.append((args, socket.emit_with_ack("echo", "inside"), threading.current_thread().name))

    socket.send("a message", ack=answered)  # which the server does not know, and never answers
    socket.emit("echo", 1, 2, ack=answered)
    socket.timeout(0.01).emit("never", ack=answered)
    eventually(lambda: len(told) == 2)
    assert told[0] == ((1, 2), "inside", "socketeer.sync handlers of /")
    assert isinstance(told[1][0][0], AckTimeout)


def test_in_the_thread_of_the_event_loop_nothing_may_wait(socket: sync.ClientSocket) -> None:
    outcomes: list[Any] = []

    @socket.on("echo")
    async def wait() -> None:
        for call in (socket.connect, socket.receive, socket.io.wait_closed, lambda: socket.emit_with_ack("echo")):
            with pytest.raises(UsageError, match=r"socket\.asynchronous"):
                call()
        socket.emit("binary", 1)
        outcomes.append((socket.listeners("echo"), socket.io.ready_state, socket.disconnect().connected))

    socket.emit("echo")
    eventually(lambda: outcomes)
    assert outcomes == [([wait], "open", False)]


def test_it_works_in_a_thread_whose_own_event_loop_runs(ours: Peer) -> None:
    """As it does in a notebook."""

    async def main() -> Any:
        with connect(ours) as socket:
            return socket.emit_with_ack("echo", 1)

    assert asyncio.run(main()) == 1


# -- threads


def own_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("socketeer.sync ")}


def test_ten_threads_share_a_socket(socket: sync.ClientSocket) -> None:
    heard: list[int] = []
    barrier = threading.Barrier(10)

    def work(number: int) -> list[int]:
        barrier.wait()
        socket.on(f"own {number}", lambda value: value + number)
        socket.once("together", lambda: heard.append(number))
        return [socket.emit_with_ack("echo", 100 * number + i) for i in range(20)]

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(work, range(10)))
    assert answers == [[100 * number + i for i in range(20)] for number in range(10)]
    assert len(socket.event_names()) == 11
    socket.emit("ask", "own 7", 3)
    assert socket.receive(5) == ("answered", [10])
    socket.emit("ask", "together")
    eventually(lambda: sorted(heard) == list(range(10)))


def test_ten_threads_have_a_socket_each(server: Peer) -> None:
    namespaces = ["", "/echo", "/dynamic-1", "/dynamic-2", "/slow"]
    barrier = threading.Barrier(10)

    def work(number: int) -> str | None:
        barrier.wait()
        with connect(server, namespaces[number % 5], transports=["websocket"]) as socket:
            assert [socket.emit_with_ack("echo", i) for i in range(5)] == list(range(5))
            barrier.wait()
            return socket.id

    with ThreadPoolExecutor(10) as pool:
        ids = list(pool.map(work, range(10)))
    assert None not in ids
    assert len(set(ids)) == 10


def test_a_thread_begins_with_the_first_event_and_ends_with_the_socket(ours: Peer) -> None:
    eventually(lambda: not own_threads())
    with connect(ours, "/echo") as socket, connect(ours, "/dynamic-7") as other:
        socket.emit_with_ack("echo", 1)
        assert own_threads() == set()
        for each in (socket, other):
            each.on("echo", lambda: None)
            each.emit("echo")
        eventually(lambda: len(own_threads()) == 2)
        socket.emit("bye")
        eventually(lambda: {thread.name for thread in own_threads()} == {"socketeer.sync handlers of /dynamic-7"})
        socket.connect().emit("echo")
        eventually(lambda: len(own_threads()) == 2)
    eventually(lambda: not own_threads())


# -- managers


def test_a_manager_and_its_events(farm: Farm) -> None:
    server = farm.peer("node 4")
    events: list[Any] = []
    io = sync.Manager(server.url, auto_connect=False, reconnection_delay=0.01)
    for event in ("open", "close", "reconnect_attempt", "reconnect"):

        @io.on(event)
        def note(*args: Any, event: str = event) -> None:
            events.append((event, *args[:1]))

    with pytest.raises(UsageError, match="there is no event"):
        io.on("opened", print)
    main, echo = io.socket(), io.socket("/echo")
    assert io.socket("echo") is echo
    assert (io.engine, io.ready_state, io.alive) == (None, "closed", False)
    with main, echo:
        assert main.io is echo.io is io
        engine = io.engine
        assert engine is not None
        upgraded = threading.Event()
        engine.once("upgrade", lambda transport: upgraded.set())
        assert engine.id == main.emit_with_ack("handshake")["engineId"]
        eventually(lambda: upgraded.is_set() or engine.upgraded)
        assert (engine.transport.name, engine.ready_state, engine.write_buffer) == ("websocket", "open", [])
        main.emit("close")  # by a packet of Engine.IO
        eventually(lambda: ("reconnect", 1) in events)
        eventually(lambda: main.connected and echo.connected)
        assert io.alive
        assert len(io.listeners("open")) == 1
        io.off("reconnect")
    io.wait_closed()
    eventually(lambda: events[-1] == ("close", "forced close"))
    assert events == [
        ("open",),
        ("close", "transport close"),
        ("reconnect_attempt", 1),
        ("open",),
        ("reconnect", 1),
        ("close", "forced close"),
    ]


def test_a_manager_connects_in_the_background(ours: Peer) -> None:
    io = sync.Manager(ours.url, transports=["websocket"])
    socket = io.socket("/slow", auth={"ms": 50})
    assert not socket.connected
    assert socket.active
    socket.emit("echo", "waited")
    assert socket.connect().receive(5) == ("echo", ["waited"])
    io.close()
    assert socket.wait_disconnected() == "forced close"
    io.wait_closed()
    assert io.ready_state == "closed"
