"""Catch-all handlers of what is sent, and what a socket tells of itself and of its connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from socketeer import MSGPACK, Server, Socket
from tests.server.conftest import Served
from tests.wire.peers import eventually

Serve = Callable[[Server], Served]


@pytest.mark.parametrize("options", [{}, {"connection_state_recovery": True}, {"event_concurrency": "ordered"}])
def test_every_event_that_is_sent_is_seen_in_order_as_it_was_given(serve: Serve, options: dict[str, Any]) -> None:
    io = Server(**options)
    seen: list[Any] = []

    @io.event
    def ask(socket: Socket) -> str:
        return "an answer is no event"

    served = serve(io)
    client, socket = served.member()
    handler = socket.on_any_outgoing(lambda *args: seen.append(list(args)))
    socket.join("room")
    held = {"kept": "as it is"}

    def send() -> None:
        socket.emit("plain", held)
        socket.emit("binary", b"raw")
        socket.emit("asked", 1, ack=lambda answer: None)
        socket.volatile.emit("volatile", "text")
        socket.compress(False).emit("raw", 2)
        socket.send("a message")
        io.emit("all", 3)
        io.to("room").emit("room", 4)
        io.except_("room").emit("others", 5)
        socket.broadcast.emit("others", 6)
        io.emit("asked all", 7, ack=lambda error, answers: None)
        io.of("/").to(socket.id).emit("id", 8)

    served.call(send)
    assert seen == [
        ["plain", held],
        ["binary", b"raw"],
        ["asked", 1],
        ["volatile", "text"],
        ["raw", 2],
        ["message", "a message"],
        ["all", 3],
        ["room", 4],
        ["asked all", 7],
        ["id", 8],
    ]
    assert seen[0][1] is held
    client.call("ask")
    assert len(seen) == 10
    socket.off_any_outgoing(handler)
    served.call(socket.emit, "unseen")
    assert len(seen) == 10


def test_handlers_are_called_in_order_and_only_while_they_are_there(serve: Serve) -> None:
    io = Server()
    seen: list[Any] = []
    served = serve(io)
    client, socket = served.member()

    def first(event: str) -> None:
        seen.append(("first", event))

    async def second(event: str, *args: Any) -> None:
        await asyncio.sleep(0)
        seen.append(("second", event, *args))

    def zeroth() -> None:
        seen.append("zeroth")

    socket.on_any_outgoing(first)
    socket.on_any_outgoing(second)
    socket.prepend_any_outgoing(zeroth)
    assert socket.listeners_any_outgoing() == [zeroth, first, second]
    served.call(socket.emit, "x", 1)
    assert client.event() == ["x", 1]
    eventually(lambda: seen == ["zeroth", ("first", "x"), ("second", "x", 1)])
    seen.clear()
    socket.off_any_outgoing(second)
    assert socket.listeners_any_outgoing() == [zeroth, first]
    served.call(socket.emit, "y")
    socket.off_any_outgoing()
    assert socket.listeners_any_outgoing() == []
    served.call(socket.emit, "z")
    assert client.events(2) == [["y"], ["z"]]
    assert seen == ["zeroth", ("first", "y")]


def test_a_handler_that_fails_keeps_nothing_from_being_sent(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    io = Server()
    errors: list[Any] = []
    io.on("error", lambda error: errors.append(str(error)))
    served = serve(io)
    client, socket = served.member()

    def fail(*args: Any) -> None:
        raise ValueError("no")

    socket.on_any_outgoing(fail)
    served.call(socket.emit, "x")
    served.call(io.emit, "y")
    assert client.events(2) == [["x"], ["y"]]
    assert errors == ["no", "no"]
    caplog.clear()


def test_what_is_sent_within_the_middleware_is_seen_and_nothing_after_the_end(serve: Serve) -> None:
    io = Server()
    seen: list[Any] = []

    @io.use
    def watch(socket: Socket) -> None:
        socket.on_any_outgoing(lambda *args: seen.append(args))
        socket.emit("early")

    served = serve(io)
    client, socket = served.member()
    assert client.event() == ["early"]
    client.leave()
    eventually(lambda: socket.disconnected)
    served.call(socket.emit, "late")
    served.call(lambda: socket.on_any_outgoing(lambda *args: seen.append(args)))
    served.call(socket.emit, "later")
    assert seen == [("early",)]


def test_catch_alls_of_what_comes_can_be_put_first(serve: Serve) -> None:
    io = Server()
    seen: list[str] = []
    served = serve(io)
    client, socket = served.member()
    second = socket.on_any(lambda event, *args: seen.append("second"))
    first = socket.prepend_any(lambda event, *args: seen.append("first"))
    socket.on("x", lambda: seen.append("its own"))
    client.call("x")
    assert seen == ["first", "second", "its own"]
    assert socket.listeners_any() == [first, second]
    socket.off_any(first)
    client.call("x")
    assert seen[3:] == ["second", "its own"]
    socket.off_any()
    assert socket.listeners_any() == []
    assert socket.event_names() == ["x"]


def test_what_a_socket_tells_of_its_connection(serve: Serve) -> None:
    io = Server()
    io.of("/chat")
    served = serve(io)
    client, socket = served.member(query="&token=7", headers=[("X-Name", "ann")])
    client.join("/chat")
    (chat,) = io.of("/chat").sockets.values()
    assert socket.conn is chat.conn
    assert socket.conn.id == client.sid != socket.id
    assert socket.client is chat.client
    assert socket.request is chat.request
    assert socket.request.query["token"] == "7"
    assert socket.request.headers["x-name"] == "ann"
    assert socket.server is io


@pytest.mark.parametrize("parser", [None, MSGPACK])
def test_what_cannot_be_sent_is_said_to_whom_emits(serve: Serve, parser: Any) -> None:
    io = Server(parser=parser, connection_state_recovery=True)
    serve(io)
    for emit in (io.emit, io.to("room").emit, io.of("/").volatile.emit):
        with pytest.raises(TypeError, match=r"emit\('x'\): not serializable"):
            emit("x", object())
        with pytest.raises(ValueError, match="reserved"):
            emit("disconnect")
