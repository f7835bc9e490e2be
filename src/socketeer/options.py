"""The options of a server as one frozen record, checked once.

Times are seconds, sizes are bytes. The defaults are those of Socket.IO 4.x where it has the option.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

__all__ = ["TRANSPORTS", "Options", "ServerOptions"]

TRANSPORTS = ("polling", "websocket")


class Options(TypedDict, total=False):
    """Name the options for type checkers; :class:`ServerOptions` says what they mean."""

    path: str
    transports: Sequence[str]
    allow_upgrades: bool
    allow_eio3: bool
    ping_interval: float
    ping_timeout: float
    upgrade_timeout: float
    connect_timeout: float
    close_timeout: float
    ack_timeout: float
    attachment_timeout: float
    max_http_buffer_size: int
    max_header_bytes: int
    max_attachments: int
    max_packet_bytes: int
    max_fragments: int
    max_buffered_bytes: int
    max_waiting_events: int
    cors: Any
    serve_client: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """Hold every option of a :class:`socketeer.Server`.

    Raises ``TypeError`` for an unknown name or a value of the wrong type and ``ValueError`` for a value out of range;
    the message names the option.
    """

    path: str = "/socket.io"
    """The path below which the server answers."""
    transports: Sequence[str] = TRANSPORTS
    """The transports that a client may use."""
    allow_upgrades: bool = True
    """Let a client move from polling to WebSocket."""
    allow_eio3: bool = True
    """Serve clients of Engine.IO 3 (Socket.IO 1.x and 2.x) too."""
    ping_interval: float = 25.0
    """The time between two heartbeats."""
    ping_timeout: float = 20.0
    """How long the answer to a heartbeat may take."""
    upgrade_timeout: float = 10.0
    """How long an upgrade may stay unfinished before the probing connection is closed."""
    connect_timeout: float = 45.0
    """How long a connection may live without having joined a namespace."""
    close_timeout: float = 30.0
    """How long a closing session waits for a polling client to fetch its last packets."""
    ack_timeout: float = 10.0
    """How long a broadcast waits for acknowledgements where ``timeout()`` does not say."""
    attachment_timeout: float = 60.0
    """How long the attachments of a binary packet may take to arrive."""
    max_http_buffer_size: int = 1_000_000
    """The largest body of a request and the largest WebSocket message."""
    max_header_bytes: int = 16_384
    """The largest head of a request: its URL and its headers, which stay in memory as ``socket.handshake``."""
    max_attachments: int = 10
    """The most attachments of one packet, in either direction."""
    max_packet_bytes: int = 10_000_000
    """The largest binary packet: its header and its attachments together."""
    max_fragments: int = 1024
    """The most fragments of one WebSocket message."""
    max_buffered_bytes: int = 16_000_000
    """The most unsent bytes of a session; one that reads too slowly to stay below is closed."""
    max_waiting_events: int = 1000
    """The most events that wait for a listener while the ``connection`` handlers of their socket have not returned."""
    cors: Any = None
    """Which other origins may connect: one, ``"*"``, a pattern, a callable, a list of these or a ``Cors`` record."""
    serve_client: bool = True
    """Serve the browser client below ``path``."""

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            object.__setattr__(self, name, check(name, getattr(self, name)))

    @classmethod
    def from_keywords(cls, keywords: Mapping[str, Any]) -> ServerOptions:
        """Build the record from options of any name."""
        for name in keywords:
            if name not in _CHECKS:
                near = difflib.get_close_matches(name, _CHECKS, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise TypeError(f"Server() has no option {name!r}{hint}")
        return cls(**keywords)


def _is_true_or_false(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"option {name!r} takes True or False, not {value!r}")
    return value


def _is_seconds(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"option {name!r} takes a number of seconds, not {value!r}")
    try:
        seconds = float(value)
    except OverflowError:  # an int of any size
        seconds = math.inf
    if not 0 < seconds < math.inf:
        raise ValueError(f"option {name!r} must be more than 0 seconds and finite, not {value!r:.100}")
    return seconds


def _is_count(least: int) -> Callable[[str, Any], int]:
    def check(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"option {name!r} takes a whole number, not {value!r}")
        if value < least:
            raise ValueError(f"option {name!r} must be at least {least}, not {value}")
        return value

    return check


def _is_path(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"option {name!r} takes a str, not {value!r}")
    path = "/" + value.strip("/")
    if path == "/" or not (path.isascii() and path.isprintable()) or any(c in path for c in "?#% "):
        raise ValueError(f"option {name!r} must be a URL path such as '/socket.io', not {value!r}")
    return path


def _are_transports(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(f"option {name!r} takes a list of transports, not {value!r}")
    for transport in value:
        if transport not in TRANSPORTS:
            raise ValueError(f"option {name!r} knows {', '.join(TRANSPORTS)}, not {transport!r}")
    if not value:
        raise ValueError(f"option {name!r} needs at least one transport")
    return tuple(dict.fromkeys(value))


def _is_anything(name: str, value: Any) -> Any:
    return value  # the origin policy checks it: see socketeer.engine.cors


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "path": _is_path,
    "transports": _are_transports,
    "max_attachments": _is_count(0),
    "cors": _is_anything,
}
for _field in dataclasses.fields(ServerOptions):
    if _field.name not in _CHECKS:
        _CHECKS[_field.name] = {"bool": _is_true_or_false, "float": _is_seconds, "int": _is_count(1)}[str(_field.type)]
