"""Engine.IO alone: connections that exchange messages, for applications that need nothing of Socket.IO."""

from __future__ import annotations

import secrets
from typing import Any, Unpack

from socketeer import debug
from socketeer.engine.handshake import Engine
from socketeer.engine.http import Request, Response
from socketeer.engine.session import Session
from socketeer.options import Options, ServerOptions
from socketeer.transports.asgi import EngineFrontend, Receive, Scope, Send, respond
from socketeer.transports.driver import Driver

__all__ = ["EngineServer"]


class _Nobody:
    """Receive nothing: the listeners of a connection get its messages by themselves."""

    def receive_text(self, data: bytes) -> None:
        pass

    def receive_binary(self, data: bytes) -> None:
        pass

    def session_closed(self, reason: str, description: str | None) -> None:
        pass


_NOBODY = _Nobody()


class EngineServer:
    """Serve Engine.IO without Socket.IO, to the clients of npm's ``engine.io-client``.

    It is an ASGI 3 application. Each connection is a :class:`~socketeer.engine.conn.Conn` and is given to the listeners
    of ``connection``; the other events are those of ``io.engine``. The options are those of a
    :class:`socketeer.Server`, as far as they concern connections; ``path`` is ``/engine.io`` unless told otherwise.
    """

    def __init__(self, **options: Unpack[Options]) -> None:
        debug.enable()
        options.setdefault("path", "/engine.io")
        self.options = ServerOptions.from_keywords(dict(options))
        self._driver = driver = Driver()
        self.engine = Engine(self.options, driver.wheel, self, lambda: secrets.token_urlsafe(15), driver.spawn)
        self._frontend = EngineFrontend(self.engine, driver)
        self.on, self.once, self.off = self.engine.on, self.engine.once, self.engine.off

    def session_opened(self, session: Session, request: Request) -> None:
        """Leave the messages of a new session to the listeners of its connection."""
        session.receiver = _NOBODY

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve as an ASGI application."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif not self._is_for_us(scope):
            await self._elsewhere(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._frontend.websocket(scope, receive, send)
        else:
            await self._frontend.http(scope, receive, send)

    def _is_for_us(self, scope: Scope) -> bool:
        path, whole = self.options.path, scope["path"]
        for found in (whole, whole.removeprefix(scope.get("root_path", ""))):
            if found.startswith(path + "/") or (found == path and not self.options.add_trailing_slash):
                return True
        return False

    async def _elsewhere(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})
        else:
            await respond(send, Response(404, ((b"content-type", b"text/plain"),), b"Not Found"))

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        self._driver.bind()
        self.engine.closing = False
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def close(self) -> None:
        """Close every connection, now, and admit no new one."""
        self.engine.closing = True
        sessions: list[Any] = list(self.engine.sessions.values())
        for session in sessions:
            session.end("forced close")
