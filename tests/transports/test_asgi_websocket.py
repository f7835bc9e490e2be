"""Ordinary ASGI WebSockets under our protocol class: the same tests over uvicorn's own class say what is ordinary."""

from __future__ import annotations

import asyncio
import logging
import queue
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from socketeer import Server
from tests.support.serving import Running, serving
from tests.wire.peers import CLOSE, PING, PONG, TEXT, Closed, Refused, WebSocketPeer, eventually, frame

Behaviour = Callable[[dict[str, Any], Any, Any], Any]


@contextmanager
def behaving(behaviour: Behaviour, lane: str, **options: Any) -> Iterator[Running]:
    """Serve an application beside a Server that behaves so on every WebSocket."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        assert scope["type"] in ("websocket", "lifespan")
        if scope["type"] == "websocket":
            await behaviour(scope, receive, send)
        else:
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})

    with serving(Server().attach(app), lane, **options) as running:
        yield running


_peers: list[WebSocketPeer] = []


@pytest.fixture(autouse=True)
def peers_are_closed() -> Iterator[None]:
    yield
    while _peers:
        _peers.pop().close()


def connect(port: int, target: str = "/", headers: list[tuple[str, str]] | None = None) -> WebSocketPeer:
    """Open a WebSocket that is closed when the test ends."""
    _peers.append(WebSocketPeer(port, target, headers or ()))
    return _peers[-1]


async def accept(receive: Any, send: Any, **message: Any) -> None:
    assert await receive() == {"type": "websocket.connect"}
    await send({"type": "websocket.accept", **message})


async def echo(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await accept(receive, send)
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")})


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


def test_messages_right_behind_the_request_are_not_lost(lane: str) -> None:
    async def slow(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await asyncio.sleep(0.05)
        await echo(scope, receive, send)

    with behaving(slow, lane) as running:
        peer = connect(running.port, "/", [("X", "y")])
        peer.send("first")
        peer.send(b"second")
        assert [peer.receive(), peer.receive()] == ["first", b"second"]
        peer.close()


def test_the_scope_tells_of_the_request(lane: str) -> None:
    scopes: list[dict[str, Any]] = []

    async def note(scope: dict[str, Any], receive: Any, send: Any) -> None:
        scopes.append(scope)
        await echo(scope, receive, send)

    with behaving(note, lane, root_path="/root") as running:
        headers = [("X-One", "1"), ("X-Two", " spaced "), ("x-one", "\u00e4 again")]
        headers += [("Sec-WebSocket-Protocol", "a, b"), ("Sec-WebSocket-Protocol", "c")]
        peer = connect(running.port, "/a%20b/%C3%A4?q=%20x&y", headers)
        peer.close()
    (scope,) = scopes
    wanted = {
        "type": "websocket",
        "http_version": "1.1",
        "scheme": "ws",
        "path": "/root/a b/\u00e4",
        "raw_path": b"/root/a%20b/%C3%A4",
        "root_path": "/root",
        "query_string": b"q=%20x&y",
        "server": ("127.0.0.1", running.port),
        "subprotocols": ["a", "b", "c"],
        "state": {},
    }
    assert {name: scope[name] for name in wanted} == wanted
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.4"}
    assert scope["client"][0] == "127.0.0.1"
    assert "websocket.http.response" in scope["extensions"]
    fields = scope["headers"]
    assert (b"host", f"127.0.0.1:{running.port}".encode()) in fields
    assert [value for name, value in fields if name == b"x-one"] == [b"1", "\u00e4 again".encode()]
    assert (b"x-two", b"spaced") in fields


def test_the_answer_has_the_headers_and_the_subprotocol_of_the_application(lane: str) -> None:
    async def choose(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await accept(
            receive, send, subprotocol="b", headers=[(b"x-one", b"1"), (b"set-cookie", b"a"), (b"set-cookie", b"b")]
        )
        await receive()

    with behaving(choose, lane, headers=[("x-default", "yes")]) as running:
        peer = _Handshake(running.port, "Sec-WebSocket-Protocol: a, b")
        lines = peer.answer()
        assert lines[0].startswith("HTTP/1.1 101 ")
        fields = [(name.lower(), value) for name, _, value in (line.partition(": ") for line in lines[1:])]
        peer.close()
    for field in (
        ("sec-websocket-protocol", "b"),
        ("x-one", "1"),
        ("set-cookie", "a"),
        ("set-cookie", "b"),
        ("x-default", "yes"),
    ):
        assert fields.count(field) == 1, (field, fields)
    assert [name for name, _ in fields].count("sec-websocket-accept") == 1


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
        message = seen.get(timeout=5)
        assert message["type"] == "websocket.disconnect"
        assert message["code"] in codes
        assert message.get("reason", "") == reason
        assert seen.get(timeout=5) == "told so"
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
        assert [seen.get(timeout=5) for _ in range(4)] == ["a", "b", "c", "websocket.disconnect"]
        assert peer.closed() == 1000


def test_a_handshake_that_the_application_closes_is_forbidden(lane: str) -> None:
    seen: list[Any] = []

    async def close(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.close", "code": 4000})
        seen.append(await receive())

    with behaving(close, lane) as running:
        with pytest.raises(Refused) as caught:
            connect(running.port)
        assert caught.value.reply.status == 403
        eventually(lambda: seen)
    assert (seen[0]["type"], seen[0]["code"]) == ("websocket.disconnect", 1006)


@pytest.mark.parametrize("chunks", [[b"one body"], [b"in ", b"several ", b"", b"parts"], [b""]])
def test_a_handshake_may_be_answered_with_a_response(lane: str, chunks: list[bytes]) -> None:
    async def deny(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await send(
            {
                "type": "websocket.http.response.start",
                "status": 418,
                "headers": [(b"x-one", b"1"), (b"content-type", b"text/tea")],
            }
        )
        for index, chunk in enumerate(chunks):
            await send({"type": "websocket.http.response.body", "body": chunk, "more_body": index < len(chunks) - 1})

    with behaving(deny, lane) as running:
        with pytest.raises(Refused) as caught:
            connect(running.port)
        reply = caught.value.reply
        assert (reply.status, reply.body) == (418, b"".join(chunks))
        assert (reply.headers["x-one"], reply.headers["content-type"]) == ("1", "text/tea")
        # What uvicorn's class says of every such answer, whatever it is.
        _forget(running, "without completing handshake")


def _forget(running: Running, words: str) -> None:
    running.failures[:] = [failure for failure in running.failures if words not in failure]


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_application_that_fails(lane: str, when: str, caplog: pytest.LogCaptureFixture) -> None:
    async def fail(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if when == "after":
            await accept(receive, send)
        raise RuntimeError("of the inner workings")

    with behaving(fail, lane) as running:
        if when == "before":
            with pytest.raises(Refused) as caught:
                connect(running.port)
            assert caught.value.reply.status == 500
            assert b"inner workings" not in caught.value.reply.body
        else:
            # uvicorn's class hangs up without a word, as it does where an application returns.
            assert connect(running.port).closed() == {"fast": 1011, "portable": 1006}[lane]
        eventually(lambda: "of the inner workings" in caplog.text)
        _forget(running, "of the inner workings")


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_application_that_returns_without_a_word(lane: str, when: str) -> None:
    async def leave(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if when == "after":
            await accept(receive, send)

    with behaving(leave, lane) as running:
        if when == "before":
            with pytest.raises(Refused) as caught:
                connect(running.port)
            assert caught.value.reply.status == 500
            _forget(running, "handshake")
        else:
            assert connect(running.port).closed() == {"fast": 1000, "portable": 1006}[lane]


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


@pytest.mark.parametrize("kind", ["websocket.send", "nonsense", "http.response.start"])
def test_a_handshake_has_few_answers(lane: str, kind: str) -> None:
    async def confuse(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        with pytest.raises(RuntimeError):
            await send({"type": kind, "text": "too early", "status": 200})
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "accepted"})
        await receive()

    with behaving(confuse, lane) as running:
        peer = connect(running.port)
        assert peer.receive() == "accepted"
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
        assert seen.get(timeout=5) != "nothing"


def test_a_client_that_leaves_before_it_is_answered(lane: str) -> None:
    seen: queue.Queue[Any] = queue.Queue()
    gates: list[asyncio.Event] = []

    async def slow(scope: dict[str, Any], receive: Any, send: Any) -> None:
        seen.put((await receive())["type"])
        gates.append(asyncio.Event())
        seen.put((await receive())["type"])
        try:
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": "too late"})
        except OSError:
            seen.put("told so")

    with behaving(slow, lane) as running:
        peer = _Handshake(running.port)
        assert seen.get(timeout=5) == "websocket.connect"
        peer.close()
        assert seen.get(timeout=5) == "websocket.disconnect"
        assert seen.get(timeout=5) == "told so"


class _Handshake:
    """Hold a connection on which an upgrade has been asked for."""

    def __init__(self, port: int, *lines: str) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=5)
        head = [
            "GET / HTTP/1.1",
            "Host: x",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
            *lines,
        ]
        self.sock.sendall("\r\n".join(head).encode() + b"\r\n\r\n")

    def answer(self) -> list[str]:
        """Give the lines of the answer's head."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.sock.recv(4096)
        return data.partition(b"\r\n\r\n")[0].decode().split("\r\n")

    def close(self) -> None:
        self.sock.close()


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
        assert seen.get(timeout=5)["type"] == "websocket.disconnect"
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
        assert seen.get(timeout=5)["type"] == "websocket.disconnect"
        _forget(running, "Invalid UTF-8")
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
        assert seen.get(timeout=5) == "closed"
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
        assert seen.get(timeout=5) == ["websocket.receive"] * waiting + ["websocket.disconnect"]


def test_a_client_that_does_not_answer_a_close_is_left_after_a_while() -> None:
    async def close(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await accept(receive, send)

    with behaving(close, "fast") as running:  # ten seconds on the other lane
        peer = connect(running.port)
        started = time.monotonic()
        assert peer.receive_frame()[0] == CLOSE
        assert peer.sock.recv(1) == b""
        assert 1 < time.monotonic() - started < 5


def test_uvicorn_stops_while_connections_are_open(lane: str) -> None:
    seen: queue.Queue[Any] = queue.Queue()

    async def note(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await accept(receive, send)
        seen.put(await receive())

    with behaving(note, lane) as running:
        peer = connect(running.port)
    message = seen.get(timeout=5)
    assert (message["type"], message["code"]) == ("websocket.disconnect", 1012)
    assert peer.closed() == 1012


@pytest.mark.parametrize("path", ["/socket.io", "/socket.io/", "/socket.io/?EIO=4&transport=websocket"])
def test_the_path_of_the_server_is_not_the_application_s(lane: str, path: str) -> None:
    async def never(scope: dict[str, Any], receive: Any, send: Any) -> None:
        pytest.fail("asked for the server's own path")

    with behaving(never, lane) as running:
        if "transport" in path:
            assert str(connect(running.port, path).receive()).startswith("0{")
        else:
            with pytest.raises(Refused) as caught:
                connect(running.port, path)
            assert caught.value.reply.json() == {"code": 0, "message": "Transport unknown"}
        _forget(running, "without completing handshake")


def test_accepted_connections_are_noted_in_the_access_log(lane: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "uvicorn.error"), behaving(echo, lane, log_level="info") as running:
        connect(running.port, "/some?path").close()
        eventually(lambda: any('"WebSocket /some?path" [accepted]' in each.getMessage() for each in caplog.records))
