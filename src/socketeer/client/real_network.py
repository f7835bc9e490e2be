"""The network of the operating system: aiohttp for requests, picows for WebSockets."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

from picows import WSHandshakeError

from socketeer.client.dialing import dial
from socketeer.client.http_pool import HttpPool, import_aiohttp, pool_of_this_loop
from socketeer.client.network import HttpResponse
from socketeer.client.wire import OFFER, Agreement, ClientWire, agree
from socketeer.engine.websocket import DEAF, Limits, Sink, Wire
from socketeer.exceptions import TransportError
from socketeer.options.client import ClientDeflate, ManagerOptions
from socketeer.transports.deflate import room_for

if TYPE_CHECKING:
    import aiohttp

__all__ = ["SocketNetwork"]

_MOST_SHOWN = 1000
_CHUNK = 65536


def _describe(error: BaseException) -> str:
    return str(error) or type(error).__name__


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending a GET again where the connection breaks: what the first one has fetched is lost."""
    try:
        return await handler(request)
    except Exception as error:
        raise TransportError(f"{request.method} failed: {_describe(error)}") from error


class SocketNetwork:
    """Be the network of the operating system."""

    def __init__(self, options: ManagerOptions) -> None:
        self._options = options
        self._pool: HttpPool | None = None
        self._session: aiohttp.ClientSession | None = None
        self._requests = 0
        self._released = False
        self._context: ssl.SSLContext | None = None
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
        if self._session is None:
            self._pool = pool_of_this_loop()
            self._session = self._pool.enter()
        self._requests += 1
        try:
            return await self._request(self._session, method, url, headers, body)
        finally:
            self._requests -= 1
            if self._released and not self._requests:
                await self.release()

    async def _request(
        self, session: aiohttp.ClientSession, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> HttpResponse:
        aiohttp = import_aiohttp()
        try:
            async with session.request(
                method,
                url,
                headers=headers,
                data=BytesIO(body) if body else None,  # which is sent piece by piece
                timeout=aiohttp.ClientTimeout(),  # who asks has one
                allow_redirects=False,
                proxy=self._options.for_transport("polling").proxy,
                ssl=self._options.ssl,
                middlewares=(_once,),
            ) as response:
                content = await self._read(response.content)
                pairs = [(name.lower(), value) for name, value in response.headers.items()]
                return HttpResponse(response.status, pairs, content)
        except TransportError:
            raise
        except Exception as error:  # there are many, and all of them mean that there is no response
            raise TransportError(f"{method} failed: {_describe(error)}") from error

    async def _read(self, content: aiohttp.StreamReader) -> bytes:
        parts: list[bytes] = []
        left = self._options.max_http_buffer_size
        while part := await content.read(_CHUNK):
            left -= len(part)
            if left < 0:
                raise TransportError("a response of more than max_http_buffer_size")
            parts.append(part)
        return b"".join(parts)

    async def release(self) -> None:
        """Close the connections that are kept open for further requests, once those under way are over."""
        self._released = bool(self._requests)  # by the next connection, while the last one is being closed
        if self._released:
            return
        session, self._session = self._session, None
        if session is not None and self._pool is not None:
            await self._pool.leave()

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
                self._ssl_context() if url.startswith("wss") else None,
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

    def _ssl_context(self) -> ssl.SSLContext | None:
        verify = self._options.ssl
        if isinstance(verify, ssl.SSLContext):
            return verify
        if verify:
            return None
        if self._context is None:
            self._context = ssl.create_default_context()
            self._context.check_hostname = False
            self._context.verify_mode = ssl.CERT_NONE
        return self._context


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
        self.headers = [(str(name).lower(), str(value)) for name, value in response.headers.items()]
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


def _deafen(wire: Wire) -> Sink:
    return DEAF


def _refused(error: WSHandshakeError) -> TransportError:
    body = (error.raw_body or b"").decode(errors="replace")[:_MOST_SHOWN]
    status = None if error.response is None else int(error.response.status)
    if status in (None, 101):
        return TransportError(f"WebSocket failed: {_describe(error)}")
    return TransportError(f"WebSocket refused: HTTP {status} {body}".rstrip(), status, body)
