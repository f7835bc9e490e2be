"""Requests that open a WebSocket, and go to the engine without a scope and a task: how they are read and answered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from socketeer.engine.http import Request, Response
from socketeer.transports.asgi import head_size, make_request
from socketeer.transports.websocket import (
    WebSocketProtocol,
    header_lines,
    make_wire,
    refusal,
    switch,
    valid_key,
    without_secret,
)

if TYPE_CHECKING:
    from uvicorn import Config
    from uvicorn.server import ServerState

    from socketeer.engine.deflate import Agreement
    from socketeer.engine.websocket import Limits
    from socketeer.transports.asgi import EngineFrontend
    from socketeer.transports.picows import Wire

__all__ = ["Client", "Lane", "Opening", "open_websocket", "read_opening"]

_log = logging.getLogger("uvicorn.error")

Client = tuple[str, int] | None
"""The address of a client, where it has one."""
_OF_PROXIES = (b"x-forwarded-for", b"x-forwarded-proto")
"""What uvicorn may believe of a proxy that says who the client is."""


class Lane(NamedTuple):
    """Hold the server that stands right behind uvicorn, if there is one and nothing else is to see its requests.

    ``prefix`` is what the targets of its requests start with; ``behind_proxy`` tells whether uvicorn believes a proxy.
    """

    frontend: EngineFrontend | None
    prefix: bytes
    behind_proxy: bool
    websockets: bool

    @classmethod
    def of(cls, config: Config) -> Lane:
        """Find the server in what uvicorn runs."""
        app: Any = config.loaded_app
        behind_proxy = isinstance(app, ProxyHeadersMiddleware)
        if behind_proxy:
            app = app.app
        frontend: EngineFrontend | None = getattr(app, "http_lane", None)
        if frontend is None or config.root_path or config.limit_concurrency is not None:
            return cls(None, b"", behind_proxy, False)
        prefix = frontend.engine.options.path.encode() + b"/?"
        return cls(frontend, prefix, behind_proxy, config.ws_protocol_class is WebSocketProtocol)


class Opening(NamedTuple):
    """Hold a request that opens a WebSocket."""

    request: Request
    key: bytes


def read_opening(
    lane: Lane,
    target: bytes,
    headers: Sequence[tuple[bytes, bytes]],
    fields: Mapping[bytes, bytes],
    *,
    client: Client,
    secure: bool,
    state: dict[str, Any],
) -> Opening | None:
    """Read the head of a request that asks for a WebSocket; None leaves it to uvicorn."""
    frontend = lane.frontend
    if frontend is None or not lane.websockets or frontend.engine.hooked or frontend.engine.decorated:
        return None
    key = valid_key(fields)
    if key is None or (lane.behind_proxy and not fields.keys().isdisjoint(_OF_PROXIES)):
        return None
    path, _, query = target.partition(b"?")
    if head_size(len(path) + len(query), headers) > frontend.engine.options.max_header_bytes:
        return None
    try:
        request = make_request(
            "GET",
            path.decode("ascii"),
            query,
            headers,
            address=client[0] if client else "",
            secure=secure,
            upgrade=True,
            state=state.copy(),
        )
    except ValueError:
        return None
    return Opening(request, key)


def open_websocket(
    frontend: EngineFrontend, opening: Opening, transport: asyncio.Transport, state: ServerState, client: Client
) -> None:
    """Let the engine take a connection over, or refuse it."""
    admission = frontend.engine.check(opening.request)
    if isinstance(admission, Response):
        transport.write(refusal(state, admission.status, admission.headers, admission.body))
        transport.close()
    else:
        frontend.take_over(opening.request, admission, partial(_give_away, opening, transport, state, client))


def _give_away(
    opening: Opening,
    transport: asyncio.Transport,
    state: ServerState,
    client: Client,
    limits: Limits,
    headers: list[tuple[bytes, bytes]],
    agreement: Agreement | None,
) -> Wire | None:
    if transport.is_closing():
        return None
    wire, headers = make_wire(limits, headers, agreement)
    fields = header_lines(state, headers)
    if _log.isEnabledFor(logging.INFO):
        address = "" if client is None else f"{client[0]}:{client[1]}"
        _log.info('%s - "WebSocket %s" [accepted]', address, without_secret(opening.request.url))
    switch(transport, state, wire, fields, opening.key)
    return wire
