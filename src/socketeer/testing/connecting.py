"""The real client, connected to an application in memory."""

from __future__ import annotations

from typing import Any, Unpack

from socketeer import client
from socketeer.client.socket import ClientSocket
from socketeer.options.client import ConnectOptions
from socketeer.testing.network import AsgiNetwork

__all__ = ["absolute", "connect"]

_SERVER = "http://testserver"


def absolute(url: str) -> str:
    """Give the URL of a server in memory for what may be a namespace and a query only."""
    return url if "://" in url else f"{_SERVER}/{url.removeprefix('/')}"


def connect(app: Any, url: str = "/", **options: Unpack[ConnectOptions]) -> ClientSocket:
    """Connect to an ASGI application in memory, as ``socketeer.connect`` does over a network.

    ``app`` is the application, or an :class:`AsgiNetwork` that leads to it and can be disturbed. ``url`` is a
    namespace, with a query if there is one to send; or a whole URL, for an application that looks at the host. Each
    socket is another client, with a connection of its own; for more namespaces on one ask its ``io``.
    """
    network = app if isinstance(app, AsgiNetwork) else AsgiNetwork(app)
    options.setdefault("force_new", True)
    options.setdefault("network", lambda _: network)
    return client.connect(absolute(url), **options)
