"""Peers that speak HTTP and WebSocket by hand, so that they can break every rule of both.

They share nothing with the package but the bytes on the wire.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import re
import socket
import struct
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "PING",
    "PONG",
    "TEXT",
    "Closed",
    "HalfPost",
    "PendingGet",
    "PollingPeer",
    "Refused",
    "Reply",
    "WebSocketPeer",
    "eventually",
    "frame",
    "request",
    "split_payload",
]

PATIENCE = 10.0
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
ABNORMAL = 1006
_ACCEPT_SUFFIX = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def eventually(condition: Callable[[], object], patience: float = PATIENCE) -> None:
    """Fail unless ``condition`` comes true within ``patience`` seconds."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.01)


# HTTP.


class Reply(NamedTuple):
    """Hold an HTTP response; names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """Return the body as text."""
        return self.body.decode()

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


def request(
    port: int,
    method: str,
    target: str,
    body: bytes | str | Iterable[bytes] | None = None,
    headers: Mapping[str, str] | None = None,
    patience: float = PATIENCE,
) -> Reply:
    """Make one request on a connection of its own; a body that is neither bytes nor text goes in chunks."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patience)
    try:
        _send(connection, method, target, body, headers or {})
        return _reply(connection)
    finally:
        connection.close()


def _send(
    connection: http.client.HTTPConnection,
    method: str,
    target: str,
    body: bytes | str | Iterable[bytes] | None,
    headers: Mapping[str, str],
) -> None:
    if isinstance(body, str):
        body = body.encode()
    try:
        if body is None or isinstance(body, bytes):
            connection.request(method, target, body, dict(headers))
        else:
            connection.request(method, target, body, {"Transfer-Encoding": "chunked", **headers}, encode_chunked=True)
    except (BrokenPipeError, ConnectionResetError):
        # The server may answer, and close, before it has read the whole body.
        connection._HTTPConnection__state = "Request-sent"  # type: ignore[attr-defined]


def _reply(connection: http.client.HTTPConnection) -> Reply:
    response = connection.getresponse()
    return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())


class PendingGet:
    """Hold a GET that has been sent and not been answered."""

    def __init__(self, port: int, target: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self._connection.request("GET", target)

    def finish(self) -> Reply:
        """Wait for the answer."""
        try:
            return _reply(self._connection)
        finally:
            self._connection.close()

    def answered(self, patience: float = 0.0) -> bool:
        """Tell whether anything of an answer arrives within ``patience`` seconds."""
        sock = self._connection.sock
        sock.settimeout(patience)
        try:
            return bool(sock.recv(1, socket.MSG_PEEK)) or True
        except (BlockingIOError, TimeoutError):
            return False
        finally:
            sock.settimeout(PATIENCE)

    def abort(self, *, reset: bool = False) -> None:
        """Give the request up, with a FIN or with a RST."""
        if reset:
            reset_on_close(self._connection.sock)
        self._connection.close()


def reset_on_close(sock: socket.socket) -> None:
    """Make the close of ``sock`` a TCP reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


# Polling.


def split_payload(body: bytes, eio: int) -> list[str]:
    """Split a text payload into its packets."""
    text = body.decode()
    if eio == 4:
        return text.split("\x1e")
    packets = []
    while text and text != "0:":
        length, _, rest = text.partition(":")
        assert re.fullmatch("[1-9][0-9]*", length), body
        # Escapes keep what the server sends in ASCII, so that characters and UTF-16 units are the same.
        packets.append(rest[: int(length)])
        text = rest[int(length) :]
    return packets


class PollingPeer:
    """Hold one polling session; requests are made one by one, each on a connection of its own."""

    def __init__(self, port: int, eio: int = 4, query: str = "", path: str = "/socket.io/") -> None:
        self.port = port
        self.eio = eio
        self.base = f"{path}?EIO={eio}&transport=polling{query}"
        self.reply = request(port, "GET", self.base)
        assert self.reply.status == 200, self.reply
        first, *self.inbox = split_payload(self.reply.body, eio)
        assert first[0] == "0"
        self.handshake: dict[str, Any] = json.loads(first[1:])
        self.sid: str = self.handshake["sid"]
        self.target = f"{self.base}&sid={self.sid}"
        self.upgrade_target = f"{path}?EIO={eio}&transport=websocket&sid={self.sid}"

    def payload(self, *packets: str) -> str:
        """Put text packets (ASCII) together as a payload."""
        if self.eio == 4:
            return "\x1e".join(packets)
        return "".join([f"{len(packet)}:{packet}" for packet in packets])

    def get(self) -> Reply:
        """Make one GET."""
        return request(self.port, "GET", self.target)

    def pending_get(self) -> PendingGet:
        """Send a GET and do not wait for its answer."""
        return PendingGet(self.port, self.target)

    def post(self, body: str | bytes | Iterable[bytes], content_type: str = "text/plain;charset=UTF-8") -> Reply:
        """Make one POST with the body as it is."""
        return request(self.port, "POST", self.target, body, {"Content-Type": content_type})

    def send(self, *packets: str) -> None:
        """Post text packets and expect them to be taken."""
        reply = self.post(self.payload(*packets))
        assert (reply.status, reply.body) == (200, b"ok"), reply

    def poll(self) -> list[str]:
        """Make one GET and give its packets."""
        reply = self.get()
        assert reply.status == 200, reply
        return split_payload(reply.body, self.eio)

    def receive(self) -> str:
        """Give the next packet, polling where there is none yet."""
        while not self.inbox:
            self.inbox = self.poll()
        return self.inbox.pop(0)

    def join(self, namespace: str = "/", auth: str = "") -> str:
        """Join a namespace of the test server and give the socket's id."""
        prefix = "" if namespace == "/" else f"{namespace},"
        if self.eio == 4:
            self.send(f"40{prefix}{auth}")
        elif namespace != "/":
            self.send(f"40{prefix}")
        answer = self.receive()
        assert answer.startswith(f"40{prefix}"), answer
        assert self.receive().startswith(f'42{prefix}["auth"')
        return str(json.loads(answer[2 + len(prefix) :])["sid"]) if self.eio == 4 else self.sid

    def is_dead(self) -> bool:
        """Tell whether the server does not know the session any more."""
        reply = self.post(self.payload("6"))
        assert reply.status in (200, 400), reply
        return reply.status == 400


class HalfPost:
    """Hold a POST of which only ``part`` has been sent."""

    def __init__(self, peer: PollingPeer, part: str, rest: str) -> None:
        self.sock = socket.create_connection(("127.0.0.1", peer.port), timeout=PATIENCE)
        self._rest = rest
        lines = [
            f"POST {peer.target} HTTP/1.1",
            "Host: x",
            "Content-Type: text/plain",
            f"Content-Length: {len(part + rest)}",
        ]
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n" + part).encode())

    def finish(self) -> bytes:
        """Send the rest and give what comes back: nothing where the server has closed the connection."""
        try:
            self.sock.sendall(self._rest.encode())
            return self.sock.recv(65536)
        except ConnectionError:
            return b""
        finally:
            self.sock.close()


# WebSocket.


class Refused(Exception):
    """Report an upgrade that was answered by something else than 101."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


class Closed(Exception):
    """Report the end of a WebSocket; ``code`` is 1006 where there was no close frame."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bool = True) -> bytes:
    """Build one frame."""
    first = (0x80 if fin else 0) | (rsv << 4) | opcode
    bit = 0x80 if mask else 0
    if len(payload) < 126:
        head = struct.pack("!BB", first, bit | len(payload))
    elif len(payload) < 2**16:
        head = struct.pack("!BBH", first, bit | 126, len(payload))
    else:
        head = struct.pack("!BBQ", first, bit | 127, len(payload))
    if not mask:
        return head + payload
    key = os.urandom(4)
    repeated = key * (len(payload) // 4 + 1)
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(repeated[: len(payload)], "big")
    return head + key + masked.to_bytes(len(payload), "big")


class WebSocketPeer:
    """Hold one WebSocket."""

    def __init__(self, port: int, target: str, headers: Iterable[tuple[str, str]] = (), *, version: str = "13") -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        try:
            self._open(port, target, headers, version)
        except BaseException:
            self.sock.close()
            raise

    def _open(self, port: int, target: str, headers: Iterable[tuple[str, str]], version: str) -> None:
        key = base64.b64encode(os.urandom(16))
        lines = [
            f"GET {target} HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            f"Sec-WebSocket-Version: {version}",
            f"Sec-WebSocket-Key: {key.decode()}",
            *[f"{name}: {value}" for name, value in headers],
        ]
        self.sock.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        while b"\r\n\r\n" not in self._buffer:
            self._fill()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        status_line, *rest = head.decode().split("\r\n")
        fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}
        status = int(status_line.split(" ")[1])
        if status != 101:
            raise Refused(Reply(status, fields, self._body(fields)))
        expected = base64.b64encode(hashlib.sha1(key + _ACCEPT_SUFFIX).digest()).decode()
        assert fields["sec-websocket-accept"] == expected
        self.headers = fields
        self.extensions = fields.get("sec-websocket-extensions")

    def _body(self, fields: Mapping[str, str]) -> bytes:
        if "content-length" in fields:
            return self._take(int(fields["content-length"]))
        if fields.get("transfer-encoding") != "chunked":
            return b""
        body = b""
        while True:
            while b"\r\n" not in self._buffer:
                self._fill()
            size, _, self._buffer = self._buffer.partition(b"\r\n")
            body += self._take(int(size, 16))
            self._take(2)
            if int(size, 16) == 0:
                return body

    def _fill(self) -> None:
        try:
            data = self.sock.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            raise Closed(ABNORMAL, "end of stream")
        self._buffer += data

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._fill()
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def raw(self, data: bytes) -> None:
        """Send bytes as they are; a connection that the server has closed already is no error."""
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return

    def send(self, data: str | bytes) -> None:
        """Send a message in one frame: text or binary."""
        self.raw(frame(TEXT, data.encode()) if isinstance(data, str) else frame(BINARY, data))

    def receive_frame(self) -> tuple[int, bytes]:
        """Give the next frame: its opcode and its content."""
        first, second = self._take(2)
        assert first & 0xF0 == 0x80, "a fragment, or a reserved bit, from the server"
        assert second & 0x80 == 0, "a masked frame from the server"
        length = second
        if length == 126:
            (length,) = struct.unpack("!H", self._take(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self._take(8))
        return first & 0x0F, self._take(length)

    def receive(self, patience: float = PATIENCE) -> str | bytes:
        """Give the next message; ``Closed`` where the connection ends, ``TimeoutError`` where nothing comes."""
        self.sock.settimeout(patience)
        try:
            while True:
                opcode, payload = self.receive_frame()
                if opcode == TEXT:
                    return payload.decode()
                if opcode == BINARY:
                    return payload
                if opcode == CLOSE:
                    self.raw(frame(CLOSE, payload))
                    code = struct.unpack("!H", payload[:2])[0] if payload else 1005
                    raise Closed(code, payload[2:].decode())
        finally:
            self.sock.settimeout(PATIENCE)

    def receive_text(self) -> str:
        """Give the next message, which is text."""
        data = self.receive()
        assert isinstance(data, str), data
        return data

    def closed(self) -> int:
        """Wait for the end, through whatever still comes, and give its code."""
        return self.rest()[1]

    def rest(self) -> tuple[list[str | bytes], int]:
        """Give the messages that come before the end, and its code."""
        messages = []
        try:
            while True:
                messages.append(self.receive())
        except Closed as closed:
            return messages, closed.code

    def is_silent(self, patience: float = 0.2) -> bool:
        """Tell whether nothing arrives for a while."""
        try:
            self.receive(patience)
        except TimeoutError:
            return True
        return False

    def open(self) -> dict[str, Any]:
        """Take the Engine.IO handshake."""
        first = self.receive_text()
        assert first[0] == "0", first
        handshake: dict[str, Any] = json.loads(first[1:])
        return handshake

    def join(self, namespace: str = "/", auth: str = "") -> str:
        """Join a namespace of the test server, as a client of revision 5, and give the socket's id."""
        prefix = "" if namespace == "/" else f"{namespace},"
        self.send(f"40{prefix}{auth}")
        answer = self.receive_text()
        assert answer.startswith(f"40{prefix}{{"), answer
        assert self.receive_text().startswith(f'42{prefix}["auth"')
        return str(json.loads(answer[2 + len(prefix) :])["sid"])

    def echo(self, word: str) -> None:
        """Fail unless the test server answers an event."""
        self.send(f'42["message","{word}"]')
        assert self.receive_text() == f'42["message-back","{word}"]'

    def close(self, *, reset: bool = False) -> None:
        """Close the connection, with a FIN or with a RST."""
        if reset:
            reset_on_close(self.sock)
        self.sock.close()
