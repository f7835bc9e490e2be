"""The engine: every session of a server, and the checks that a request passes before it reaches one. No I/O.

A driver turns what its web server gives it into a :class:`~socketeer.engine.http.Request` and asks
:meth:`Engine.check`. The answer is a refusal, a session that exists, or the revision that a new session is to speak.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, TypeVar

import orjson

from socketeer.engine.conn import conn_of
from socketeer.engine.cookies import CookieWriter
from socketeer.engine.cors import OriginPolicy, is_malformed
from socketeer.engine.events import Spawn
from socketeer.engine.hooks import Hooks
from socketeer.engine.http import ErrorCode, Headers, Request, Response
from socketeer.engine.jsonp import origin_of_page
from socketeer.engine.polling import Polling
from socketeer.engine.session import ObservedSession, Session, State, trace_enabled
from socketeer.engine.timers import TimerWheel
from socketeer.engine.websocket import Limits, Probe, TextWebSocket, WebSocket, Wire
from socketeer.options import ServerOptions
from socketeer.protocol.revisions import REVISION_4, REVISIONS, Revision

__all__ = ["Admission", "Application", "Engine"]

_log = logging.getLogger("socketeer.engine")

F = TypeVar("F", bound=Callable[..., Any])

_ID = re.compile(r"[!-~]{1,200}")
_OF_CONNECTIONS = frozenset({"drain", "flush"})


class Application(Protocol):
    """Take the sessions that the engine opens."""

    def session_opened(self, session: Session, request: Request) -> None:
        """Set ``session.receiver``, and send at once what the client is to get first."""


@dataclass(slots=True, frozen=True)
class Admission:
    """Hold what a request that passed the checks is for: a session that exists, or a new one of ``revision``."""

    session: Session | None
    revision: Revision
    id: str | None = None
    """The new session's id, where the application gave it."""


class Engine(Hooks):
    """Hold the sessions of a server.

    ``random_id`` gives a new, unguessable session id; ``spawn`` runs what async listeners give.
    """

    def __init__(
        self,
        options: ServerOptions,
        wheel: TimerWheel,
        application: Application,
        random_id: Callable[[], str],
        spawn: Spawn | None = None,
    ) -> None:
        super().__init__(options.allow_request is not None, spawn)
        self.options = options
        self.wheel = wheel
        self.sessions: dict[str, Session] = {}
        self.origins = OriginPolicy.from_option(options.cors)
        self.limits = Limits(options.max_http_buffer_size, options.max_fragments, options.max_buffered_bytes)
        self.closing = False
        self.on_drained: Callable[[], None] | None = None
        self._application = application
        self._random_id = random_id
        self._forwarded: set[str] = set()
        self._cookie = CookieWriter(options.cookie) if options.cookie is not None else None
        self._first = _message(options.initial_packet) if options.initial_packet else None
        self._session_class = ObservedSession if trace_enabled() else Session

    @property
    def clients_count(self) -> int:
        """Count the sessions."""
        return len(self.sessions)

    # -- checks

    def check(self, request: Request) -> Admission | Response:
        """Check a request for everything but its body, where the application is not to be asked.

        Gives what it is for, or the answer that refuses it. The order of the checks is the reference implementation's.
        """
        return self.verify(request) or self.begin(request)

    def verify(self, request: Request) -> Admission | Response | None:
        """Begin to check a request; None lets it go on to :meth:`begin`, for it wants a new session."""
        query, headers = request.query, request.headers
        if query.get("transport") not in self.options.transports:
            return self.refuse(request, ErrorCode.UNKNOWN_TRANSPORT, transport=query.get("transport"))
        origin = headers.get("origin")
        if origin is None and "j" in query:
            origin = origin_of_page(headers)
        if origin is not None and is_malformed(origin):
            return self.refuse(request, ErrorCode.BAD_REQUEST, name="INVALID_ORIGIN", origin=origin)
        if not self.origins.allows(origin, headers.get("host"), request.secure):
            reason = self.origins.refusal(origin or "")
            return self.refuse(request, ErrorCode.FORBIDDEN, reason, name="FORBIDDEN_ORIGIN", origin=origin)
        sid = query.get("sid")
        return self._verify_new(request) if sid is None else self._verify_known(request, sid)

    def _verify_known(self, request: Request, sid: str) -> Admission | Response:
        session = self.sessions.get(sid)
        if session is None:
            return self.refuse(request, ErrorCode.UNKNOWN_SID, sid=sid)
        name, present = request.query["transport"], session.transport.name
        if request.upgrade != (name == "websocket") or not (request.upgrade or present == name):
            context = {"name": "TRANSPORT_MISMATCH", "transport": name, "previous_transport": present}
            return self.refuse(request, ErrorCode.BAD_REQUEST, **context)
        if request.upgrade and not self.options.allow_upgrades:
            return self.refuse(request, ErrorCode.BAD_REQUEST, name="UPGRADES_NOT_ALLOWED")
        return Admission(session, session.revision)

    def _verify_new(self, request: Request) -> Response | None:
        if request.method != "GET":
            return self.refuse(request, ErrorCode.BAD_HANDSHAKE_METHOD, method=request.method)
        if request.upgrade != (request.query["transport"] == "websocket"):
            return self.refuse(request, ErrorCode.BAD_REQUEST, name="TRANSPORT_HANDSHAKE_ERROR")
        return None

    def begin(self, request: Request) -> Admission | Response:
        """Let a verified request begin a session, if the server speaks its revision and is to go on."""
        if self.closing:
            return self.refuse(request, ErrorCode.BAD_REQUEST, name="SERVER_CLOSING")
        version = request.query.get("EIO", "")
        revision = REVISIONS.get(version)
        if revision is None or (revision is REVISION_4 and not self.options.allow_eio3):
            return self.refuse(request, ErrorCode.UNSUPPORTED_PROTOCOL_VERSION, protocol=version)
        return Admission(None, revision)

    def check_id(self, request: Request, admission: Admission, id: Any) -> Admission | Response:
        """Give an admitted session the id that the application made for it, if that will do."""
        if self.closing:
            return self.refuse(request, ErrorCode.BAD_REQUEST, name="SERVER_CLOSING")
        if isinstance(id, str) and _ID.fullmatch(id) and id not in self.sessions:
            return replace(admission, id=id)
        _log.error("generate_id gave %.200r, which is in use or unfit to be an id; the client is refused", id)
        error = ValueError(f"not a new id: {id!r:.200}")
        return self.refuse(request, ErrorCode.BAD_REQUEST, name="ID_GENERATION_ERROR", error=error)

    def _may_upgrade(self, session: Session) -> bool:
        # One upgrade at a time, and none away from a transport that has no upgrades.
        return session.state is State.OPEN and session.probe is None and session.transport.name == "polling"

    # -- sessions

    def open_polling(self, request: Request, revision: Revision, id: str | None = None) -> Polling:
        """Open a session on polling; its first packets wait for :meth:`Polling.begin_get`."""
        session = self._new_session(revision, id)
        polling = Polling(session, binary=not request.wants_text, jsonp=request.jsonp)
        session.transport = polling
        self._start(session, request, ["websocket"] if self._offers_upgrade() else [])
        return polling

    def handshake_headers(self, polling: Polling) -> Headers:
        """Give the headers that go with the first answer of a session on polling, and no other."""
        return (self._cookie.header(polling.session_id),) if self._cookie is not None else ()

    def open_websocket(self, request: Request, revision: Revision, wire: Wire, id: str | None = None) -> Session:
        """Open a session on a WebSocket that has been accepted."""
        session = self._new_session(revision, id)
        session.transport = TextWebSocket(session, wire) if request.wants_text else WebSocket(session, wire)
        wire.sink = session
        self._start(session, request, [])
        return session

    def open_probe(self, session: Session, wire: Wire, *, text: bool = False) -> None:
        """Let an accepted WebSocket try to become the transport of ``session``, without binary frames for ``text``."""
        probe = Probe(session, wire, TextWebSocket if text else WebSocket)
        wire.sink = probe
        if self._may_upgrade(session):
            session.probe = probe
        else:  # a second one, or one too late: clients expect to see it opened and closed, not refused
            probe.cancel()

    def _offers_upgrade(self) -> bool:
        return self.options.allow_upgrades and "websocket" in self.options.transports

    def _new_session(self, revision: Revision, id: str | None) -> Session:
        session = self._session_class(id or self._random_id(), revision, self.options, self.wheel, self._forget)
        self.sessions[session.id] = session
        return session

    def _start(self, session: Session, request: Request, upgrades: list[str]) -> None:
        options = self.options
        session.request = request
        handshake = {
            "sid": session.id,
            "upgrades": upgrades,
            "pingInterval": round(options.ping_interval * 1000),
            "pingTimeout": round(options.ping_timeout * 1000),
            "maxPayload": options.max_http_buffer_size,
        }
        _log.debug("%s opened on %s", session.id, session.transport.name)
        session.write(b"0" + orjson.dumps(handshake), ())
        if self._first is not None:
            session.write(*self._first)
        for event in self._forwarded:
            self._forward(event, session)
        if self.has("connection"):
            conn = conn_of(session)
            self.fire("connection", conn)
            conn.fire("open")
        if session.state is State.OPEN:  # else a listener has closed it
            self._application.session_opened(session, request)

    def _add(self, event: str, function: F, *, once: bool) -> F:
        super()._add(event, function, once=once)
        if event in _OF_CONNECTIONS and event not in self._forwarded:
            self._forwarded.add(event)
            for session in self.sessions.values():
                self._forward(event, session)
        return function

    def _forward(self, event: str, session: Session) -> None:
        """Let an event of a connection be one of the engine too."""
        conn = conn_of(session)
        conn.forward(event, partial(self.fire, event, conn))

    def _forget(self, session: Session) -> None:
        self.sessions.pop(session.id, None)
        if not self.sessions and self.on_drained is not None:
            self.on_drained()


def _message(content: str | bytes) -> tuple[bytes, tuple[bytes, ...]]:
    """Write a message of the option ``initial_packet`` as a session takes it."""
    return (b"", (content,)) if isinstance(content, bytes) else (b"4" + content.encode(), ())
