"""The HTTP connections of all clients of one event loop: they share what is kept open, for it costs to make."""

from __future__ import annotations

import asyncio
import ssl
import weakref
from base64 import b64encode
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

from socketeer.client.dialing import connect
from socketeer.client.http import HttpConnection, make_head
from socketeer.client.network import HttpResponse
from socketeer.exceptions import TransportError

__all__ = ["HttpPool", "pool_of_this_loop"]

_KEPT: Final = 4.0
"""How long an idle connection is used again, in seconds: less than the five after which most servers close it."""
_KEPT_PART: Final = 0.8
"""For which part of the time that the server names, where that is less."""


class _Peer(NamedTuple):
    """Say whom a connection is to; another peer needs another one."""

    scheme: str
    host: str
    tls: ssl.SSLContext | None
    proxy: str | None


class HttpPool:
    """Make requests, and keep the connections for further ones for as long as somebody uses it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._users = 0
        self._open: set[HttpConnection] = set()
        self._kept: dict[_Peer, list[tuple[float, HttpConnection]]] = {}
        self._sweep: asyncio.TimerHandle | None = None

    async def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        most: int,
        tls: ssl.SSLContext | None,
        proxy: str | None,
        *,
        repeatable: bool = False,
    ) -> HttpResponse:
        """Make a request whose response may have a body of ``most`` bytes.

        None is made twice, for the packets that a lost response carried are not sent again; but where that loses
        nothing, a ``repeatable`` one is that a server did not answer at all which was closing a kept connection.
        Raises ``TransportError``, and what sockets, TLS and proxies raise.
        """
        scheme, _, host, path = url.split("/", 3)
        target = f"/{path}"
        if proxy is not None and scheme == "http:" and proxy.startswith("http:"):  # it reads the request itself
            peer = _Peer(scheme, "", tls, proxy)
            target = url
            headers = {**headers, **_credentials(proxy)}
        else:
            peer = _Peer(scheme, host, tls, proxy)
        head = make_head(method, target, host, headers, len(body))
        connection = self._take(peer)
        response: HttpResponse | None = None
        if connection is not None:
            try:
                response = await connection.request(head, body, most)
            except TransportError:
                if not (repeatable and connection.unanswered):
                    raise
        if connection is None or response is None:
            connection = await self._connect(peer)
            response = await connection.request(head, body, most)
        if connection.reusable:
            self._keep(peer, connection)
        return response

    def _take(self, peer: _Peer) -> HttpConnection | None:
        kept = self._kept.get(peer)
        while kept:
            end, connection = kept.pop()
            if connection.reusable:
                if end > self.loop.time() and not connection.has_ended():
                    return connection
                connection.abort()
        return None

    def _keep(self, peer: _Peer, connection: HttpConnection) -> None:
        if not self._users:
            connection.abort()
            return
        end = self.loop.time() + min(_KEPT, connection.lasts * _KEPT_PART)
        self._kept.setdefault(peer, []).append((end, connection))
        if self._sweep is None:
            self._sweep = self.loop.call_later(_KEPT, self._close_old)

    def _close_old(self) -> None:
        """Close what nobody has used again."""
        self._sweep = None
        now = self.loop.time()
        for peer, kept in list(self._kept.items()):
            for end, connection in kept:
                if end <= now:
                    connection.abort()
            self._kept[peer] = [each for each in kept if each[0] > now and each[1].reusable]
            if not self._kept[peer]:
                del self._kept[peer]
        if self._kept:
            first = min(end for kept in self._kept.values() for end, _ in kept)
            self._sweep = self.loop.call_at(first, self._close_old)

    async def _connect(self, peer: _Peer) -> HttpConnection:
        connection = HttpConnection(self._open.discard)
        url, proxy = f"{peer.scheme}//{peer.host}", peer.proxy
        if not peer.host:
            assert proxy is not None
            url, proxy = proxy, None
        self._open.add(connection)
        try:
            await connect(connection, url, peer.tls, proxy)
        except BaseException:
            connection.abort()
            self._open.discard(connection)
            raise
        return connection

    def enter(self) -> None:
        """Begin to use the pool."""
        self._users += 1

    async def leave(self) -> None:
        """Use it no longer; the last one to leave closes what is kept open."""
        self._users -= 1
        if self._users:
            return
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        self._kept.clear()
        self.drop()
        closing = set(self._open)
        while closing & self._open:  # noqa: ASYNC110  # a round of the event loop or two
            await asyncio.sleep(0)

    def drop(self) -> None:
        """Close every connection at once."""
        for connection in list(self._open):
            connection.abort()


def _credentials(proxy: str) -> dict[str, str]:
    parts = urlsplit(proxy)
    if parts.username is None:
        return {}
    user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Proxy-Authorization": "Basic " + b64encode(user.encode()).decode()}


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
