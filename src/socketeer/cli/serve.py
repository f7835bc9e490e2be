"""Bind a port, say where, and serve an application there with the fast lane until the user stops it."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Any

import uvicorn

__all__ = ["BusyPort", "serve"]

WEBSOCKET_CLASS = "socketeer.transports.uvicorn:WebSocketProtocol"


class BusyPort(Exception):
    """Report an address that cannot be listened on."""


def serve(app: Any, host: str, port: int, announce: Callable[[str], None]) -> None:
    """Serve ``app``; call ``announce`` with its URL once connections are accepted."""
    listener = _bind(host, port)
    shown = f"[{host}]" if ":" in host else host
    announce(f"http://{shown}:{listener.getsockname()[1]}")
    config = uvicorn.Config(app, ws=WEBSOCKET_CLASS, log_level="warning", timeout_graceful_shutdown=3)
    try:
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        pass  # uvicorn has shut down and hands the signal on


def _bind(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # Connections wait in the backlog from here on, so the URL may be shown before the server runs.
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise BusyPort(f"port {port} of {host} is in use") from error
        if error.errno == errno.EACCES:
            raise BusyPort(f"port {port} of {host} needs more rights") from error
        raise BusyPort(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
