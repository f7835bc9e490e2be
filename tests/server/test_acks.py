"""Acknowledgements in both directions: what answers, how often, and what ends a wait."""

from __future__ import annotations

import asyncio
import queue
import time
from collections.abc import Callable
from typing import Any

import pytest

from socketeer import AckTimeout, Disconnected, Server, Socket, UsageError
from tests.server.conftest import Served
from tests.support.raw import ACK, EVENT

Serve = Callable[[Server], Served]


# From the server.


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        (None, []),
        (0, [0]),
        (False, [False]),
        ("", [""]),
        ([], [[]]),
        ([1, 2], [[1, 2]]),
        ((), []),
        ((None,), [None]),
        ((1, "b"), [1, "b"]),
        (((1, 2),), [[1, 2]]),
        ({"a": None}, [{"a": None}]),
        ({"data": b"\0\1"}, [{"data": b"\0\1"}]),
    ],
)
def test_what_a_handler_returns_answers(serve: Serve, value: Any, answer: list[Any]) -> None:
    io = Server()
    io.event("sync one")(lambda socket: value)

    @io.event("async one")
    async def later(socket: Socket) -> Any:
        await asyncio.sleep(0)
        return value

    client = serve(io).join()
    assert client.call("sync one") == answer
    assert client.call("async one") == answer


def test_nothing_is_answered_where_nothing_was_asked(serve: Serve) -> None:
    io = Server()
    seen: list[Any] = []

    @io.event
    def returning(socket: Socket) -> int:
        return 1

    @io.event
    def asking(socket: Socket, ack: Callable[..., None] | None) -> None:
        seen.append(ack)

    client = serve(io).join()
    client.emit("returning")
    client.emit("asking")
    assert client.silent()
    assert seen == [None]


def test_a_parameter_named_ack_answers_later_and_once(serve: Serve) -> None:
    io = Server()
    acks: list[Callable[..., None]] = []

    @io.event
    def keep(socket: Socket, value: int, ack: Callable[..., None]) -> str:
        acks.append(ack)
        return "not an answer"

    served = serve(io)
    client = served.join()
    client.emit("keep", 1, id=0)
    client.emit("keep", 2, id=1)
    assert client.silent()
    served.call(acks[1], "second", {"at": 1})
    served.call(acks[0])
    served.call(acks[0], "again")
    served.call(acks[1], "again")
    assert client.packet() == (ACK, "/", 1, ["second", {"at": 1}])
    assert client.packet() == (ACK, "/", 0, [])
    assert client.silent()


@pytest.mark.parametrize("id", [0, 1, 2**31, 10**15 - 1])
def test_ids_are_the_client_s_own(serve: Serve, id: int) -> None:
    io = Server()
    io.event("x")(lambda socket: "answer")
    client = serve(io).join()
    for _ in range(2):  # nothing keeps a client from using one twice
        client.emit("x", id=id)
        assert client.packet() == (ACK, "/", id, ["answer"])


def test_an_acknowledgement_may_come_from_another_thread(serve: Serve) -> None:
    io = Server()
    acks: queue.Queue[Callable[..., None]] = queue.Queue()
    io.event("x")(lambda socket, ack: acks.put(ack))
    client = serve(io).join()
    client.emit("x", id=3)
    acks.get(timeout=20)("from afar", b"\1")
    assert client.packet() == (ACK, "/", 3, ["from afar", b"\1"])


def test_an_acknowledgement_after_the_client_left_changes_nothing(serve: Serve) -> None:
    io = Server()
    acks: list[Callable[..., None]] = []
    gone: queue.Queue[None] = queue.Queue()

    @io.event
    def keep(socket: Socket, ack: Callable[..., None]) -> None:
        acks.append(ack)

    io.event("disconnect")(lambda socket: gone.put(None))
    served = serve(io)
    client = served.join()
    client.emit("keep", id=0)
    assert client.silent()
    client.leave()
    gone.get(timeout=20)
    served.call(acks[0], "too late")
    client.join("/")  # the connection lives on, and nothing came over it
    assert client.silent()


def test_the_first_value_of_several_handlers_answers(serve: Serve) -> None:
    io = Server()
    io.event("x")(lambda socket: None)
    io.event("x")(lambda socket: "first")
    io.event("x")(lambda socket: "second")
    client = serve(io).join()
    assert client.call("x") == ["first"]
    assert client.silent()


def test_nothing_is_answered_before_the_last_of_several_handlers_has_returned(serve: Serve) -> None:
    io = Server()
    go: list[asyncio.Event] = []

    @io.event("x")
    async def slow(socket: Socket) -> str:
        go.append(asyncio.Event())
        await go[0].wait()
        return "slow but sure"

    io.event("x")(lambda socket: None)
    served = serve(io)
    client = served.join()
    client.emit("x", id=0)
    assert client.silent()
    served.call(lambda: go[0].set())
    assert client.packet() == (ACK, "/", 0, ["slow but sure"])


def test_a_handler_without_an_answer_leaves_it_to_the_one_with_the_parameter(serve: Serve) -> None:
    io = Server()
    acks: list[Callable[..., None]] = []
    io.event("x")(lambda socket, ack: acks.append(ack))
    io.event("x")(lambda socket: None)
    served = serve(io)
    client = served.join()
    client.emit("x", id=0)
    assert client.silent()
    served.call(acks[0], "the answer")
    assert client.packet() == (ACK, "/", 0, ["the answer"])


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_handler_that_fails_answers_nothing(serve: Serve, caplog: pytest.LogCaptureFixture, kind: str) -> None:
    io = Server()

    def fail(socket: Socket) -> None:
        raise RuntimeError("of the inner workings")

    async def fail_later(socket: Socket) -> None:
        await asyncio.sleep(0)
        raise RuntimeError("of the inner workings")

    io.event("x")(fail if kind == "sync" else fail_later)
    served = serve(io)
    client = served.join()
    client.emit("x", id=0)
    assert client.silent()
    served.settle()
    assert client.silent()
    assert "of the inner workings" in caplog.text
    caplog.clear()


def test_an_answer_before_a_failure_counts(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    io = Server()

    @io.event
    def x(socket: Socket, ack: Callable[..., None]) -> None:
        ack("in time")
        raise RuntimeError("too late to matter")

    client = serve(io).join()
    assert client.call("x") == ["in time"]
    assert client.silent()
    caplog.clear()


def test_an_answer_that_cannot_be_encoded_is_reported_and_another_may_follow(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    io = Server()
    errors: list[Exception] = []
    io.on("error", errors.append)

    @io.event
    def x(socket: Socket, ack: Callable[..., None]) -> None:
        with pytest.raises(TypeError, match="object"):
            ack(object())
        ack("another")

    io.event("y")(lambda socket: object())
    client = serve(io).join()
    assert client.call("x") == ["another"]
    client.emit("y", id=5)
    assert client.silent()
    assert [type(error) for error in errors] == [TypeError]
    caplog.clear()


# From one client.


def test_emit_with_a_callback(serve: Serve) -> None:
    served = serve(Server())
    client, socket = served.member()
    answers: list[Any] = []
    socket.emit("question", 1, ack=lambda *answer: answers.append(answer))
    packet = client.packet()
    assert (packet.type, packet.data) == (EVENT, ["question", 1])
    client.answer(packet, "a", [2])
    client.answer(packet, "a second time")
    assert client.silent()
    assert answers == [("a", [2])]


def test_a_callback_may_be_async_and_may_fail(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    io = Server()
    errors: list[Exception] = []
    io.on("error", errors.append)
    served = serve(io)
    client, socket = served.member()
    answers: list[Any] = []

    async def later(answer: int) -> None:
        await asyncio.sleep(0)
        answers.append(answer)
        raise KeyError("async")

    def at_once(answer: int) -> None:
        raise KeyError("sync")

    for callback in (later, at_once):
        socket.emit("question", ack=callback)
        client.answer(client.packet(), 1)
    assert client.silent()
    served.settle()
    assert answers == [1]
    assert sorted(str(error) for error in errors) == ["'async'", "'sync'"]
    caplog.clear()


@pytest.mark.parametrize(("answer", "value"), [([], None), ([1], 1), ([[]], []), ([1, 2], (1, 2)), ([None], None)])
def test_emit_with_ack_gives_the_answer(serve: Serve, answer: list[Any], value: Any) -> None:
    served = serve(Server())
    client, socket = served.member()
    waiting = asyncio.run_coroutine_threadsafe(socket.emit_with_ack("question", "x"), served.running.loop)
    packet = client.packet()
    assert packet.data == ["question", "x"]
    client.answer(packet, *answer)
    assert waiting.result(20) == value


def test_answers_find_their_questions(serve: Serve) -> None:
    served = serve(Server())
    client, socket = served.member()

    async def ask() -> list[Any]:
        return await asyncio.gather(*[socket.emit_with_ack("question", n) for n in range(20)])

    waiting = asyncio.run_coroutine_threadsafe(ask(), served.running.loop)
    packets = [client.packet() for _ in range(20)]
    assert len({packet.id for packet in packets}) == 20
    for packet in reversed(packets):
        client.answer(packet, packet.data[1] * 10)
    assert waiting.result(20) == [n * 10 for n in range(20)]


@pytest.mark.parametrize("seconds", [0, 0.05])
def test_a_wait_ends_with_the_time_limit(serve: Serve, seconds: float) -> None:
    served = serve(Server())
    client, socket = served.member()
    with pytest.raises(AckTimeout) as caught:
        served.run(socket.timeout(seconds).emit_with_ack("question"))
    assert caught.value.responses == []
    client.answer(client.packet(), "too late")
    assert client.silent()
    assert socket.connected


def test_a_wait_without_a_limit_outlives_the_limits_of_others(serve: Serve) -> None:
    served = serve(Server())
    client, socket = served.member()
    waiting = asyncio.run_coroutine_threadsafe(socket.emit_with_ack("first"), served.running.loop)
    first = client.packet()
    with pytest.raises(AckTimeout):
        served.run(socket.timeout(0.05).emit_with_ack("second"))
    client.answer(first, "in its own time")
    assert waiting.result(20) == "in its own time"


def test_a_callback_with_a_time_limit_gets_an_error_first(serve: Serve) -> None:
    served = serve(Server())
    client, socket = served.member()
    calls: queue.Queue[tuple[Any, ...]] = queue.Queue()
    socket.timeout(5).emit("question", ack=lambda *args: calls.put(args))
    client.answer(client.packet(), "a", "b")
    assert calls.get(timeout=20) == (None, "a", "b")
    socket.timeout(0.02).emit("question", ack=lambda *args: calls.put(args))
    (error,) = calls.get(timeout=20)
    assert isinstance(error, AckTimeout)
    socket.timeout(5).emit("question", ack=lambda *args: calls.put(args))
    client.close()
    (error,) = calls.get(timeout=20)
    assert isinstance(error, Disconnected)
    assert calls.empty()


@pytest.mark.parametrize("how", ["connection", "namespace", "server"])
def test_a_wait_ends_as_soon_as_the_client_is_gone(serve: Serve, how: str) -> None:
    served = serve(Server())
    client, socket = served.member()
    waiting = asyncio.run_coroutine_threadsafe(socket.timeout(30).emit_with_ack("question"), served.running.loop)
    client.packet()
    started = time.monotonic()
    end: dict[str, Callable[[], None]] = {
        "connection": client.close,
        "namespace": client.leave,
        "server": socket.disconnect,
    }
    end[how]()
    with pytest.raises(Disconnected):
        waiting.result(20)
    assert time.monotonic() - started < 10
    with pytest.raises(Disconnected):
        served.run(socket.timeout(30).emit_with_ack("question"))
    with pytest.raises(Disconnected):
        served.run(socket.emit_with_ack("question"))


def test_a_wait_may_be_cancelled(serve: Serve) -> None:
    served = serve(Server())
    client, socket = served.member()

    async def ask() -> None:
        for wait in (socket.emit_with_ack("question"), socket.timeout(30).emit_with_ack("question")):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(wait, 0.02)

    served.run(ask())
    assert not socket._acks, "nothing is kept of a question that nobody waits for"
    for packet in (client.packet(), client.packet()):
        client.answer(packet, "too late")
    assert client.silent()


def test_a_wait_in_another_event_loop_is_refused(serve: Serve) -> None:
    served = serve(Server())
    client, socket = served.member()
    with pytest.raises(UsageError, match="event loop"):
        asyncio.run(socket.emit_with_ack("question"))
    assert client.silent()


@pytest.mark.parametrize(
    ("seconds", "error"),
    [
        (-1, ValueError),
        (float("inf"), ValueError),
        (float("nan"), ValueError),
        ("5", TypeError),
        (None, TypeError),
        (True, TypeError),
    ],
)
def test_a_time_limit_is_a_number_of_seconds(serve: Serve, seconds: Any, error: type[Exception]) -> None:
    io = Server()
    with pytest.raises(error, match="timeout"):
        io.timeout(seconds)
    _, socket = serve(io).member()
    with pytest.raises(error, match="timeout"):
        socket.timeout(seconds)


def test_a_volatile_question_that_was_dropped_ends_as_others_do(serve: Serve) -> None:
    served = serve(Server())
    client, socket = served.member()

    async def ask() -> None:
        socket.emit("flood", "x" * 8_000_000)  # more than the buffers of both ends take
        with pytest.raises(AckTimeout):
            await socket.volatile.timeout(0.05).emit_with_ack("dropped")
        wait = asyncio.ensure_future(socket.volatile.emit_with_ack("dropped"))
        await asyncio.sleep(0)
        socket.disconnect(close=True)
        with pytest.raises(Disconnected):
            await wait

    served.run(ask())
    assert client.event()[0] == "flood"
    client.closed()


def test_an_answer_to_no_question_changes_nothing(serve: Serve) -> None:
    client = serve(Server()).join()
    client.send('312345["nobody asked"]')
    client.send("30[]")
    assert client.silent()
