"""Registering handlers: on a socket, on a namespace, for every socket of one, for every event."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from socketeer import Server, Socket, UsageError
from tests.server.conftest import Served

Serve = Callable[[Server], Served]


def test_on_works_as_a_decorator_and_as_a_call() -> None:
    io = Server()

    def first(socket: Socket) -> None: ...

    def second(socket: Socket) -> None: ...

    assert io.on("connection", first) is first
    assert io.on("connection")(second) is second
    assert io.listeners("connection") == [first, second]
    assert io.listeners("connect") == [first, second]
    assert io.sockets.listeners("connection") == [first, second]


def test_off_removes_one_handler_or_those_of_an_event_or_all() -> None:
    io = Server()

    def first(*args: Any) -> None: ...

    def second(*args: Any) -> None: ...

    for event in ("connection", "error"):
        io.on(event, first)
        io.on(event, second)
    io.off("connect", first)
    assert io.listeners("connection") == [second]
    io.off("connection")
    assert (io.listeners("connection"), io.listeners("error")) == ([], [first, second])
    io.off()
    assert io.listeners("error") == []
    io.off("connection", first)


@pytest.mark.parametrize("event", ["disconnect", "disconnecting"])
def test_an_event_of_a_socket_is_refused_where_it_would_never_come(event: str) -> None:
    io = Server()
    with pytest.raises(UsageError, match=f"socket.on\\('{event}'"):
        io.on(event, print)
    with pytest.raises(UsageError, match=event):
        io.once(event)(print)


@pytest.mark.parametrize("handler", ["a name", 3, []])
def test_what_cannot_be_called_is_refused_at_once(handler: Any) -> None:
    io = Server()
    with pytest.raises(TypeError, match="must be callable"):
        io.on("connection", handler)
    with pytest.raises(TypeError, match="must be callable"):
        io.event("x")(handler)
    with pytest.raises(TypeError, match="must be callable"):
        io.use(handler)


def test_handlers_of_one_event_are_called_in_the_order_of_registration(serve: Serve) -> None:
    io = Server()
    seen: list[str] = []

    @io.event("x")
    def shared(socket: Socket) -> None:
        seen.append("shared")

    @io.on("connection")
    def connected(socket: Socket) -> None:
        socket.on("x", lambda: seen.append("first"))
        socket.on("x", lambda: seen.append("second"))

    @io.event("x")
    def shared_too(socket: Socket) -> None:
        seen.append("shared too")

    client = serve(io).join()
    client.call("x")
    assert seen == ["shared", "shared too", "first", "second"]


def test_the_same_handler_registered_twice_is_called_twice_and_removed_at_once(serve: Serve) -> None:
    io = Server()
    seen: list[Any] = []

    def handler(value: Any) -> None:
        seen.append(value)

    served = serve(io)
    client, socket = served.member()
    served.call(lambda: (socket.on("x", handler), socket.on("x", handler)))
    client.call("x", 1)
    assert seen == [1, 1]
    served.call(socket.off, "x", handler)
    client.emit("x", 2)
    assert client.silent()
    assert seen == [1, 1]


def test_once_is_called_once_however_the_handler_behaves(serve: Serve) -> None:
    io = Server()
    seen: list[str] = []
    served = serve(io)
    client, socket = served.member()

    def again() -> None:
        seen.append("again")

    def once() -> None:
        seen.append("once")
        socket.once("x", again)

    async def coroutine() -> None:
        seen.append("coroutine")

    served.call(lambda: (socket.once("x", once), socket.once("x", coroutine)))
    for _ in range(3):
        client.emit("x")
    assert client.silent()
    served.settle()
    assert sorted(seen) == ["again", "coroutine", "once"]
    assert socket.listeners("x") == []


def test_once_can_be_removed_before_it_was_called(serve: Serve) -> None:
    served = serve(Server())
    client, socket = served.member()
    seen: list[str] = []

    @socket.once("x")
    def handler() -> None:
        seen.append("called")

    assert socket.listeners("x") == [handler]
    socket.off("x", handler)
    client.emit("x")
    assert client.silent()
    assert seen == []


def test_handlers_may_be_added_and_removed_by_a_handler_of_the_same_event(serve: Serve) -> None:
    io = Server()
    seen: list[str] = []

    @io.on("connection")
    def connected(socket: Socket) -> None:
        def late() -> None:
            seen.append("late")

        @socket.on("x")
        def first() -> None:
            seen.append("first")
            socket.off("x", first)
            socket.off("x", second)
            socket.on("x", late)

        @socket.on("x")
        def second() -> None:
            seen.append("second")

    client = serve(io).join()
    client.emit("x")
    client.emit("x")
    assert client.silent()
    assert seen == ["first", "second", "late"]


def test_connection_handlers_with_once_see_one_socket(serve: Serve) -> None:
    io = Server()
    seen: list[str] = []
    io.once("connection", lambda socket: seen.append(socket.id))
    io.on("connect", lambda socket: seen.append(socket.id))
    served = serve(io)
    _, first = served.member()
    _, second = served.member()
    assert seen == [first.id, first.id, second.id]


def test_event_takes_its_name_from_the_function_or_from_its_argument(serve: Serve) -> None:
    io = Server()
    seen: list[Any] = []

    @io.event
    def greet(socket: Socket, name: str) -> None:
        seen.append((socket.id, "greet", name))

    @io.event("chat message")
    async def anything(socket: Socket, *words: str) -> None:
        seen.append((socket.id, "chat message", words))

    @io.event(7)
    def number(socket: Socket) -> None:
        seen.append((socket.id, 7))

    served = serve(io)
    client, socket = served.member()
    client.emit("greet", "Ada")
    client.emit("chat message", "a", "b")
    client.emit(7)
    assert client.silent()
    served.settle()
    assert seen == [(socket.id, "greet", "Ada"), (socket.id, "chat message", ("a", "b")), (socket.id, 7)]


def test_event_knows_the_events_of_the_server_itself(serve: Serve) -> None:
    io = Server()
    seen: list[Any] = []

    @io.event
    def connection(socket: Socket) -> None:
        seen.append(("connection", socket.connected))

    @io.event("connect")
    async def connected_too(socket: Socket) -> None:
        seen.append(("connect", socket.connected))

    @io.event
    def disconnecting(socket: Socket, reason: str) -> None:
        seen.append(("disconnecting", reason))

    @io.event
    def disconnect(socket: Socket, reason: str, description: Any) -> None:
        seen.append(("disconnect", reason, description))

    served = serve(io)
    client = served.join()
    served.settle()
    client.leave()
    client.leave()  # which breaks the protocol, so that the end of the connection tells that all is done
    client.closed()
    assert seen == [
        ("connection", True),
        ("connect", True),
        ("disconnecting", "client namespace disconnect"),
        ("disconnect", "client namespace disconnect", None),
    ]


def test_a_handler_registered_late_takes_the_events_of_sockets_that_are_there(serve: Serve) -> None:
    io = Server()
    client = serve(io).join()
    seen: list[Any] = []
    client.emit("x", 1)
    assert client.silent()
    io.event("x")(lambda socket, value: seen.append(value))
    client.emit("x", 2)
    assert client.silent()
    assert seen == [2]


@pytest.mark.parametrize(
    "name", ["__proto__", "constructor", "hasOwnProperty", "", "connection", "error", "a\u2028b\0"]
)
def test_odd_names_are_names(serve: Serve, name: str) -> None:
    served = serve(Server())
    client, socket = served.member()
    socket.on(name, lambda value: value + 1)
    assert client.call(name, 1) == [2]
    socket.emit(name, "back")
    assert client.event() == [name, "back"]


def test_catch_all_handlers_come_first_and_can_be_removed(serve: Serve) -> None:
    served = serve(Server())
    client, socket = served.member()
    seen: list[Any] = []

    @socket.on_any
    def every(event: Any, *args: Any) -> None:
        seen.append(("every", event, *args))

    @socket.prepend_any
    def before(event: Any, *args: Any) -> None:
        seen.append(("before", event, *args))

    socket.on("x", lambda value: seen.append(("named", value)))
    client.emit("x", 1)
    assert client.silent()
    assert seen[:3] == [("before", "x", 1), ("every", "x", 1), ("named", 1)]
    assert socket.listeners_any() == [before, every]
    socket.off_any(before)
    assert socket.listeners_any() == [every]
    socket.off_any()
    del seen[:]
    client.emit("x", 2)
    assert client.silent()
    assert seen == [("named", 2)]


def test_a_catch_all_handler_answers_only_through_its_parameter(serve: Serve) -> None:
    served = serve(Server())
    client, socket = served.member()
    socket.on_any(lambda event, *args: "not an answer")
    client.emit("x", id=5)
    assert client.silent()

    @socket.on_any
    def answer(event: Any, *args: Any, ack: Callable[..., None] | None) -> None:
        if ack is not None and event == "y":
            ack("answered", event)

    assert client.call("y", 1) == ["answered", "y"]


def test_an_event_that_nobody_takes_is_said_to_the_debug_log(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    client = serve(Server()).join()
    with caplog.at_level(logging.DEBUG, "socketeer.server"):
        client.emit("nobody's", 1, id=3)
        assert client.silent()
    assert any("nobody" in record.getMessage() for record in caplog.records)
