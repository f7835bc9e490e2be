"""What can happen on a connection, as records: what the client shows, to people or to programs.

``fields`` is what a line of JSON has; docs/command-line.md lists them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from socketeer.cli.client.values import write_json

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
    "write_line",
]

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Connected:
    """The server let this client into a namespace."""

    namespace: str
    id: str | None
    transport: str | None
    recovered: bool = False

    def fields(self) -> Fields:
        about = {"id": self.id, "transport": self.transport, "namespace": self.namespace, "recovered": self.recovered}
        return {"connect": about}


@dataclass(frozen=True, slots=True)
class Upgraded:
    """The connection moved to another transport."""

    transport: str

    def fields(self) -> Fields:
        return {"upgrade": self.transport}


@dataclass(frozen=True, slots=True)
class Disconnected:
    """A namespace is gone, for now or for good."""

    namespace: str
    reason: str
    description: str | None = None

    def fields(self) -> Fields:
        described = {} if self.description is None else {"description": self.description}
        return {"disconnect": self.reason, **described}


@dataclass(frozen=True, slots=True)
class Refused:
    """The server's middleware refused this client."""

    namespace: str
    message: str
    data: Any = None

    def fields(self) -> Fields:
        return {"connect_error": self.message, "data": self.data}


@dataclass(frozen=True, slots=True)
class Failed:
    """The server could not be reached."""

    namespace: str
    message: str

    def fields(self) -> Fields:
        return {"connect_error": self.message}


@dataclass(frozen=True, slots=True)
class Retrying:
    """The client will try again in so many seconds; ``attempt`` counts from 1."""

    attempt: int
    delay: float

    def fields(self) -> Fields:
        return {"reconnect_attempt": self.attempt, "seconds": round(self.delay, 3)}


@dataclass(frozen=True, slots=True)
class Received:
    """An event came; ``asks`` says that the server waits for an acknowledgement."""

    namespace: str
    event: str | float
    args: tuple[Any, ...]
    asks: bool = False

    def fields(self) -> Fields:
        return {"event": self.event, "args": self.args}


@dataclass(frozen=True, slots=True)
class Replied:
    """This client acknowledged an event of the server."""

    namespace: str
    event: str | float
    args: tuple[Any, ...]

    def fields(self) -> Fields:
        return {"answer": self.event, "args": self.args}


@dataclass(frozen=True, slots=True)
class Answered:
    """The server acknowledged an event of this client."""

    namespace: str
    event: str
    args: tuple[Any, ...]
    seconds: float

    def fields(self) -> Fields:
        return {"ack": self.event, "args": self.args, "seconds": round(self.seconds, 6)}


@dataclass(frozen=True, slots=True)
class Unanswered:
    """No acknowledgement will come."""

    namespace: str
    event: str
    message: str

    def fields(self) -> Fields:
        return {"ack": self.event, "error": self.message}


@dataclass(frozen=True, slots=True)
class Packet:
    """An Engine.IO packet passed, which may be one of Socket.IO or a part of it."""

    outgoing: bool
    type: str
    data: str | bytes

    def fields(self) -> Fields:
        return {"packet": self.type, "direction": "out" if self.outgoing else "in", "data": self.data}


@dataclass(frozen=True, slots=True)
class Note:
    """The client itself has to say something; ``error`` says that something went wrong."""

    text: str
    error: bool = False

    def fields(self) -> Fields:
        return {"error" if self.error else "note": self.text}


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
_OF_SERVER = frozenset({"args", "data"})


def write_line(happening: Happening) -> str:
    """Write a happening as one line of JSON, safe for terminals."""
    fields = happening.fields()
    try:
        return write_json(fields)
    except RecursionError:
        return write_json({**fields, **dict.fromkeys(_OF_SERVER & fields.keys()), "error": "nested too deeply"})
