"""What comes before a session is not trusted: large heads, bodies that stop, clients that change their mind."""

from __future__ import annotations

import asyncio
import concurrent.futures
import socket as sockets
import threading
from collections.abc import Callable
from typing import Any

import pytest

from socketeer import ConnectionRefused, Server, Socket
from tests.server.conftest import Served
from tests.wire.peers import HalfPost, PollingPeer, WebSocketPeer, eventually, request

Serve = Callable[[Server], Served]

TARGET = "/socket.io/?EIO=4&transport=polling"
LIMIT = 2000


def head_of(size: int, port: int) -> dict[str, str]:
    """Give headers with which the head of a request to TARGET counts ``size`` bytes."""
    path, _, query = TARGET.partition("?")
    known = {"host": f"127.0.0.1:{port}", "accept-encoding": "identity"}
    used = len(path) + len(query) + sum(len(name) + len(value) + 4 for name, value in known.items())
    return {"x": "y" * (size - used - len("x") - 4)}


@pytest.mark.parametrize("excess", [0, 1])
def test_the_head_of_a_request_is_limited(serve: Serve, excess: int) -> None:
    served = serve(Server(max_header_bytes=LIMIT))
    reply = request(served.port, "GET", TARGET, headers=head_of(LIMIT + excess, served.port))
    assert reply.status == (431 if excess else 200)
    if excess:
        assert reply.json() == {"code": 3, "message": "Request head of more than max_header_bytes"}
        assert served.io.engine.sessions == {}


def test_many_headers_cost_no_more_than_their_bytes(serve: Serve) -> None:
    served = serve(Server())
    with sockets.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
        connection.sendall(f"GET {TARGET} HTTP/1.1\r\nHost: x\r\n".encode() + b"x: y\r\n" * 10_000 + b"\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 431 ")


def test_a_body_that_stops_does_not_outlive_its_session(serve: Serve) -> None:
    served = serve(Server(ping_interval=0.2, ping_timeout=0.2))
    peer = PollingPeer(served.port)
    post = HalfPost(peer, "4" + "x" * 1000, "x" * 1000)
    post.sock.settimeout(5)
    assert post.sock.recv(4096).startswith(b"HTTP/1.1 400 ")
    post.sock.close()
    eventually(lambda: not served.io.engine.sessions)


def test_a_client_that_tries_again_during_the_middleware_keeps_its_connection(serve: Serve) -> None:
    io = Server()
    gates: list[asyncio.Event] = []
    asked: list[Any] = []
    joined: list[Any] = []

    @io.of("/admin").use
    async def check(socket: Socket) -> None:
        asked.append(socket.handshake.auth)
        gates.append(asyncio.Event())
        await gates[-1].wait()

    io.of("/admin").on("connection", lambda socket: joined.append(socket.handshake.auth))
    served = serve(io)
    client = served.join()
    client.ask("/admin", {"try": 1})
    client.ask("/admin", {"try": 2})
    eventually(lambda: len(gates) == 2)
    for gate in gates:
        served.call(gate.set)
    assert client.packet().namespace == "/admin"
    assert client.silent()
    assert asked == [{"try": 1}, {"try": 2}]
    assert joined == [{"try": 2}]


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_the_result_of_a_cancelled_future_ends_no_connection(
    serve: Serve, transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    io = Server()
    errors: list[str] = []
    io.on("error", lambda error: errors.append(type(error).__name__))

    @io.event
    def ask(socket: Socket) -> None:
        future: concurrent.futures.Future[None] = concurrent.futures.Future()
        future.cancel()
        future.result()

    @io.event
    def ask_loop(socket: Socket) -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        future.result()

    @io.event
    async def wait(socket: Socket) -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    served = serve(io)
    client = served.join(transport=transport)
    for event in ("ask", "ask_loop", "wait"):
        client.emit(event)
    assert client.silent()
    eventually(lambda: len(errors) == 3)
    assert errors == ["CancelledError"] * 3
    caplog.clear()


def test_a_broken_event_does_not_use_up_a_handler_of_once(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    io = Server()
    seen: list[Any] = []
    io.on("connection", lambda socket: socket.once("only", lambda value: seen.append(value)))
    client = serve(io).join()
    client.emit("only")
    client.emit("only", 1)
    client.emit("only", 2)
    assert client.silent()
    assert seen == [1]
    caplog.clear()


def test_what_was_received_can_be_sent_however_deep(serve: Serve) -> None:
    io = Server()
    io.event("echo")(lambda socket, value: value)
    deep: list[Any] = []
    for _ in range(400):
        deep = [deep]
    assert serve(io).join().call("echo", deep) == [deep]


def test_a_parent_is_asked_with_what_the_client_said(serve: Serve) -> None:
    io = Server()
    asked: list[Any] = []

    def allow(name: str, auth: Any) -> bool:
        asked.append(auth)
        return True

    io.of(allow)
    served = serve(io)
    served.join().join("/one")
    served.join().join("/two", {"token": 1})
    older = WebSocketPeer(served.port, "/socket.io/?EIO=3&transport=websocket")
    older.receive_text()
    older.receive_text()
    older.send("40/three?token=2,")
    assert older.receive_text() == "40/three,"
    older.close()
    assert asked == [{}, {"token": 1}, {"token": "2"}]


def test_a_handler_of_other_servers_events_is_pointed_out_when_a_client_sends_one(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    io = Server()
    io.on("chat", lambda *args: None)
    client = serve(io).join()
    client.emit("chat", 1)
    client.emit("chat", 2)
    assert client.silent()
    (record,) = caplog.records
    assert "@io.event('chat')" in record.getMessage()
    caplog.clear()


def test_off_removes_what_event_has_registered(serve: Serve) -> None:
    io = Server()
    seen: list[Any] = []

    @io.event
    def told(socket: Socket, value: int) -> None:
        seen.append(value)

    client = serve(io).join()
    client.emit("told", 1)
    assert client.silent()
    io.off("told")
    client.emit("told", 2)
    assert client.silent()
    assert seen == [1]


def test_of_volatile_events_behind_another_none_leaves_on_either_lane(serve: Serve) -> None:
    io = Server()

    @io.event
    def go(socket: Socket) -> None:
        socket.emit("plain")
        for number in range(5):
            socket.volatile.emit("volatile", number)

    client = serve(io).join()
    client.emit("go")
    assert client.event() == ["plain"]
    assert client.silent()


def test_a_socket_that_was_put_out_says_so_at_once(serve: Serve) -> None:
    io = Server()
    seen: list[bool] = []

    @io.of("/out").on("connection")
    def connected(socket: Socket) -> None:
        socket.disconnect()
        socket.disconnect()
        socket.emit("late")
        seen.append(socket.connected)

    client = serve(io).join()
    client.join("/out")
    assert client.packet()[:2] == (1, "/out")
    assert client.silent()
    assert seen == [False]


@pytest.mark.parametrize(
    ("port", "error"), [(70000, ValueError), (-1, ValueError), ("3000", TypeError), (True, TypeError)]
)
def test_a_port_is_checked(port: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="port"):
        Server().listen(port)
    with pytest.raises(error, match="port"):
        asyncio.run(Server().serve(port))


def test_a_port_that_is_taken_is_an_error_of_the_system() -> None:
    with sockets.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        asyncio.run(Server().serve(taken.getsockname()[1]))


def test_a_middleware_refuses_in_a_thread_as_well(serve: Serve) -> None:
    io = Server()

    @io.use
    async def check(socket: Socket) -> None:
        if await asyncio.to_thread(threading.current_thread) is threading.main_thread():
            return
        raise ConnectionRefused("no", data=1)

    assert serve(io).connect().refusal() == {"message": "no", "data": 1}
