"""What can happen on a connection, as records: what the client shows, to people or to programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = [
    "Answered",
    "Connected",
    "Disconnected",
    "Failed",
    "Happening",
    "Note",
    "Packet",
    "Received",
    "Refused",
    "Replied",
    "Retrying",
    "Unanswered",
    "Upgraded",
]


@dataclass(frozen=True, slots=True)
class Connected:
    """The server let this client into a namespace."""

    namespace: str
    id: str | None
    transport: str | None
    recovered: bool = False


@dataclass(frozen=True, slots=True)
class Upgraded:
    """The connection moved to another transport."""

    transport: str


@dataclass(frozen=True, slots=True)
class Disconnected:
    """A namespace is gone, for now or for good."""

    namespace: str
    reason: str
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The server's middleware refused this client."""

    namespace: str
    message: str
    data: Any = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The server could not be reached."""

    namespace: str
    message: str


@dataclass(frozen=True, slots=True)
class Retrying:
    """The client will try again in so many seconds; ``attempt`` counts from 1."""

    attempt: int
    delay: float


@dataclass(frozen=True, slots=True)
class Received:
    """An event came; ``asks`` says that the server waits for an acknowledgement."""

    namespace: str
    event: str | float
    args: tuple[Any, ...]
    asks: bool = False


@dataclass(frozen=True, slots=True)
class Replied:
    """This client acknowledged an event of the server."""

    namespace: str
    event: str | float
    args: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """The server acknowledged an event of this client."""

    namespace: str
    event: str
    args: tuple[Any, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Unanswered:
    """No acknowledgement will come."""

    namespace: str
    event: str
    message: str


@dataclass(frozen=True, slots=True)
class Packet:
    """An Engine.IO packet passed, which may be one of Socket.IO or a part of it."""

    outgoing: bool
    type: str
    data: str | bytes


@dataclass(frozen=True, slots=True)
class Note:
    """The client itself has to say something; ``error`` says that something went wrong."""

    text: str
    error: bool = False


Happening = (
    Connected
    | Upgraded
    | Disconnected
    | Refused
    | Failed
    | Retrying
    | Received
    | Replied
    | Answered
    | Unanswered
    | Packet
    | Note
)
