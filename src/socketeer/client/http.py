"""One HTTP/1.1 connection of a polling client: httptools reads the responses, nothing waits in between."""

from __future__ import annotations

import asyncio
import math
import re
import select
import sys
import zlib
from collections.abc import Callable, Mapping
from typing import Final, cast

import httptools

from socketeer.client.network import HttpResponse
from socketeer.exceptions import TransportError

__all__ = ["HttpConnection", "make_head"]

_MOST_HEAD: Final = 65_536
"""How many bytes the head of a response may have, with those that announce it; and how many may come without a body."""
_MOST_JOINED: Final = 65_536
"""Up to how many bytes a body is copied behind the head: they leave together."""
_IDLE: Final = re.compile(r"\btimeout\s*=\s*\"?(\d{1,9})", re.ASCII | re.IGNORECASE)
"""How many seconds an idle connection lasts, in a ``Keep-Alive`` header."""
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


def _decode(body: bytes, coding: str, most: int) -> bytes:
    """Decompress a body. Raises ``TransportError`` where that cannot be done, or gives more than ``most`` bytes."""
    if not body or coding == "identity":
        return body
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise TransportError(f"a response in an encoding that was not asked for: {coding:.100}")
    for bits in (_EITHER_FORMAT, -zlib.MAX_WBITS):  # there are servers whose "deflate" has no frame
        inflater = zlib.decompressobj(bits)
        try:
            data = inflater.decompress(body, most + 1)
        except zlib.error:
            continue
        if len(data) > most:
            raise _too_large()
        if inflater.eof and not inflater.unused_data:
            return data
    raise TransportError("a response that cannot be decompressed")


def _too_large() -> TransportError:
    return TransportError("a response of more than max_http_buffer_size")


def _readable(number: int) -> bool:
    """Tell whether a socket, given its file descriptor, has something to read, be it its end."""
    if sys.platform == "win32":
        return bool(select.select([number], [], [], 0)[0])
    poll = select.poll()  # select() takes no number above 1,023
    poll.register(number, select.POLLIN)
    return bool(poll.poll(0))


class HttpConnection(asyncio.Protocol):
    """Make one request after the other. ``on_lost`` is called when the connection is closed."""

    __slots__ = (
        "_bodiless",
        "_body",
        "_coding",
        "_headers",
        "_heard",
        "_in_head",
        "_keeps_alive",
        "_most",
        "_parser",
        "_response",
        "_status",
        "_transport",
        "_until_end",
        "lasts",
        "on_lost",
        "reusable",
        "unanswered",
    )

    def __init__(self, on_lost: Callable[[HttpConnection], None]) -> None:
        self.on_lost = on_lost
        self.reusable = False
        """Whether another request may follow."""
        self.lasts = math.inf
        """How many seconds the server says that it keeps an idle connection."""
        self.unanswered = False
        """Whether the server has ended it without a byte of an answer to the last request."""
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._response: asyncio.Future[HttpResponse] | None = None
        self._headers: list[tuple[str, str]] = []
        self._body = bytearray()
        self._most = 0
        self._status = 0
        self._coding = ""
        self._heard = False  # whether anything has come since the last request
        self._in_head = False  # until that of the response itself is whole
        self._bodiless = 0  # how many bytes have come since the last part of a body
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
        self._in_head, self._bodiless, self._heard = True, 0, False
        self._response = asyncio.get_running_loop().create_future()
        try:
            if len(body) <= _MOST_JOINED:
                transport.write(head + body)
            else:
                transport.write(head)
                transport.write(body)
            response = await self._response
        except BaseException:
            self.abort()
            raise
        finally:
            self._response = None
        if not self._keeps_alive or transport.is_closing() or transport.get_write_buffer_size():
            self.abort()  # the server closes it, or has answered before it had everything
        else:
            self.reusable = True
        return response

    def abort(self) -> None:
        """Close the connection at once."""
        self.reusable = self._keeps_alive = False
        if self._transport is not None:
            self._transport.abort()

    def has_ended(self) -> bool:
        """Tell of an idle connection whether the server has ended it, even where the event loop is yet to read that."""
        sock = None if self._transport is None else self._transport.get_extra_info("socket")
        number = -1 if sock is None else sock.fileno()  # below TLS the socket is gone before connection_lost is called
        return number < 0 or _readable(number)

    # -- of the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        """Read what the server has sent."""
        self._heard = True
        if self._response is None or self._parser is None:
            self.abort()  # it is nobody's
            return
        room = _MOST_HEAD - self._bodiless
        self._bodiless += len(data)
        for part in (data[:room], data[room:]) if self._in_head and len(data) > room else (data,):
            try:
                self._parser.feed_data(part)
            except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
                self._keeps_alive = False
                self._fail(f"no HTTP response ({error})")
            if self._bodiless > _MOST_HEAD:
                self._fail(f"a response with headers of more than {_MOST_HEAD:,} bytes")

    def eof_received(self) -> None:
        """Take the end of the connection, which is also that of some responses."""
        self.unanswered = not self._heard
        if self._until_end:
            self.on_message_complete()
        self.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """End: the connection is gone."""
        self._transport = self._parser = None
        self.reusable = self._keeps_alive = False
        if error is not None:
            self.unanswered = not self._heard
        self._fail("the connection was closed before the response was complete" if error is None else str(error))
        self.on_lost(self)

    # -- of the parser

    def on_message_begin(self) -> None:
        """Begin a response, unless there was one: what follows it makes the parser fail."""
        if not self._in_head:
            raise TransportError("more than one response")
        self._headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; trailers are none."""
        if self._in_head:
            self._headers.append((name.decode().lower(), value.decode(errors="replace")))

    def on_headers_complete(self) -> None:
        """Learn how long the response is, and what follows it."""
        assert self._parser is not None
        self._status = self._parser.get_status_code()
        if 100 <= self._status < 200 and self._status != 101:
            return  # it only announces another one
        self._in_head, self._bodiless = False, 0
        self._keeps_alive = self._parser.should_keep_alive()
        headers = dict(self._headers)
        self._coding = headers.get("content-encoding", "").strip().lower()
        idle = _IDLE.search(headers.get("keep-alive", ""))
        self.lasts = math.inf if idle is None else float(idle[1])
        transfer = headers.get("transfer-encoding")
        self._until_end = not (self._keeps_alive or transfer or "content-length" in headers)
        if transfer and transfer.strip().lower() != "chunked":
            self._fail(f"a response in a transfer encoding that was not asked for: {transfer:.100}")

    def on_body(self, part: bytes) -> None:
        """Take a part of the body."""
        if len(self._body) + len(part) > self._most:
            self._fail(str(_too_large()))
        else:
            self._body += part
            self._bodiless = 0

    def on_message_complete(self) -> None:
        """Hand on the response, unless it only announces another one."""
        body = bytes(self._body)
        self._body.clear()
        if self._in_head or self._response is None or self._response.done():
            return
        try:
            if self._coding:
                body = _decode(body, self._coding, self._most)
        except TransportError as error:
            self._fail(str(error))
        else:
            self._response.set_result(HttpResponse(self._status, self._headers, body))

    def _fail(self, why: str) -> None:
        if self._response is not None and not self._response.done():
            self._response.set_exception(TransportError(why))
