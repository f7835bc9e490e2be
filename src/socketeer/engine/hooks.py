"""What an application may have to say about the requests of its clients: ``io.engine`` as its users see it.

Nothing here awaits. Whoever drives the engine asks :attr:`Hooks.hooked`, and where it is true lets
:func:`socketeer.transports.admission.admit` ask the application.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from socketeer.engine.events import Events, Spawn
from socketeer.engine.http import MESSAGES, ErrorCode, Headers, Request, Response, ResponseHeaders, error_response
from socketeer.exceptions import UsageError

__all__ = ["ConnectionFailure", "Hooks"]

_log = logging.getLogger("socketeer.engine")

F = TypeVar("F", bound=Callable[..., Any])

_OF_HEADERS = ("initial_headers", "headers")
_EVENTS = ("connection", "connection_error", "drain", "flush", *_OF_HEADERS)


@dataclass(frozen=True, slots=True)
class ConnectionFailure:
    """Tell a listener of ``connection_error`` which request was refused and why."""

    request: Request
    code: ErrorCode
    """The number that the client is told, from 0 to 5."""
    message: str
    """What the number means."""
    context: Mapping[str, Any]
    """What led to it: often a ``name`` such as ``TRANSPORT_MISMATCH``, and the values that were looked at."""


class Hooks(Events):
    """Keep what an application wants to know of requests, and what it wants to be asked.

    The events are ``connection_error`` (a :class:`ConnectionFailure`), ``initial_headers`` and ``headers`` (the
    :class:`~socketeer.engine.http.ResponseHeaders` of an answer, to be changed, and the request: the first once for
    each session, the second for each answer), ``connection`` (the
    :class:`~socketeer.engine.conn.Conn` of a new session), and every connection's ``flush`` and ``drain``, after the
    connection itself.
    """

    def __init__(self, asks_for_handshakes: bool, spawn: Spawn | None = None) -> None:
        super().__init__(_EVENTS, spawn)
        self.middlewares: tuple[Callable[[Request], Any], ...] = ()
        self._asks_for_handshakes = asks_for_handshakes
        self._id_source: Callable[[Request], Any] | None = None
        self.hooked = asks_for_handshakes
        """Whether a request has to be shown to the application before it is served."""

    def use(self, middleware: F) -> F:
        """Show every request to ``middleware``, sync or async, before it is checked: polling, and upgrades.

        It lets a request pass by returning None, and answers it by returning a
        :class:`~socketeer.engine.http.Response`. :class:`~socketeer.exceptions.ConnectionRefused` refuses the request
        with its message; any other exception refuses it with a neutral one and is logged.
        """
        if not callable(middleware):
            raise TypeError(f"a middleware must be callable, not {middleware!r}")
        self.middlewares = (*self.middlewares, middleware)
        self.hooked = True
        return middleware

    @property
    def generate_id(self) -> Callable[[Request], Any] | None:
        """Make the ids of sessions: a function of the request, sync or async; None for random ones.

        An id is the client's secret: who can guess it can read along. One that is in use, or no printable ASCII text
        of at most 200 characters, refuses the client.
        """
        return self._id_source

    @generate_id.setter
    def generate_id(self, source: Callable[[Request], Any] | None) -> None:
        if source is not None and not callable(source):
            raise TypeError(f"generate_id takes a callable or None, not {source!r}")
        self._id_source = source
        self.hooked = self._asks_for_handshakes or bool(self.middlewares) or source is not None

    def refuse(self, request: Request, code: ErrorCode, message: str | None = None, **context: Any) -> Response:
        """Build the answer that refuses a request, and tell the listeners of ``connection_error``."""
        if message is not None:
            context["message"] = message
        response = error_response(code, message)
        _log.debug("refused %s %.200r: %s", request.method, request.url, response.body.decode())
        if self.has("connection_error"):
            self.fire("connection_error", ConnectionFailure(request, code, MESSAGES[code], context))
        return response

    @property
    def decorated(self) -> bool:
        """Tell whether somebody wants to change the headers of answers."""
        return self.has("headers") or self.has("initial_headers")

    def decorate(self, headers: Headers, request: Request, *, initial: bool) -> Headers:
        """Let the listeners change the headers of an answer; ``initial`` says that it is the first of its session."""
        answer = ResponseHeaders(headers)
        if initial:
            self.fire("initial_headers", answer, request)
        self.fire("headers", answer, request)
        return answer.raw

    def _add(self, event: str, function: F, *, once: bool) -> F:
        if event in _OF_HEADERS and inspect.iscoroutinefunction(function):
            raise UsageError(f"the headers leave when the listeners of {event!r} return: {function!r} cannot be async")
        return super()._add(event, function, once=once)
