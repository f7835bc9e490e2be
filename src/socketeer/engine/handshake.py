"""The engine: every session of a server, and the checks that a request passes before it reaches one. No I/O.

A driver turns what its web server gives it into a :class:`~socketeer.engine.http.Request` and asks
:meth:`Engine.check`. The answer is a refusal, a session that exists, or the revision that a new session is to speak.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import orjson

from socketeer.engine.cors import OriginPolicy, is_malformed
from socketeer.engine.http import ErrorCode, Request, Response, error_response
from socketeer.engine.polling import Polling
from socketeer.engine.session import ObservedSession, Session, State, trace_enabled
from socketeer.engine.timers import TimerWheel
from socketeer.engine.websocket import Limits, Probe, TextWebSocket, WebSocket, Wire
from socketeer.options import ServerOptions
from socketeer.protocol.revisions import REVISION_4, REVISIONS, Revision

__all__ = ["Admission", "Application", "Engine"]

_log = logging.getLogger("socketeer.engine")


class Application(Protocol):
    """Take the sessions that the engine opens."""

    def session_opened(self, session: Session, request: Request) -> None:
        """Set ``session.receiver``; send at once what the client is to get first."""


@dataclass(slots=True, frozen=True)
class Admission:
    """Hold what a request that passed the checks is for: a session that exists, or a new one of ``revision``."""

    session: Session | None
    revision: Revision


class Engine:
    """Hold the sessions of a server.

    ``generate_id`` gives a new, unguessable session id.
    """

    def __init__(
        self,
        options: ServerOptions,
        wheel: TimerWheel,
        application: Application,
        generate_id: Callable[[], str],
    ) -> None:
        self.options = options
        self.wheel = wheel
        self.sessions: dict[str, Session] = {}
        self.origins = OriginPolicy.from_option(options.cors)
        self.limits = Limits(options.max_http_buffer_size, options.max_fragments, options.max_buffered_bytes)
        self.closing = False
        self.on_drained: Callable[[], None] | None = None
        self._application = application
        self._generate_id = generate_id
        self._session_class = ObservedSession if trace_enabled() else Session

    @property
    def clients_count(self) -> int:
        """Count the sessions."""
        return len(self.sessions)

    # -- checks

    def check(self, request: Request) -> Admission | Response:
        """Check a request for everything but its body.

        Gives what it is for, or the answer that refuses it. The order of the checks is the reference implementation's.
        """
        refusal = self._check_parameters(request)
        if refusal is None:
            sid = request.query.get("sid")
            admission = self._check_new(request) if sid is None else self._check_known(request, sid)
            if isinstance(admission, Admission):
                return admission
            refusal = admission
        _log.debug("refused %s %.200r: %s", request.method, request.url, refusal.body.decode())
        return refusal

    def _check_parameters(self, request: Request) -> Response | None:
        if request.query.get("transport") not in self.options.transports:
            return error_response(ErrorCode.UNKNOWN_TRANSPORT)
        origin = request.headers.get("origin")
        if origin is not None and is_malformed(origin):
            return error_response(ErrorCode.BAD_REQUEST)
        if not self.origins.allows(origin, request.headers.get("host"), request.secure):
            return error_response(ErrorCode.FORBIDDEN, self.origins.refusal(origin or ""))
        return None

    def _check_known(self, request: Request, sid: str) -> Admission | Response:
        session = self.sessions.get(sid)
        if session is None:
            return error_response(ErrorCode.UNKNOWN_SID)
        name = request.query["transport"]
        if request.upgrade != (name == "websocket"):
            return error_response(ErrorCode.BAD_REQUEST)
        if not request.upgrade and session.transport.name != name:
            return error_response(ErrorCode.BAD_REQUEST)
        if request.upgrade and not self.options.allow_upgrades:
            return error_response(ErrorCode.BAD_REQUEST)
        return Admission(session, session.revision)

    def _may_upgrade(self, session: Session) -> bool:
        # One upgrade at a time, and none away from a transport that has no upgrades.
        return session.state is State.OPEN and session.probe is None and session.transport.name == "polling"

    def _check_new(self, request: Request) -> Admission | Response:
        if request.method != "GET":
            return error_response(ErrorCode.BAD_HANDSHAKE_METHOD)
        if request.upgrade != (request.query["transport"] == "websocket") or self.closing:
            return error_response(ErrorCode.BAD_REQUEST)
        revision = REVISIONS.get(request.query.get("EIO", ""))
        if revision is None or (revision is REVISION_4 and not self.options.allow_eio3):
            return error_response(ErrorCode.UNSUPPORTED_PROTOCOL_VERSION)
        return Admission(None, revision)

    # -- sessions

    def open_polling(self, request: Request, revision: Revision) -> Polling:
        """Open a session on polling; its first packets wait for :meth:`Polling.begin_get`."""
        session = self._new_session(revision)
        polling = Polling(session, binary=not request.wants_text)
        session.transport = polling
        self._start(session, request, ["websocket"] if self._offers_upgrade() else [])
        return polling

    def open_websocket(self, request: Request, revision: Revision, wire: Wire) -> Session:
        """Open a session on a WebSocket that has been accepted."""
        session = self._new_session(revision)
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

    def _new_session(self, revision: Revision) -> Session:
        session = self._session_class(self._generate_id(), revision, self.options, self.wheel, self._forget)
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
        self._application.session_opened(session, request)

    def _forget(self, session: Session) -> None:
        self.sessions.pop(session.id, None)
        if not self.sessions and self.on_drained is not None:
            self.on_drained()
