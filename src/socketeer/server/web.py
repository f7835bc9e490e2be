"""What every server is towards the web: an ASGI application with a path of its own, that can also run by itself."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import sys
from base64 import b64encode
from collections.abc import Callable
from os import urandom
from typing import Any

from socketeer import debug
from socketeer.engine.handshake import Engine
from socketeer.engine.http import Request, Response
from socketeer.engine.session import Session
from socketeer.options import ServerOptions
from socketeer.transports.asgi import EngineFrontend, Receive, Scope, Send, respond
from socketeer.transports.driver import Driver

__all__ = ["WebApplication", "random_id"]

_log = logging.getLogger("socketeer.server")

_SHUTDOWN_PATIENCE = 1.0
"""How long clients may take to answer the end of their connection, and handlers to return, when the server closes."""


def random_id() -> str:
    """Make an id that nobody can guess."""
    # 20 characters, the length that cluster adapters expect. secrets.token_urlsafe() is the same with three calls more.
    return b64encode(urandom(15), b"-_").decode()


class WebApplication:
    """Serve the connections of an engine below ``path``."""

    def __init__(self, options: ServerOptions) -> None:
        debug.enable()
        self.options = options
        self.driver = Driver()
        self.engine = Engine(options, self.driver.wheel, self, random_id, self.driver.spawn)
        self._frontend = self.http_lane = EngineFrontend(self.engine, self.driver)
        self._web_server: Any = None
        self.driver.on_bind = self._meet_web_server

    def session_opened(self, session: Session, request: Request) -> None:
        """Take a new session."""
        raise NotImplementedError

    # -- towards the web

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve as an ASGI application."""
        await self._serve(scope, receive, send, None)

    def attach(self, app: Any) -> Callable[[Scope, Receive, Send], Any]:
        """Give an ASGI application that serves connections below ``path`` and leaves everything else to ``app``.

        ``app`` is an ASGI 3 or a WSGI application; a WSGI application runs in threads.
        """
        if not callable(app):
            raise TypeError(f"attach() takes an ASGI or WSGI application, not {app!r}")
        other = app if _is_asgi(app) else _wrap_wsgi(app)

        async def attached(scope: Scope, receive: Receive, send: Send) -> None:
            await self._serve(scope, receive, send, other)

        attached.http_lane = self.http_lane  # type: ignore[attr-defined]  # see socketeer.transports.opening
        return attached

    async def _serve(self, scope: Scope, receive: Receive, send: Send, other: Any) -> None:
        kind = scope["type"]
        if kind == "lifespan":
            await self._lifespan(scope, receive, send, other)
            return
        if asyncio.get_running_loop() is not self.driver.loop:
            self.engine.closing = False  # it serves again, and there may be no lifespan to tell
            self.driver.bind()
        rest = self._rest_of_path(scope)
        if rest is None:
            await self._elsewhere(scope, receive, send, other)
        elif kind == "websocket":
            await self._frontend.websocket(scope, receive, send)
        elif not await self._serve_other(rest, scope, send):
            await self._frontend.http(scope, receive, send)

    async def _serve_other(self, rest: str, scope: Scope, send: Send) -> bool:
        """Answer a request below ``path`` that is not for the engine; tell whether it was one."""
        return False

    def _rest_of_path(self, scope: Scope) -> str | None:
        """Give what follows ``path`` in the request's; None where it lies elsewhere."""
        whole = scope["path"]
        root = scope.get("root_path", "")
        path = self.options.path
        # Below a mount the path is relative to it; but a mount at the very path of the server is taken for what is
        # meant.
        inner = whole.removeprefix(root)
        for candidate in (inner, path + inner if root.endswith(path) else whole):
            if candidate == path and not self.options.add_trailing_slash:
                return ""
            if candidate.startswith(path + "/"):
                return str(candidate[len(path) + 1 :])
        return None

    async def _elsewhere(self, scope: Scope, receive: Receive, send: Send, other: Any) -> None:
        if other is not None:
            await other(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})
        else:
            await respond(send, Response(404, ((b"content-type", b"text/plain"),), b"Not Found"))

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send, other: Any) -> None:
        """Begin and end with the web server, and let ``other`` do the same; not every application knows how to."""
        self.driver.bind()
        self.engine.closing = False
        received, answered = "", False

        async def receive_for_other() -> Any:
            nonlocal received
            message = await receive()
            received = message["type"]
            if received == "lifespan.shutdown":
                await self.close()
            return message

        async def send_for_other(message: Any) -> None:
            nonlocal answered
            answered = True
            await send(message)

        if other is not None:
            try:
                await other(scope, receive_for_other, send_for_other)
            except Exception:
                if answered:
                    raise
                _log.debug("the application that is attached to has no lifespan", exc_info=True)
            if answered:
                return
        if received != "lifespan.startup":
            await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.close()
        await send({"type": "lifespan.shutdown.complete"})

    # -- running

    def listen(self, port: int = 3000, host: str = "127.0.0.1", **settings: Any) -> None:
        """Serve until the process is told to stop (SIGINT, SIGTERM); ``settings`` are those of ``uvicorn.Config``.

        Raises ``ValueError`` for what is no port, and ``OSError`` where it cannot be listened on.
        """
        server, sockets = self._make_web_server(port, host, settings)
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn has shut down in good order, and hands the signal on
            server.run(sockets)

    async def serve(self, port: int = 3000, host: str = "127.0.0.1", **settings: Any) -> None:
        """Serve until :meth:`close` is called or the task is cancelled; as :meth:`listen`, but to be awaited."""
        server, sockets = self._make_web_server(port, host, settings)
        try:
            await server.serve(sockets)
        except asyncio.CancelledError:
            if server.started:  # uvicorn would leave its sockets and connections open
                await server.shutdown(sockets)
            raise

    def _make_web_server(self, port: int, host: str, settings: dict[str, Any]) -> tuple[Any, Any]:
        # An application of another web server needs none of it.
        from socketeer.transports.uvicorn import make_server, open_listener

        app = settings.pop("app", self)
        elsewhere = settings.keys() & {"uds", "fd"}
        sockets = None if elsewhere else [open_listener(host, port)]
        self._web_server = make_server(app, host, port, self.close, **settings)
        return self._web_server, sockets

    def _meet_web_server(self) -> None:
        if "uvicorn" in sys.modules:  # else it is another one, of which nothing is known
            from socketeer.transports.uvicorn import close_before_shutdown

            close_before_shutdown(self.close)

    async def close(self) -> None:
        """Close every connection and stop serving; a second call does nothing more.

        What is queued leaves before. Handlers of ``disconnect`` get ``server shutting down``. Clients see their
        connection close, and those of Socket.IO try to reconnect.
        """
        self.engine.closing = True
        for session in list(self.engine.sessions.values()):
            session.close("server shutting down")
        await self._wait_for_sessions()
        for session in list(self.engine.sessions.values()):
            session.end("server shutting down")
        if self.driver.loop is asyncio.get_running_loop():
            await self.driver.finish(_SHUTDOWN_PATIENCE)
        await self._finish()
        if self._web_server is not None:
            self._web_server.should_exit = True

    async def _finish(self) -> None:
        """Close what is above the engine."""

    async def _wait_for_sessions(self) -> None:
        if self.engine.sessions:
            drained = asyncio.Event()
            self.engine.on_drained = drained.set
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(drained.wait(), _SHUTDOWN_PATIENCE)


def _is_asgi(app: Any) -> bool:
    if isinstance(app, type):
        raise TypeError(f"attach() takes an application, not the class {app.__name__}")
    return inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(type(app).__call__)


def _wrap_wsgi(app: Any) -> Any:
    from a2wsgi import WSGIMiddleware  # only applications that attach a WSGI application need it

    return WSGIMiddleware(app)
