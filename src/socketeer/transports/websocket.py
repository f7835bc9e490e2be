"""The fast lane of WebSockets: under uvicorn they go straight from picows' C protocol into a session.

uvicorn hands an upgrade request to the class given as ``ws=``: :class:`WebSocketProtocol`. It runs the application with
an ordinary ``websocket`` scope. Where routing ends at a :class:`socketeer.Server`, the server takes the connection over
through a scope extension: picows answers the handshake, frames flow into the session, and the application's task ends.
Any other application gets ordinary ASGI WebSockets from the same class. Where nothing stands before the server,
:class:`~socketeer.transports.front.HttpProtocol` hands the connection over by itself: without a scope, without a task.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import re
from collections import deque
from collections.abc import Iterable, Mapping, MutableMapping
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import unquote

import uvicorn
from picows import WSCloseCode
from uvicorn.protocols.utils import (
    ClientDisconnected,
    get_client_addr,
    get_local_addr,
    get_path_with_query_string,
    get_remote_addr,
    is_ssl,
)
from uvicorn.server import ServerState

from socketeer.engine.deflate import Agreement
from socketeer.engine.http import check_header
from socketeer.engine.websocket import CLOSING_HANDSHAKE, DEAF, Limits
from socketeer.transports.asgi import TAKE_OVER
from socketeer.transports.deflate import DeflateWire
from socketeer.transports.picows import Ping, Wire, begin, feed, make_protocol

__all__ = ["WebSocketProtocol", "header_lines", "make_wire", "refusal", "switch", "valid_key", "without_secret"]

_log = logging.getLogger("uvicorn.error")

_KEPT_LIMIT = 65536
"""How much a client may send before its handshake has been answered."""


class _AsgiWire(Wire):
    """Be the WebSocket of an application that uses ASGI: messages wait here until it receives them."""

    _MOST_WAITING = 32

    def __init__(self, max_size: int) -> None:
        super().__init__(Limits(max_size, max_fragments=max_size, max_buffered=max_size))
        self.sink = self
        self._messages: deque[dict[str, Any]] = deque()
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._closed = False  # whether the application has closed it

    def receive_text(self, data: bytes) -> None:
        """Queue a text message."""
        try:
            self._push({"type": "websocket.receive", "text": data.decode()})
        except UnicodeDecodeError:
            self._fail(WSCloseCode.INVALID_TEXT, "text that is not UTF-8")

    def receive_frame(self, frame: bytes) -> None:
        """Queue a binary message."""
        self._push({"type": "websocket.receive", "bytes": frame})

    def end(self, reason: str, description: str | None = None) -> None:
        """Queue the end; no message comes behind it."""
        self.sink = DEAF
        self._writable.set()
        code, reason = self.closing_words()
        self._messages.append({"type": "websocket.disconnect", "code": code, "reason": reason})
        self._arrived.set()

    def _push(self, message: dict[str, Any]) -> None:
        if self._closed:
            return
        self._messages.append(message)
        self._arrived.set()
        if len(self._messages) == self._MOST_WAITING:
            self.transport.underlying_transport.pause_reading()

    async def receive(self) -> dict[str, Any]:
        """Give the next message once there is one."""
        while not self._messages:
            self._arrived.clear()
            await self._arrived.wait()
        message = self._messages.popleft()
        if len(self._messages) == self._MOST_WAITING - 1 and not self.transport.is_disconnected:
            self.transport.underlying_transport.resume_reading()
        return message

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Send a message once the peer reads. Raises OSError if it has gone."""
        await self._writable.wait()
        if self.transport.is_disconnected:
            raise ClientDisconnected
        if self._closed:
            raise RuntimeError(f"a WebSocket that was closed cannot send {message['type']!r}")
        if message["type"] == "websocket.send":
            text = message.get("text")
            if text is None:
                self.send_binary(message["bytes"])
            else:
                self.send_text(text.encode())
        elif message["type"] == "websocket.close":
            self.close(message.get("code", 1000) or 1000, message.get("reason") or "")
        else:
            raise RuntimeError(f"an accepted WebSocket cannot send {message['type']!r}")

    def close(self, code: int | WSCloseCode = 1000, reason: str = "") -> None:
        """Send a close frame; a peer that does not answer it is left alone after a while."""
        if self._closed or self.transport.is_disconnected:
            return
        self._closed = True
        super().close(code, reason)
        self.transport.underlying_transport.resume_reading()  # the peer's answer may come behind what waits
        asyncio.get_running_loop().call_later(CLOSING_HANDSHAKE, self.disconnect)

    def shutdown(self) -> None:
        """Close: uvicorn stops."""
        self.close(WSCloseCode.SERVICE_RESTART)
        self.disconnect()

    def pause_writing(self) -> None:
        """Keep the application from sending more."""
        super().pause_writing()
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let the application send again."""
        super().resume_writing()
        self._writable.set()


class WebSocketProtocol(asyncio.Protocol):
    """Serve WebSockets under uvicorn: pass it as ``ws=socketeer.transports.uvicorn:WebSocketProtocol``."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        if not config.loaded:
            config.load()
        self._config = config
        self._state = server_state
        self._app_state = app_state
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # there from connection_made on
        self._scope: dict[str, Any] = {}
        self._key = b""
        self._kept = b""
        self._asgi: _AsgiWire | None = None
        self._denial: tuple[int, list[tuple[bytes, bytes]]] | None = None
        self._denial_body = b""
        self._connect_received = False
        self._gone = asyncio.Event()
        self._done = False  # taken over, accepted or refused

    # -- from uvicorn and the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection from uvicorn's HTTP protocol."""
        self._transport = cast("asyncio.Transport", transport)
        self._state.connections.add(cast("Any", self))

    def data_received(self, data: bytes) -> None:
        """Take the upgrade request, which uvicorn gives in one piece; keep whatever comes before it is answered."""
        if self._scope:
            self._kept += data
            if len(self._kept) > _KEPT_LIMIT:
                self._transport.abort()
            return
        method, target, headers = _parse_request(data)
        self._scope = self._make_scope(method, target, headers)
        key = valid_key(dict(headers)) if method == "GET" else None
        if key is None:
            self._respond(400, [(b"content-type", b"text/plain")], b"Bad WebSocket handshake")
            return
        self._key = key
        task = asyncio.get_running_loop().create_task(self._run())
        self._state.tasks.add(task)
        task.add_done_callback(self._state.tasks.discard)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that the client left before it was answered."""
        self._state.connections.discard(cast("Any", self))
        self._gone.set()

    def shutdown(self) -> None:
        """Refuse: uvicorn stops."""
        self._respond(503, [(b"content-type", b"text/plain")], b"Service Unavailable")

    def _make_scope(self, method: str, target: bytes, headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
        raw_path, _, query = target.partition(b"?")
        root_path = self._config.root_path
        subprotocols = [value for name, value in headers if name == b"sec-websocket-protocol"]
        return {
            "type": "websocket",
            "asgi": {"version": self._config.asgi_version, "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": "wss" if is_ssl(self._transport) else "ws",
            "server": get_local_addr(self._transport),
            "client": get_remote_addr(self._transport),
            "root_path": root_path,
            "path": root_path + unquote(raw_path.decode("ascii", "replace")),
            "raw_path": root_path.encode() + raw_path,
            "query_string": query,
            "headers": headers,
            "subprotocols": [part.strip().decode("latin-1") for value in subprotocols for part in value.split(b",")],
            "state": self._app_state.copy(),
            "extensions": {"websocket.http.response": {}, TAKE_OVER: self._take_over},
        }

    # -- the application

    async def _run(self) -> None:
        code = WSCloseCode.OK
        try:
            await self._config.loaded_app(self._scope, self._receive, self._send)
        except ClientDisconnected:
            pass
        except Exception:
            code = WSCloseCode.INTERNAL_ERROR
            _log.exception("Exception in ASGI application\n")
        else:
            if not (self._done or self._gone.is_set()):
                _log.error("ASGI callable returned without answering the WebSocket handshake.")
        if not self._done:
            self._respond(500, [(b"content-type", b"text/plain")], b"Internal Server Error")
        elif self._asgi is not None:
            self._asgi.close(code)

    async def _receive(self) -> MutableMapping[str, Any]:
        if self._asgi is not None:
            return await self._asgi.receive()
        if not self._connect_received:
            self._connect_received = True
            return {"type": "websocket.connect"}
        await self._gone.wait()
        return {"type": "websocket.disconnect", "code": 1006, "reason": ""}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        if self._asgi is not None:
            await self._asgi.send(message)
            return
        if self._gone.is_set():
            raise ClientDisconnected
        kind = message["type"]
        if kind == "websocket.accept":
            self._accept(message)
        elif kind == "websocket.close":
            self._respond(403, [], b"")
        elif kind == "websocket.http.response.start":
            self._denial = (message["status"], list(message.get("headers", ())))
        elif kind == "websocket.http.response.body" and self._denial is not None:
            self._denial_body += message.get("body", b"")
            if not message.get("more_body", False):
                self._respond(*self._denial, self._denial_body)
        else:
            raise RuntimeError(f"a WebSocket handshake cannot be answered with {kind!r}")

    def _accept(self, message: MutableMapping[str, Any]) -> None:
        headers = list(message.get("headers") or ())
        if message.get("subprotocol"):
            headers.append((b"Sec-WebSocket-Protocol", message["subprotocol"].encode()))
        wire = _AsgiWire(self._config.ws_max_size)
        self._upgrade(wire, headers, (self._config.ws_ping_interval, self._config.ws_ping_timeout))
        self._asgi = wire

    def _take_over(
        self, limits: Limits, headers: list[tuple[bytes, bytes]], agreement: Agreement | None = None
    ) -> Wire | None:
        """Give the connection to the caller for good; None if it is gone already."""
        if self._gone.is_set() or self._done:
            return None
        wire, headers = make_wire(limits, headers, agreement)
        self._upgrade(wire, headers)
        return wire

    def _upgrade(self, wire: Wire, headers: list[tuple[bytes, bytes]], ping: Ping | None = None) -> None:
        fields = header_lines(self._state, headers)  # they may be ones that cannot be sent
        self._done = True
        if _log.isEnabledFor(logging.INFO):
            path = get_path_with_query_string(cast("Any", self._scope))
            address = get_client_addr(cast("Any", self._scope))
            _log.info('%s - "WebSocket %s" [accepted]', address, without_secret(path))
        cast("set[Any]", self._state.connections).discard(self)
        switch(self._transport, self._state, wire, fields, self._key, ping=ping, early=self._kept)
        self._scope = {"type": "websocket"}
        self._key = self._kept = b""

    def _respond(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        if self._done:
            return
        answer = refusal(self._state, status, headers, body)  # it may be one that cannot be sent
        self._done = True
        if not self._transport.is_closing():
            self._transport.write(answer)
            self._transport.close()


def make_wire(
    limits: Limits, headers: list[tuple[bytes, bytes]], agreement: Agreement | None
) -> tuple[Wire, list[tuple[bytes, bytes]]]:
    """Make the wire of a session, and complete the headers of the answer that opens it."""
    if agreement is None:
        return Wire(limits), headers
    return DeflateWire(limits, agreement), [*headers, (b"Sec-WebSocket-Extensions", agreement.answer)]


def switch(
    transport: asyncio.Transport,
    state: ServerState,
    wire: Wire,
    fields: bytes,
    key: bytes,
    *,
    ping: Ping | None = None,
    early: bytes = b"",
) -> None:
    """Turn a connection into a WebSocket, and answer its handshake with the header ``fields``.

    ``early`` is what came behind the request.
    """
    protocol = make_protocol(wire, fields, ping)
    begin(protocol, transport)
    connections = cast("set[Any]", state.connections)
    connections.add(wire)
    wire.on_lost = partial(connections.discard, wire)
    feed(protocol, _HANDSHAKE % key)
    if early:
        wire.flush()  # picows writes past it what a breach of the protocol is answered with
        feed(protocol, early)


def refusal(state: ServerState, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bytes:
    """Write the answer to a handshake that is refused. Raises what :func:`header_lines` does."""
    lines = header_lines(state, headers)
    if b"\r\ncontent-length:" not in b"\r\n" + lines.lower():
        lines += b"content-length: %d\r\n" % len(body)
    return b"HTTP/1.1 %d %s\r\n%sconnection: close\r\n\r\n%s" % (status, _phrase(status), lines, body)


def header_lines(state: ServerState, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Write the headers of an answer, those of uvicorn first.

    Raises ValueError for one that would break the answer, TypeError for one that is no pair of bytes.
    """
    return _written(tuple(map(tuple, (*state.default_headers, *headers))))


@lru_cache(16)  # for a second nearly every answer has the same ones
def _written(pairs: tuple[tuple[Any, ...], ...]) -> bytes:
    for pair in pairs:
        if len(pair) != 2 or not all(isinstance(part, bytes) for part in pair):
            raise TypeError(f"a header is a pair of bytes, not {pair!r:.200}")
        check_header(pair[0].decode("latin-1"), pair[1].decode("latin-1"))
    return b"".join([b"%b: %b\r\n" % pair for pair in pairs])


_HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: -\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n"
)
"""What picows needs to see of a request that has been checked; it keeps no more than that of it."""


def _parse_request(data: bytes) -> tuple[str, bytes, list[tuple[bytes, bytes]]]:
    head = data.partition(b"\r\n\r\n")[0]
    first, *lines = head.split(b"\r\n")
    method, target, _ = first.split(b" ", 2)
    pairs = (line.partition(b":") for line in lines)
    return method.decode("latin-1"), target, [(name.strip().lower(), value.strip()) for name, _, value in pairs]


_SECRET = re.compile(r"(?<=[?&]sid=)[^&]*")


def without_secret(url: str) -> str:
    """Give a URL as it may be logged: whoever knows the id of a session can send in its name."""
    return _SECRET.sub("...", url)


def valid_key(fields: Mapping[bytes, bytes]) -> bytes | None:
    """Give the key of a handshake that is valid (RFC 6455 section 4.2.1)."""
    key = fields.get(b"sec-websocket-key", b"")
    if fields.get(b"sec-websocket-version") != b"13":
        return None
    try:
        return key if len(base64.b64decode(key, validate=True)) == 16 else None
    except ValueError:
        return None


def _phrase(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b""
