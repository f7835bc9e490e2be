"""One HTTP/1.1 connection of a polling client: httptools reads the responses, nothing waits in between."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Mapping
from typing import Final, cast

import httptools

from socketeer.client.network import HttpResponse
from socketeer.exceptions import TransportError

__all__ = ["HttpConnection", "make_head"]

_MOST_HEAD: Final = 65_536
"""How many bytes the headers of a response may have, in all."""
_EITHER_FORMAT: Final = 32 + zlib.MAX_WBITS
"""zlib's own format, as HTTP understands ``deflate`` (RFC 9110, section 8.4.1.2), or that of gzip."""
_DEFAULTS: Final = {
    "accept": "Accept: */*\r\n",
    "accept-encoding": "Accept-Encoding: gzip, deflate\r\n",
    "user-agent": "User-Agent: socketeer\r\n",
}
_ALL_DEFAULTS: Final = "".join(_DEFAULTS.values())


def make_head(method: str, target: str, host: str, headers: Mapping[str, str], size: int) -> bytes:
    """Give the head of a request whose body has ``size`` bytes; ``headers`` go before what is said by default."""
    given = {name.lower() for name in headers}
    own = "" if "host" in given else f"Host: {host}\r\n"
    fields = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if given.isdisjoint(_DEFAULTS):
        defaults = _ALL_DEFAULTS
    else:
        defaults = "".join([line for name, line in _DEFAULTS.items() if name not in given])
    length = f"Content-Length: {size}\r\n" if method != "GET" else ""
    return f"{method} {target} HTTP/1.1\r\n{own}{fields}{defaults}{length}\r\n".encode()


def _inflate(body: bytes, most: int) -> bytes:
    """Decompress a body. Raises ``TransportError`` where it is damaged, or more than ``most`` bytes."""
    for bits in (_EITHER_FORMAT, -zlib.MAX_WBITS):  # there are servers whose "deflate" has no frame
        inflater = zlib.decompressobj(bits)
        try:
            data = inflater.decompress(body, most + 1)
        except zlib.error:
            continue
        if len(data) > most:
            raise _too_large()
        if inflater.eof:
            return data
    raise TransportError("a response that cannot be decompressed")


def _too_large() -> TransportError:
    return TransportError("a response of more than max_http_buffer_size")


class HttpConnection(asyncio.Protocol):
    """Make one request after the other. ``on_lost`` is called when the connection is closed."""

    __slots__ = (
        "_body",
        "_head",
        "_headers",
        "_keeps_alive",
        "_most",
        "_parser",
        "_response",
        "_status",
        "_transport",
        "_until_end",
        "on_lost",
        "reusable",
    )

    def __init__(self, on_lost: Callable[[HttpConnection], None]) -> None:
        self.on_lost = on_lost
        self.reusable = False
        """Whether another request may follow."""
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._response: asyncio.Future[HttpResponse] | None = None
        self._headers: list[tuple[str, str]] = []
        self._body = bytearray()
        self._most = 0
        self._status = 0
        self._head = 0  # bytes of it so far; -1 once it is whole
        self._keeps_alive = False
        self._until_end = False  # whether the body goes on until the connection ends

    async def request(self, head: bytes, body: bytes, most: int) -> HttpResponse:
        """Send a request and return the response, with a body of ``most`` bytes at most.

        Raises ``TransportError``. Whatever goes wrong closes the connection; so does a cancellation.
        """
        transport = self._transport
        if transport is None:
            raise TransportError("the connection was closed before the request")
        self.reusable = False
        self._most = most
        self._response = asyncio.get_running_loop().create_future()
        self._expect_head()
        transport.write(head)
        if body:
            transport.write(body)
        try:
            response = await self._response
        except BaseException:
            self.abort()
            raise
        finally:
            self._response = None
            self._headers, self._body = [], bytearray()
        if not self._keeps_alive or transport.is_closing() or transport.get_write_buffer_size():
            self.abort()  # the server closes it, or has answered before it had everything
        else:
            self.reusable = True
        return response

    def abort(self) -> None:
        """Close the connection at once."""
        self.reusable = False
        if self._transport is not None:
            self._transport.abort()

    # -- of the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        """Read what the server has sent."""
        if self._response is None or self._parser is None:
            self.abort()  # it is nobody's
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._keeps_alive = False
        except httptools.HttpParserError as error:
            self._fail(f"no HTTP response ({error})")
        if self._head >= 0:
            self._head += len(data)
            if self._head > _MOST_HEAD:
                self._fail(f"a response with headers of more than {_MOST_HEAD:,} bytes")

    def connection_lost(self, error: Exception | None) -> None:
        """End: the connection is gone."""
        self._transport = self._parser = None
        self.reusable = False
        if error is None and self._until_end and self._head < 0:
            self.on_message_complete()
        else:
            self._fail(
                str(error) if error is not None else "the connection was closed before the response was complete"
            )
        self.on_lost(self)

    # -- of the parser

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; trailers are none."""
        if self._head >= 0:
            self._headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        """Learn how long the response is, and what follows it."""
        assert self._parser is not None
        self._head = -1
        self._status = self._parser.get_status_code()
        self._keeps_alive = self._parser.should_keep_alive()
        has_end = self._header("content-length") or "chunked" in self._header("transfer-encoding").lower()
        self._until_end = not self._keeps_alive and not has_end

    def on_body(self, part: bytes) -> None:
        """Take a part of the body."""
        if len(self._body) + len(part) > self._most:
            self._fail(str(_too_large()))
        else:
            self._body += part

    def on_message_complete(self) -> None:
        """Hand on the response, unless it only announces another one."""
        if self._response is None or self._response.done():
            self._keeps_alive = False  # more than one answer
            return
        if 100 <= self._status < 200 and self._status != 101:
            self._expect_head()
            return
        body = bytes(self._body)
        try:
            if coding := self._header("content-encoding").lower():
                if coding not in ("gzip", "x-gzip", "deflate"):
                    raise TransportError(f"a response in an encoding that was not asked for: {coding:.100}")
                body = _inflate(body, self._most) if body else body
        except TransportError as error:
            self._fail(str(error))
        else:
            self._response.set_result(HttpResponse(self._status, self._headers, body))

    def _expect_head(self) -> None:
        self._headers, self._body = [], bytearray()
        self._head = 0
        self._keeps_alive = self._until_end = False

    def _header(self, name: str) -> str:
        return next((value for key, value in self._headers if key == name), "")

    def _fail(self, why: str) -> None:
        if self._response is not None and not self._response.done():
            self._response.set_exception(TransportError(why))
