"""Requests one behind the other on a kept connection of the fast lane: each is judged by itself, and none is lost."""

from __future__ import annotations

import gc
import socket as sockets
import time
from collections.abc import Iterator

import pytest

from socketeer import Server
from socketeer.transports.http import _Exchange
from tests.support.serving import Running, serving

EVIL = "Origin: http://evil.example\r\n"


def _get(sid: str = "", more: str = "") -> bytes:
    sid = f"&sid={sid}" if sid else ""
    return f"GET /socket.io/?EIO=4&transport=polling{sid} HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode()


def _post(sid: str, body: str, more: str = "") -> bytes:
    head = f"POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: x\r\n{more}"
    return f"{head}Content-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def _connect(running: Running) -> sockets.socket:
    return sockets.create_connection(("127.0.0.1", running.port), timeout=20)


def _read_until(client: sockets.socket, end: bytes) -> bytes:
    data = b""
    while end not in data:
        chunk = client.recv(65536)
        assert chunk, data
        data += chunk
    return data


def _open(client: sockets.socket, more: str = "") -> str:
    client.sendall(_get(more=more))
    return _read_until(client, b"}").partition(b'"sid":"')[2].partition(b'"')[0].decode()


@pytest.fixture
def io() -> Server:
    """Make a server."""
    return Server()


@pytest.fixture
def running(io: Server) -> Iterator[Running]:
    """Serve it with a short time for idle connections."""
    with serving(io, "fast", timeout_keep_alive=1) as running:
        yield running


def test_a_request_that_began_before_the_one_ahead_was_answered_is_not_idle(io: Server, running: Running) -> None:
    with _connect(running) as client, _connect(running) as other:
        sid = _open(client)
        other.sendall(_post(sid, "40"))
        _read_until(other, b"ok")
        client.sendall(_get(sid))
        _read_until(client, b"40{")
        request = _get(sid)
        client.sendall(request + request[:10])
        time.sleep(0.1)
        running.call(io.emit, "one")
        _read_until(client, b'42["one"]')
        client.sendall(request[10:])
        time.sleep(1.5)
        running.call(io.emit, "two")
        _read_until(client, b'42["two"]')


def test_trailers_are_no_headers_that_were_looked_at(running: Running) -> None:
    with _connect(running) as client:
        sid = _open(client)
        client.sendall(_post(sid, "40"))
        _read_until(client, b"ok")
        chunked = "Transfer-Encoding: chunked\r\n"
        client.sendall(_get(sid, chunked) + b"0\r\n" + EVIL.encode() + b"\r\n")
        client.sendall(_get(sid, chunked + EVIL) + b"0\r\n\r\n")
        assert b"HTTP/1.1 403 " in _read_until(client, b"403")


@pytest.mark.parametrize("more", ["Content-Length: 5000000\r\n", "Transfer-Encoding: chunked\r\n"])
def test_the_body_of_a_get_is_not_kept(running: Running, more: str) -> None:
    with _connect(running) as client:
        sid = _open(client)
        client.sendall(_post(sid, "40"))
        _read_until(client, b"ok")
        body = b"x" * 5_000_000
        if "chunked" in more:
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        client.sendall(_get(sid, more) + body[:1000])
        kept: list[int] = []

        def look() -> None:
            kept.extend(
                sum(map(len, held.body))
                for held in gc.get_objects()
                if isinstance(held, _Exchange) and held._method == b"GET"
            )

        _read_until(client, b"40{")
        running.call(look)
        assert sum(kept) == 0


def test_an_origin_is_asked_about_for_each_request() -> None:
    allowed, asked = True, 0

    def allow(origin: str) -> bool:
        nonlocal asked
        asked += 1
        return allowed

    with serving(Server(cors=allow), "fast") as running, _connect(running) as client:
        sid = _open(client, EVIL)
        client.sendall(_post(sid, "40", EVIL))
        assert _read_until(client, b"ok").startswith(b"HTTP/1.1 200 ")
        before = asked
        client.sendall(_post(sid, "3", EVIL))
        assert _read_until(client, b"ok").startswith(b"HTTP/1.1 200 ")
        assert asked > before
        allowed = False
        client.sendall(_post(sid, "3", EVIL))
        assert _read_until(client, b"\r\n").startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize("behind", ["GET /other HTTP/1.1\r\nHost: x\r\n\r\n", "nonsense\r\n\r\n"])
def test_answers_come_in_the_order_of_the_requests(running: Running, behind: str) -> None:
    with _connect(running) as client:
        sid = _open(client)
        client.sendall(_post(sid, "40"))
        _read_until(client, b"ok")
        client.sendall(_post(sid, "3") + _post(sid, "3") + behind.encode())
        data = _read_until(client, b"HTTP/1.1 40")
        assert [part[:3] for part in data.split(b"HTTP/1.1 ")[1:3]] == [b"200", b"200"]
