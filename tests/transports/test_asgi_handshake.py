"""How the handshake of an ASGI WebSocket is answered under our protocol class, and under uvicorn's own beside it."""

from __future__ import annotations

import asyncio
import logging
import queue
import socket
from typing import Any

import pytest

from socketeer.transports.websocket import without_secret
from tests.transports.behaving import Handshake, accept, behaving, connect, echo, forget
from tests.wire.peers import Refused, eventually


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


@pytest.mark.parametrize("frame", [b"\x89\x81\0\0\0\0p", b"\x83\x81\0\0\0\0x"], ids=["ping", "bad opcode"])
def test_nothing_comes_before_the_answer(frame: bytes) -> None:
    async def slow(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await asyncio.sleep(0.1)
        await accept(receive, send)
        await receive()

    with behaving(slow, "fast") as running, socket.create_connection(("127.0.0.1", running.port), timeout=20) as client:
        head = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        client.sendall(head.encode() + b"Sec-WebSocket-Key: c2l4dGVlbiBieXRlcyBvaw==\r\n\r\n" + frame)
        data = b""
        while b"\r\n\r\n" not in data:
            data += client.recv(4096)
        assert data.startswith(b"HTTP/1.1 101 ")


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
        peer = Handshake(running.port, "Sec-WebSocket-Protocol: a, b")
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
        forget(running, "without completing handshake")


@pytest.mark.parametrize("way", ["websocket.http.response.start", "websocket.accept"])
@pytest.mark.parametrize(
    "header",
    [(b"x", b"1\r\nset-cookie: stolen=1"), (b"x\r\nset-cookie", b"1"), ("x", "1")],
    ids=["value", "name", "str"],
)
def test_headers_that_would_break_the_answer(way: str, header: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def split(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await send({"type": way, "status": 403, "headers": [header]})
        await send({"type": "websocket.http.response.body", "body": b""})

    with behaving(split, "fast") as running:
        peer = Handshake(running.port)
        lines = peer.answer()
        peer.close()
        eventually(lambda: "header" in caplog.text)
        forget(running, "header")
    assert lines[0] == "HTTP/1.1 500 Internal Server Error"
    assert not any(line.lower().startswith("set-cookie") for line in lines)


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
        forget(running, "of the inner workings")


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
            forget(running, "handshake")
        else:
            assert connect(running.port).closed() == {"fast": 1000, "portable": 1006}[lane]


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
        peer = Handshake(running.port)
        assert seen.get(timeout=20) == "websocket.connect"
        peer.close()
        assert seen.get(timeout=20) == "websocket.disconnect"
        assert seen.get(timeout=20) == "told so"


@pytest.mark.parametrize("path", ["/socket.io/", "/socket.io/?transport=x", "/socket.io/?EIO=4&transport=websocket"])
def test_the_path_of_the_server_is_not_the_application_s(lane: str, path: str) -> None:
    async def never(scope: dict[str, Any], receive: Any, send: Any) -> None:
        pytest.fail("asked for the server's own path")

    with behaving(never, lane) as running:
        if "websocket" in path:
            assert str(connect(running.port, path).receive()).startswith("0{")
        else:
            with pytest.raises(Refused) as caught:
                connect(running.port, path)
            assert caught.value.reply.json() == {"code": 0, "message": "Transport unknown"}
        forget(running, "without completing handshake")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("/socket.io/?EIO=4&transport=websocket&sid=s3cr3t", "/socket.io/?EIO=4&transport=websocket&sid=..."),
        ("/socket.io/?sid=s3cr3t&EIO=4", "/socket.io/?sid=...&EIO=4"),
        ("/socket.io/?EIO=4&inside=4", "/socket.io/?EIO=4&inside=4"),
    ],
)
def test_the_secret_of_a_session_is_not_logged(url: str, shown: str) -> None:
    assert without_secret(url) == shown


def test_accepted_connections_are_noted_in_the_access_log(lane: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "uvicorn.error"), behaving(echo, lane, log_level="info") as running:
        connect(running.port, "/some?path").close()
        eventually(lambda: any('"WebSocket /some?path" [accepted]' in each.getMessage() for each in caplog.records))
