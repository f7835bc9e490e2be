"""Take a place to listen at, say where it is, and serve an application there with the fast lane until told to stop."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import signal
import socket
import stat
from collections.abc import Awaitable, Callable, Iterator
from types import FrameType
from typing import Any

import uvicorn

from socketeer.transports.uvicorn import HttpProtocol, WebSocketProtocol, open_listener

__all__ = ["CannotListen", "listening", "make_config", "serve", "url_of"]

_log = logging.getLogger("uvicorn.error")

_BACKLOG = 2048


class CannotListen(Exception):
    """Say in a line why an address cannot be listened on."""


@contextlib.contextmanager
def listening(host: str, port: int, uds: str | None = None, fd: int | None = None) -> Iterator[socket.socket]:
    """Listen, until the block ends: at an open file, a Unix domain socket, or else a host and a port.

    Connections wait from here on, so its URL may be shown before the server runs. Raises :class:`CannotListen`.
    """
    if fd is not None:
        listener = _listen_on_file(fd)
    elif uds is not None:
        listener = _listen_on_path(uds)
    else:
        listener = _listen_on(host, port)
    with listener:
        try:
            yield listener
        finally:
            if uds is not None and fd is None:
                with contextlib.suppress(OSError):
                    os.unlink(uds)


def url_of(listener: socket.socket, *, secure: bool = False) -> str:
    """Return the URL of a listening socket, or what it is where it has none."""
    address = listener.getsockname()
    if not isinstance(address, tuple):
        return f"the Unix domain socket {address}"
    host, port = address[:2]
    return f"{'https' if secure else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def make_config(app: Any, **settings: Any) -> uvicorn.Config:
    """Make the settings of a uvicorn on the fast lane; ``settings`` are further ones of ``uvicorn.Config``."""
    return uvicorn.Config(
        app, http=HttpProtocol, ws=WebSocketProtocol, interface="asgi3", workers=1, backlog=_BACKLOG, **settings
    )


def serve(
    config: uvicorn.Config, listener: socket.socket, make_app: Callable[[], Awaitable[Any]] | None = None
) -> None:
    """Serve until the user stops it; ``make_app`` gives the application once there is an event loop."""
    # uvicorn ends in good order, and hands the signal on to what was there before.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        _WebServer(config, make_app).run(sockets=[listener])


class _WebServer(uvicorn.Server):
    """Say where it listens, and end at once when the user asks a second time."""

    def __init__(self, config: uvicorn.Config, make_app: Callable[[], Awaitable[Any]] | None) -> None:
        super().__init__(config)
        self._make_app = make_app

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        if self._make_app is not None:
            self.config.app = await self._make_app()
        await super().serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or () if self.started else ():
            _log.info("Listening on %s (Ctrl+C stops it)", url_of(listener, secure=self.config.is_ssl))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit and sig == signal.SIGINT:
            signal.signal(sig, signal.SIG_DFL)
            signal.raise_signal(sig)
        super().handle_exit(sig, frame)


def _listen_on(host: str, port: int) -> socket.socket:
    try:
        return open_listener(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CannotListen(f"port {port} of {host} is in use; name another with --port") from error
        if error.errno == errno.EACCES:
            raise CannotListen(f"port {port} of {host} needs more rights; name another with --port") from error
        raise CannotListen(f"cannot listen on {host}:{port}: {error.strerror or error}") from error


def _listen_on_file(number: int) -> socket.socket:
    try:
        listener = socket.socket(fileno=number)
        listener.listen(_BACKLOG)
    except OSError as error:
        raise CannotListen(f"cannot listen on the open file {number}: {error.strerror or error}") from error
    return listener


def _listen_on_path(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        mode = _clear(path)
        listener.bind(path)
        os.chmod(path, mode)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise CannotListen(f"{path} is in use") from error
        raise CannotListen(f"cannot listen on {path}: {error.strerror or error}") from error
    return listener


def _clear(path: str) -> int:
    """Remove a socket that nobody listens on any more; give the rights that it had, or else those of everybody."""
    try:
        found = os.stat(path).st_mode
    except FileNotFoundError:
        return 0o666
    if stat.S_ISSOCK(found):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as visitor, contextlib.suppress(ConnectionRefusedError):
            visitor.connect(path)
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        os.unlink(path)
    return stat.S_IMODE(found)
