"""One HTTP request in memory, from a client to an ASGI application, and the response back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from socketeer.client.network import HttpResponse
from socketeer.exceptions import TransportError
from socketeer.testing.inbox import Inbox
from socketeer.testing.pipe import Gate, Pipe
from socketeer.testing.websocket import text_headers
from socketeer.transports.asgi import Scope
from socketeer.transports.portable import Message

__all__ = ["Exchange"]

_log = logging.getLogger("socketeer.testing")


class Exchange:
    """Carry a request there, by way of ``begin``, which runs the application, and a response back."""

    def __init__(self, gate: Gate, body: bytes, begin: Callable[[Exchange], object]) -> None:
        self.response: asyncio.Future[HttpResponse] = asyncio.get_running_loop().create_future()
        """The response, or the ``TransportError`` that it comes to."""
        self._inbox = Inbox({"type": "http.request", "body": body, "more_body": False})
        self._up, self._down = Pipe(gate), Pipe(gate)
        self._head: tuple[int, list[tuple[str, str]]] | None = None
        self._body: list[bytes] = []
        self._complete = False
        self._up.put(begin, self)

    # -- the client's end

    def leave(self) -> None:
        """Give up waiting for the response."""
        if not self._complete:
            self._up.put(self._end)

    def drop(self) -> None:
        """Be cut off, at both ends."""
        if not self.response.done():
            self.response.set_exception(TransportError("the connection was lost"))
        self._up.clear()
        self._end()

    def _respond(self, response: HttpResponse | None) -> None:
        if self.response.done():  # the client has left
            return
        if response is None:
            self.response.set_exception(TransportError("the connection was closed within the response"))
        else:
            self.response.set_result(response)

    # -- the application's end

    async def run(self, app: Any, scope: Scope) -> None:
        """Run the application, and respond where it does not."""
        try:
            await app(scope, self._inbox.get, self._send)
        except Exception:
            _log.exception("the application failed")
        if self._complete:
            return
        self._end()
        if self._head is None:
            headers = [("content-type", "text/plain; charset=utf-8")]
            self._down.put(self._respond, HttpResponse(500, headers, b"Internal Server Error"))
        else:
            self._down.put(self._respond, None)

    async def _send(self, message: Message) -> None:
        if self._inbox.ended and not self._complete:
            return  # the client has left, which an application need not know
        kind = message["type"]
        if kind == "http.response.start" and self._head is None:
            self._head = (message["status"], text_headers(message.get("headers") or ()))
        elif kind == "http.response.body" and self._head is not None and not self._complete:
            self._body.append(bytes(message.get("body", b"")))
            if not message.get("more_body", False):
                self._complete = True
                self._end()
                self._down.put(self._respond, HttpResponse(*self._head, b"".join(self._body)))
        else:
            raise RuntimeError(f"unexpected in the response to a request: {kind!r}")

    def _end(self) -> None:
        self._inbox.end({"type": "http.disconnect"})
