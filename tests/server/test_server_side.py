"""Events among servers: what one server alone makes of them, and what comes from others through an adapter."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest

from socketeer import AckTimeout, MemoryAdapter, Namespace, Server, UsageError
from tests.server.conftest import Served
from tests.wire.peers import eventually

Serve = Callable[[Server], Served]


class Twin(MemoryAdapter):
    """Stand for a cluster of two: what is sent arrives at the namespace itself, as if from the other server."""

    def __init__(self, namespace: Namespace) -> None:
        super().__init__(namespace.name, namespace.sockets)
        self._namespace = namespace

    async def server_count(self) -> int:
        """Count both."""
        return 2

    def server_side_emit(self, args: list[Any], collector: Any = None) -> None:
        """Deliver."""
        if collector is None:
            self._namespace.receive_server_side_emit(args)
        else:
            collector.expect(1)
            self._namespace.receive_server_side_emit(args, lambda *answer: collector.answered(list(answer)))


def twins(**options: Any) -> Server:
    return Server(adapter=Twin, **options)


def test_a_server_alone_has_nobody_to_tell(serve: Serve) -> None:
    io = Server()
    answers: list[Any] = []
    io.on("x", lambda *args: pytest.fail("it is for the others"))
    served = serve(io)
    io.server_side_emit("x", 1)
    io.of("/chat").server_side_emit("x", ack=lambda error, responses: answers.append((error, responses)))
    eventually(lambda: answers == [(None, [])])
    assert served.run(io.server_side_emit_with_ack("x")) == []
    assert served.run(io.sockets.adapter.server_count()) == 1


def test_an_event_of_another_server_reaches_the_handlers_of_its_namespace(serve: Serve) -> None:
    io = twins()
    heard: list[Any] = []
    io.on("x", lambda *args: heard.append(args))
    io.once("x", lambda first: heard.append(("once", first)))
    io.of("/chat").on("x", lambda *args: heard.append(("chat", *args)))

    @io.on("x")
    async def later(*args: Any) -> None:
        await asyncio.sleep(0.001)
        heard.append(("later", *args))

    serve(io)
    held = {"not": b"copied"}
    for n in range(2):
        io.server_side_emit("x", n, held)
    eventually(lambda: len(heard) == 5)
    assert [entry for entry in heard if entry[0] != "later"] == [(0, held), ("once", 0), (1, held)]
    assert [entry for entry in heard if entry[0] == "later"] == [("later", 0, held), ("later", 1, held)]


@pytest.mark.parametrize(
    ("value", "answer"), [("one", "one"), (None, None), ((1, 2), (1, 2)), ([1, 2], [1, 2]), ((), None)]
)
def test_what_a_handler_returns_answers(serve: Serve, value: Any, answer: Any) -> None:
    io = twins()

    @io.on("sync")
    def sync(number: int) -> Any:
        return value

    @io.on("async")
    async def later(number: int) -> Any:
        await asyncio.sleep(0)
        return value

    @io.on("ack")
    def by_hand(number: int, ack: Any) -> None:
        ack(*(value if isinstance(value, tuple) else () if value is None else (value,)))

    served = serve(io)
    for event in ("sync", "async", "ack"):
        assert served.run(io.server_side_emit_with_ack(event, 1)) == [answer]


def test_one_of_several_handlers_answers(serve: Serve) -> None:
    io = twins()
    io.on("x", lambda: "first")
    io.on("x", lambda: "second")
    served = serve(io)
    assert served.run(io.server_side_emit_with_ack("x")) == ["first"]


def test_a_handler_that_fails_is_reported_and_does_not_answer(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    io = twins(ack_timeout=0.05)
    errors: list[Any] = []
    io.on("error", lambda error, socket, event: errors.append((str(error), socket, event)))

    @io.on("x")
    def fail() -> None:
        raise ValueError("no")

    served = serve(io)
    with pytest.raises(AckTimeout) as caught:
        served.run(io.server_side_emit_with_ack("x"))
    assert caught.value.responses == []
    assert errors == [("no", None, "x")]
    answers: list[Any] = []
    io.server_side_emit("x", ack=lambda error, responses: answers.append((type(error), responses)))
    eventually(lambda: answers == [(AckTimeout, [])])
    caplog.clear()


@pytest.mark.parametrize("event", ["connection", "connect", "error", "new_namespace"])
def test_the_events_of_a_namespace_itself_are_its_own(serve: Serve, event: str) -> None:
    io = twins()
    io.on(event, lambda *args: pytest.fail("nobody connected"))
    served = serve(io)
    with pytest.raises(ValueError, match="event of the namespace itself"):
        io.server_side_emit(event)
    with pytest.raises(ValueError, match="event of the namespace itself"):
        served.run(io.server_side_emit_with_ack(event))
    served.call(io.sockets.receive_server_side_emit, [event, 1])  # whatever another server sends
    served.settle()


@pytest.mark.parametrize("event", ["disconnect", "disconnecting"])
def test_the_events_of_a_socket_belong_elsewhere(event: str) -> None:
    with pytest.raises(UsageError, match=r"socket\.on"):
        Server().on(event, print)


def test_a_parent_tells_no_other_server(serve: Serve) -> None:
    parent = Server().of(re.compile("^/x"))
    with pytest.raises(UsageError, match="parent namespace"):
        parent.server_side_emit("x")


def test_an_event_of_a_client_that_was_listened_for_in_the_wrong_place(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    io = Server()
    io.on("chat", lambda *args: pytest.fail("it is for other servers"))
    served = serve(io)
    client = served.join()
    for _ in range(3):
        client.emit("chat", 1)
    client.emit("nobody knows it")
    assert client.silent()
    (message,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "@io.event('chat')" in message
    caplog.clear()
