"""Open connections, through proxies too, and WebSockets with picows, and leave nothing behind where that is cancelled.

picows' own ``ws_connect`` does.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from picows import WSListener, WSTransport
from picows.picows import WSAutoPingStrategy, WSProtocol  # type: ignore[attr-defined]  # not in its stubs
from picows.proxy import ConnectedTransport, connect_through_optional_proxy
from picows.url import WSParsedURL, parse_url

from socketeer.exceptions import TransportError
from socketeer.transports.picows import QUIET

__all__ = ["connect", "dial", "ignore_failure"]

_READ_BUFFER = 2048
"""What an idle WebSocket keeps for reading; it grows with what comes."""


async def dial(
    listen: Callable[[Any, Any], WSListener],
    url: str,
    headers: Mapping[str, str],
    max_frame_size: int,
    tls: ssl.SSLContext | None,
    proxy: str | None,
) -> None:
    """Open a WebSocket; ``listen`` gets the request and the server's answer, and gives the listener.

    Raises what sockets, TLS, proxies and picows raise.
    """
    scheme, _, host, target = url.split("/", 3)
    parsed = _parse(f"{scheme}//{host}")
    protocol: Any = WSProtocol(
        host,
        f"/{target}",
        True,  # it is the client's side
        listen,
        QUIET,
        True,  # an exception of the listener ends the connection
        None,  # no timeout: the attempt as a whole has one
        False,  # no pings of its own
        None,
        None,
        WSAutoPingStrategy.PING_WHEN_IDLE,
        False,  # no pongs either
        max_frame_size,
        headers,
        _READ_BUFFER,
    )
    try:
        await _connect(protocol, parsed, tls, proxy)
        await protocol.wait_until_handshake_complete()
    except BaseException:
        if protocol.transport is not None:
            ignore_failure(protocol.transport)
            protocol.transport.disconnect(graceful=False)
        raise
    if protocol.listener is None:
        raise TransportError("the connection was closed before the answer")


def ignore_failure(transport: WSTransport) -> None:
    """Take what a connection that is about to end has to say of it, or asyncio complains that nobody does.

    No task waits for that: an event loop that ends, or uvloop where a connection was just made, may never say it.
    """
    waiting = transport.wait_disconnected()
    try:
        end: asyncio.Future[None] = waiting.send(None)
    except Exception:  # also where it is over already
        return
    end.add_done_callback(lambda end: end.cancelled() or end.exception())
    waiting.close()


async def connect(protocol: asyncio.Protocol, url: str, tls: ssl.SSLContext | None, proxy: str | None) -> None:
    """Connect a protocol to the server of a URL, in the tunnel of a proxy if there is one.

    Raises what sockets, TLS and proxies raise.
    """
    await _connect(protocol, _parse(url), tls, proxy)


@lru_cache(64)
def _parse(url: str) -> WSParsedURL:
    return parse_url(url, False)


async def _connect(protocol: Any, url: WSParsedURL, tls: ssl.SSLContext | None, proxy: str | None) -> None:
    loop = asyncio.get_running_loop()
    if proxy is None:
        await loop.create_connection(lambda: protocol, url.host, url.port, ssl=tls)
        return
    settings: dict[str, Any] = {}  # the name in the certificate, where the way is a socket
    relay = _parse(proxy)
    way = await connect_through_optional_proxy(loop, url, relay, None, tls, None, settings, loop.create_connection)
    if isinstance(way, ConnectedTransport):
        await _take_over(way.transport, protocol, url, tls)
        return
    end: dict[str, Any] = {"host": way.host, "port": way.port, "sock": way.sock}
    await loop.create_connection(lambda: protocol, ssl=tls, **end, **settings)


async def _take_over(tunnel: asyncio.Transport, protocol: Any, url: WSParsedURL, tls: ssl.SSLContext | None) -> None:
    """Go on in the tunnel of an HTTP proxy."""
    transport: asyncio.Transport | None = tunnel
    try:
        if tls is not None:
            start_tls = asyncio.get_running_loop().start_tls
            transport = await start_tls(tunnel, tunnel.get_protocol(), tls, server_hostname=url.host)
        if transport is None:
            raise ConnectionError("the connection was closed in the TLS handshake")
    except BaseException:
        tunnel.abort()
        raise
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
