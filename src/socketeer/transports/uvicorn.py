"""The fast lane under uvicorn: the classes to give it, as ``ws=`` and ``http=``, and the making of a whole server."""

from __future__ import annotations

import signal
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn

from socketeer.transports.front import HttpProtocol
from socketeer.transports.websocket import WebSocketProtocol

__all__ = ["HttpProtocol", "WebSocketProtocol", "close_before_shutdown", "make_server", "open_listener"]


def close_before_shutdown(close: Callable[[], Awaitable[None]]) -> None:
    """Have the uvicorn that runs this process call ``close`` before it waits for its connections to end.

    uvicorn tells an application of its end only when every request has been answered, and a poll that waits would be
    answered with the next heartbeat. A server that does not run in the main thread is not found: it has no signal
    handlers.
    """
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    if isinstance(server, uvicorn.Server):
        _close_first(server, close)


def _close_first(server: uvicorn.Server, close: Callable[[], Awaitable[None]]) -> None:
    shutdown = server.shutdown

    async def close_and_shutdown(sockets: list[socket.socket] | None = None) -> None:
        for listener in server.servers:
            listener.close()
        await close()
        await shutdown(sockets)

    server.shutdown = close_and_shutdown  # type: ignore[method-assign]  # of this one server


def open_listener(host: str, port: int) -> socket.socket:
    """Listen on an address, so that connections wait from here on.

    Raises ``TypeError`` or ``ValueError`` for what is no port, ``OSError`` where it cannot be listened on. Left to
    itself, uvicorn would end the process, or take a port that is too large for another one.
    """
    if isinstance(port, bool) or not isinstance(port, int):
        raise TypeError(f"port takes a whole number, not {port!r}")
    if not 0 <= port <= 65535:
        raise ValueError(f"port must be from 0 to 65535, not {port}")
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    return socket.create_server((host, port), family=family, backlog=2048)


def make_server(
    app: Any, host: str, port: int, before_shutdown: Callable[[], Awaitable[None]], **settings: Any
) -> uvicorn.Server:
    """Make a uvicorn server on the fast lane; ``settings`` are further options of ``uvicorn.Config``."""
    options = {"log_level": "warning", "access_log": False, "lifespan": "auto", "http": HttpProtocol, **settings}
    server = uvicorn.Server(uvicorn.Config(app, host=host, port=port, ws=WebSocketProtocol, **options))
    _close_first(server, before_shutdown)
    return server
