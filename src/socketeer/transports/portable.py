"""The portable lane: one WebSocket on any ASGI server, through ``receive`` and ``send``."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from socketeer.engine.session import CloseCode
from socketeer.engine.websocket import CLOSING_HANDSHAKE, DEAF, Limits, Sink

__all__ = ["Message", "PortableWire", "Receive", "Send"]

_log = logging.getLogger("socketeer.transports.portable")

_FAULTS = frozenset({1002, 1003, 1007, 1009})
"""The codes with which a web server closes a WebSocket over its peer's fault, and no browser does."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class PortableWire:
    """Be one WebSocket on an ASGI server."""

    __slots__ = (
        "_closing",
        "_max_size",
        "_queue",
        "_reader",
        "_ready",
        "_send",
        "_unsent",
        "_writer",
        "sink",
    )

    congested = True  # how much an ASGI server holds back is not known: always count

    def __init__(self, send: Send, limits: Limits) -> None:
        self.sink: Sink = DEAF
        self._send = send
        self._max_size = limits.max_size
        self._queue: deque[tuple[Message, int]] = deque()
        self._ready = asyncio.Event()
        self._unsent = 0
        self._closing = False
        self._reader: asyncio.Future[str | None] | None = None
        self._writer: asyncio.Future[None] | None = None

    def send_text(self, data: bytes, compress: bool = True) -> None:
        """Queue a text frame."""
        self._push({"type": "websocket.send", "text": data.decode()}, len(data))

    def send_binary(self, data: bytes, compress: bool = True) -> None:
        """Queue a binary frame."""
        self._push({"type": "websocket.send", "bytes": data}, len(data))

    def send_packet(self, text: bytes, attachments: Sequence[bytes], compress: bool = True) -> None:
        """Queue a text frame, if it is not empty, and binary frames."""
        if text:
            self.send_text(text)
        for data in attachments:
            self.send_binary(data)

    def unsent(self) -> int:
        """Count the bytes that the server has not taken yet."""
        return self._unsent

    def is_writable(self) -> bool:
        """Tell whether the server has taken everything so far."""
        return not self._unsent

    def close(self, code: int = CloseCode.OK) -> None:
        """Queue a close frame."""
        self._push({"type": "websocket.close", "code": int(code)}, 0)
        self._closing = True

    def disconnect(self) -> None:
        """Close behind what is queued."""
        self.close()

    def abort(self) -> None:
        """Throw away what is queued, and close."""
        self._closing = True
        self._queue.clear()
        self._unsent = 0
        if self._writer is not None:
            self._writer.cancel()

    def _push(self, message: Message, size: int) -> None:
        if not self._closing:
            self._queue.append((message, size))
            self._unsent += size
            self._ready.set()

    async def run(self, receive: Receive) -> None:
        """Pass frames in both directions until the WebSocket is gone."""
        self._writer = writer = asyncio.ensure_future(self._write())
        self._reader = reader = asyncio.ensure_future(self._read(receive))
        try:
            await asyncio.wait((reader, writer), return_when=asyncio.FIRST_COMPLETED)
            if not writer.cancelled():
                # Whichever ended first, give the other one the time of a closing handshake.
                await asyncio.wait((reader, writer), timeout=CLOSING_HANDSHAKE if self._closing else 0)
            if reader.cancelled() and not writer.cancelled():
                # The writer stopped it to send the close frame. A server that goes on before the peer has answered ends
                # the connection, and older clients then lose what they have not passed on yet.
                self._reader = reader = asyncio.ensure_future(self._read(receive))
                await asyncio.wait((reader,), timeout=CLOSING_HANDSHAKE)
        finally:
            reader.cancel()
            writer.cancel()
            self._closing = True
            failures = [failure for task in (reader, writer) if (failure := _failure_of(task))]
            self.sink.end("transport error" if failures else "transport close", failures[0] if failures else None)

    async def _write(self) -> None:
        try:
            await self._send_queue()
        except OSError:  # how a server says that the client has gone
            pass
        except Exception:
            await self._send_close(CloseCode.OK)
            raise

    async def _send_queue(self) -> None:
        queue = self._queue
        while True:
            await self._ready.wait()
            self._ready.clear()
            while queue:
                message, size = queue.popleft()
                if message["type"] == "websocket.close":
                    if self._reader is not None:
                        self._reader.cancel()  # granian does not send it while the application receives
                    await self._send_close(message["code"])
                    return
                await self._send(message)
                self._unsent -= size

    async def _send_close(self, code: int) -> None:
        try:
            await self._send({"type": "websocket.close", "code": int(code)})
        except OSError:
            pass
        except Exception:
            _log.debug("the web server could not close a WebSocket with %d", code, exc_info=True)
            if code != CloseCode.OK:  # daphne sends none that says whose fault it was
                await self._send_close(CloseCode.OK)

    async def _read(self, receive: Receive) -> str | None:
        """Give the reason for which the peer must go, or None once it has gone."""
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                code = message.get("code")
                return f"{code}: {message.get('reason') or ''}" if code in _FAULTS else None
            if message["type"] != "websocket.receive" or self._closing:
                continue
            text = message.get("text")
            data = message["bytes"] if text is None else text.encode()
            if len(data) > self._max_size:
                self.close(CloseCode.TOO_BIG)
                return "message of more than max_http_buffer_size"
            if text is None:
                self.sink.receive_frame(data)
            else:
                self.sink.receive_text(data)


def _failure_of(task: asyncio.Future[str | None] | asyncio.Future[None]) -> str | None:
    """Give the reason for which a reader or a writer ended the WebSocket, if it was no ordinary one."""
    if not task.done() or task.cancelled():
        return None
    error = task.exception()
    if error is None:
        return task.result()
    _log.warning("a WebSocket failed", exc_info=error)
    return f"{error!r:.200}"
