"""The fast lane of HTTP: requests under uvicorn that go from the parser straight to the engine.

uvicorn makes a scope, a task and two events for each request. :class:`RequestProtocol` saves that for the requests
that come by the thousand: a GET or a POST of a session that is on polling, and the opening of a WebSocket. Whatever
else arrives, or is out of the ordinary in any way, goes uvicorn's own way to the application, and so does everything
where other applications or middleware stand before the server.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from socketeer.engine.cors import is_malformed
from socketeer.engine.http import ErrorCode, Headers, Response, error_response
from socketeer.engine.polling import Polling
from socketeer.transports.opening import open_websocket, read_opening
from socketeer.transports.outbox import outbox_of

if TYPE_CHECKING:
    from uvicorn import Config
    from uvicorn.server import ServerState

    from socketeer.engine.handshake import Engine
    from socketeer.transports.asgi import EngineFrontend
    from socketeer.transports.opening import Lane, Opening
    from socketeer.transports.outbox import Sender

__all__ = ["RequestProtocol"]

_MOST_PARAMETERS = 8


class _Head(NamedTuple):
    """Hold the headers of a request of a polling session, and what they come to.

    ``size`` is in bytes. ``cors`` are headers of the answer where there is no ``origin``.
    """

    raw: list[tuple[bytes, bytes]]
    fields: dict[bytes, bytes]
    size: int
    origin: str | None
    host: str
    cors: Headers


class RequestProtocol(HttpToolsProtocol):
    """Serve one connection on which requests come."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        lane: Lane,
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._lane = lane
        self._opening: Opening | None = None
        self._head: _Head | None = None  # of the last request of a polling session
        self._idle_since: float | None = None  # while it was answered here, and nothing has come since
        self._idle_timer: asyncio.TimerHandle | None = None
        self._outbox = outbox_of(self.loop)
        self._answers: list[bytes] = []  # those of this round
        self.listed = False
        self._read: _Exchange | None = None  # the one whose request is being read
        self._open: _Exchange | None = None  # the one that has not been answered

    text = None  # for the outbox: what waits is no text of a WebSocket

    # -- from the parser

    def on_message_begin(self) -> None:
        """Take note that a request begins; whether it needs a scope is not known yet."""
        if self._lane.frontend is None:
            super().on_message_begin()
        else:
            self._idle_since = None
            self.url = b""
            self.headers = []
            self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        """Take the head of a request."""
        if self._lane.frontend is not None:
            self._idle_since = None  # once more: the request before it may have been answered since it began
            self._read = exchange = self._begin(self._lane.frontend)
            if exchange is not None:
                self._open = exchange
                self.cycle = cast("Any", exchange)  # it is for uvicorn what a cycle is
                exchange.begin()
                return
            self._opening = self._meet()
            if self._opening is not None:
                return
            self.flush()
            url, headers, expects = self.url, self.headers, self.expect_100_continue
            super().on_message_begin()
            self.url, self.expect_100_continue = url, expects
            self.headers.extend(headers)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        if self._read is None:
            super().on_body(body)
        else:
            self._read.body.append(body)

    def on_message_complete(self) -> None:
        """Take the end of a request."""
        if self._read is None:
            super().on_message_complete()
        else:
            self._read.run()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that the client left."""
        if self._open is not None and not self._open.response_complete:
            self._open.lost()
        self._stop_idling()
        self._answers.clear()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Close once what is being answered has been: uvicorn stops."""
        self.flush()
        super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, behind the answers that wait."""
        self.flush()
        super().send_400_response(msg)

    def _begin(self, frontend: EngineFrontend) -> _Exchange | None:
        """Begin to serve a request here; None leaves it to uvicorn."""
        engine = frontend.engine
        url, parser = self.url, self.parser
        if not url.startswith(self._lane.prefix) or engine.hooked or engine.decorated:
            return None
        if frontend.driver.loop is not self.loop:
            return None
        before: Any = self.cycle
        if before is not None and not before.response_complete:
            return None  # it waits for the one before it
        method = parser.get_method()
        if parser.get_http_version() != "1.1" or self.expect_100_continue or parser.should_upgrade():
            return None
        polling = _find(engine, url[len(self._lane.prefix) :])
        if polling is None or (method != b"GET" and method != b"POST"):
            return None
        head = self._head
        if head is None or head.raw != self.headers:
            head = self._head = self._examine(engine)
        if head is None or len(url) - len(b"?") + head.size > engine.options.max_header_bytes:
            return None
        length = head.fields.get(b"content-length")
        if method == b"GET" and length is not None and length != b"0":
            return None
        if method == b"POST" and not _fits(length, engine.options.max_http_buffer_size):
            return None
        cors = head.cors
        if head.origin is not None:  # asked again each time, for the application may decide
            if not engine.origins.allows(head.origin, head.host, self.scheme == "https"):
                return None
            cors = engine.origins.response_headers(head.origin)
        return _Exchange(self, frontend, polling, method, head.fields, cors)

    def _examine(self, engine: Engine) -> _Head | None:
        """Look through the headers of a request, which those of the next often equal; None leaves it to uvicorn."""
        fields = dict(self.headers)
        if len(fields) != len(self.headers) or b"transfer-encoding" in fields:
            return None
        agent = fields.get(b"user-agent", b"")
        if b"MSIE " in agent or b"Trident/" in agent:
            return None
        origin, host = None, fields.get(b"host", b"").decode("latin-1")
        if b"origin" in fields:
            origin = fields[b"origin"].decode("latin-1")
            if is_malformed(origin):
                return None
        size = sum(map(len, fields)) + sum(map(len, fields.values())) + 4 * len(fields)
        if size > engine.options.max_header_bytes:
            return None
        # A copy: the parser would add trailers.
        return _Head(self.headers.copy(), fields, size, origin, host, engine.origins.response_headers(None))

    # -- WebSockets

    def _meet(self) -> Opening | None:
        """Read the head of a request that opens a WebSocket for the server; None leaves it to uvicorn."""
        frontend, parser = self._lane.frontend, self.parser
        if frontend is None or not parser.should_upgrade() or not self.url.startswith(self._lane.prefix):
            return None
        if frontend.driver.loop is not self.loop:
            return None
        if parser.get_http_version() != "1.1" or parser.get_method() != b"GET" or not self._should_upgrade():
            return None
        headers = [(name, value.rstrip(b" \t")) for name, value in self.headers]
        secure = self.scheme == "https"
        return read_opening(
            self._lane, self.url, headers, dict(headers), client=self.client, secure=secure, state=self.app_state
        )

    def handle_websocket_upgrade(self) -> None:
        """Take the end of a request that opens a WebSocket: nothing of HTTP is to come on this connection."""
        self._unset_keepalive_if_required()
        self._stop_idling()
        self.flush()
        if self._open is not None and not self._open.response_complete:
            self._open.lost()
        opening, frontend = self._opening, self._lane.frontend
        if opening is None or frontend is None:
            super().handle_websocket_upgrade()
            return
        self.connections.discard(self)
        self.parser = None  # type: ignore[assignment]  # as uvicorn does: it is a cycle that would wait for the collector
        open_websocket(frontend, opening, self.transport, self.server_state, self.client)

    # -- to the client

    def answer(self, response: Response, cors: Headers, *, keep_alive: bool, method: bytes) -> None:
        """Send an answer, and be ready for the next request."""
        if self.access_log:
            client = "" if self.client is None else f"{self.client[0]}:{self.client[1]}"
            path = self.url.decode("latin-1")
            self.access_logger.info('%s - "%s %s HTTP/%s" %d', client, method.decode(), path, "1.1", response.status)
        headers = (*self.server_state.default_headers, *response.headers, *cors)
        lines = b"".join([b"%b: %b\r\n" % header for header in headers])
        close = b"" if keep_alive else b"connection: close\r\n"
        body = response.body
        self._answers.append(
            b"%b%bcontent-length: %d\r\n%b\r\n%b" % (STATUS_LINE[response.status], lines, len(body), close, body)
        )
        if keep_alive and not self.pipeline:
            self.server_state.total_requests += 1
            self._idle()
            if not self.listed:
                self.listed = True
                self._outbox.add(cast("Sender", self))
        else:
            self.flush()
            if not keep_alive:
                self.transport.close()
            self.on_response_complete()

    def flush(self) -> None:
        """Write the answers that wait."""
        if self._answers:
            answers, self._answers = self._answers, []
            self.transport.write(answers[0] if len(answers) == 1 else b"".join(answers))

    # -- between two requests

    def _idle(self) -> None:
        """Wait for the next request; one timer does for all of them, where uvicorn takes a new one each time."""
        self._idle_since = self.loop.time()
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._look_for_request)

    def _look_for_request(self) -> None:
        self._idle_timer = None
        if self._idle_since is None:
            return  # there is one
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._idle_timer = self.loop.call_later(left, self._look_for_request)
        else:
            self.flush()
            self.timeout_keep_alive_handler()

    def _stop_idling(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None


def _find(engine: Engine, query: bytes) -> Polling | None:
    """Find the session of a request by its query, where that is plain and says nothing but what is needed."""
    sid = transport = None
    parameters = query.split(b"&", _MOST_PARAMETERS)
    for parameter in parameters:
        name, _, value = parameter.partition(b"=")
        if name == b"sid" and sid is None:
            sid = value
        elif name == b"transport" and transport is None:
            transport = value
        elif name not in (b"EIO", b"t", b"b64"):
            return None
    if sid is None or transport != b"polling":
        return None
    session = engine.sessions.get(sid.decode("latin-1"))
    if session is None:
        return None
    polling = session.transport
    return polling if polling.__class__ is Polling and polling.jsonp is None else None


def _fits(declared: bytes | None, limit: int) -> bool:
    return declared is not None and declared.isdigit() and len(declared) < 20 and int(declared) <= limit


class _NoEvent:
    """Stand where uvicorn has an event that nobody waits for here."""

    def set(self) -> None:
        pass


class _Exchange:
    """Be one request and its answer: what is a cycle for uvicorn."""

    __slots__ = (
        "_cors",
        "_fields",
        "_frontend",
        "_method",
        "_polling",
        "_protocol",
        "body",
        "disconnected",
        "keep_alive",
        "more_body",
        "response_complete",
    )

    message_event = _NoEvent()

    def __init__(
        self,
        protocol: RequestProtocol,
        frontend: EngineFrontend,
        polling: Polling,
        method: bytes,
        fields: dict[bytes, bytes],
        cors: Headers,
    ) -> None:
        self._protocol = protocol
        self._frontend = frontend
        self._polling = polling
        self._method = method
        self._fields = fields
        self._cors = cors
        self.body: list[bytes] = []
        self.keep_alive = protocol.parser.should_keep_alive()
        self.disconnected = False
        self.more_body = True
        self.response_complete = False

    def begin(self) -> None:
        """Begin to read the body, which the session may not want."""
        if self._method == b"POST":
            refusal = self._polling.begin_post(self._content_type(), self._stop)
            if refusal is not None:
                self._send(refusal)

    def run(self) -> None:
        """Serve the request, which is complete."""
        if self.response_complete:
            return
        if self._method == b"POST":
            body = self.body
            self._send(self._polling.end_post(body[0] if len(body) == 1 else b"".join(body), self._content_type()))
        else:
            response = self._polling.begin_get(self._wake)
            if response is not None:
                self._answer(response)

    def lost(self) -> None:
        """Take note that the client left before it was answered."""
        self.response_complete = True
        if self._method == b"GET":
            self._polling.abort_get()
        else:
            self._polling.abort_post("request closed before its body was complete")

    def _content_type(self) -> str:
        return self._fields.get(b"content-type", b"").decode("latin-1")

    def _wake(self) -> None:
        self._protocol.loop.call_soon(self._take)  # until then further packets may join

    def _take(self) -> None:
        if not self.response_complete:
            self._answer(self._polling.take())

    def _stop(self) -> None:
        """End a request whose body is no longer wanted, for the session is over."""
        self.keep_alive = False
        self._send(error_response(ErrorCode.BAD_REQUEST))

    def _answer(self, response: Response) -> None:
        frontend = self._frontend
        if response.compress and len(response.body) >= frontend.compressed_from:
            frontend.driver.spawn(self._compress(response))
        else:
            self._send(response)

    async def _compress(self, response: Response) -> None:
        accepted = self._fields.get(b"accept-encoding", b"").decode("latin-1")
        response = await self._frontend.compress(response, accepted)
        if not self.response_complete:
            self._send(response)

    def _send(self, response: Response) -> None:
        self.response_complete = True
        self._protocol.answer(response, self._cors, keep_alive=self.keep_alive, method=self._method)
