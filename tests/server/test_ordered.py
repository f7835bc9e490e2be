"""``event_concurrency="ordered"``: the handlers of one socket never overlap, and keep the order of their events."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from socketeer import Disconnected, Server, Socket
from tests.server.conftest import Served
from tests.server.test_order import at_once
from tests.support.raw import ACK, CONNECT
from tests.wire.peers import eventually

Serve = Callable[[Server], Served]


class Log:
    """Note when handlers begin and end, and whether one begins before another has ended."""

    def __init__(self) -> None:
        self.entries: list[Any] = []
        self.overlaps: list[Any] = []
        self._running: Any = None

    def begin(self, what: Any) -> None:
        """Note that a handler begins."""
        if self._running is not None:
            self.overlaps.append((self._running, what))
        self._running = what
        self.entries.append(what)

    def end(self, what: Any) -> None:
        """Note that a handler ends."""
        assert self._running == what
        self._running = None

    def sync(self, name: str) -> Callable[..., Any]:
        """Make a handler that does not wait."""

        def handler(*args: Any) -> Any:
            self.begin([name, *args])
            self.end([name, *args])

        return handler

    def waiting(self, name: str, wait: Callable[[], Awaitable[Any]] = lambda: asyncio.sleep(0.002)) -> Any:
        """Make a handler that waits."""

        async def handler(*args: Any) -> Any:
            self.begin([name, *args])
            await wait()
            self.end([name, *args])
            return args[0] if args else None

        return handler


def ordered(**options: Any) -> Server:
    return Server(event_concurrency="ordered", **options)


def test_handlers_run_one_after_another_in_the_order_of_the_events(serve: Serve) -> None:
    io = ordered()
    log = Log()

    @io.on("connection")
    async def first(socket: Socket) -> None:
        log.begin("first")
        await asyncio.sleep(0.01)
        socket.on("slow", log.waiting("slow"))
        socket.on("slow", log.sync("slow too"))
        socket.on("quick", log.sync("quick"))
        socket.on("immediate", log.waiting("immediate", lambda: asyncio.sleep(0)))
        socket.on("disconnecting", log.waiting("disconnecting"))
        socket.on("disconnecting", log.sync("disconnecting too"))
        socket.on("disconnect", log.waiting("disconnect"))
        log.end("first")

    io.on("connection", lambda socket: log.sync("second")())
    io.on("connection", lambda socket: log.waiting("third")())
    served = serve(io)
    client = served.connect()
    names = ("slow", "quick", "immediate")
    client.websocket.raw(at_once("0", *[f'2["{names[n % 3]}",{n}]' for n in range(9)], "1"))
    assert client.packet().type == CONNECT
    reason = "client namespace disconnect"
    eventually(lambda: log.entries[-1:] == [["disconnect", reason, None]])
    expected: list[Any] = ["first", ["second"], ["third"]]
    for n in range(0, 9, 3):
        expected += [["slow", n], ["slow too", n], ["quick", n + 1], ["immediate", n + 2]]
    for name in ("disconnecting", "disconnecting too", "disconnect"):
        expected.append([name, reason, None])
    assert log.entries == expected
    assert log.overlaps == []
    eventually(lambda: not io.sockets.sockets)


def test_without_it_they_overlap(serve: Serve) -> None:
    io = Server()
    log = Log()
    gate: list[asyncio.Event] = []

    @io.event
    async def slow(socket: Socket) -> None:
        gate.append(asyncio.Event())
        await log.waiting("slow", gate[0].wait)()

    io.event("quick")(lambda socket: log.sync("quick")())
    served = serve(io)
    client = served.join()
    client.emit("slow")
    client.call("quick")
    assert log.overlaps == [(["slow"], ["quick"])]
    log._running = ["slow"]
    served.call(lambda: gate[0].set())


def test_a_socket_holds_up_nobody_else_and_no_acknowledgement(serve: Serve) -> None:
    io = ordered()
    log = Log()
    answers: list[Any] = []

    @io.event
    async def ask_back(socket: Socket) -> Any:
        answers.append(await socket.emit_with_ack("question"))
        return answers[-1]

    io.event("x")(lambda socket, number: log.sync("x")(number))
    served = serve(io)
    first, second = served.join(), served.join()
    first.emit("ask_back", id=1)
    question = first.packet()
    first.emit("x", 1)
    assert second.call("x", 2) == []
    assert second.silent()
    assert log.entries == [["x", 2]]
    first.answer(question, "yes")
    assert first.packet()[:4] == (ACK, "/", 1, ["yes"])
    assert first.silent()
    assert log.entries == [["x", 2], ["x", 1]]


def test_an_acknowledgement_comes_when_its_handler_is_done(serve: Serve) -> None:
    io = ordered()
    log = Log()
    for name in ("a", "b"):
        io.event(name)(lambda socket, number, name=name: log.waiting(name)(number))

    @io.event
    def now(socket: Socket, number: int, ack: Any) -> None:
        ack(number)

    client = serve(io).join()
    client.websocket.raw(at_once('21["a",1]', '22["now",2]', '23["b",3]', '24["now",4]'))
    assert [client.packet() for _ in range(4)] == [(ACK, "/", n, [n]) for n in range(1, 5)]
    assert log.overlaps == []


@pytest.mark.parametrize("end", ["client", "cut", "server"])
def test_a_handler_that_waits_for_the_client_ends_with_it(serve: Serve, end: str) -> None:
    io = ordered()
    log = Log()
    errors: list[Any] = []

    @io.event
    async def ask_back(socket: Socket) -> None:
        log.begin("ask")
        for _ in range(2):  # the second time there is nobody to ask
            try:
                await socket.emit_with_ack("question")
            except Disconnected as error:
                errors.append(error)
        log.end("ask")

    io.event("x")(lambda socket: log.sync("x")())
    io.event("disconnecting")(lambda socket: log.sync(f"disconnecting {socket in served_sockets(io)}")())
    io.event("disconnect")(lambda socket: log.sync("disconnect")())
    served = serve(io)
    client, socket = served.member()
    client.emit("ask_back")
    assert client.event() == ["question"]
    client.emit("x")
    if end == "client":
        client.leave()
    elif end == "cut":
        served.settle()
        client.websocket.send("1")
    else:
        served.settle()
        served.call(socket.disconnect)
    eventually(lambda: log.entries[-1:] == [["disconnect"]])
    assert log.entries == ["ask", ["x"], ["disconnecting True"], ["disconnect"]]
    assert len(errors) == 2
    assert log.overlaps == []


def served_sockets(io: Server) -> list[Socket]:
    return list(io.sockets.sockets.values())


@pytest.mark.parametrize("kind", ["sync", "async", "cancelled", "misfit"])
def test_a_failure_holds_nothing_up(serve: Serve, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    io = ordered()
    log = Log()
    errors: list[str] = []

    @io.event
    async def slow(socket: Socket) -> None:
        await asyncio.sleep(0.01)

    def fail(socket: Socket) -> None:
        raise RuntimeError("sync")

    async def fail_later(socket: Socket) -> None:
        await asyncio.sleep(0.001)
        raise RuntimeError("async")

    async def cancel(socket: Socket) -> None:
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.cancel)
        await future

    handlers: dict[str, Any] = {"sync": fail, "async": fail_later, "cancelled": cancel, "misfit": lambda s, a, b: None}
    io.event("bad")(handlers[kind])
    io.event("x")(lambda socket, number: log.waiting("x")(number))
    io.on("error", lambda error, socket, event: errors.append(type(error).__name__))
    client = serve(io).join()
    client.websocket.raw(at_once('2["slow"]', '2["bad"]', '2["x",1]', '2["bad"]', '2["x",2]'))
    eventually(lambda: log.entries == [["x", 1], ["x", 2]])
    assert errors == [{"cancelled": "CancelledError", "misfit": "BadArguments"}.get(kind, "RuntimeError")] * 2
    assert client.silent()
    caplog.clear()


def test_a_task_that_is_cancelled_makes_way(serve: Serve) -> None:
    io = ordered()
    log = Log()
    tasks: list[asyncio.Task[Any] | None] = []

    @io.event
    async def stuck(socket: Socket) -> None:
        tasks.append(asyncio.current_task())
        await asyncio.Event().wait()

    io.event("x")(lambda socket, number: log.waiting("x")(number))
    served = serve(io)
    client = served.join()
    client.websocket.raw(at_once('2["stuck"]', '2["x",1]', '2["x",2]'))
    eventually(lambda: tasks)
    (task,) = tasks
    assert task is not None
    served.call(task.cancel)
    eventually(lambda: log.entries == [["x", 1], ["x", 2]])


@pytest.mark.parametrize("excess", [0, 1])
@pytest.mark.parametrize("behind", ["an event", "connect"])
def test_so_many_events_may_wait_and_no_more(serve: Serve, excess: int, behind: str) -> None:
    io = ordered(max_queued_events=10)
    log = Log()
    gates: list[asyncio.Event] = []
    left: list[Any] = []

    async def wait(socket: Socket) -> None:
        gates.append(asyncio.Event())
        await gates[0].wait()

    if behind == "connect":
        io.on("connection", wait)
    else:
        io.event("stuck")(wait)
    io.event("x")(lambda socket, number: log.waiting("x")(number))
    io.event("disconnect")(lambda socket, reason, description: left.append((reason, description)))
    served = serve(io)
    client = served.join()
    if behind == "an event":
        client.emit("stuck")
    eventually(lambda: gates)
    client.websocket.raw(at_once(*[f'2["x",{n}]' for n in range(10 + excess)]))
    if excess:
        client.closed()
        assert left == []
    else:
        assert second_hears_nothing(served)
    served.call(lambda: gates[0].set())
    eventually(lambda: log.entries == [["x", n] for n in range(10)])
    if excess:
        eventually(lambda: left == [("transport error", "more than max_queued_events events wait to be handled")])
    else:
        assert client.silent()
        assert left == []


def second_hears_nothing(served: Served) -> bool:
    """Tell whether the server goes on serving others."""
    other = served.connect()
    other.ask("/missing")
    return other.packet().namespace == "/missing"


def test_a_hidden_coroutine_is_waited_for_too(serve: Serve) -> None:
    io = ordered()
    log = Log()
    waiting, quick = log.waiting("hidden"), log.sync("quick")
    io.event("hidden")(lambda socket, number: waiting(number))
    io.event("quick")(lambda socket, number: quick(number))
    client = serve(io).join()
    client.websocket.raw(at_once(*[f'2["{("hidden", "quick")[n % 2]}",{n}]' for n in range(10)]))
    eventually(lambda: len(log.entries) == 10)
    assert log.entries == [[("hidden", "quick")[n % 2], n] for n in range(10)]
    assert log.overlaps == []
    assert client.silent()


def test_catch_all_and_once_handlers_wait_their_turn(serve: Serve) -> None:
    io = ordered()
    log = Log()

    @io.on("connection")
    def connected(socket: Socket) -> None:
        socket.on_any(log.waiting("any"))
        socket.once("x", log.waiting("once"))
        socket.on("x", log.sync("on"))

    client = serve(io).connect()
    client.websocket.raw(at_once("0", '2["x",1]', '2["x",2]', '2["y"]'))
    eventually(lambda: len(log.entries) == 6)
    expected = [["any", "x", 1], ["once", 1], ["on", 1], ["any", "x", 2], ["on", 2], ["any", "y"]]
    assert log.entries == expected
    eventually(lambda: log._running is None)
    assert log.overlaps == []


def test_a_handler_that_an_earlier_one_attaches_hears_what_came_meanwhile(serve: Serve) -> None:
    io = ordered()
    heard: list[Any] = []

    @io.event
    async def login(socket: Socket) -> None:
        await asyncio.sleep(0.01)
        socket.on("say", heard.append)

    @io.event
    async def logout(socket: Socket) -> None:
        await asyncio.sleep(0.01)
        socket.off("say")

    client = serve(io).join()
    client.websocket.raw(at_once('2["login"]', '2["say",1]', '2["say",2]', '2["logout"]', '2["say",3]'))
    assert client.call("sync") == []
    assert heard == [1, 2]


def test_the_end_of_the_server_waits_for_no_queue(serve: Serve) -> None:
    io = ordered()
    begun: list[int] = []

    @io.event
    async def stuck(socket: Socket, number: int) -> None:
        begun.append(number)
        await asyncio.Event().wait()

    served = serve(io)
    client = served.join()
    client.websocket.raw(at_once(*[f'2["stuck",{n}]' for n in range(5)]))
    eventually(lambda: begun)
    served.run(io.close())
    assert served.call(lambda: [task for task in io.driver._tasks if not task.done()]) == []
