"""The one error tree.

SocketeerError
├── UsageError            the caller's fault: a call that cannot be carried out
├── PacketError           the peer's fault: bytes that break the protocol
├── ConnectionRefused     raised by an application to refuse a client, and by a client that was refused
├── TransportError        a client cannot reach its server
├── AckTimeout            an acknowledgement that did not come in time: a TimeoutError, too
└── Disconnected          the peer left before it answered

Wrong options and argument types are plain ``TypeError`` and ``ValueError``.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "AckTimeout",
    "ConnectionRefused",
    "Disconnected",
    "PacketError",
    "SocketeerError",
    "TransportError",
    "UsageError",
]


class SocketeerError(Exception):
    """Be the root of every error that this package raises on its own account."""


class UsageError(SocketeerError):
    """Report a call that cannot be carried out: the fault of the calling code."""


class PacketError(SocketeerError):
    """Report bytes that break the protocol: the fault of the peer, which loses its connection for it."""


class ConnectionRefused(SocketeerError):
    """Refuse a client: raise it in a middleware. A client that was refused gets it with what the server said.

    The client's ``connect_error`` gets ``message`` and, as ``error.data``, ``data`` (any JSON value). A client of
    revision 4 (1.x, 2.x) gets ``data`` where there is some, else ``message``, in its ``error`` event.
    """

    def __init__(self, message: str = "Connection refused", data: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.data = data


class TransportError(SocketeerError):
    """Report a connection that could not be made, or was lost.

    Where an HTTP response was the reason, ``status`` and ``body`` (its first 1,000 characters) are those of it.
    """

    def __init__(self, message: str, status: int | None = None, body: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.body = body


class AckTimeout(SocketeerError, TimeoutError):
    """Report acknowledgements that did not come in time; ``except TimeoutError`` takes it too.

    ``responses`` holds the answers that came before the time was up: empty for a single socket, for a broadcast one
    entry for each socket that answered.
    """

    def __init__(self, message: str = "operation has timed out", responses: list[Any] | None = None) -> None:
        super().__init__(message)
        self.responses: list[Any] = responses if responses is not None else []


class Disconnected(SocketeerError):
    """Report that the peer left before it acknowledged."""
