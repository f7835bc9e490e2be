"""A connection that has spoken HTTP becomes a WebSocket: nothing of HTTP is left on it, and nothing is misread."""

from __future__ import annotations

import socket as sockets
import time

from socketeer import Server, Socket
from tests.support.serving import serving

HEAD = "Host: 127.0.0.1:{port}\r\n{more}\r\n"
UPGRADE = (
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
    "Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: c2l4dGVlbiBieXRlcyBvaw==\r\n{more}\r\n"
)


def _read_until(client: sockets.socket, end: bytes) -> bytes:
    data = b""
    while end not in data:
        chunk = client.recv(65536)
        assert chunk, data
        data += chunk
    return data


def _poll(client: sockets.socket, port: int, sid: str) -> None:
    request = f"GET /socket.io/?EIO=4&transport=polling{sid} HTTP/1.1\r\n" + HEAD.format(port=port, more="")
    client.sendall(request.encode())


def _post(port: int, sid: str, body: str) -> bytes:
    head = HEAD.format(port=port, more=f"Content-Type: text/plain\r\nContent-Length: {len(body)}\r\n")
    return f"POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\n{head}{body}".encode()


def _open_session(client: sockets.socket, port: int) -> str:
    _poll(client, port, "")
    return _read_until(client, b"}").partition(b'"sid":"')[2].partition(b'"')[0].decode()


def test_a_poll_that_waits_is_not_answered_into_the_websocket() -> None:
    io = Server(cors="*")
    with serving(io, "fast") as running, sockets.create_connection(("127.0.0.1", running.port), timeout=20) as client:
        sid = _open_session(client, running.port)
        _poll(client, running.port, f"&sid={sid}")
        client.sendall(UPGRADE.format(port=running.port, more="").encode())
        opened = _read_until(client, b"}")
        assert opened.startswith(b"HTTP/1.1 101 ")
        client.sendall(b"\x81\x82\0\0\0\x0040")
        assert _read_until(client, b"40{")[:1] == b"\x81"
        running.call(io.emit, "news")
        assert _read_until(client, b"]") == b'\x81\x0a42["news"]'


def test_no_timer_of_http_closes_the_websocket() -> None:
    io = Server()

    @io.event
    def echo(socket: Socket, text: str) -> None:
        socket.emit("echo", text)

    with (
        serving(io, "fast", timeout_keep_alive=1) as running,
        sockets.create_connection(("127.0.0.1", running.port), timeout=20) as client,
    ):
        port = running.port
        sid = _open_session(client, port)
        client.sendall(_post(port, sid, "40") + UPGRADE.format(port=port, more="").encode())
        _read_until(client, b"maxPayload")
        client.sendall(b"\x81\x82\0\0\0\x0040")
        _read_until(client, b"40{")
        time.sleep(1.3)
        client.sendall(b'\x81\x8e\0\0\0\x0042["echo","a"]')
        assert _read_until(client, b"]") == b'\x81\x0e42["echo","a"]'


def test_blanks_behind_a_header_do_not_belong_to_it() -> None:
    seen: list[str | None] = []
    io = Server()

    @io.on("connection")
    def connected(socket: Socket) -> None:
        seen.append(socket.request.headers.get("x-token"))
        seen.append(socket.request.headers.get("origin"))

    with serving(io, "fast") as running:
        origin = f"http://127.0.0.1:{running.port}"
        for _ in range(2):  # the first request of all goes through the application
            with sockets.create_connection(("127.0.0.1", running.port), timeout=20) as client:
                more = f"Origin: {origin}  \r\nX-Token: a b\t \r\n"
                client.sendall(UPGRADE.format(port=running.port, more=more).encode())
                _read_until(client, b"}")
                client.sendall(b"\x81\x82\0\0\0\x0040")
                _read_until(client, b"40{")
    assert seen == ["a b", origin] * 2


def test_a_kept_connection_is_closed_once_it_has_been_idle_for_long_enough() -> None:
    with (
        serving(Server(), "fast", timeout_keep_alive=1) as running,
        sockets.create_connection(("127.0.0.1", running.port), timeout=10) as client,
    ):
        sid = _open_session(client, running.port)
        client.sendall(_post(running.port, sid, "40"))
        _read_until(client, b"ok")
        began = time.monotonic()
        for _ in range(4):  # each of them before it is idle for long enough
            time.sleep(0.6)
            client.sendall(_post(running.port, sid, "3"))
            _read_until(client, b"ok")
        answered = time.monotonic()
        assert client.recv(1) == b""
        assert answered - began > 2
        assert time.monotonic() - answered > 0.9


def test_a_poll_that_waits_is_not_idle() -> None:
    io = Server()
    with (
        serving(io, "fast", timeout_keep_alive=1) as running,
        sockets.create_connection(("127.0.0.1", running.port), timeout=10) as client,
        sockets.create_connection(("127.0.0.1", running.port), timeout=10) as other,
    ):
        sid = _open_session(client, running.port)
        other.sendall(_post(running.port, sid, "40"))
        _read_until(other, b"ok")
        _poll(client, running.port, f"&sid={sid}")
        _read_until(client, b"40{")
        _poll(client, running.port, f"&sid={sid}")
        time.sleep(1.5)
        running.call(io.emit, "news")
        _read_until(client, b'42["news"]')
