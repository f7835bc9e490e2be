"""The ASGI front end: HTTP long-polling for both lanes, and WebSockets for the portable one.

A WebSocket goes the fast lane where the web server offers the extension of
:class:`socketeer.transports.uvicorn.WebSocketProtocol`; everywhere else it is served through ``receive`` and ``send``.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

from socketeer.engine.compression import choose, compress
from socketeer.engine.deflate import Agreement, Deflate
from socketeer.engine.handshake import Admission, Engine
from socketeer.engine.http import ErrorCode, Headers, Request, Response, error_response
from socketeer.engine.polling import Polling
from socketeer.engine.websocket import Limits, Wire
from socketeer.transports.admission import admit
from socketeer.transports.driver import Driver
from socketeer.transports.portable import PortableWire, Receive, Send

__all__ = ["TAKE_OVER", "EngineFrontend", "Receive", "Scope", "Send", "head_size", "make_request", "respond"]

Scope = MutableMapping[str, Any]
TakeOver = Callable[[Limits, list[tuple[bytes, bytes]], Agreement | None], Wire | None]
"""Gives a connection away: with limits for the wire, headers for the answer, and what was agreed on compression."""

TAKE_OVER = "socketeer.take_over"
"""The name of the scope extension by which a server hands a WebSocket over."""

_MOST_PARAMETERS = 100
_HEADER_PUNCTUATION = 4
_UNWATCHED = 0.5
"""How long a poll waits before a task watches for the client giving it up: most are answered sooner, and cheaper so."""
_MUCH = 32768
"""From this size on a body is compressed in a thread, so that nobody else has to wait for it."""
_OF_STARLETTE = ("session", "user", "auth")
"""What middlewares of Starlette put into the scope, beside its state."""
_WITHOUT_LENGTH = (204, 304)
"""The statuses that have no body and say nothing of its length (RFC 9110 section 8.6)."""


def request_from(scope: Scope) -> Request:
    """Build the engine's request from an ASGI scope. Raises ValueError for a query that is out of bounds."""
    client = scope.get("client")
    return make_request(
        scope.get("method", "GET"),
        scope["path"],
        scope["query_string"],
        scope["headers"],
        address=client[0] if client else "",
        secure=scope.get("scheme") in ("https", "wss"),
        upgrade=scope["type"] == "websocket",
        state=_state_of(scope),
    )


def make_request(
    method: str,
    path: str,
    raw_query: bytes,
    raw_headers: Iterable[tuple[bytes, bytes]],
    *,
    address: str,
    secure: bool,
    upgrade: bool,
    state: dict[str, Any],
) -> Request:
    """Build the engine's request from what a web server has read. Raises ValueError for a query out of bounds."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw_headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    query = raw_query.decode("latin-1")
    url = f"{path}?{query}" if query else path
    return Request(method, url, _parse_query(query), headers, address, secure, upgrade, state)


def _state_of(scope: Scope) -> dict[str, Any]:
    state: dict[str, Any] | None = scope.get("state")
    if "session" in scope or "user" in scope or "auth" in scope:
        return {**(state or {}), **{name: scope[name] for name in _OF_STARLETTE if name in scope}}
    return {} if state is None else state


def _parse_query(raw: str) -> dict[str, str]:
    query: dict[str, str] = {}
    if "%" not in raw and "+" not in raw and raw.count("&") < _MOST_PARAMETERS:  # nothing to decode
        pairs = [part.partition("=")[::2] for part in raw.split("&") if part]
    else:
        pairs = parse_qsl(raw, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
    for name, value in pairs:
        # A parameter given twice is no valid transport and no known sid, like the list that it is in JavaScript.
        query[name] = f"{query[name]},{value}" if name in query else value
    return query


def head_size(url_size: int, headers: Iterable[tuple[bytes, bytes]]) -> int:
    """Count what a request keeps in memory for the life of its session: its headers as they were sent, and its URL."""
    size = url_size
    for name, value in headers:
        size += len(name) + len(value) + _HEADER_PUNCTUATION
    return size


async def respond(send: Send, response: Response, extra: Headers = (), *, head: bool = False) -> None:
    """Send a whole HTTP response; without its body in answer to HEAD."""
    headers = [*response.headers, *extra]
    if response.status not in _WITHOUT_LENGTH:
        headers.append((b"content-length", b"%d" % len(response.body)))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else response.body})


class EngineFrontend:
    """Serve an engine's requests below the path of the server."""

    def __init__(self, engine: Engine, driver: Driver) -> None:
        self.engine = engine
        self.driver = driver
        deflate = engine.options.per_message_deflate
        self._deflate = Deflate(deflate) if deflate is not None else None
        # Who comes back at once is not recovered before the loss of the connection is known.
        self._unwatched = _UNWATCHED if engine.options.connection_state_recovery is None else 0.0
        compression = engine.options.http_compression
        self.compressed_from = math.inf if compression is None else compression.threshold

    # -- HTTP

    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a polling request, or the preflight of one."""
        engine = self.engine
        request = self._read_head(scope)
        if isinstance(request, Response):
            await respond(send, request)
            return
        origin = request.headers.get("origin")
        cors = engine.origins.response_headers(origin)
        if request.method == "OPTIONS" and cors:
            await respond(send, Response(204, engine.origins.preflight(origin, request.headers)))
            return
        admission = await admit(engine, request) if engine.hooked else engine.check(request)
        if isinstance(admission, Response):
            await respond(send, admission, cors)
            return
        response = await self._polling(admission, request, receive)
        if response is None:
            return
        if response.compress and len(response.body) >= self.compressed_from:
            response = await self.compress(response, request.headers.get("accept-encoding", ""))
        agent = request.headers.get("user-agent", "")
        if "MSIE " in agent or "Trident/" in agent:  # takes a message that looks like a script for an attack
            cors = (*cors, (b"x-xss-protection", b"0"))
        if engine.decorated:
            headers = engine.decorate((*response.headers, *cors), request, initial=admission.session is None)
            response, cors = replace(response, headers=headers), ()
        await respond(send, response, cors)

    async def compress(self, response: Response, accept_encoding: str) -> Response:
        """Compress the body of an answer in the coding that the client likes best."""
        how, body = self.engine.options.http_compression, response.body
        assert how is not None  # there is a size from which on bodies are compressed
        coding = choose(accept_encoding)
        headers = (*response.headers, (b"vary", b"Accept-Encoding"))
        if coding != "identity":
            headers = (*headers, (b"content-encoding", coding.encode("ascii")))
            if len(body) < _MUCH:
                body = compress(body, coding, how.level)
            else:
                body = await asyncio.to_thread(compress, body, coding, how.level)
        return Response(response.status, headers, body)

    def _read_head(self, scope: Scope) -> Request | Response:
        """Read all of a request but its body, or give the answer that refuses it."""
        size = head_size(len(scope["query_string"]) + len(scope["path"]), scope["headers"])
        if size > self.engine.options.max_header_bytes:
            return error_response(ErrorCode.BAD_REQUEST, "Request head of more than max_header_bytes", status=431)
        try:
            return request_from(scope)
        except ValueError:
            return error_response(ErrorCode.BAD_REQUEST)

    async def _polling(self, admission: Admission, request: Request, receive: Receive) -> Response | None:
        if admission.session is None:
            polling = self.engine.open_polling(request, admission.revision, admission.id)
            response = await self._get(polling, receive)
            extra = self.engine.handshake_headers(polling)
            return replace(response, headers=(*response.headers, *extra)) if response and extra else response
        transport = admission.session.transport
        assert isinstance(transport, Polling)  # the engine refuses a request for another transport
        if request.method == "GET":
            return await self._get(transport, receive)
        if request.method == "POST":
            return await self._post(transport, request, receive)
        return error_response(ErrorCode.BAD_REQUEST)

    async def _get(self, polling: Polling, receive: Receive) -> Response | None:
        """Give the answer to a GET once there is one; None if the client gave up."""
        done = self.driver.bind().create_future()

        def wake(packets: bool = True) -> None:
            if not done.done():
                done.set_result(packets)

        response = polling.begin_get(wake)
        if response is not None:
            return response
        watcher: asyncio.Future[None] | None = None

        def watch() -> None:
            nonlocal watcher
            watcher = asyncio.ensure_future(_watch(receive, wake))

        timer = self.driver.wheel.call_later(self._unwatched, watch)
        try:
            if await done:
                return polling.take()
        except asyncio.CancelledError:
            polling.abort_get()
            raise
        finally:
            self.driver.wheel.stop(timer)
            if watcher is not None:
                watcher.cancel()
        polling.abort_get()
        return None

    async def _post(self, polling: Polling, request: Request, receive: Receive) -> Response | None:
        content_type = request.headers.get("content-type", "")
        task = asyncio.current_task()
        assert task is not None
        refusal = polling.begin_post(content_type, task.cancel)
        if refusal is not None:
            return refusal
        limit = self.engine.options.max_http_buffer_size
        declared = request.headers.get("content-length", "0")
        body: bytes | None
        if declared.isdecimal() and len(declared) < 20 and int(declared) <= limit:
            try:
                body = await _read_body(receive, limit)
            except (ConnectionError, asyncio.CancelledError) as error:
                if polling.post_cancelled:
                    task.uncancel()
                    return _and_close(error_response(ErrorCode.BAD_REQUEST))
                polling.abort_post("request closed before its body was complete")
                if isinstance(error, asyncio.CancelledError):
                    raise
                return None
        else:
            body = None
        if body is None:
            polling.abort_post("body of more than max_http_buffer_size")
            return _and_close(Response(413, ((b"content-type", b"text/plain"),), b"Payload Too Large"))
        return polling.end_post(body, content_type)

    # -- WebSocket

    async def websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a WebSocket: a new session, or the upgrade of one."""
        engine = self.engine
        self.driver.bind()
        request = self._read_head(scope)
        if isinstance(request, Response):
            await _refuse_websocket(scope, receive, send, request)
            return
        admission = await admit(engine, request) if engine.hooked else engine.check(request)
        if isinstance(admission, Response):
            await _refuse_websocket(scope, receive, send, admission)
            return
        take_over = (scope.get("extensions") or {}).get(TAKE_OVER)
        if take_over is not None:
            self.take_over(request, admission, take_over)
            return
        headers = self._headers_of_websocket(request, admission)
        if (await receive())["type"] != "websocket.connect":
            return
        await send({"type": "websocket.accept", "headers": headers})
        portable = PortableWire(send, engine.limits)
        self._open(request, admission, portable)
        await portable.run(receive)

    def take_over(self, request: Request, admission: Admission, take_over: TakeOver) -> None:
        """Take a WebSocket from the web server, for the session that its request was admitted to."""
        headers = self._headers_of_websocket(request, admission)
        offers = request.headers.get("sec-websocket-extensions")
        agreement = self._deflate.negotiate(offers) if self._deflate is not None and offers else None
        wire = take_over(self.engine.limits, headers, agreement)
        if wire is not None:  # None: the client has gone meanwhile
            self._open(request, admission, wire)

    def _headers_of_websocket(self, request: Request, admission: Admission) -> list[tuple[bytes, bytes]]:
        engine = self.engine
        headers = engine.origins.response_headers(request.headers.get("origin"))
        if engine.decorated:
            headers = engine.decorate(headers, request, initial=admission.session is None)
        return list(headers)

    def _open(self, request: Request, admission: Admission, wire: Wire) -> None:
        engine = self.engine
        if admission.session is not None:
            engine.open_probe(admission.session, wire, text=request.wants_text)
        elif admission.id in engine.sessions:  # taken while this WebSocket was being accepted
            engine.check_id(request, admission, admission.id)
            wire.close()
            wire.disconnect()
        else:
            engine.open_websocket(request, admission.revision, wire, admission.id)


def _and_close(response: Response) -> Response:
    """Let the connection end with this answer: the rest of the request is not read."""
    return Response(response.status, (*response.headers, (b"connection", b"close")), response.body)


async def _watch(receive: Receive, wake: Callable[[bool], None]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    wake(False)


async def _read_body(receive: Receive, limit: int) -> bytes | None:
    """Give the body, or None if it is larger than ``limit``. Raises ConnectionError if the client leaves."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            return None
        if chunk:
            chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def _refuse_websocket(scope: Scope, receive: Receive, send: Send, response: Response) -> None:
    await receive()
    if "websocket.http.response" in (scope.get("extensions") or {}):
        headers = [*response.headers, (b"content-length", b"%d" % len(response.body))]
        await send({"type": "websocket.http.response.start", "status": response.status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": response.body})
    else:
        await send({"type": "websocket.close"})
