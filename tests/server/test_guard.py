"""What ``socket.use`` registers: middleware that every event of a client passes on its way to the handlers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from socketeer import Server, Socket
from tests.server.conftest import Served
from tests.server.test_order import at_once
from tests.support.raw import CONNECT
from tests.wire.peers import eventually

Serve = Callable[[Server], Served]


class Gates:
    """Be an async middleware that keeps each event named ``slow`` until it is let go."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.gates: list[asyncio.Future[None]] = []

    async def __call__(self, event: Any, args: list[Any]) -> None:
        """Wait."""
        self.seen.append([event, *args])
        if event == "slow":
            self.gates.append(asyncio.get_running_loop().create_future())
            await self.gates[-1]


def noting(io: Server, *events: str) -> list[Any]:
    """Note the events that reach their handlers."""
    heard: list[Any] = []
    for event in events:
        io.event(event)(lambda socket, *args, name=event: heard.append([name, *args]))
    return heard


@pytest.mark.parametrize("where", ["middleware", "connection", "async connection", "after an await", "later"])
def test_every_event_passes_the_middlewares_in_order(serve: Serve, where: str) -> None:
    io = Server()
    heard = noting(io, "x")
    passed: list[Any] = []

    def guard(socket: Socket) -> None:
        socket.use(lambda event, args: passed.append(("first", event, *args)))

        @socket.use
        async def second(event: str, args: list[Any]) -> None:
            await asyncio.sleep(0)
            if event == "x":
                args.append("seen")

        @socket.use
        def third(event: str, args: list[Any]) -> None:
            passed.append(("third", event, *args))

    async def guard_later(socket: Socket) -> None:
        if where == "after an await":
            await asyncio.sleep(0.01)
        guard(socket)

    match where:
        case "middleware":
            io.use(guard)
        case "connection":
            io.on("connection", guard)
        case "async connection" | "after an await":
            io.on("connection", guard_later)
    served = serve(io)
    client, socket = served.member()
    if where == "later":
        served.call(lambda: guard(socket))
    elif where == "after an await":
        eventually(lambda: socket._guard)
    client.websocket.raw(at_once(*[f'2["x",{n}]' for n in range(5)]))
    assert client.call("sync") == []
    assert heard == [["x", n, "seen"] for n in range(5)]
    assert [entry[:3] for entry in passed[:10]] == [(name, "x", n) for n in range(5) for name in ("first", "third")]


@pytest.mark.parametrize("concurrency", ["concurrent", "ordered"])
@pytest.mark.parametrize("attached", ["at once", "after an await", "middleware"])
def test_nobody_gets_past_by_coming_early(serve: Serve, attached: str, concurrency: Any) -> None:
    io = Server(event_concurrency=concurrency)
    heard: list[Any] = []
    errors: list[Any] = []

    def attach(socket: Socket) -> None:
        socket.on("x", heard.append)
        socket.on("error", lambda error: errors.append(str(error)))

        @socket.use
        def even(event: str, args: list[Any]) -> None:
            if event == "x" and args[0] % 2:
                raise ValueError(f"{args[0]} is odd")

    @io.on("connection")
    async def connected(socket: Socket) -> None:
        if attached == "after an await":
            await asyncio.sleep(0.01)
        if attached != "middleware":
            attach(socket)

    if attached == "middleware":
        io.use(attach)
    served = serve(io)
    client = served.connect()
    client.websocket.raw(at_once("0", *[f'2["x",{n}]' for n in range(6)]))
    assert client.packet().type == CONNECT
    eventually(lambda: len(heard) + len(errors) >= 6)
    assert heard == [0, 2, 4]
    assert errors == ["1 is odd", "3 is odd", "5 is odd"]
    assert client.silent()


def test_no_event_overtakes_one_that_waits(serve: Serve) -> None:
    io = Server()
    heard = noting(io, "slow", "x")
    gates = Gates()
    io.on("connection", lambda socket: socket.use(gates))
    served = serve(io)
    client, other = served.join(), served.join()
    client.emit("x", 0)
    client.emit("slow", 1)
    client.emit("x", 2)
    client.emit("slow", 3)
    client.emit("x", 4, id=7)
    assert other.call("sync") == []  # others are not held up
    eventually(lambda: len(gates.gates) == 1)
    assert heard == [["x", 0]]
    served.call(lambda: gates.gates[0].set_result(None))
    eventually(lambda: len(gates.gates) == 2)
    assert heard == [["x", 0], ["slow", 1], ["x", 2]]
    served.call(lambda: gates.gates[1].set_result(None))
    assert client.packet()[:3] == (3, "/", 7)
    assert heard == [["x", 0], ["slow", 1], ["x", 2], ["slow", 3], ["x", 4]]
    assert client.silent()


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("hook", ["socket", "once", "shared", "io"])
def test_raising_drops_the_event_and_says_why(
    serve: Serve, kind: str, hook: str, caplog: pytest.LogCaptureFixture
) -> None:
    io = Server()
    heard = noting(io, "x", "bad")
    errors: list[Any] = []
    failure = ValueError("no")

    def check(event: str, args: list[Any]) -> None:
        if event == "bad":
            raise failure

    async def check_later(event: str, args: list[Any]) -> None:
        await asyncio.sleep(0)
        check(event, args)

    @io.on("connection")
    def connected(socket: Socket) -> None:
        socket.use(check if kind == "sync" else check_later)
        socket.use(lambda event, args: event != "bad" or pytest.fail("it was dropped before"))
        if hook == "socket":
            socket.on("error", lambda error: errors.append(error))
        elif hook == "once":
            socket.once("error", lambda error: errors.append(error))

    if hook == "shared":
        io.event("error")(lambda socket, error: errors.append(error))
    io.on("error", lambda error, socket, event: errors.append((error, event)))
    client = serve(io).join()
    client.emit("bad", id=1)
    client.emit("x", 1)
    client.emit("bad")
    assert client.silent()  # no acknowledgement of what was dropped
    assert heard == [["x", 1]]
    whole = (failure, "bad")
    assert (
        errors == {"socket": [failure] * 2, "shared": [failure] * 2, "once": [failure, whole], "io": [whole] * 2}[hook]
    )
    if hook in ("io", "once"):
        caplog.clear()


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_cancelled_wait_drops_the_event_and_holds_nothing_up(
    serve: Serve, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    io = Server()
    heard = noting(io, "x", "slow")
    errors: list[Any] = []
    gates = Gates()

    def ask(event: str, args: list[Any]) -> None:
        if event == "slow":
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            future.result()

    io.on("connection", lambda socket: socket.use(ask if kind == "sync" else gates))
    io.on("error", lambda error, socket, event: errors.append((type(error), event)))
    served = serve(io)
    client = served.join()
    client.emit("slow")
    client.emit("x", 1)
    client.emit("x", 2)
    if kind == "async":
        eventually(lambda: gates.gates)
        served.call(gates.gates[0].cancel)
    assert client.silent()
    assert heard == [["x", 1], ["x", 2]]
    assert errors == [(asyncio.CancelledError, "slow")]
    caplog.clear()


def test_what_waits_when_the_client_leaves_is_dropped(serve: Serve) -> None:
    io = Server()
    heard = noting(io, "slow", "x")
    gates = Gates()
    left: list[str] = []

    @io.on("connection")
    def connected(socket: Socket) -> None:
        socket.use(gates)
        socket.on("disconnect", left.append)

    served = serve(io)
    client = served.join()
    client.websocket.raw(at_once('2["slow",1]', '2["x",2]'))
    eventually(lambda: gates.gates)
    client.leave()
    eventually(lambda: left)
    client.join()  # as another socket, which the events of the first one do not reach
    served.call(lambda: gates.gates[0].set_result(None))
    client.emit("x", 3)
    assert client.silent()
    assert heard == [["x", 3]]
    assert left == ["client namespace disconnect"]


def test_a_middleware_that_puts_the_client_out_drops_the_event(serve: Serve) -> None:
    io = Server()
    heard = noting(io, "x")
    io.on("connection", lambda socket: socket.use(lambda event, args: socket.disconnect()))
    client = serve(io).join()
    client.websocket.raw(at_once('2["x",1]', '2["x",2]'))
    assert client.packet().type == 1
    assert heard == []


def test_a_socket_that_left_guards_nobody_else(serve: Serve) -> None:
    io = Server()
    heard = noting(io, "x")
    served = serve(io)
    client, old = served.member()
    client.leave()
    eventually(lambda: not io.sockets.sockets)
    client.join()
    served.call(lambda: old.use(lambda event, args: pytest.fail("an event of another socket")))
    client.emit("x", 1)
    assert client.silent()
    assert heard == [["x", 1]]


@pytest.mark.parametrize("excess", [0, 1])
def test_so_many_events_may_wait_and_no_more(serve: Serve, excess: int) -> None:
    io = Server(max_queued_events=10)
    heard = noting(io, "slow", "x")
    left: list[Any] = []
    gates = Gates()

    @io.on("connection")
    def connected(socket: Socket) -> None:
        socket.use(gates)
        socket.on("disconnect", lambda reason, description: left.append((reason, description)))

    served = serve(io)
    client = served.join()
    client.websocket.raw(at_once('2["slow"]', *[f'2["x",{n}]' for n in range(10 + excess)]))
    eventually(lambda: gates.gates)
    if excess:
        client.closed()
        eventually(lambda: left == [("transport error", "more than max_queued_events events wait to be handled")])
        served.call(lambda: gates.gates[0].set_result(None))
        served.settle()
        assert heard == []
    else:
        served.call(lambda: gates.gates[0].set_result(None))
        eventually(lambda: heard == [["slow"], *[["x", n] for n in range(10)]])
        assert client.silent()


def test_acknowledgements_are_no_events(serve: Serve) -> None:
    io = Server()
    gates = Gates()
    io.on("connection", lambda socket: socket.use(gates))
    served = serve(io)
    client, socket = served.member()
    client.emit("slow")
    eventually(lambda: gates.gates)
    answer = asyncio.run_coroutine_threadsafe(socket.emit_with_ack("ask"), served.running.loop)
    client.answer(client.packet(), "here")
    assert answer.result(20) == "here"
    served.call(lambda: gates.gates[0].set_result(None))


@pytest.mark.parametrize("middleware", [None, 3, "guard"])
def test_what_is_no_middleware(serve: Serve, middleware: Any) -> None:
    served = serve(Server())
    client, socket = served.member()
    with pytest.raises(TypeError, match="must be callable"):
        socket.use(middleware)
    assert client.silent()
