"""The first request of a connection: one that opens a WebSocket goes to the engine, all others to uvicorn's protocol.

A connection that becomes a WebSocket says one thing in HTTP, and most say it in one piece. For these a parser, its
callbacks and what else uvicorn keeps for a connection are not made at all: that would be a sixth of the work.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.utils import get_remote_addr, is_ssl

from socketeer.transports.http import RequestProtocol
from socketeer.transports.opening import Lane, open_websocket, read_opening

if TYPE_CHECKING:
    from uvicorn import Config
    from uvicorn.server import ServerState

    from socketeer.transports.asgi import EngineFrontend
    from socketeer.transports.opening import Client, Opening

__all__ = ["HttpProtocol"]

_REQUEST = re.compile(rb"GET ([!-~]+) HTTP/1\.1\r\n((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*\r\n)+)\r\n")
"""A whole request without a body (RFC 9112 section 2.1); whatever is written in another way is uvicorn's."""
_OF_A_BODY = (b"content-length", b"transfer-encoding", b"expect")


class HttpProtocol(asyncio.Protocol):
    """Serve HTTP under uvicorn: pass it as ``http=socketeer.transports.uvicorn:HttpProtocol``."""

    __slots__ = ("_app_state", "_client", "_config", "_lane", "_state", "_transport")

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        if not config.loaded:
            config.load()
        self._config = config
        self._state = server_state
        self._app_state = app_state
        self._lane = Lane.of(config)
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # there from connection_made on
        self._client: Client = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request."""
        self._transport = cast("asyncio.Transport", transport)
        self._client = get_remote_addr(self._transport)  # now: of a connection that was reset nobody can tell
        self._state.connections.add(cast("Any", self))

    def data_received(self, data: bytes) -> None:
        """Take the first request, or its beginning."""
        transport, state, frontend = self._transport, self._state, self._lane.frontend
        cast("set[Any]", state.connections).discard(self)
        if frontend is not None and frontend.driver.loop is asyncio.get_running_loop():
            opening = self._read(frontend, data)
            if opening is not None:
                open_websocket(frontend, opening, transport, state, self._client)
                return
        protocol = RequestProtocol(self._config, state, self._app_state, self._lane)
        protocol.connection_made(transport)
        protocol.client = self._client
        transport.set_protocol(protocol)
        protocol.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that the client left."""
        cast("set[Any]", self._state.connections).discard(self)

    def shutdown(self) -> None:
        """Close: uvicorn stops."""
        self._transport.close()

    def _read(self, frontend: EngineFrontend, data: bytes) -> Opening | None:
        """Read a request that opens a WebSocket for the server; None leaves it to uvicorn."""
        lane = self._lane
        if not data.startswith(b"GET " + lane.prefix) or len(data) > frontend.engine.options.max_header_bytes:
            return None
        request = _REQUEST.fullmatch(data)
        if request is None:
            return None
        target, lines = request.groups()
        headers = []
        for line in lines.split(b"\r\n")[:-1]:
            name, _, value = line.partition(b":")
            headers.append((name.lower(), value.strip(b" \t")))
        fields = dict(headers)
        if fields.get(b"upgrade", b"").lower() != b"websocket" or not fields.keys().isdisjoint(_OF_A_BODY):
            return None
        if b"upgrade" not in [token.strip() for token in fields.get(b"connection", b"").lower().split(b",")]:
            return None
        secure = is_ssl(self._transport)
        return read_opening(lane, target, headers, fields, client=self._client, secure=secure, state=self._app_state)
