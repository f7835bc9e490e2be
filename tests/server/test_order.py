"""The order in which handlers start, and the events that come while the connection handlers still attach them."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any

import pytest

from socketeer import Server, Socket
from tests.server.conftest import Served
from tests.support.raw import ACK
from tests.wire.peers import TEXT, eventually, frame

Serve = Callable[[Server], Served]


def at_once(*packets: str) -> bytes:
    """Put packets into one segment, so that the server reads them together."""
    return b"".join(frame(TEXT, f"4{packet}".encode()) for packet in packets)


def lambda_of(function: Callable[..., Any]) -> Callable[..., Any]:
    """Hide that a function is async."""
    return lambda *args: function(*args)


def test_handlers_of_one_socket_start_in_the_order_of_their_packets(serve: Serve) -> None:
    io = Server()
    started: list[int] = []
    ended: list[int] = []

    @io.event
    def quick(socket: Socket, number: int) -> None:
        started.append(number)

    @io.event
    async def slow(socket: Socket, number: int) -> None:
        started.append(number)
        await asyncio.sleep(0.001 * (20 - number % 20))
        ended.append(number)

    @io.event
    async def immediate(socket: Socket, number: int) -> None:
        started.append(number)

    served = serve(io)
    client = served.join()
    names = ("quick", "slow", "immediate", "quick", "slow")
    client.websocket.raw(at_once(*[f'2["{names[n % 5]}",{n}]' for n in range(200)]))
    client.call("quick", 200)
    assert started == list(range(201))
    eventually(lambda: len(ended) == 80)


def test_a_callable_that_hides_a_coroutine_is_called_in_order_too(serve: Serve) -> None:
    io = Server()
    called: list[int] = []
    run: list[int] = []

    async def note(number: int) -> None:
        run.append(number)
        await asyncio.sleep(0)

    def hidden(socket: Socket, number: int) -> Any:
        called.append(number)
        return note(number)

    io.event("hidden")(hidden)
    io.event("plain")(lambda socket, number: called.append(number))
    served = serve(io)
    client = served.join()
    client.websocket.raw(at_once(*[f'2["{("hidden", "plain")[n % 2]}",{n}]' for n in range(20)]))
    client.call("plain", 20)
    assert called == list(range(21))
    served.settle()
    assert run == list(range(0, 20, 2))


def test_several_handlers_of_one_event_start_in_order_sync_or_not(serve: Serve) -> None:
    io = Server()
    started: list[str] = []

    @io.event("x")
    async def first(socket: Socket) -> None:
        started.append("async first")
        await asyncio.sleep(0)
        started.append("async first again")

    io.event("x")(lambda socket: started.append("sync second"))

    @io.event("x")
    async def third(socket: Socket) -> None:
        started.append("async third")

    client = serve(io).join()
    client.call("x")
    assert [each for each in started if "again" not in each] == ["async first", "sync second", "async third"]


def test_sockets_do_not_wait_for_each_other(serve: Serve) -> None:
    io = Server()
    gate: list[asyncio.Event] = []

    @io.event
    async def stuck(socket: Socket) -> None:
        gate.append(asyncio.Event())
        await gate[0].wait()

    io.event("quick")(lambda socket: "done")
    served = serve(io)
    first, second = served.join(), served.join()
    first.emit("stuck")
    assert second.call("quick") == ["done"]
    assert first.call("quick") == ["done"]
    served.call(lambda: gate[0].set())


def test_sync_handlers_run_in_the_thread_of_the_loop(serve: Serve) -> None:
    io = Server()
    threads: list[int] = []
    io.event("x")(lambda socket: threads.append(threading.get_ident()))
    served = serve(io)
    client = served.join()
    client.call("x")
    assert threads == [served.call(threading.get_ident)]


# Behind CONNECT.


@pytest.mark.parametrize("transport", ["websocket", "polling"])
@pytest.mark.parametrize("attached", ["in a sync handler", "before the first await", "after an await", "by a lambda"])
def test_events_right_behind_connect_wait_for_their_handlers(serve: Serve, attached: str, transport: str) -> None:
    io = Server()
    seen: list[int] = []

    def attach(socket: Socket) -> None:
        socket.on("x", seen.append)

    async def before(socket: Socket) -> None:
        attach(socket)
        await asyncio.sleep(0.02)

    async def after(socket: Socket) -> None:
        await asyncio.sleep(0.02)
        attach(socket)

    io.on(
        "connection",
        {
            "in a sync handler": attach,
            "before the first await": before,
            "after an await": after,
            "by a lambda": lambda_of(after),
        }[attached],
    )
    served = serve(io)
    client = served.connect(transport=transport)
    if transport == "websocket":
        client.websocket.raw(at_once("0", *[f'2["x",{n}]' for n in range(50)]))
    else:
        client.ask()
        for n in range(5):
            client.emit("x", n)
    client.packet()
    count = 50 if transport == "websocket" else 5
    eventually(lambda: len(seen) == count)
    assert seen == list(range(count))
    assert client.call("sync") == []


def test_an_event_does_not_overtake_earlier_ones_of_its_name(serve: Serve) -> None:
    io = Server()
    seen: list[int] = []
    sockets: queue.Queue[Socket] = queue.Queue()
    gates: list[asyncio.Event] = []

    @io.on("connection")
    async def connected(socket: Socket) -> None:
        gates.append(asyncio.Event())
        sockets.put(socket)
        await gates[0].wait()
        socket.on("x", seen.append)
        # As if the loop had read this packet before it went through what is ready.
        socket.receive_event(["x", 2], None)
        socket.receive_event(["x", 3], None)

    served = serve(io)
    client = served.connect()
    client.websocket.raw(at_once("0", '2["x",0]', '2["x",1]'))
    client.packet()
    sockets.get(timeout=20)
    assert client.silent()
    assert seen == []
    served.call(lambda: gates[0].set())
    eventually(lambda: seen == [0, 1, 2, 3])


def test_an_event_that_has_a_handler_does_not_wait_for_a_slow_connection_handler(serve: Serve) -> None:
    io = Server()
    gates: list[asyncio.Event] = []

    @io.on("connection")
    async def connected(socket: Socket) -> None:
        gates.append(asyncio.Event())
        await gates[0].wait()

    io.event("ready")(lambda socket: "at once")
    served = serve(io)
    client = served.join()
    assert client.call("ready") == ["at once"]
    served.call(lambda: gates[0].set())


def test_every_connection_handler_is_waited_for(serve: Serve) -> None:
    io = Server()
    seen: list[str] = []
    gates: dict[str, asyncio.Event] = {}

    def attaching(name: str) -> Callable[[Socket], Any]:
        async def connected(socket: Socket) -> None:
            gates[name] = asyncio.Event()
            await gates[name].wait()
            socket.on(name, lambda: seen.append(name))

        return connected

    io.on("connection", attaching("a"))
    io.on("connection", attaching("b"))
    served = serve(io)
    client = served.connect()
    client.websocket.raw(at_once("0", '2["b"]', '2["a"]', '2["nobody takes it"]'))
    client.packet()
    assert client.silent()
    served.call(lambda: gates["a"].set())
    eventually(lambda: seen == ["a"])
    served.call(lambda: gates["b"].set())
    eventually(lambda: seen == ["a", "b"])


def test_a_connection_handler_that_fails_holds_nothing_up(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    io = Server()
    seen: list[str] = []

    @io.on("connection")
    def fail(socket: Socket) -> None:
        raise RuntimeError("sync")

    @io.on("connection")
    async def fail_later(socket: Socket) -> None:
        await asyncio.sleep(0.01)
        raise RuntimeError("async")

    @io.on("connection")
    def succeed(socket: Socket) -> None:
        socket.on("x", lambda: seen.append("x"))

    served = serve(io)
    client = served.connect()
    client.websocket.raw(at_once("0", '2["x"]'))
    client.packet()
    assert client.silent()
    assert seen == ["x"]
    eventually(lambda: len([record for record in caplog.records if record.exc_info]) == 2)
    caplog.clear()


def test_an_event_of_the_client_named_connection_is_only_an_event(serve: Serve) -> None:
    io = Server()
    seen: list[str] = []
    gates: list[asyncio.Event] = []

    @io.on("connection")
    async def connected(socket: Socket) -> None:
        @socket.on("connection")
        async def of_the_client() -> None:
            seen.append("connection")

        gates.append(asyncio.Event())
        await gates[0].wait()
        socket.on("late", lambda: seen.append("late"))

    served = serve(io)
    client = served.connect()
    client.websocket.raw(at_once("0", '2["connection"]', '2["connection"]', '2["late"]'))
    client.packet()
    assert client.silent()
    assert seen == ["connection", "connection"]
    served.call(lambda: gates[0].set())
    eventually(lambda: seen == ["connection", "connection", "late"])
    assert len(gates) == 1


@pytest.mark.parametrize("excess", [0, 1])
def test_so_many_events_may_wait_and_no_more(serve: Serve, excess: int, caplog: pytest.LogCaptureFixture) -> None:
    io = Server(max_waiting_events=10)
    seen: list[int] = []
    gates: list[asyncio.Event] = []

    @io.on("connection")
    async def connected(socket: Socket) -> None:
        gates.append(asyncio.Event())
        await gates[0].wait()
        socket.on("x", seen.append)

    @io.event
    def ask(socket: Socket) -> str:
        return "here"

    served = serve(io)
    client = served.connect()
    client.websocket.raw(at_once("0"))
    client.packet()
    eventually(lambda: len(gates) == 1)
    client.websocket.raw(at_once(*[f'2["x",{n}]' for n in range(10 + excess)], '21["ask"]'))
    assert client.packet()[:3] == (ACK, "/", 1)
    served.call(lambda: gates[0].set())
    eventually(lambda: not io.sockets.sockets[next(iter(io.sockets.sockets))]._attaching)
    if excess:
        assert seen == []
        assert "more than max_waiting_events" in caplog.text
        caplog.clear()
    else:
        eventually(lambda: seen == list(range(10)))


def test_events_before_the_end_are_handled_before_it(serve: Serve) -> None:
    io = Server()
    seen: list[Any] = []
    done: queue.Queue[None] = queue.Queue()

    @io.on("connection")
    async def connected(socket: Socket) -> None:
        socket.on("x", lambda number: seen.append(number))

        @socket.on("disconnect")
        def gone(reason: str) -> None:
            seen.append(reason)
            done.put(None)

    served = serve(io)
    client = served.connect()
    client.websocket.raw(at_once("0", '2["x",1]', '2["x",2]', "1"))
    done.get(timeout=20)
    assert seen == [1, 2, "client namespace disconnect"]


def test_events_behind_the_end_are_not_handled(serve: Serve) -> None:
    io = Server()
    seen: list[Any] = []
    done: queue.Queue[None] = queue.Queue()

    @io.event
    def stop(socket: Socket) -> None:
        socket.disconnect(close=True)

    io.event("x")(lambda socket, number: seen.append(number))
    io.event("disconnect")(lambda socket: done.put(None))
    served = serve(io)
    client = served.join()
    client.websocket.raw(at_once('2["x",1]', '2["stop"]', '2["x",2]'))
    done.get(timeout=20)
    client.closed()
    assert seen == [1]


def test_what_a_connection_handler_emits_comes_behind_the_answer_to_connect(serve: Serve) -> None:
    io = Server()

    @io.on("connection")
    def connected(socket: Socket) -> None:
        socket.emit("first")

    @io.on("connection")
    async def connected_too(socket: Socket) -> None:
        socket.emit("second")
        await asyncio.sleep(0)
        socket.emit("third")

    client = serve(io).connect()
    client.ask()
    assert client.packet().type == 0
    assert client.events(3) == [["first"], ["second"], ["third"]]


def test_a_socket_put_out_by_its_connection_handler_is_out(serve: Serve) -> None:
    io = Server()
    seen: list[Any] = []

    @io.on("connection")
    def connected(socket: Socket) -> None:
        socket.on("disconnect", lambda reason: seen.append(reason))
        socket.on("x", lambda: seen.append("x"))
        socket.disconnect()
        socket.emit("too late")
        io.emit("too late for this one")

    served = serve(io)
    client = served.connect()
    client.ask()
    assert client.packet().type == 0
    assert client.packet().type == 1
    client.send("0/missing,")  # what comes next answers this
    assert client.packet().namespace == "/missing"
    assert seen == ["server namespace disconnect"]
    assert served.call(lambda: dict(io.sockets.sockets)) == {}
