"""The HTTP connections of all clients of one event loop: they share what is kept open, for it costs to make."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import weakref
from types import ModuleType
from typing import TYPE_CHECKING, Any

from socketeer.exceptions import UsageError

if TYPE_CHECKING:
    import aiohttp

__all__ = ["HttpPool", "import_aiohttp", "pool_of_this_loop"]


_KEPT = 4.0
"""How long an idle connection is used again, in seconds: less than the five after which most servers close it."""


def import_aiohttp() -> ModuleType:
    """Import what only polling needs. Raises ``UsageError`` where it is missing."""
    try:
        import aiohttp
    except ImportError:
        raise UsageError(
            "polling needs aiohttp: install socketeer[client], or connect with transports=['websocket']"
        ) from None
    return aiohttp


class HttpPool:
    """Hold the session of aiohttp for as long as somebody needs it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._users = 0
        self._session: aiohttp.ClientSession | None = None
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    def _make_socket(self, address: tuple[Any, ...]) -> socket.socket:
        made = socket.socket(*address[:3])
        self._sockets.add(made)
        return made

    def enter(self) -> aiohttp.ClientSession:
        """Begin to use the session."""
        if self._session is None:
            aiohttp = import_aiohttp()
            connector = aiohttp.TCPConnector(
                limit=0, use_dns_cache=False, keepalive_timeout=_KEPT, socket_factory=self._make_socket
            )
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        self._users += 1
        assert self._session is not None
        return self._session

    async def leave(self) -> None:
        """Use it no longer; the last one to leave closes it."""
        self._users -= 1
        if self._users == 0:
            session, self._session = self._session, None
            if session is not None:
                await session.close()

    def drop(self) -> None:
        """Let no connection wait any more for a server that is to take leave, as TLS does."""
        for made in list(self._sockets):
            with contextlib.suppress(OSError):  # it is closed already
                made.shutdown(socket.SHUT_RDWR)


_latest: weakref.ref[HttpPool] | None = None


def pool_of_this_loop() -> HttpPool:
    """Give the pool of the running event loop. With loops in several threads there may be more than one."""
    global _latest
    loop = asyncio.get_running_loop()
    pool = _latest() if _latest is not None else None
    if pool is None or pool.loop is not loop:
        pool = HttpPool(loop)
        _latest = weakref.ref(pool)
    return pool
