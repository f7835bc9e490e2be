"""The server: namespaces above the engine."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any, Unpack, cast
from urllib.parse import parse_qsl

from socketeer.adapters.base import Adapter
from socketeer.adapters.memory import MemoryAdapter
from socketeer.adapters.recovery import RecoveringAdapter
from socketeer.engine.http import Request
from socketeer.engine.session import Session
from socketeer.multiplex.encoded import Format, JsonFormat, ParserFormat
from socketeer.multiplex.server import ServerConnection
from socketeer.options import Options, ServerOptions
from socketeer.server.broadcast import Broadcasting, BroadcastOperator
from socketeer.server.client_files import ClientFiles
from socketeer.server.handshake import Joining
from socketeer.server.listening import Listening
from socketeer.server.namespace import Namespace
from socketeer.server.parent_namespace import ParentNamespace
from socketeer.server.web import WebApplication, random_id
from socketeer.transports.asgi import Scope, Send, respond

__all__ = ["Server"]

_log = logging.getLogger("socketeer.server")


class Server(WebApplication, Broadcasting, Listening):
    """Serve Socket.IO.

    A server is an ASGI 3 application: run it with :meth:`listen`, give it to any ASGI web server, mount it in another
    application, or put it in front of one with :meth:`attach`. The options are those of
    :class:`socketeer.options.ServerOptions`; an unknown one is a ``TypeError``, a wrong value a ``TypeError`` or
    ``ValueError`` that names it.
    """

    def __init__(self, **options: Unpack[Options]) -> None:
        super().__init__(ServerOptions.from_keywords(dict(options)))
        parser = self.options.parser
        self.format: Format = JsonFormat(self.options.max_attachments) if parser is None else ParserFormat(parser)
        """How the packets of every client are written."""
        self.generate_id: Callable[[], str] = random_id
        self._namespaces: dict[str, Namespace] = {}
        self._parents: list[ParentNamespace] = []
        self.sockets = self._make_namespace("/")
        """The main namespace, ``/``."""
        self._client_files = ClientFiles() if self.options.serve_client else None

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
        ServerConnection(session, self)

    def connection_closed(self, connection: ServerConnection) -> None:
        """Do nothing: the namespaces were told one by one."""

    def connect(self, connection: ServerConnection, namespace: str, auth: Any, query: str) -> None:
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

    async def _serve_other(self, name: str, scope: Scope, send: Send) -> bool:
        """Answer a request for one of the browser client's files."""
        if not name or self._client_files is None:
            return False
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        response = self._client_files.respond(name, headers, scope["method"])
        if response is None:
            return False
        cors = self.engine.origins.response_headers(headers.get("origin"))
        await respond(send, response, cors, head=scope["method"] == "HEAD")
        return True

    async def _finish(self) -> None:
        for namespace in self._namespaces.values():
            await namespace.adapter.close()
