"""How a client's session begins: the handshake over either transport, and the upgrade from one to the other."""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote_plus, urlencode

from socketeer.client.address import Address, Cookies, timestamp
from socketeer.client.network import HttpResponse, Network
from socketeer.client.polling import Polling, check_response, is_binary
from socketeer.engine.http import Request, check_header
from socketeer.engine.session import ObservedSession, Session, State, trace_enabled
from socketeer.engine.websocket import DEAF, Limits, Sink, TextWebSocket, WebSocket, Wire
from socketeer.exceptions import PacketError, TransportError
from socketeer.options.client import ManagerOptions
from socketeer.protocol import socket_json
from socketeer.protocol.packets import OPEN
from socketeer.protocol.revisions import REVISIONS
from socketeer.transports.driver import Driver

__all__ = ["Opening", "SessionRules"]

_log = logging.getLogger("socketeer.client")

_LEAST_PAYLOAD = 1
_OF_THE_TRANSPORT = ("content-length", "transfer-encoding")


@dataclass(frozen=True, slots=True)
class SessionRules:
    """Hold what a session goes by: partly the server's words, partly this client's options."""

    ping_interval: float
    ping_timeout: float
    upgrade_timeout: float
    close_timeout: float
    attachment_timeout: float
    max_attachments: int
    max_packet_bytes: int
    max_buffered_bytes: int


class _Handshake(NamedTuple):
    """Hold the server's first packet (Engine.IO protocol, "Handshake")."""

    sid: str
    upgrades: Sequence[str]
    ping_interval: float
    ping_timeout: float
    max_payload: int | None


def _read_handshake(data: bytes) -> _Handshake:
    """Read an open packet. Raises TransportError for what is none."""
    try:
        if data[:1] != b"0":
            raise ValueError
        fields = socket_json.load(data[1:])
        sid, upgrades = fields["sid"], fields.get("upgrades", [])
        interval, patience = fields["pingInterval"] / 1000, fields["pingTimeout"] / 1000
        most = fields.get("maxPayload")
        if not (isinstance(sid, str) and sid.encode() and isinstance(upgrades, list)):
            raise ValueError
        if not (0 < interval < math.inf and 0 <= patience < math.inf):
            raise ValueError
    except (PacketError, ArithmeticError, ValueError, LookupError, TypeError, AttributeError):
        raise TransportError(f"no handshake of Engine.IO, but {data[:100]!r}") from None
    if isinstance(most, bool) or not isinstance(most, int) or most < _LEAST_PAYLOAD:
        most = None
    return _Handshake(sid, upgrades, float(interval), float(patience), most)


def _texts(values: Mapping[Any, Any] | None) -> dict[str, str]:
    return {str(name): str(value) for name, value in (values or {}).items()}


def _of_session(sid: str) -> str:
    """Give the end of the URL of a request that belongs to a session."""
    return f"&sid={quote_plus(sid)}"


class _Said(NamedTuple):
    """Hold what every request of one transport says."""

    query: dict[str, str]
    headers: dict[str, str]
    url: str
    """The URL but for what differs from request to request."""
    stamp: str
    """What goes before the text that tells requests apart; empty where they are not to be."""


class Opening:
    """Open one session.

    ``on_open`` gets it as soon as the server has answered, before any packet. ``on_upgrade`` is called when it has
    moved to WebSocket, ``on_closed`` when nothing is left of it.
    """

    def __init__(
        self,
        address: Address,
        options: ManagerOptions,
        network: Network,
        cookies: Cookies,
        driver: Driver,
        on_open: Callable[[Session], None],
        on_upgrade: Callable[[], None],
        on_closed: Callable[[Session], None],
    ) -> None:
        self._address = address
        self._options = options
        self._network = network
        self._cookies = cookies
        self._driver = driver
        self._on_open = on_open
        self._on_upgrade = on_upgrade
        self._on_closed = on_closed
        self._revision = REVISIONS[str(options.eio)]
        self._said: dict[str, _Said] = {}
        self._answers: dict[tuple[str, int], dict[str, str]] = {}
        self._limits = Limits(options.max_http_buffer_size, options.max_fragments, options.max_buffered_bytes)

    async def run(self, transport: str) -> None:
        """Connect with a transport. Raises ``TransportError``."""
        await self._prepare(transport)
        if transport == "polling":
            await self._open_polling()
        else:
            await self._open_websocket()

    # -- requests

    async def _prepare(self, transport: str) -> None:
        """Ask the functions among the options, unless they have been for this connection."""
        options = self._options.for_transport(transport)
        query = {**dict(self._address.query), **await self._ask("query", options.query)}
        headers = {**await self._ask("extra_headers", options.extra_headers)}
        if self._address.authorization and "authorization" not in map(str.lower, headers):
            headers["Authorization"] = self._address.authorization
        for name, value in headers.items():
            check_header(name, value)
            if name.lower() in _OF_THE_TRANSPORT:
                raise ValueError(f"a header that cannot be set: {name!r}")
        stamped = options.timestamp_requests
        if stamped is None:
            stamped = transport == "polling"
        own = f"EIO={self._revision.engine}&transport={transport}{'&b64=1' * options.force_base64}"
        if query:
            taken = {"EIO", "transport", "sid"}
            if options.force_base64:
                taken.add("b64")
            if stamped:
                taken.add(options.timestamp_param)
            given = urlencode({name: value for name, value in query.items() if name not in taken})
            own = f"{given}&{own}" if given else own
        url = self._address.url(transport, f"{options.path}{'/' * options.add_trailing_slash}?{own}")
        self._said[transport] = _Said(
            query, headers, url, f"&{quote_plus(options.timestamp_param)}=" if stamped else ""
        )

    async def _ask(self, option: str, given: Any) -> dict[str, str]:
        if not callable(given):
            return _texts(given)
        key = option, id(given)
        if key not in self._answers:
            answer = given()
            if inspect.isawaitable(answer):
                answer = await answer
            if answer is not None and not isinstance(answer, Mapping):
                raise TypeError(f"option {option!r}: the function must give a mapping, not {answer!r:.100}")
            self._answers[key] = _texts(answer)
        return self._answers[key]

    def _url(self, transport: str, of_session: str) -> str:
        said = self._said[transport]
        return f"{said.url}{said.stamp}{timestamp()}{of_session}" if said.stamp else f"{said.url}{of_session}"

    def _fields(self, transport: str, content_type: str = "") -> Mapping[str, str]:
        headers = self._said[transport].headers
        cookies = self._cookies.header()
        if cookies is None and not content_type:
            return headers
        fields = dict(headers)
        if cookies is not None:
            own = next((name for name in fields if name.lower() == "cookie"), None)
            fields["Cookie"] = f"{fields.pop(own)}; {cookies}" if own is not None else cookies
        if content_type:
            own = next((name for name in fields if name.lower() == "content-type"), "Content-Type")
            fields[own] = content_type
        return fields

    async def _request(self, of_session: str, method: str, body: bytes, content_type: str) -> HttpResponse:
        request = self._network.request(
            method, self._url("polling", of_session), self._fields("polling", content_type), body
        )
        patience = self._options.for_transport("polling").request_timeout
        if patience is None:
            response = await request
        else:
            try:
                async with asyncio.timeout(patience):
                    response = await request
            except TimeoutError:
                raise TransportError(f"no response to {method} within request_timeout") from None
        self._cookies.take(response.headers)
        return response

    # -- the session

    def _make_session(self, handshake: _Handshake, transport: str) -> Session:
        options = self._options
        rules = SessionRules(
            handshake.ping_interval,
            handshake.ping_timeout,
            options.upgrade_timeout,
            options.close_timeout,
            options.attachment_timeout,
            options.max_attachments,
            options.max_packet_bytes,
            options.max_buffered_bytes,
        )
        kind = ObservedSession if trace_enabled() else Session
        session = kind(
            handshake.sid,
            self._revision,
            rules,
            self._driver.wheel,
            self._session_closed,
            pings=not self._revision.server_pings,
        )
        said = self._said[transport]
        session.request = Request(
            "GET",
            said.url,
            said.query,
            said.headers,
            self._address.host,
            self._address.secure,
            transport == "websocket",
        )
        return session

    def _session_closed(self, session: Session) -> None:
        self._release(lambda: self._on_closed(session))

    def _release(self, then: Callable[[], None] = lambda: None) -> None:
        releasing = self._driver.spawn(self._network.release())
        assert releasing is not None
        releasing.add_done_callback(lambda _: then())

    def _websocket_of(self, session: Session, wire: Wire) -> WebSocket:
        text_only = self._options.for_transport("websocket").force_base64
        return (TextWebSocket if text_only else WebSocket)(session, wire)

    # -- polling

    async def _open_polling(self) -> None:
        try:
            response = await self._request("", "GET", b"", "")
            check_response(response, "handshake")
            try:
                packets = self._revision.codec.decode_payload(response.body, binary=is_binary(response))
            except PacketError as error:
                raise TransportError(
                    f"no handshake of Engine.IO {self._revision.engine} ({error}): is it a server 1.x or 2.x (eio=3)?"
                ) from None
            handshake = _read_handshake(packets[0].data if packets and not packets[0].binary else b"")
        except BaseException:
            await self._network.release()
            raise
        session = self._make_session(handshake, "polling")
        of_session = _of_session(handshake.sid)

        async def exchange(method: str, body: bytes, content_type: str) -> HttpResponse:
            return await self._request(of_session, method, body, content_type)

        binary = not self._options.for_transport("polling").force_base64
        polling = Polling(session, exchange, self._driver, binary=binary, max_payload=handshake.max_payload)
        session.transport = polling
        self._on_open(session)
        polling.take(packets[1:])
        if session.state is State.CLOSED:
            return
        polling.start()
        options = self._options
        offered = options.upgrade and "websocket" in options.transports and "websocket" in handshake.upgrades
        if offered and session.state is State.OPEN:  # else somebody has closed it already
            session.probe = Probe(self, session, polling)

    # -- WebSocket

    async def _open_websocket(self) -> None:
        first = _First(self)
        try:
            await self._connect("", first.begin)
            await first.opened
        except BaseException:
            first.give_up()
            raise

    async def _connect(self, of_session: str, begin: Callable[[Wire], Sink]) -> None:
        options = self._options
        url, fields = self._url("websocket", of_session), self._fields("websocket")
        self._cookies.take(await self._network.websocket(url, fields, self._limits, begin, options.protocols))

    def begin(self, wire: Wire, data: bytes) -> None:
        """Begin a session on a WebSocket with the server's first packet. Raises ``TransportError``."""
        session = self._make_session(_read_handshake(data), "websocket")
        session.transport = self._websocket_of(session, wire)
        wire.sink = session
        self._said.clear()  # it has served
        self._on_open(session)

    # -- upgrade

    async def connect_probe(self, session: Session, begin: Callable[[Wire], Sink]) -> None:
        """Open the WebSocket that is to become the transport of a session."""
        await self._prepare("websocket")
        await self._connect(_of_session(session.id), begin)

    def upgrade(self, session: Session, wire: Wire) -> None:
        """Move a session, whose polling is paused, to its WebSocket."""
        wire.send_text(b"5")
        wire.sink = session
        session.upgrade(self._websocket_of(session, wire))
        self._said.clear()
        self._release()
        self._on_upgrade()

    def spawn(self, run: Any) -> asyncio.Task[Any] | None:
        """Run a coroutine as a task."""
        return self._driver.spawn(run)


class _First:
    """Take the first packet of a WebSocket."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._wire: Wire | None = None
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def begin(self, wire: Wire) -> Sink:
        self._wire = wire
        return self

    def receive_text(self, data: bytes) -> None:
        if self._wire is None or self.opened.done():
            return
        try:
            self._opening.begin(self._wire, data)
        except TransportError as error:
            self.opened.set_exception(error)
        else:
            self._wire = None
            self.opened.set_result(None)

    def receive_frame(self, frame: bytes) -> None:
        codec = self._opening._revision.codec
        if codec.bare_frames or frame[:1] != bytes((OPEN - 0x30,)):
            self.end("parse error", "a binary frame instead of a handshake")
        else:
            self.receive_text(codec.unframe(frame).data)

    def end(self, reason: str, description: str | None = None) -> None:
        if not self.opened.done():
            self.opened.set_exception(TransportError(f"WebSocket closed before the handshake: {description or reason}"))

    def give_up(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.sink = DEAF
            wire.abort()
        if self.opened.done() and not self.opened.cancelled():
            self.opened.exception()  # it has been raised, or nobody waits for it
        else:
            self.opened.cancel()


class Probe:
    """Try to move a session from polling to a WebSocket (Engine.IO protocol, "Upgrade")."""

    def __init__(self, opening: Opening, session: Session, polling: Polling) -> None:
        self._opening = opening
        self._session = session
        self._polling = polling
        self._wire: Wire | None = None
        self._over = False
        self._timeout = session.wheel.call_later(session.options.upgrade_timeout, self._expire)
        self._task = opening.spawn(self._run())

    async def _run(self) -> None:
        try:
            await self._opening.connect_probe(self._session, self._begin)
        except TransportError as error:
            self._fail(str(error))
        except Exception as error:
            _log.exception("an upgrade failed")
            self._fail(repr(error))
        except asyncio.CancelledError:
            self._fail("cancelled")
            raise
        self._task = None

    def _begin(self, wire: Wire) -> Sink:
        self._wire = wire
        wire.send_text(b"2probe")
        return self

    def receive_text(self, data: bytes) -> None:
        """Take the server's answer."""
        if data == b"3probe" and self._wire is not None:
            session = self._session
            if session.conn is not None:
                session.conn.fire("upgrading", WebSocket(session, self._wire))
            if not self._over:  # else a listener has closed the connection
                self._polling.pause(self._move)
        else:
            self._fail(f"not an answer to a probe: {data[:100]!r}")

    def receive_frame(self, frame: bytes) -> None:
        """Refuse a binary frame: an upgrade has none."""
        self._fail("binary frame in an upgrade")

    def end(self, reason: str, description: str | None = None) -> None:
        """Give up: the WebSocket is gone."""
        self._fail(description or reason)

    def _move(self) -> None:
        wire = self._wire
        if self._over or wire is None:
            return
        self._over = True
        self._session.wheel.stop(self._timeout)
        self._opening.upgrade(self._session, wire)

    def _expire(self) -> None:
        self._fail("unfinished after upgrade_timeout")

    def _fail(self, reason: str) -> None:
        if self._over:
            return
        _log.debug("%s not upgraded: %s", self._session.id, reason)
        self._session.drop_probe()
        self._polling.resume()

    def cancel(self) -> None:
        """Close the WebSocket: the session ends, or goes on without it."""
        self._over = True
        self._session.wheel.stop(self._timeout)
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.sink = DEAF
            wire.close()
            wire.disconnect()
