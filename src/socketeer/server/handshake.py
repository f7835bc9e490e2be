"""What a client said when it connected."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from socketeer.multiplex.server import ServerConnection

__all__ = ["Handshake", "Joining"]


class Joining(NamedTuple):
    """Hold a client's wish to join a namespace, with what it said for that."""

    connection: ServerConnection
    namespace: str
    auth: Any
    query: dict[str, str]


@dataclass(slots=True, frozen=True)
class Handshake:
    """Hold the details of the request that opened the connection, and the credentials for one namespace."""

    headers: Mapping[str, str]
    """The headers, by lower-case name."""
    query: Mapping[str, str]
    """The parameters of the URL; for clients 1.x and 2.x also those given with the namespace."""
    auth: Any
    """What the client sent as ``auth``; for clients 1.x and 2.x the parameters given with the namespace."""
    address: str
    """The client's address as the web server saw it."""
    secure: bool
    """Whether the connection is encrypted."""
    xdomain: bool
    """Whether the request named its origin, as browsers do across origins and on every WebSocket."""
    issued: int
    """When the socket was made, in milliseconds since 1970."""
    url: str
    """The URL of the request."""

    @property
    def time(self) -> str:
        """Give the time at which the socket was made, as text."""
        from email.utils import formatdate  # it brings much with it, for what few ask

        return formatdate(self.issued / 1000, usegmt=True)

    @classmethod
    def of(cls, joining: Joining) -> Handshake:
        """Build it from the first request and what came with the namespace."""
        request = joining.connection.request
        return cls(
            headers=request.headers,
            query={**request.query, **joining.query} if joining.query else request.query,
            auth=joining.auth,
            address=request.address,
            secure=request.secure,
            xdomain="origin" in request.headers,
            issued=int(time.time() * 1000),
            url=request.url,
        )
