"""Ordinary ASGI WebSockets under our protocol class: the same tests over uvicorn's own class say what is ordinary."""

from __future__ import annotations

import asyncio
import queue
import struct
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.transports.behaving import accept, behaving, connect, echo, forget
from tests.wire.peers import CLOSE, PING, PONG, TEXT, Closed, WebSocketPeer, eventually, frame


def test_text_and_bytes(lane: str) -> None:
    with behaving(echo, lane) as running:
        peer = connect(running.port)
        for data in ("text", "", "\u20ac\U0001f600\0", b"", b"\0\xff", "x" * 70_000, b"y" * 200_000):
            peer.send(data)
            assert peer.receive() == data
        peer.raw(frame(TEXT, b"in ", fin=False) + frame(0, b"frag", fin=False) + frame(0, b"ments"))
        assert peer.receive() == "in fragments"
        peer.close()


def test_many_messages_at_once_keep_their_order(lane: str) -> None:
    with behaving(echo, lane) as running:
        peer = connect(running.port)
        peer.raw(b"".join(frame(TEXT, b"%d" % n) for n in range(1000)))
        assert [peer.receive() for _ in range(1000)] == [str(n) for n in range(1000)]
        peer.close()


@pytest.mark.parametrize("code", [1000, 1001, 3000, 4999])
def test_a_close_of_the_application(lane: str, code: int) -> None:
    seen: list[Any] = []

    async def close(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await accept(receive, send)
        await send({"type": "websocket.send", "text": "last words"})
        await send({"type": "websocket.close", "code": code, "reason": "why not"})
        seen.append(await receive())

    with behaving(close, lane) as running:
        peer = connect(running.port)
        assert peer.receive() == "last words"
        with pytest.raises(Closed) as caught:
            peer.receive()
        assert (caught.value.code, caught.value.reason) == (code, "why not")
        eventually(lambda: seen)
    assert seen == [{"type": "websocket.disconnect", "code": code, "reason": "why not"}]


def test_a_close_without_a_code_is_an_ordinary_one(lane: str) -> None:
    async def close(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await accept(receive, send)
        await send({"type": "websocket.close"})

    with behaving(close, lane) as running:
        assert connect(running.port).closed() == 1000


@pytest.mark.parametrize(
    ("end", "codes", "reason"),
    [
        (lambda peer: peer.raw(frame(CLOSE, struct.pack("!H", 1000))), {1000}, ""),
        (lambda peer: peer.raw(frame(CLOSE, struct.pack("!H", 4321) + b"because")), {4321}, "because"),
        (lambda peer: peer.raw(frame(CLOSE)), {1005}, ""),
        # uvicorn's class has 1005 here too, though the connection did not end as it should.
        (lambda peer: peer.close(), {1006, 1005}, ""),
        (lambda peer: peer.close(reset=True), {1006, 1005}, ""),
    ],
)
def test_the_application_learns_how_the_client_left(
    lane: str, end: Callable[[WebSocketPeer], None], codes: set[int], reason: str
) -> None:
    seen: queue.Queue[Any] = queue.Queue()

    async def note(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await accept(receive, send)
        await receive()
        seen.put(await receive())
        try:
            await send({"type": "websocket.send", "text": "too late"})
        except OSError:
            seen.put("told so")

    with behaving(note, lane) as running:
        peer = connect(running.port)
        peer.send("hello")
        end(peer)
        message = seen.get(timeout=20)
        assert message["type"] == "websocket.disconnect"
        assert message["code"] in codes
        assert message.get("reason", "") == reason
        assert seen.get(timeout=20) == "told so"
        peer.close()


def test_messages_before_the_end_come_before_it(lane: str) -> None:
    seen: queue.Queue[Any] = queue.Queue()

    async def note(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await accept(receive, send)
        await asyncio.sleep(0.1)
        for _ in range(4):
            message = await receive()
            seen.put(message.get("text") or message["type"])

    with behaving(note, lane) as running:
        peer = connect(running.port)
        peer.raw(frame(TEXT, b"a") + frame(TEXT, b"b") + frame(TEXT, b"c") + frame(CLOSE, struct.pack("!H", 1000)))
        assert [seen.get(timeout=20) for _ in range(4)] == ["a", "b", "c", "websocket.disconnect"]
        assert peer.closed() == 1000


@pytest.mark.parametrize(
    "message",
    [
        {"type": "websocket.accept"},
        {"type": "http.response.start", "status": 200},
        {"type": "websocket.http.response.start", "status": 200, "headers": []},
        {"type": "nonsense"},
    ],
)
def test_a_message_out_of_place_is_the_application_s_error(lane: str, message: dict[str, Any]) -> None:
    async def confuse(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await accept(receive, send)
        with pytest.raises(RuntimeError):
            await send(message)
        await send({"type": "websocket.send", "text": "still here"})
        await receive()

    with behaving(confuse, lane) as running:
        peer = connect(running.port)
        assert peer.receive() == "still here"
        peer.close()


def test_what_is_sent_behind_a_close_is_the_application_s_error(lane: str) -> None:
    seen: queue.Queue[str] = queue.Queue()

    async def confuse(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await accept(receive, send)
        await send({"type": "websocket.close"})
        try:
            await send({"type": "websocket.send", "text": "more"})
        except (RuntimeError, OSError) as error:
            seen.put(type(error).__name__)
        else:
            seen.put("nothing")

    with behaving(confuse, lane) as running:
        peer = connect(running.port)
        assert peer.rest() == ([], 1000)
        assert seen.get(timeout=20) != "nothing"


def test_a_ping_is_answered_whatever_the_application_does(lane: str) -> None:
    async def sleep(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await accept(receive, send)
        await asyncio.sleep(0.5)

    with behaving(sleep, lane) as running:
        peer = connect(running.port)
        peer.raw(frame(PING, b"are you there"))
        assert peer.receive_frame() == (PONG, b"are you there")
        peer.close()


def test_a_client_that_answers_no_ping_is_left(lane: str) -> None:
    seen: queue.Queue[Any] = queue.Queue()

    async def note(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await accept(receive, send)
        seen.put(await receive())

    with behaving(note, lane, ws_ping_interval=0.2, ws_ping_timeout=0.2) as running:
        peer = connect(running.port)
        assert peer.receive_frame()[0] == PING
        assert seen.get(timeout=20)["type"] == "websocket.disconnect"
        peer.close()


def test_a_message_that_is_too_large_ends_the_connection(lane: str) -> None:
    with behaving(echo, lane, ws_max_size=1000) as running:
        peer = connect(running.port)
        peer.send("x" * 1000)
        assert peer.receive() == "x" * 1000
        peer.send("x" * 1001)
        assert peer.closed() in (1009, 1006)


def test_text_that_is_not_utf_8_ends_the_connection(lane: str, caplog: pytest.LogCaptureFixture) -> None:
    seen: queue.Queue[Any] = queue.Queue()

    async def note(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await accept(receive, send)
        seen.put(await receive())

    with behaving(note, lane) as running:
        peer = connect(running.port)
        peer.raw(frame(TEXT, b"\xff\xfe"))
        assert peer.closed() in (1007, 1006)
        assert seen.get(timeout=20)["type"] == "websocket.disconnect"
        forget(running, "Invalid UTF-8")
    caplog.clear()


def test_an_application_that_does_not_receive_holds_the_client_back(lane: str) -> None:
    gates: list[asyncio.Event] = []
    received: list[int] = []

    async def wait(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await accept(receive, send)
        gates.append(asyncio.Event())
        await gates[0].wait()
        while (message := await receive())["type"] == "websocket.receive":
            received.append(len(message["bytes"]))

    with behaving(wait, lane) as running:
        peer = connect(running.port)
        eventually(lambda: gates)
        data = frame(2, b"x" * 100_000) * 400
        peer.sock.settimeout(0.5)
        sent = 0
        try:
            while sent < len(data):
                sent += peer.sock.send(data[sent : sent + 100_000])
        except TimeoutError:
            pass
        assert sent < 30_000_000, "the server takes whatever comes"
        running.call(gates[0].set)
        peer.sock.settimeout(10)
        peer.sock.sendall(data[sent:])
        eventually(lambda: len(received) == 400, 10)
        assert set(received) == {100_000}
        peer.close()


def test_a_client_that_does_not_read_holds_the_application_back(lane: str) -> None:
    sent: list[int] = []

    async def flood(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await accept(receive, send)
        for n in range(400):
            await send({"type": "websocket.send", "bytes": b"x" * 100_000})
            sent.append(n)
        await send({"type": "websocket.close"})

    with behaving(flood, lane) as running:
        peer = connect(running.port)
        before = -1
        while len(sent) != before:
            before = len(sent)
            time.sleep(0.3)
        assert before < 300, "the server buffers whatever is sent"
        messages, code = peer.rest()
        assert (len(messages), code) == (400, 1000)


@pytest.mark.parametrize("waiting", [30, 31, 32, 33, 100])
def test_an_application_may_close_with_messages_unread(lane: str, waiting: int) -> None:
    seen: queue.Queue[str] = queue.Queue()

    async def close(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await accept(receive, send)
        await asyncio.sleep(0.2)
        await send({"type": "websocket.close", "code": 3001})
        seen.put("closed")

    with behaving(close, lane) as running:
        peer = connect(running.port)
        peer.raw(b"".join(frame(TEXT, b"unread") for _ in range(waiting)))
        assert peer.rest() == ([], 3001)
        assert seen.get(timeout=20) == "closed"
        peer.sock.settimeout(5)
        assert peer.sock.recv(1) == b"", "the connection stays open"


@pytest.mark.parametrize("waiting", [0, 30, 31, 32, 33])
def test_a_client_may_leave_with_its_messages_unread(lane: str, waiting: int) -> None:
    seen: queue.Queue[list[str]] = queue.Queue()

    async def read_late(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await accept(receive, send)
        await asyncio.sleep(0.2)
        kinds: list[str] = []
        while not kinds or kinds[-1] != "websocket.disconnect":
            kinds.append((await receive())["type"])
        seen.put(kinds)

    with behaving(read_late, lane) as running:
        peer = connect(running.port)
        peer.raw(b"".join(frame(TEXT, b"unread") for _ in range(waiting)) + frame(CLOSE, struct.pack("!H", 1000)))
        assert seen.get(timeout=20) == ["websocket.receive"] * waiting + ["websocket.disconnect"]


def test_a_client_that_does_not_answer_a_close_is_left_after_a_while() -> None:
    async def close(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await accept(receive, send)

    with behaving(close, "fast") as running:  # ten seconds on the other lane
        peer = connect(running.port)
        started = time.monotonic()
        assert peer.receive_frame()[0] == CLOSE
        assert peer.sock.recv(1) == b""
        assert 1 < time.monotonic() - started < 9


def test_uvicorn_stops_while_connections_are_open(lane: str) -> None:
    seen: queue.Queue[Any] = queue.Queue()

    async def note(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await accept(receive, send)
        seen.put(await receive())

    with behaving(note, lane) as running:
        peer = connect(running.port)
    message = seen.get(timeout=20)
    assert (message["type"], message["code"]) == ("websocket.disconnect", 1012)
    assert peer.closed() == 1012
