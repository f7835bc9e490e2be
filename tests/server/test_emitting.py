"""What may be emitted, from where, and what is told about what may not."""

from __future__ import annotations

import asyncio
import datetime
import threading
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from socketeer import Server
from tests.server.conftest import Served

Serve = Callable[[Server], Served]

RESERVED = ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]


@pytest.mark.parametrize("name", RESERVED)
def test_reserved_names_cannot_be_emitted(serve: Serve, name: str) -> None:
    io = Server()
    client, socket = (served := serve(io)).member()
    for emit in (socket.emit, io.emit, io.to("x").emit, socket.volatile.emit, socket.broadcast.emit):
        with pytest.raises(ValueError, match=f"'{name}' is a reserved"):
            emit(name)
    with pytest.raises(ValueError, match="reserved"):
        served.run(socket.emit_with_ack(name))
    assert client.silent()


@pytest.mark.parametrize("name", RESERVED)
def test_a_client_cannot_emit_them_either(serve: Serve, name: str) -> None:
    io = Server()
    client = serve(io).join()
    client.emit(name)
    client.closed()


@pytest.mark.parametrize("name", [None, 1.5, True, b"x", ["x"], object()])
def test_a_name_is_a_text_or_a_whole_number(serve: Serve, name: Any) -> None:
    io = Server()
    client, socket = serve(io).member()
    for emit in (socket.emit, io.emit, socket.timeout(1).emit):
        with pytest.raises(TypeError, match="the name of an event"):
            emit(name)
    assert client.silent()


class Opaque:
    def __repr__(self) -> str:
        return "<opaque>"


@pytest.mark.parametrize("value", [Opaque(), {1, 2}, {Opaque(): 1}, float, 1j, [[{"a": Opaque()}]], 2**80])
def test_what_json_cannot_say_is_told_with_the_event_s_name(serve: Serve, value: Any) -> None:
    io = Server()
    client, socket = (served := serve(io)).member()
    for emit in (socket.emit, io.emit, io.timeout(1).emit):
        with pytest.raises(TypeError, match="emit\\('the event'\\): "):
            emit("the event", 1, value)
    with pytest.raises(TypeError, match="emit\\('the event'\\): "):
        served.run(io.timeout(1).emit_with_ack("the event", value))
    assert client.silent()


def test_as_many_attachments_as_a_peer_would_take(serve: Serve) -> None:
    io = Server()
    client, socket = serve(io).member()
    ten = [bytes([n]) for n in range(10)]
    socket.emit("ten", *ten)
    assert client.event() == ["ten", *ten]
    for emit in (socket.emit, io.emit):
        with pytest.raises(ValueError, match=r"emit\('eleven'\): 11 binary values.*max_attachments"):
            emit("eleven", [*ten, {"one": b"more"}])
    assert client.silent()


def test_values_arrive_as_they_are(serve: Serve) -> None:
    io = Server()
    client, socket = serve(io).member()
    values: list[Any] = [
        None, True, False, 0, -1, 2**53, 1.5, "", "\u2028\0\U0001f600", [], {}, [[[]]], {"": {"a": [None]}},
        {"__proto__": 1, "constructor": 2}, b"", b"\0\xff", {"deep": [{"bytes": b"x"}]}, "x" * 100_000, b"y" * 100_000,
    ]  # fmt: skip
    for value in values:
        socket.emit("x", value)
        assert client.event() == ["x", value]
    socket.emit("x", *values[:14])
    assert client.event() == ["x", *values[:14]]


def test_values_that_python_has_and_json_has_not(serve: Serve) -> None:
    io = Server()
    client, socket = serve(io).member()
    socket.emit("x", (1, 2), bytearray(b"a"), memoryview(b"b"))
    assert client.event() == ["x", [1, 2], b"a", b"b"]
    moment = datetime.datetime(2024, 5, 6, 7, 8, 9, tzinfo=datetime.UTC)
    unique = uuid.UUID(int=5)
    socket.emit("x", moment, unique)
    assert client.event() == ["x", "2024-05-06T07:08:09+00:00", str(unique)]


def test_what_was_emitted_is_sent_as_it_was(serve: Serve) -> None:
    io = Server()
    served = serve(io)
    client, socket = served.member()
    data: dict[str, Any] = {"n": 0, "bytes": bytearray(b"\0")}

    def emit() -> None:
        for n in range(50):
            data["n"] = n
            data["bytes"][0] = n
            socket.emit("x", data)
            io.emit("y", data)
        data["n"] = "changed"
        data["bytes"][0] = 99

    for run in (emit, lambda: served.call(emit)):
        run()
        for n in range(50):
            assert client.event() == ["x", {"n": n, "bytes": bytes([n])}]
            assert client.event() == ["y", {"n": n, "bytes": bytes([n])}]


def test_the_emits_of_one_thread_keep_their_order(serve: Serve) -> None:
    io = Server()
    served = serve(io)
    client, socket = served.member()
    socket.join("room")
    count = 200

    def emit(name: str) -> None:
        for n in range(count):
            (socket.emit, io.emit, io.to("room").emit, socket.volatile.broadcast.emit)[n % 3](name, n)

    threads = [threading.Thread(target=emit, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    seen: dict[str, list[int]] = {name: [] for name in "abc"}
    for event, number in client.events(3 * count):
        seen[event].append(number)
    for thread in threads:
        thread.join(5)
    assert seen == {name: list(range(count)) for name in "abc"}


def test_everything_that_other_threads_may_call(serve: Serve) -> None:
    io = Server()
    served = serve(io)
    client, socket = served.member()
    failures: list[BaseException] = []

    def use() -> None:
        try:
            socket.join(["a", "b"])
            socket.leave("b")
            io.to("a").emit("first")
            io.in_("a").sockets_join("c")
            io.to("c").emit("second", b"\1")
            io.in_("c").sockets_leave("c")
            io.to("c").emit("to nobody")
            socket.send("third")
            socket.disconnect()
            socket.emit("too late")
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join(5)
    assert failures == []
    assert client.events(3) == [["first"], ["second", b"\1"], ["message", "third"]]
    assert client.packet().type == 1


def test_a_thread_of_a_handler_may_emit(serve: Serve) -> None:
    io = Server()

    @io.event
    async def work(socket: Any) -> str:
        await asyncio.to_thread(socket.emit, "from a thread", 1)
        return "done"

    client = serve(io).join()
    assert client.call("work") == ["done"]
    assert client.event() == ["from a thread", 1]


def test_emitting_before_there_is_a_server_reaches_nobody() -> None:
    io = Server()
    io.emit("x")
    io.of("/chat").to("room").emit("x", b"1")
    io.disconnect_sockets()
    io.sockets_join("room")


def test_what_fails_before_there_is_a_server_fails_alike() -> None:
    with pytest.raises(TypeError, match="emit\\('x'\\)"):
        Server().emit("x", object())
