"""The fast lane: WebSockets under uvicorn that go straight from picows' C protocol into a session.

uvicorn hands an upgrade request to the class given as ``ws=``: :class:`WebSocketProtocol`. It runs the application with
an ordinary ``websocket`` scope. Where routing ends at a :class:`socketeer.Server`, the server takes the connection over
through a scope extension: picows answers the handshake, frames flow into the session, and the application's task ends.
Any other application gets ordinary ASGI WebSockets from the same class.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import signal
import socket
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import unquote

import uvicorn
from picows import WSCloseCode
from picows.common import WSUpgradeResponse
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
from socketeer.transports.deflate import WatchedDeflate
from socketeer.transports.http import HttpProtocol
from socketeer.transports.picows import Watched, Wire, begin, feed, make_protocol

__all__ = ["HttpProtocol", "WebSocketProtocol", "close_before_shutdown", "make_server", "open_listener"]

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
            self._transport.underlying_transport.pause_reading()

    async def receive(self) -> dict[str, Any]:
        """Give the next message once there is one."""
        while not self._messages:
            self._arrived.clear()
            await self._arrived.wait()
        message = self._messages.popleft()
        if len(self._messages) == self._MOST_WAITING - 1 and not self._transport.is_disconnected:
            self._transport.underlying_transport.resume_reading()
        return message

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Send a message once the peer reads. Raises OSError if it has gone."""
        await self._writable.wait()
        if self._transport.is_disconnected:
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
        if self._closed or self._transport.is_disconnected:
            return
        self._closed = True
        super().close(code, reason)
        self._transport.underlying_transport.resume_reading()  # the peer's answer may come behind what waits
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
        self._request = b""
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
        key = _valid_key(method, headers)
        if key is None:
            self._respond(400, [(b"content-type", b"text/plain")], b"Bad WebSocket handshake")
            return
        self._request = _HANDSHAKE % key
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
        self._upgrade(wire, headers, ping=True)
        self._asgi = wire

    def _take_over(
        self, limits: Limits, headers: list[tuple[bytes, bytes]], agreement: Agreement | None = None
    ) -> Wire | None:
        """Give the connection to the caller for good; None if it is gone already."""
        if self._gone.is_set() or self._done:
            return None
        wire: Wire
        if agreement is None:
            wire = Watched(limits)
        else:
            wire = WatchedDeflate(limits, agreement)
            headers = [*headers, (b"Sec-WebSocket-Extensions", agreement.answer)]
        self._upgrade(wire, headers, ping=False)
        return wire

    def _upgrade(self, wire: Wire, headers: list[tuple[bytes, bytes]], *, ping: bool) -> None:
        answer = WSUpgradeResponse.create_101_response(_text_of([*self._state.default_headers, *headers]))
        self._done = True
        if _log.isEnabledFor(logging.INFO):
            path = get_path_with_query_string(cast("Any", self._scope))
            _log.info('%s - "WebSocket %s" [accepted]', get_client_addr(cast("Any", self._scope)), path)
        config = self._config
        protocol = make_protocol(wire, answer, (config.ws_ping_interval, config.ws_ping_timeout) if ping else None)
        connections = cast("set[Any]", self._state.connections)
        begin(protocol, self._transport)
        connections.discard(self)
        connections.add(wire)
        wire.on_lost = partial(connections.discard, wire)
        feed(protocol, self._request + self._kept)
        self._scope = {"type": "websocket"}
        self._request = self._kept = b""

    def _respond(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        if self._done:
            return
        answer = self._answer(status, headers, body)  # it may be one that cannot be sent
        self._done = True
        if not self._transport.is_closing():
            self._transport.write(answer)
            self._transport.close()

    def _answer(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> bytes:
        if b"content-length" not in {name.lower() for name, _ in headers}:
            headers = [*headers, (b"content-length", b"%d" % len(body))]
        fields = _text_of([*self._state.default_headers, *headers, (b"connection", b"close")])
        head = "".join(f"{name}: {value}\r\n" for name, value in fields)
        return b"HTTP/1.1 %d %s\r\n%s\r\n%s" % (status, _phrase(status), head.encode("latin-1"), body)


def _text_of(headers: list[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """Give headers as text. Raises ValueError for one that would break the answer, TypeError for one of str."""
    fields = []
    for pair in headers:
        if not all(isinstance(part, bytes) for part in pair):
            raise TypeError(f"a header is a pair of bytes, not {pair!r:.200}")
        name, value = pair[0].decode("latin-1"), pair[1].decode("latin-1")
        check_header(name, value)
        fields.append((name, value))
    return fields


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


def _valid_key(method: str, headers: list[tuple[bytes, bytes]]) -> bytes | None:
    """Give the key of a handshake that is valid (RFC 6455 section 4.2.1)."""
    fields = dict(headers)
    key = fields.get(b"sec-websocket-key", b"")
    if method != "GET" or fields.get(b"sec-websocket-version") != b"13":
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


def close_before_shutdown(close: Callable[[], Awaitable[None]]) -> None:
    """Have the uvicorn that runs this process call ``close`` before it waits for its connections to end.

    uvicorn tells an application of its end only when every request has been answered, and a poll that waits would be
    answered with the next heartbeat. A server that does not run in the main thread is not found: it has no signal
    handlers.
    """
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    if isinstance(server, uvicorn.Server):
        _close_first(server, close)


def _close_first(server: uvicorn.Server, close: Callable[[], Awaitable[None]]) -> None:
    shutdown = server.shutdown

    async def close_and_shutdown(sockets: list[socket.socket] | None = None) -> None:
        for listener in server.servers:
            listener.close()
        await close()
        await shutdown(sockets)

    server.shutdown = close_and_shutdown  # type: ignore[method-assign]  # of this one server


def open_listener(host: str, port: int) -> socket.socket:
    """Listen on an address, so that connections wait from here on.

    Raises ``TypeError`` or ``ValueError`` for what is no port, ``OSError`` where it cannot be listened on. Left to
    itself, uvicorn would end the process, or take a port that is too large for another one.
    """
    if isinstance(port, bool) or not isinstance(port, int):
        raise TypeError(f"port takes a whole number, not {port!r}")
    if not 0 <= port <= 65535:
        raise ValueError(f"port must be from 0 to 65535, not {port}")
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    return socket.create_server((host, port), family=family, backlog=2048)


def make_server(
    app: Any, host: str, port: int, before_shutdown: Callable[[], Awaitable[None]], **settings: Any
) -> uvicorn.Server:
    """Make a uvicorn server on the fast lane; ``settings`` are further options of ``uvicorn.Config``."""
    options = {"log_level": "warning", "access_log": False, "lifespan": "auto", "http": HttpProtocol, **settings}
    server = uvicorn.Server(uvicorn.Config(app, host=host, port=port, ws=WebSocketProtocol, **options))
    _close_first(server, before_shutdown)
    return server
