"""What decides whether a client is let in: the middleware of a namespace."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable
from typing import Any

import pytest

from socketeer import ConnectionRefused, Server, Socket
from tests.server.conftest import Served
from tests.wire.peers import eventually

Serve = Callable[[Server], Served]


def test_sync_and_async_middleware_run_in_the_order_of_registration(serve: Serve) -> None:
    io = Server()
    seen: list[str] = []

    @io.use
    def first(socket: Socket) -> None:
        seen.append(f"first {socket.connected}")

    @io.use
    async def second(socket: Socket) -> None:
        await asyncio.sleep(0.01)
        seen.append(f"second {socket.connected}")

    io.use(lambda socket: seen.append("third"))
    io.use(lambda socket: second(socket))
    io.on("connection", lambda socket: seen.append(f"connection {socket.connected}"))
    serve(io).join()
    assert seen == ["first False", "second False", "third", "second False", "connection True"]


@pytest.mark.parametrize("kind", ["sync", "async", "after an async one"])
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ConnectionRefused("no entry"), {"message": "no entry"}),
        (
            ConnectionRefused("no entry", data={"code": 7, "why": ["a"]}),
            {"message": "no entry", "data": {"code": 7, "why": ["a"]}},
        ),
        (ConnectionRefused("no entry", data=0), {"message": "no entry", "data": 0}),
        (ConnectionRefused(), {"message": "Connection refused"}),
    ],
)
def test_a_refusal_tells_the_client_why(serve: Serve, kind: str, error: Exception, told: Any) -> None:
    io = Server()
    seen: list[str] = []

    def refuse(socket: Socket) -> None:
        if socket.handshake.auth != {"key": "right"}:
            raise error

    async def refuse_later(socket: Socket) -> None:
        await asyncio.sleep(0)
        refuse(socket)

    if kind == "after an async one":

        @io.use
        async def pause(socket: Socket) -> None:
            await asyncio.sleep(0)

    io.use(refuse_later if kind == "async" else refuse)
    io.use(lambda socket: seen.append("the next one"))
    io.on("connection", lambda socket: seen.append("connection"))
    io.on("error", lambda error: seen.append("error"))
    client = serve(io).connect()
    assert client.refusal() == told
    assert seen == []
    client.join(auth={"key": "right"})  # the connection stays for another try
    assert client.silent()
    assert seen == ["the next one", "connection"]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_any_other_exception_tells_the_client_nothing(
    serve: Serve, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    io = Server()
    errors: list[Any] = []
    failure = RuntimeError("of the inner workings")

    @io.of("/guarded").use
    def fail(socket: Socket) -> Any:
        if kind == "sync":
            raise failure
        return fail_later()

    async def fail_later() -> None:
        await asyncio.sleep(0)
        raise failure

    io.on("error", lambda *args: errors.append(args))
    client = serve(io).connect()
    assert client.refusal("/guarded") == {"message": "Connection refused"}
    ((error, socket, event),) = errors
    assert (error, socket.nsp.name, event) == (failure, "/guarded", "connection")
    assert "of the inner workings" in caplog.text
    caplog.clear()


def test_what_a_refused_socket_did_in_the_middleware_is_undone(serve: Serve) -> None:
    io = Server()
    refused: list[Socket] = []

    @io.use
    async def refuse(socket: Socket) -> None:
        socket.join(["lobby", "hall"])
        refused.append(socket)
        await asyncio.sleep(0)
        raise ConnectionRefused("no")

    served = serve(io)
    client = served.connect()
    client.refusal()
    (socket,) = refused
    assert (socket.connected, socket.disconnected, socket.rooms) == (False, True, set())
    assert served.run(io.fetch_sockets()) == []
    assert served.run(io.in_("lobby").fetch_sockets()) == []
    socket.emit("nothing")
    socket.join("lobby")
    io.to("lobby").emit("nothing")
    assert socket.rooms == set()
    assert client.refusal() == {"message": "no"}


def test_rooms_joined_in_the_middleware_are_kept_by_those_let_in(serve: Serve) -> None:
    io = Server()

    @io.use
    async def assign(socket: Socket) -> None:
        socket.join("lobby")
        socket.data["name"] = "Ada"
        await asyncio.sleep(0)

    served = serve(io)
    client, socket = served.member()
    assert socket.rooms == {socket.id, "lobby"}
    assert socket.data == {"name": "Ada"}
    io.to("lobby").emit("hello")
    assert client.event() == ["hello"]


@pytest.mark.parametrize("ends", ["connection", "refused"])
def test_a_client_that_leaves_in_the_middle_never_connects(serve: Serve, ends: str) -> None:
    io = Server()
    seen: list[str] = []
    sockets: list[Socket] = []
    gates: list[asyncio.Event] = []
    entered: queue.Queue[None] = queue.Queue()

    @io.use
    async def slow(socket: Socket) -> None:
        socket.join("lobby")
        sockets.append(socket)
        gates.append(asyncio.Event())
        entered.put(None)
        await gates[0].wait()
        if ends == "refused":
            raise ConnectionRefused("too late")

    io.on("connection", lambda socket: seen.append("connection"))
    for event in ("disconnecting", "disconnect"):
        io.event(event)(lambda socket: seen.append("the end"))
    served = serve(io)
    client = served.connect()
    client.ask()
    entered.get(timeout=20)
    client.close()
    eventually(lambda: not io.engine.sessions)
    served.call(lambda: gates[0].set())
    served.settle()
    assert seen == []
    assert served.call(lambda: (sockets[0].connected, sockets[0].rooms)) == (False, set())
    assert served.run(io.fetch_sockets()) == []


def test_what_a_middleware_emits_comes_before_the_answer_to_connect(serve: Serve) -> None:
    io = Server()

    @io.use
    async def greet(socket: Socket) -> None:
        socket.emit("early", b"\1")
        await asyncio.sleep(0)
        socket.emit("early too")

    client = serve(io).connect()
    client.ask()
    assert client.events(2) == [["early", b"\1"], ["early too"]]
    assert client.packet().type == 0


def test_a_broadcast_does_not_reach_a_socket_that_is_not_in_yet(serve: Serve) -> None:
    io = Server()
    gates: list[asyncio.Event] = []
    entered: queue.Queue[None] = queue.Queue()

    @io.use
    async def slow(socket: Socket) -> None:
        gates.append(asyncio.Event())
        entered.put(None)
        await gates[0].wait()

    served = serve(io)
    client = served.connect()
    client.ask()
    entered.get(timeout=20)
    io.emit("not for you")
    assert served.run(io.timeout(5).emit_with_ack("nor this")) == []
    served.call(lambda: gates[0].set())
    assert client.packet().type == 0


def test_a_middleware_may_put_the_client_out(serve: Serve) -> None:
    io = Server()
    seen: list[str] = []

    @io.use
    def out(socket: Socket) -> None:
        socket.disconnect()

    io.on("connection", lambda socket: seen.append("connection"))
    client = serve(io).connect()
    assert client.refusal() == {"message": "Connection refused"}
    assert seen == []


def test_a_middleware_may_close_the_connection(serve: Serve) -> None:
    io = Server()
    seen: list[str] = []

    @io.use
    async def out(socket: Socket) -> None:
        await asyncio.sleep(0)
        socket.disconnect(close=True)

    io.on("connection", lambda socket: seen.append("connection"))
    client = serve(io).connect()
    client.ask()
    client.closed()
    assert seen == []
    eventually(lambda: not io.engine.sessions)


def test_each_namespace_has_its_own(serve: Serve) -> None:
    io = Server()
    seen: list[str] = []
    io.use(lambda socket: seen.append(socket.nsp.name))
    io.of("/a").use(lambda socket: seen.append(socket.nsp.name))
    io.of("/b")
    client = serve(io).connect()
    for namespace in ("/a", "/b", "/"):
        client.join(namespace)
    assert seen == ["/a", "/"]


def test_other_namespaces_do_not_wait_for_a_slow_middleware(serve: Serve) -> None:
    io = Server()
    gates: list[asyncio.Event] = []

    @io.of("/slow").use
    async def slow(socket: Socket) -> None:
        gates.append(asyncio.Event())
        await gates[0].wait()

    served = serve(io)
    client = served.connect()
    client.ask("/slow")
    client.join("/")
    assert client.silent()
    served.call(lambda: gates[0].set())
    assert client.packet()[:2] == (0, "/slow")


@pytest.mark.parametrize("data", [object(), b"bytes"])
def test_a_refusal_that_cannot_be_told_still_refuses(serve: Serve, caplog: pytest.LogCaptureFixture, data: Any) -> None:
    io = Server()

    @io.use
    def refuse(socket: Socket) -> None:
        raise ConnectionRefused("no", data=data)

    client = serve(io).connect()
    assert client.refusal() == {"message": "Connection refused"}
    assert client.refusal() == {"message": "Connection refused"}
    assert "exception in a middleware" in caplog.text
    caplog.clear()
