"""The server: namespaces above, the engine below, and an ASGI application towards the web server."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import re
import secrets
import sys
from collections.abc import Callable, Iterator
from typing import Any, Unpack, cast
from urllib.parse import parse_qsl

from socketeer import debug
from socketeer.adapters.base import Adapter
from socketeer.adapters.memory import MemoryAdapter
from socketeer.adapters.recovery import RecoveringAdapter
from socketeer.engine.handshake import Engine
from socketeer.engine.http import Request, Response
from socketeer.engine.session import Session
from socketeer.multiplex.connection import Connection, connect
from socketeer.multiplex.encoded import Format, JsonFormat, ParserFormat
from socketeer.options import Options, ServerOptions
from socketeer.server.broadcast import Broadcasting, BroadcastOperator
from socketeer.server.client_files import ClientFiles
from socketeer.server.handshake import Joining
from socketeer.server.listening import Listening
from socketeer.server.namespace import Namespace
from socketeer.server.parent_namespace import ParentNamespace
from socketeer.transports.asgi import EngineFrontend, Receive, Scope, Send, respond
from socketeer.transports.driver import Driver

__all__ = ["Server"]

_log = logging.getLogger("socketeer.server")

_SHUTDOWN_PATIENCE = 1.0
"""How long clients may take to answer the end of their connection, and handlers to return, when the server closes."""


def _generate_id() -> str:
    return secrets.token_urlsafe(15)  # 20 characters, the length that cluster adapters expect


class Server(Broadcasting, Listening):
    """Serve Socket.IO.

    A server is an ASGI 3 application: run it with :meth:`listen`, give it to any ASGI web server, mount it in another
    application, or put it in front of one with :meth:`attach`. The options are those of
    :class:`socketeer.options.ServerOptions`; an unknown one is a ``TypeError``, a wrong value a ``TypeError`` or
    ``ValueError`` that names it.
    """

    def __init__(self, **options: Unpack[Options]) -> None:
        debug.enable()
        self.options = ServerOptions.from_keywords(dict(options))
        parser = self.options.parser
        self.format: Format = JsonFormat(self.options.max_attachments) if parser is None else ParserFormat(parser)
        """How the packets of every client are written."""
        self.driver = Driver()
        self.generate_id: Callable[[], str] = _generate_id
        self.engine = Engine(self.options, self.driver.wheel, self, _generate_id, self.driver.spawn)
        self._namespaces: dict[str, Namespace] = {}
        self._parents: list[ParentNamespace] = []
        self.sockets = self._make_namespace("/")
        """The main namespace, ``/``."""
        self._frontend = EngineFrontend(self.engine, self.driver)
        self._client_files = ClientFiles() if self.options.serve_client else None
        self._web_server: Any = None
        self.driver.on_bind = self._meet_web_server

    # -- namespaces

    def _operator(self) -> BroadcastOperator:
        return BroadcastOperator(self.sockets)

    def _listener(self) -> Namespace:
        return self.sockets

    def of(self, name: str | re.Pattern[str] | Callable[..., Any]) -> Namespace:
        """Give the namespace of that name, or a parent of namespaces that are made on demand.

        A pattern is searched for in the name that a client asks for; a callable gets the name and the client's ``auth``
        and tells, sync or async, whether the namespace may be made. Parents are asked in the order of their creation.
        """
        if isinstance(name, str):
            name = name if name.startswith("/") else f"/{name}"
            return self._namespaces.get(name) or self._make_namespace(name)
        if not isinstance(name, re.Pattern) and not callable(name):
            raise TypeError(f"of() takes a name, a pattern or a callable, not {name!r}")
        for parent in self._parents:
            if parent.matcher is name or (isinstance(name, re.Pattern) and parent.matcher == name):
                return parent
        label = name.pattern if isinstance(name, re.Pattern) else getattr(name, "__name__", "callable")
        parent = ParentNamespace(self, f"{label}", name)
        self._parents.append(parent)
        return parent

    def _make_namespace(self, name: str) -> Namespace:
        if "," in name or "?" in name:
            raise ValueError(f"the name of a namespace cannot contain ',' or '?': {name!r}")
        namespace = Namespace(self, name)
        self._namespaces[name] = namespace
        for parent in self._parents:
            if isinstance(parent.matcher, re.Pattern) and parent.matches(name, None):
                parent.adopt(namespace)
                break
        self._announce(namespace)
        return namespace

    def _announce(self, namespace: Namespace) -> None:
        """Tell the ``new_namespace`` handlers, where it is not the main one."""
        if len(self._namespaces) > 1:
            self.sockets.fire("new_namespace", namespace)

    def forget_namespace(self, namespace: Namespace) -> None:
        """Forget a namespace that was made on demand."""
        if self._namespaces.get(namespace.name) is namespace:
            del self._namespaces[namespace.name]
            self.driver.spawn(namespace.adapter.close())
            _log.debug("forgot the namespace %s", namespace.name)

    def make_adapter(self, namespace: Namespace) -> Adapter:
        """Make the adapter of a new namespace: by the option ``adapter``, or one for this process alone."""
        options = self.options
        if options.adapter is not None:
            return cast("Adapter", options.adapter(namespace))
        if options.connection_state_recovery is None:
            return MemoryAdapter(namespace.name, namespace.sockets)
        return RecoveringAdapter(
            namespace.name,
            namespace.sockets,
            options.connection_state_recovery,
            self.driver.wheel,
            options.ping_interval + options.ping_timeout + options.connect_timeout,
            self.generate_id,
        )

    # -- from the engine

    def session_opened(self, session: Session, request: Request) -> None:
        """Put a connection on a new session."""
        connect(session, self)

    def connection_closed(self, connection: Connection) -> None:
        """Do nothing: the namespaces were told one by one."""

    def connect(self, connection: Connection, namespace: str, auth: Any, query: str) -> None:
        """Let a client join a namespace, which may have to be made first."""
        extra = dict(parse_qsl(query, keep_blank_values=True)) if query else {}
        joining = Joining(connection, namespace, dict(extra) if auth is None else auth, extra)
        known = self._namespaces.get(namespace)
        if known is not None:
            known.connect(joining)
        else:
            self._connect_dynamic(joining, iter(tuple(self._parents)))

    def _connect_dynamic(self, joining: Joining, parents: Iterator[ParentNamespace]) -> None:
        """Ask one parent after the other, without a task for as long as none has to be awaited."""
        for parent in parents:
            try:
                answer = parent.matches(joining.namespace, joining.auth)
            except Exception as error:
                self.sockets.report(error, None, "connection")
                break
            if inspect.isawaitable(answer):
                self.driver.spawn(self._await_parent(joining, parent, answer, parents))
                return
            if answer:
                self._connect_child(joining, parent)
                return
        joining.connection.refuse(joining.namespace, "Invalid namespace")

    async def _await_parent(
        self, joining: Joining, parent: ParentNamespace, answer: Any, rest: Iterator[ParentNamespace]
    ) -> None:
        try:
            matched = await answer
        except Exception as error:
            self.sockets.report(error, None, "connection")
            matched, rest = False, iter(())
        if not joining.connection.is_joining(joining.namespace):
            return
        if matched:
            self._connect_child(joining, parent)
        else:
            self._connect_dynamic(joining, rest)

    def _connect_child(self, joining: Joining, parent: ParentNamespace) -> None:
        child = self._namespaces.get(joining.namespace)
        if child is None:
            child = Namespace(self, joining.namespace)
            self._namespaces[joining.namespace] = child
            child.parent = parent
            parent.adopt(child)
            _log.debug("made the namespace %s", child.name)
            self._announce(child)
        child.connect(joining)

    # -- towards the web

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve as an ASGI application."""
        await self._serve(scope, receive, send, None)

    def attach(self, app: Any) -> Callable[[Scope, Receive, Send], Any]:
        """Give an ASGI application that serves Socket.IO below ``path`` and leaves everything else to ``app``.

        ``app`` is an ASGI 3 or a WSGI application; a WSGI application runs in threads.
        """
        if not callable(app):
            raise TypeError(f"attach() takes an ASGI or WSGI application, not {app!r}")
        other = app if _is_asgi(app) else _wrap_wsgi(app)

        async def attached(scope: Scope, receive: Receive, send: Send) -> None:
            await self._serve(scope, receive, send, other)

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
        elif not await self._client_file(rest, scope, send):
            await self._frontend.http(scope, receive, send)

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

    async def _client_file(self, name: str, scope: Scope, send: Send) -> bool:
        if not name or self._client_files is None:
            return False
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        response = self._client_files.respond(name, headers, scope["method"])
        if response is None:
            return False
        cors = self.engine.origins.response_headers(headers.get("origin"))
        await respond(send, response, cors, head=scope["method"] == "HEAD")
        return True

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

        Handlers of ``disconnect`` get ``server shutting down``. Clients see their connection close and try to
        reconnect.
        """
        self.engine.closing = True
        for session in list(self.engine.sessions.values()):
            session.close("server shutting down")
        await self._wait_for_sessions()
        for session in list(self.engine.sessions.values()):
            session.end("server shutting down")
        if self.driver.loop is asyncio.get_running_loop():
            await self.driver.finish(_SHUTDOWN_PATIENCE)
        for namespace in self._namespaces.values():
            await namespace.adapter.close()
        if self._web_server is not None:
            self._web_server.should_exit = True

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
