"""Engine.IO alone: connections that exchange messages, for applications that need nothing of Socket.IO."""

from __future__ import annotations

from typing import Unpack

from socketeer.engine.http import Request
from socketeer.engine.session import Session
from socketeer.options import EngineOptions, ServerOptions
from socketeer.server.web import WebApplication

__all__ = ["EngineServer"]


class EngineServer(WebApplication):
    """Serve Engine.IO without Socket.IO, to the clients of npm's ``engine.io-client``.

    It is an ASGI 3 application, to be used as a :class:`socketeer.Server` is. Each connection is a
    :class:`~socketeer.engine.conn.Conn` and is given to the listeners of ``connection``; the other events are those of
    ``io.engine``. The options are those of a :class:`socketeer.Server` that concern connections; ``path`` is
    ``/engine.io`` unless told otherwise.
    """

    def __init__(self, **options: Unpack[EngineOptions]) -> None:
        options.setdefault("path", "/engine.io")
        known = EngineOptions.__annotations__
        super().__init__(ServerOptions.from_keywords(dict(options), server="EngineServer", known=known))
        self.on, self.once, self.off = self.engine.on, self.engine.once, self.engine.off

    def session_opened(self, session: Session, request: Request) -> None:
        """Leave the messages of a new session to the listeners of its connection."""
