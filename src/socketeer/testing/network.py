"""A network in memory: requests and WebSockets of clients reach an ASGI application in the same event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from socketeer.client.network import HttpResponse
from socketeer.engine.websocket import Limits, Sink, Wire
from socketeer.exceptions import TransportError
from socketeer.testing.exchange import Exchange
from socketeer.testing.host import Host
from socketeer.testing.loop import VirtualLoop
from socketeer.testing.pipe import Gate
from socketeer.testing.websocket import MemoryWire
from socketeer.transports.asgi import Scope

__all__ = ["AsgiNetwork"]

_PATIENCE = 1.0
"""How long the application may take to see that its clients have gone, before its tasks are cancelled."""
_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


class AsgiNetwork:
    """Connect clients with an ASGI application without a network.

    The application is started up (the lifespan of ASGI) for the first connection; leaving ``async with``, or
    :meth:`close`, ends every connection and shuts it down. Where nobody does, the end of the event loop shuts it down.
    Several networks may lead to one application, which is started once for all of them.

    ``client`` is the address that the application sees.
    """

    def __init__(self, app: Any, *, client: tuple[str, int] = ("testclient", 50000)) -> None:
        if not callable(app):
            raise TypeError(f"an ASGI application is needed, not {app!r}")
        self._app = app
        self._client = client
        self._gate = Gate()
        self._unreachable = False
        self._closed = False
        self._host: Host | None = None
        self._connections: dict[Exchange | MemoryWire, None] = {}  # in the order of their making
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Start the application up, if nobody has. Raises RuntimeError where it says that it cannot."""
        self._closed = False
        await self._reach_host().started()

    async def __aenter__(self) -> AsgiNetwork:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End every connection, and the application where no other network leads to it; wait for all its tasks."""
        self._closed = True
        self._gate.open()
        self.drop()
        tasks = tuple(self._tasks)
        if tasks:
            await asyncio.wait(tasks, timeout=_PATIENCE)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        host, self._host = self._host, None
        if host is not None:
            await host.leave(self)

    # -- what networks do to those who use them

    def drop(self) -> None:
        """Lose every connection, at both ends; new ones can be made."""
        for connection in tuple(self._connections):
            connection.drop()
        self._settle()

    def down(self) -> None:
        """Lose every connection, and refuse new ones until :meth:`up` is called."""
        self._unreachable = True
        self.drop()

    def up(self) -> None:
        """Let connections be made again."""
        self._unreachable = False

    def hold(self) -> None:
        """Let nothing pass any more, in either direction, without a word to anybody, until :meth:`resume` is called."""
        self._gate.hold()

    def resume(self) -> None:
        """Let pass what was held, and everything after it."""
        self._gate.open()
        self._settle()

    def _settle(self) -> None:
        """Let happen what this leads to, where no event loop runs: in a test that is a plain function."""
        loop = None if self._host is None else self._host.loop
        if isinstance(loop, VirtualLoop) and not (loop.is_running() or loop.is_closed()):
            loop.settle()

    # -- what a client asks for: see socketeer.client.network.Network

    async def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> HttpResponse:
        """Make an HTTP request."""
        scope = _make_scope("http", url, headers)
        scope["method"] = method
        if body or method == "POST":
            scope["headers"].append((b"content-length", b"%d" % len(body)))
        try:
            host = await self._connect(scope)
            exchange = Exchange(self._gate, body, lambda exchange: self._run(host, exchange.run(self._app, scope)))
            self._connections[exchange] = None
            try:
                response = await exchange.response
                self._note(scope, None if response.status < 400 else f"HTTP {response.status}")
                return response
            finally:
                self._connections.pop(exchange, None)
                exchange.leave()
        except TransportError as error:
            self._note(scope, str(error))
            raise TransportError(f"{method} failed: {error}") from error

    async def websocket(
        self,
        url: str,
        headers: Mapping[str, str],
        limits: Limits,
        begin: Callable[[Wire], Sink],
        protocols: Sequence[str] = (),
    ) -> Sequence[tuple[str, str]]:
        """Open a WebSocket."""
        scope = _make_scope("websocket", url, headers)
        scope["headers"] += _HANDSHAKE
        if protocols:
            scope["headers"].append((b"sec-websocket-protocol", ", ".join(protocols).encode()))
        scope["subprotocols"] = list(protocols)
        scope["extensions"] = {"websocket.http.response": {}}
        try:
            host = await self._connect(scope)
        except TransportError as error:
            self._note(scope, str(error))
            raise TransportError(f"WebSocket failed: {error}") from error
        wire = MemoryWire(self._gate, limits, begin, lambda: self._connections.pop(wire, None))
        self._connections[wire] = None
        wire.open(lambda: self._run(host, wire.server.run(self._app, scope)))
        try:
            answer = await wire.opened
        except asyncio.CancelledError:
            wire.abort()
            raise
        except TransportError as error:
            self._note(scope, str(error))
            raise
        self._note(scope, None)
        return answer

    async def release(self) -> None:
        """Do nothing: no connection is kept open for further requests."""

    def _note(self, scope: Scope, failure: str | None) -> None:
        """Keep why nobody gets through, for a test that waits for it in vain."""
        loop = asyncio.get_running_loop()
        if isinstance(loop, VirtualLoop):
            loop.failures.pop(self, None)
            if failure is not None:
                loop.failures[self] = f"{scope['path']}: {failure}"

    # -- the way to the application

    def _reach_host(self) -> Host:
        if self._host is None or self._host.loop is not asyncio.get_running_loop():
            self._host = Host.of(self._app)
            self._host.users.add(self)
        return self._host

    async def _connect(self, scope: Scope) -> Host:
        if self._closed or self._unreachable:
            raise TransportError("connection refused")
        host = self._reach_host()
        try:
            await host.started()
        except RuntimeError as error:
            raise TransportError(str(error)) from error
        scope["client"] = self._client
        scope["state"] = host.state.copy()
        return host

    def _run(self, host: Host, coroutine: Any) -> None:
        task = host.spawn(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


_HANDSHAKE = [
    (b"connection", b"Upgrade"),
    (b"upgrade", b"websocket"),
    (b"sec-websocket-version", b"13"),
    (b"sec-websocket-key", b"AAAAAAAAAAAAAAAAAAAAAA=="),
]


def _make_scope(kind: str, url: str, headers: Mapping[str, str]) -> Scope:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    pairs = [(name.lower().encode("latin-1"), value.encode()) for name, value in headers.items()]
    if not any(name == b"host" for name, _ in pairs):
        pairs.insert(0, (b"host", host.encode()))
    return {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": parts.scheme,
        "server": (parts.hostname, parts.port or _PORTS[parts.scheme]),
        "root_path": "",
        "path": unquote(parts.path) or "/",
        "raw_path": parts.path.encode() or b"/",
        "query_string": parts.query.encode(),
        "headers": pairs,
        "extensions": {},
    }
