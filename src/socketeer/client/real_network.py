"""The network of the operating system: httptools reads the responses to requests, picows does WebSockets."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from picows import WSHandshakeError

from socketeer.client.dialing import dial
from socketeer.client.http_pool import HttpPool, pool_of_this_loop
from socketeer.client.network import HttpResponse
from socketeer.client.wire import OFFER, Agreement, ClientWire, agree
from socketeer.engine.websocket import DEAF, Limits, Sink, Wire
from socketeer.exceptions import TransportError
from socketeer.options.client import ClientDeflate, ManagerOptions
from socketeer.transports.deflate import room_for

__all__ = ["SocketNetwork"]

_MOST_SHOWN = 1000


def _describe(error: BaseException) -> str:
    return str(error) or type(error).__name__


@functools.cache
def _context(verify: bool) -> ssl.SSLContext:
    """Give the TLS settings that all clients without their own share: reading the known authorities takes long."""
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class SocketNetwork:
    """Be the network of the operating system."""

    def __init__(self, options: ManagerOptions) -> None:
        self._options = options
        self._pool: HttpPool | None = None
        self._requests = 0
        self._released = False
        self._wires: list[ClientWire] = []

    def drop(self) -> None:
        """Lose every connection at once."""
        for wire in list(self._wires):
            wire.abort()
        if self._pool is not None:
            self._pool.drop()

    # -- requests

    async def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> HttpResponse:
        """Make an HTTP request."""
        pool = self._pool
        if pool is None:
            pool = self._pool = pool_of_this_loop()
            pool.enter()
        options = self._options
        tls = self._tls() if url.startswith("https") else None
        proxy = options.for_transport("polling").proxy
        most = options.max_http_buffer_size
        opens = method == "GET" and "&sid=" not in url  # a session: a second one costs nothing but the first
        self._requests += 1
        try:
            return await pool.request(method, url, headers, body, most, tls, proxy, repeatable=opens)
        except Exception as error:  # there are many, and all of them mean that there is no response
            raise TransportError(f"{method} failed: {_describe(error)}") from error
        finally:
            self._requests -= 1
            if self._released and not self._requests:
                await self.release()

    async def release(self) -> None:
        """Close the connections that are kept open for further requests, once those under way are over."""
        self._released = bool(self._requests)  # by the next connection, while the last one is being closed
        if self._released:
            return
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.leave()

    # -- WebSockets

    async def websocket(
        self,
        url: str,
        headers: Mapping[str, str],
        limits: Limits,
        begin: Callable[[Wire], Sink],
        protocols: Sequence[str] = (),
    ) -> Sequence[tuple[str, str]]:
        """Open a WebSocket."""
        options = self._options.for_transport("websocket")
        deflate = options.per_message_deflate
        fields = dict(headers)
        if protocols:
            fields["Sec-WebSocket-Protocol"] = ", ".join(protocols)
        if deflate is not None:
            fields["Sec-WebSocket-Extensions"] = OFFER
        opening = _Opening(limits, begin, deflate, self._wires)
        try:
            await dial(
                opening.listen,
                url,
                fields,
                limits.max_size if deflate is None else room_for(limits.max_size),
                self._tls() if url.startswith("wss") else None,
                options.proxy,
            )
        except WSHandshakeError as error:
            raise _refused(error) from error
        except Exception as error:  # there are many, and all of them mean that there is no WebSocket
            raise TransportError(f"WebSocket failed: {_describe(error)}") from error
        except BaseException:
            opening.abort()
            raise
        if opening.error is not None:
            opening.abort()
            raise opening.error
        return opening.headers

    # -- TLS

    def _tls(self) -> ssl.SSLContext:
        given = self._options.ssl
        return given if isinstance(given, ssl.SSLContext) else _context(given)


class _Opening:
    """Make the wire of a WebSocket that the server has agreed to."""

    def __init__(
        self, limits: Limits, begin: Callable[[Wire], Sink], deflate: ClientDeflate | None, wires: list[ClientWire]
    ) -> None:
        self._limits = limits
        self._begin = begin
        self._deflate = deflate
        self._wires = wires
        self._wire: ClientWire | None = None
        self.headers: list[tuple[str, str]] = []
        self.error: TransportError | None = None

    def listen(self, request: Any, response: Any) -> ClientWire:
        pairs = response.headers.items()
        self.headers = [(str(name).lower(), _as_utf8(str(value))) for name, value in pairs]
        agreement: Agreement | None = None
        begin = self._begin
        try:
            agreement = agree(self._deflate, response.headers.get("Sec-WebSocket-Extensions", ""))
        except TransportError as error:
            self.error = error
            begin = _deafen
        wire = self._wire = ClientWire(self._limits, begin, agreement)
        self._wires.append(wire)
        wire.on_lost = functools.partial(self._wires.remove, wire)
        return wire

    def abort(self) -> None:
        if self._wire is not None:
            self._wire.abort()


def _as_utf8(value: str) -> str:
    """Read a header as those of other responses are: picows leaves what is not ASCII in a way that cannot be sent."""
    return value.encode("ascii", "surrogateescape").decode(errors="replace")


def _deafen(wire: Wire) -> Sink:
    return DEAF


def _refused(error: WSHandshakeError) -> TransportError:
    body = (error.raw_body or b"").decode(errors="replace")[:_MOST_SHOWN]
    status = None if error.response is None else int(error.response.status)
    if status in (None, 101):
        return TransportError(f"WebSocket failed: {_describe(error)}")
    return TransportError(f"WebSocket refused: HTTP {status} {body}".rstrip(), status, body)
