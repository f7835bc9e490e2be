"""Take a port, say where it is, and serve an application there with the fast lane until the user stops it."""

from __future__ import annotations

import errno
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from socketeer.transports.uvicorn import make_server, open_listener

__all__ = ["BusyPort", "listen_on", "serve", "url_of"]


class BusyPort(Exception):
    """Report an address that cannot be listened on."""


def listen_on(host: str, port: int) -> socket.socket:
    """Return a listening socket; raise :class:`BusyPort` with a sentence for the user.

    Connections wait in its backlog from here on, so its URL may be shown before the server runs.
    """
    try:
        return open_listener(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise BusyPort(f"port {port} of {host} is in use") from error
        if error.errno == errno.EACCES:
            raise BusyPort(f"port {port} of {host} needs more rights") from error
        raise BusyPort(f"cannot listen on {host}:{port}: {error.strerror or error}") from error


def url_of(listener: socket.socket) -> str:
    """Return the URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(app: Any, listener: socket.socket, before_shutdown: Callable[[], Awaitable[None]]) -> None:
    """Serve ``app`` until the user stops it."""
    host, port = listener.getsockname()[:2]
    try:
        make_server(app, host, port, before_shutdown, timeout_graceful_shutdown=3).run(sockets=[listener])
    except KeyboardInterrupt:
        pass  # uvicorn has shut down and hands the signal on
