"""The real client, connected to an application in memory."""

from __future__ import annotations

from typing import Any, Unpack

from socketeer import client
from socketeer.client.socket import ClientSocket
from socketeer.options.client import ConnectOptions
from socketeer.testing.network import AsgiNetwork

__all__ = ["connect", "in_memory"]

_SERVER = "http://testserver"


def connect(app: Any, url: str = "/", **options: Unpack[ConnectOptions]) -> ClientSocket:
    """Connect to an ASGI application in memory, as ``socketeer.connect`` does over a network.

    ``app`` is the application, or an :class:`AsgiNetwork` that leads to it and can be disturbed. ``url`` is a
    namespace, with a query if there is one to send; or a whole URL, for an application that looks at the host. Each
    socket is another client, with a connection of its own; for more namespaces on one ask its ``io``. It uses WebSocket
    unless ``transports`` says otherwise: an upgrade from polling takes a tenth of a second, in which nothing is sent.
    """
    return client.connect(in_memory(app, url, options), **options)


def in_memory(app: Any, url: str, options: ConnectOptions) -> str:
    """Complete the options for a connection in memory, and give the whole URL."""
    network = app if isinstance(app, AsgiNetwork) else AsgiNetwork(app)
    options.setdefault("force_new", True)
    options.setdefault("transports", ["websocket"])
    options.setdefault("network", lambda _: network)
    return url if "://" in url else f"{_SERVER}/{url.removeprefix('/')}"
