"""Events and acknowledgements both ways, as every server and every transport carries them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from socketeer import AckTimeout, ClientSocket
from tests.client.servers import Peer, in_loop

VALUES: list[Any] = [
    *(0, -1, 2**53, 0.5, 1e300, True, False, None),
    *("", "é € \U0001f600 \u2028 \0", "\ud800 alone", {"__proto__": 1, "": {"deep": [[], {}, [[None]]]}}),
]
BYTES: list[Any] = [
    b"",
    bytes(range(256)),
    {"deep": [{"er": [b"\0", "text", b"\x1e" * 3]}], "beside": 1},
    [b"1", b"2", [b"3"], b"4"],
]
MEGABYTE = 1_000_000


class Note:
    """Keep what handlers were called with."""

    def __init__(self, *values: Any) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self._answer = values

    def __call__(self, *args: Any) -> Any:
        self.calls.append(args)
        return self._answer or None


async def ask(socket: ClientSocket, event: str, *args: Any) -> list[Any]:
    """Let the server ask this client, and give what the client answered."""
    socket.emit("ask", event, *args)
    while (received := await socket.receive(5)).event != "answered":
        pass
    return received.args


@in_loop
async def test_values_come_back(server: Peer, transport: str) -> None:
    async with server.open("", transport) as socket:
        for event in ("echo", 7):
            socket.emit(event, *VALUES)
            assert await socket.receive(5) == (event, VALUES)
            assert await socket.emit_with_ack(event, *VALUES) == tuple(VALUES)
        socket.emit("echo")
        assert await socket.receive(5) == ("echo", [])
        assert await socket.emit_with_ack("echo") is None
        assert await socket.emit_with_ack("echo", [1]) == [1]


@in_loop
async def test_bytes_come_back_wherever_they_are(server: Peer, transport: str) -> None:
    async with server.open("", transport) as socket:
        socket.emit("binary", *BYTES)
        assert await socket.receive(5) == ("binary", BYTES)
        assert await socket.emit_with_ack("binary", *BYTES) == tuple(BYTES)
        socket.on("question", lambda *args: args)
        assert await ask(socket, "question", *BYTES) == BYTES
        ten = [bytes([i]) for i in range(10)]
        assert await socket.emit_with_ack("echo", *ten) == tuple(ten)
        assert await socket.emit_with_ack("echo", bytearray(b"\1\2"), memoryview(b"\3")) == (b"\1\2", b"\3")
        with pytest.raises(ValueError, match="attachments"):
            socket.emit("echo", *ten, b"")


@in_loop
async def test_a_megabyte_both_ways(server: Peer, transport: str) -> None:
    text, data = "é" * (MEGABYTE // 2), bytes(range(250)) * (MEGABYTE // 250)
    async with server.open("", transport) as socket:
        assert await socket.emit_with_ack("echo", text) == text
        assert await socket.emit_with_ack("echo", data) == data
        socket.emit("flood", 3, MEGABYTE)
        assert [(await socket.receive(5)).args for _ in range(3)] == [[i, "x" * MEGABYTE] for i in range(3)]


@in_loop
async def test_order_is_kept_both_ways_also_while_it_upgrades(server: Peer, transport: str) -> None:
    async with server.connect("", transport) as socket:
        sent: list[list[Any]] = []
        answers: list[int] = []
        for number in range(200):
            sent.append([number, [b"%d" % number, "x" * number * 20, number][number % 3]])
            socket.emit("echo", *sent[-1])
            socket.emit("echo", number, ack=answers.append)
            if number % 10 == 0:
                await asyncio.sleep(0.001)
        socket.emit("flood", 100, 10)
        socket.emit("flood", 100, 10, True)
        floods = [[i, "x" * 10] for i in range(100)] + [[i, bytes([i]) * 10] for i in range(100)]
        expected: list[Any] = [*(("echo", args) for args in sent), *(("flood", args) for args in floods)]
        assert [await socket.receive(5) for _ in expected] == expected
        assert answers == list(range(200))
        assert socket.transport == ("polling" if transport == "polling" else "websocket")


@in_loop
async def test_acknowledgements(server: Peer, transport: str) -> None:
    async with server.open("", transport) as socket:
        got = Note()
        socket.emit("twice", ack=got)
        socket.emit("never", ack=got)
        socket.emit("echo", 1, 2, ack=got)
        socket.emit("echo", ack=got)
        socket.timeout(5).emit("echo", 3, ack=got)
        socket.timeout(0).emit("never", ack=got)
        later = asyncio.create_task(socket.emit_with_ack("late", 20, "later"))
        assert await socket.timeout(5).emit_with_ack("late", 0, "sooner", 2) == ("sooner", 2)
        assert await later == "later"
        with pytest.raises(AckTimeout, match="timed out"):
            await socket.timeout(0.02).emit_with_ack("never")
        calls = sorted(got.calls, key=len)
        (failure,) = next(call for call in calls if call and isinstance(call[0], AckTimeout))
        assert isinstance(failure, AckTimeout)
        calls.remove((failure,))
        assert calls == [(), ("first",), (1, 2), (None, 3)]


@in_loop
async def test_an_acknowledgement_that_comes_too_late_is_nothing(server: Peer) -> None:
    async with server.open("", "websocket") as socket:
        got = Note()
        socket.timeout(0.01).emit("late", 400, ack=got)
        with pytest.raises(AckTimeout):
            await socket.timeout(0.01).emit_with_ack("late", 400)
        await socket.emit_with_ack("late", 430)
        assert [type(error) for (error,) in got.calls] == [AckTimeout]


@in_loop
async def test_the_server_is_answered_with_what_handlers_return(server: Peer, transport: str) -> None:
    async with server.open("", transport) as socket:
        socket.on("one", lambda n: n + 1)
        socket.on("several", lambda: (1, b"2", {"3": 4}))
        socket.on("a list", lambda: [1, 2])
        socket.on("nothing", lambda: None)

        @socket.on("async")
        async def later(a: int, b: int) -> int:
            await asyncio.sleep(0.01)
            return a * b

        @socket.on("by itself")
        async def itself(question: str, ack: Any) -> None:
            await asyncio.sleep(0.01)
            ack(question, b"answer")
            ack("again")

        @socket.on("two handlers")
        def first() -> None: ...

        @socket.on("two handlers")
        async def second() -> str:
            return "the second"

        assert await ask(socket, "one", 1) == [2]
        assert await ask(socket, "several") == [1, b"2", {"3": 4}]
        assert await ask(socket, "a list") == [[1, 2]]
        assert await ask(socket, "nothing") == []
        assert await ask(socket, "async", 6, 7) == [42]
        assert await ask(socket, "by itself", "q") == ["q", b"answer"]
        assert await ask(socket, "two handlers") == ["the second"]
        socket.emit("ask", "nobody listens", 1)
        question = await socket.receive(5)
        assert question.ack is not None
        question.ack("but it is answered")
        assert question == ("nobody listens", [1])
        assert (await socket.receive(5)).args == ["but it is answered"]


@in_loop
async def test_handlers_start_in_the_order_of_the_events(server: Peer) -> None:
    async with server.open("", "websocket") as socket:
        order: list[Any] = []

        @socket.on("flood")
        async def slow(number: int, _: str) -> None:
            order.append(number)
            await asyncio.sleep(0.001 * (5 - number))
            order.append(("done", number))

        @socket.on("flood")
        def quick(number: int, _: str) -> None:
            order.append(("quick", number))

        socket.on("echo", lambda: order.append("echo"))
        socket.emit("flood", 5, 1)
        socket.emit("echo")
        await socket.emit_with_ack("late", 50)
        started = [entry for entry in order if entry == "echo" or isinstance(entry, int) or entry[0] == "quick"]
        assert started == [entry for n in range(5) for entry in (n, ("quick", n))] + ["echo"]
        assert {entry[1] for entry in order if isinstance(entry, tuple) and entry[0] == "done"} == set(range(5))


@in_loop
async def test_rooms_and_everybody(server: Peer) -> None:
    async with server.open("", "websocket") as one, server.open("", "polling") as other:
        room = f"room of {one.id}"
        assert await one.emit_with_ack("join", room) == [room]
        await other.emit_with_ack("echo")
        one.emit("room emit", room, "news", b"\1")
        assert await one.receive(5) == ("news", [b"\1"])
        one.emit("broadcast", "for others", 1)
        assert await other.receive(5) == ("for others", [1])
        one.emit("emit to all", "for all", 2)
        assert [await one.receive(5), await other.receive(5)] == [("for all", [2])] * 2


@in_loop
async def test_send_is_an_event_called_message(ours: Peer) -> None:
    async with ours.open("", "websocket") as socket:
        sent = Note()
        socket.on_any_outgoing(sent)
        socket.send("one", 2)
        socket.write("three")
        socket.timeout(1).send("four")
        assert sent.calls == [("message", "one", 2), ("message", "three"), ("message", "four")]


# What has nothing to do with the server


@in_loop
async def test_listening(ours: Peer) -> None:
    async with ours.open("", "websocket") as socket:
        one, other, once, anything, first = Note(), Note(), Note(), Note(), Note()
        assert socket.on("echo", one) is one
        socket.on("echo")(other)
        socket.once("echo", once)
        socket.once("echo")(once)
        socket.on_any(anything)
        socket.prepend_any(first)
        assert socket.listeners("echo") == [one, other, once, once]
        assert socket.listeners_any() == [first, anything]
        assert socket.event_names() == ["echo"]
        for number in range(2):
            socket.emit("echo", number)
        await socket.emit_with_ack("echo")
        assert one.calls == other.calls == [(0,), (1,)]
        assert once.calls == [(0,), (0,)]
        assert first.calls == anything.calls == [("echo", 0), ("echo", 1)]
        socket.off("echo", one)
        socket.off_any(first)
        assert socket.listeners("echo") == [other]
        socket.off("echo")
        socket.off_any()
        assert (socket.listeners("echo"), socket.listeners_any(), socket.event_names()) == ([], [], [])
        socket.emit("echo", 2)
        assert await socket.receive(5) == ("echo", [2])
        assert len(one.calls) == len(first.calls) == 2


@in_loop
async def test_catch_alls_of_what_is_sent(ours: Peer) -> None:
    socket = ours.connect("", "websocket")
    shown, first = Note(), Note()
    socket.on_any_outgoing(shown)
    socket.prepend_any_outgoing(first)
    socket.emit("echo", "buffered", b"1")
    socket.volatile.emit("echo", "dropped")
    assert shown.calls == []
    async with socket:
        await socket.emit_with_ack("echo", 2)
        assert shown.calls == first.calls == [("echo", "buffered", b"1"), ("echo", 2)]
        assert socket.listeners_any_outgoing() == [first, shown]
        socket.off_any_outgoing(shown)
        socket.on("question", lambda: "an answer is no event")
        await ask(socket, "question")
        assert len(shown.calls) == 2
        assert first.calls[2:] == [("ask", "question")]
        socket.off_any_outgoing()
        assert socket.listeners_any_outgoing() == []


@pytest.mark.parametrize("event", ["connect_error", "disconnecting", "newListener", "connect", "disconnect"])
@in_loop
async def test_reserved_names_are_not_sent(ours: Peer, event: str) -> None:
    socket = ours.connect("", "websocket", auto_connect=False)
    with pytest.raises(ValueError, match="reserved event name"):
        socket.emit(event)


@in_loop
async def test_what_cannot_be_sent_or_heard_says_so(ours: Peer) -> None:
    async with ours.open("", "websocket") as socket:
        with pytest.raises(TypeError, match="emit\\('echo'\\)"):
            socket.emit("echo", object())
        with pytest.raises(TypeError, match="pass it as ack="):
            socket.emit("echo", lambda: None)
        with pytest.raises(TypeError, match="name of an event"):
            socket.emit(None)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="on\\('news'\\)"):
            socket.on(print)  # type: ignore[call-overload]
        with pytest.raises(Exception, match="no event that a server can send"):
            socket.on("disconnecting", print)
        for seconds in (-1, float("inf"), float("nan")):
            with pytest.raises(ValueError, match="timeout"):
                socket.timeout(seconds)
        with pytest.raises(TypeError, match="timeout"):
            socket.timeout("1")  # type: ignore[arg-type]
        assert await socket.emit_with_ack("echo", 1) == 1


@in_loop
async def test_what_handlers_raise_is_logged_and_ends_nothing(ours: Peer, caplog: pytest.LogCaptureFixture) -> None:
    async with ours.open("", "websocket") as socket:
        after = Note()

        @socket.on("echo")
        def fails(*_: Any) -> None:
            raise RuntimeError("by a handler")

        @socket.on("echo")
        async def fails_later(*_: Any) -> None:
            await asyncio.sleep(0)
            raise RuntimeError("by a coroutine")

        @socket.on("echo")
        def typed(number: int) -> None: ...

        def callback(*_: Any) -> None:
            raise RuntimeError("by a callback")

        socket.on("echo", after)
        socket.emit("echo", "no number")
        socket.emit("echo", ack=callback)
        await socket.emit_with_ack("echo")
        assert await socket.emit_with_ack("late", 10, "alive") == "alive"
        assert after.calls == [("no number",)]
        text = caplog.text
        for words in ("by a handler", "by a coroutine", "by a callback", "a handler of 'echo' failed", "number"):
            assert words in text
        assert "Traceback" in text


@in_loop
async def test_a_thread_may_emit(ours: Peer) -> None:
    async with ours.open("", "websocket") as socket:

        def emit() -> None:
            for number in range(50):
                socket.emit("echo", number)

        await asyncio.gather(*(asyncio.to_thread(emit) for _ in range(3)))
        received = [(await socket.receive(5)).args[0] for _ in range(150)]
        assert sorted(received) == sorted(list(range(50)) * 3)
