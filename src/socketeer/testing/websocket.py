"""One WebSocket in memory: the client's end is a wire of the engine, the server's the ``receive`` and ``send`` of ASGI.

The two ends know each other through a pipe in each direction.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from socketeer.engine.session import CloseCode
from socketeer.engine.websocket import DEAF, Limits, Sink, Wire
from socketeer.exceptions import TransportError
from socketeer.testing.inbox import Inbox
from socketeer.testing.pipe import Gate, Pipe
from socketeer.transports.asgi import Scope
from socketeer.transports.portable import Message

__all__ = ["MemoryWire", "text_headers"]

_log = logging.getLogger("socketeer.testing")

_LOST, _INTERNAL_ERROR = 1006, 1011
_MOST_SHOWN = 1000


def text_headers(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """Give the headers of a response as a client reads them."""
    return [(bytes(name).decode("latin-1").lower(), bytes(value).decode("latin-1")) for name, value in headers]


class MemoryWire:
    """Be the client's end. ``begin`` gives the sink once the server has accepted; ``on_end`` is called at the end."""

    congested = False  # memory takes everything at once

    def __init__(self, gate: Gate, limits: Limits, begin: Callable[[Wire], Sink], on_end: Callable[[], object]) -> None:
        self.sink: Sink = DEAF
        self.opened: asyncio.Future[list[tuple[str, str]]] = asyncio.get_running_loop().create_future()
        """The headers of the server's answer, or the ``TransportError`` that it comes to."""
        self.server = _ServerEnd(self, Pipe(gate))
        self._up = Pipe(gate)
        self._limits = limits
        self._begin = begin
        self._on_end = on_end
        self._context = contextvars.copy_context()
        self._closing = False
        self._ended = False

    # -- what the client does

    def open(self, run: Callable[[], object]) -> None:
        """Ask the server for the WebSocket; it calls ``run`` to begin with it."""
        self._up.put(run)

    def send_text(self, data: bytes, compress: bool = True) -> None:
        """Send a text frame."""
        if not self._closing:
            self._up.put(self.server.take, data, True)

    def send_binary(self, data: bytes, compress: bool = True) -> None:
        """Send a binary frame."""
        if not self._closing:
            self._up.put(self.server.take, data, False)

    def send_packet(self, text: bytes, attachments: Sequence[bytes], compress: bool = True) -> None:
        """Send a text frame, if it is not empty, and binary frames."""
        if text:
            self.send_text(text)
        for data in attachments:
            self.send_binary(data)

    def unsent(self) -> int:
        """Give 0: there is no operating system that could take less."""
        return 0

    def is_writable(self) -> bool:
        """Tell whether nothing was sent in this round, and nothing is held."""
        return self._up.empty

    def close(self, code: int = CloseCode.OK) -> None:
        """Send a close frame; the server answers it."""
        if not self._closing:
            self._closing = True
            self._up.put(self.server.take_close, int(code))

    def disconnect(self) -> None:
        """Close the connection behind what is unsent."""
        self._closing = True
        self._up.put(self.server.take_loss)
        self._end_soon()

    def abort(self) -> None:
        """Close the connection now and throw away what is unsent."""
        self._up.clear()
        self.disconnect()

    # -- what comes from the server

    def accept(self, headers: list[tuple[str, str]]) -> None:
        """Begin."""
        if self.opened.done():  # the client has given up
            return
        try:
            self.sink = self._begin(self)
        except Exception as error:
            self.opened.set_exception(error)
            self.abort()
        else:
            self.opened.set_result(headers)

    def refuse(self, status: int, body: bytes) -> None:
        """End before it began."""
        text = body.decode(errors="replace")[:_MOST_SHOWN]
        self._fail(TransportError(f"WebSocket refused: HTTP {status} {text}".rstrip(), status, text))
        self._end()

    def take(self, data: bytes, text: bool) -> None:
        """Take a frame."""
        if self._closing:
            return
        if len(data) > self._limits.max_size:
            self.close(CloseCode.TOO_BIG)
            self._end("transport error", "message of more than max_http_buffer_size")
        elif text:
            self.sink.receive_text(data)
        else:
            self.sink.receive_frame(data)

    def take_close(self) -> None:
        """Take the server's close frame, or its answer to ours."""
        if not self._closing:
            self._closing = True
            self._up.put(self.server.take_answer)
        self._end()

    def drop(self) -> None:
        """Be cut off, at both ends."""
        self._fail(TransportError("WebSocket failed: the connection was lost"))
        self._closing = True
        self._up.clear()
        self.server.take_loss()
        self._end_soon()

    def _fail(self, error: TransportError) -> None:
        if not self.opened.done():
            self.opened.set_exception(error)

    def _end_soon(self) -> None:
        self.opened.get_loop().call_soon(self._end, context=self._context)

    def _end(self, reason: str = "transport close", description: str | None = None) -> None:
        if not self._ended:
            self._ended = True
            self._on_end()
            sink, self.sink = self.sink, DEAF
            sink.end(reason, description)


class _ServerEnd:
    """Be the server's end: what a web server is to an application."""

    def __init__(self, wire: MemoryWire, down: Pipe) -> None:
        self._wire = wire
        self._down = down
        self._inbox = Inbox({"type": "websocket.connect"})
        self._accepted = False
        self._closed = False  # by the application
        self._code = 0
        self._denial: tuple[int, bytes] | None = None

    async def run(self, app: Any, scope: Scope) -> None:
        """Run the application, and close what it leaves open."""
        code = int(CloseCode.OK)
        try:
            await app(scope, self._inbox.get, self._send)
        except Exception as error:
            if not (isinstance(error, OSError) and self._inbox.ended):  # how it is told that the client has gone
                _log.exception("the application failed")
            code = _INTERNAL_ERROR
        if not self._accepted:
            self._refuse(500, b"Internal Server Error")
        else:
            self._close(code)

    async def _send(self, message: Message) -> None:
        if self._inbox.ended:
            raise ConnectionResetError("the client has gone")
        kind = message["type"]
        if self._closed:
            raise RuntimeError(f"a WebSocket that was closed cannot send {kind!r}")
        if not self._accepted:
            self._answer(kind, message)
        elif kind == "websocket.send":
            text = message.get("text")
            self._down.put(
                self._wire.take, bytes(message["bytes"]) if text is None else text.encode(), text is not None
            )
        elif kind == "websocket.close":
            self._close(message.get("code") or int(CloseCode.OK))
        else:
            raise RuntimeError(f"an accepted WebSocket cannot send {kind!r}")

    def _answer(self, kind: str, message: Message) -> None:
        if kind == "websocket.accept":
            self._accepted = True
            headers = text_headers(message.get("headers") or ())
            if message.get("subprotocol"):
                headers.append(("sec-websocket-protocol", message["subprotocol"]))
            self._down.put(self._wire.accept, headers)
        elif kind == "websocket.close":
            self._refuse(403, b"")
        elif kind == "websocket.http.response.start":
            self._denial = (message["status"], b"")
        elif kind == "websocket.http.response.body" and self._denial is not None:
            status, body = self._denial
            self._denial = (status, body + message.get("body", b""))
            if not message.get("more_body", False):
                self._refuse(*self._denial)
        else:
            raise RuntimeError(f"the handshake of a WebSocket cannot be answered with {kind!r}")

    def _refuse(self, status: int, body: bytes) -> None:
        if not self._closed:
            self._closed = True
            self.take_loss()
            self._down.put(self._wire.refuse, status, body)

    def _close(self, code: int) -> None:
        if not (self._closed or self._inbox.ended):
            self._closed = True
            self._code = code
            self._down.put(self._wire.take_close)

    # -- what comes from the client

    def take(self, data: bytes, text: bool) -> None:
        """Take a frame."""
        if self._closed or self._inbox.ended:
            return
        if not text:
            self._inbox.put({"type": "websocket.receive", "bytes": data})
            return
        try:
            self._inbox.put({"type": "websocket.receive", "text": data.decode()})
        except UnicodeDecodeError:
            self.take_close(CloseCode.NOT_UTF8)

    def take_close(self, code: int) -> None:
        """Take a close frame, and answer it."""
        if not (self._closed or self._inbox.ended):
            self._down.put(self._wire.take_close)
        self._end(code)

    def take_answer(self) -> None:
        """Take the answer to the application's close frame."""
        self._end(self._code)

    def take_loss(self) -> None:
        """Take note that the client has gone without a word."""
        self._end(_LOST)

    def _end(self, code: int) -> None:
        self._inbox.end({"type": "websocket.disconnect", "code": int(code), "reason": ""})
