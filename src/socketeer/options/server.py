"""The options of a server as one frozen record, checked once.

Times are seconds, sizes are bytes. The defaults are those of Socket.IO 4.x where it has the option.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from socketeer.options.checks import (
    BY_TYPE,
    TRANSPORTS,
    are_transports,
    check_fields,
    is_anything,
    is_callable,
    is_count,
    is_path,
    is_record,
    is_true_or_false,
    nearest,
)

__all__ = [
    "ConnectionStateRecovery",
    "Cookie",
    "EngineOptions",
    "HttpCompression",
    "Options",
    "PerMessageDeflate",
    "ServerOptions",
]

CONCURRENCIES = ("concurrent", "ordered")

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ATTRIBUTE = re.compile(r"[ -:<-~]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionStateRecovery:
    """Say how a client that lost its connection gets back its id, its rooms, its data and the packets it missed."""

    max_disconnection_duration: float = 120.0
    """How long what belongs to a client is kept after its connection was lost, in seconds."""
    skip_middlewares: bool = True
    """Let a client that is recovered in without asking the middleware again."""
    max_packets: int = 10_000
    """The most packets that a namespace keeps; past it the oldest are forgotten, and whoever missed them stays new."""
    max_bytes: int = 64_000_000
    """The most bytes of packets that a namespace keeps."""
    max_sessions: int = 100_000
    """The most clients for which a namespace keeps what belongs to them; past it the oldest stay new."""

    def __post_init__(self) -> None:
        check_fields(self, "connection_state_recovery")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cookie:
    """Describe the cookie that carries the session's id, for load balancers that keep a client with one process."""

    name: str = "io"
    path: str | None = "/"
    http_only: bool = True
    same_site: Literal["lax", "strict", "none"] | None = "lax"
    secure: bool = False
    domain: str | None = None
    max_age: int | None = None
    """The cookie's life in seconds; by default that of the browser's session."""

    def __post_init__(self) -> None:
        for name, check in _COOKIE_CHECKS.items():
            check(f"cookie.{name}", getattr(self, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpCompression:
    """Say which polling responses are compressed, with gzip or deflate as the client likes it."""

    threshold: int = 1024
    """The smallest body that is compressed, in bytes."""
    level: int = 6
    """How hard zlib tries: from 1, fast, to 9, small."""

    def __post_init__(self) -> None:
        check_fields(self, "http_compression")
        _check_level(self.level, "http_compression")


@dataclass(frozen=True, slots=True, kw_only=True)
class PerMessageDeflate:
    """Say how WebSocket messages are compressed for clients that offer it (RFC 7692).

    A context that is taken over from message to message compresses better, and costs each connection some 300 KB.
    """

    threshold: int = 1024
    """The smallest message that is compressed, in bytes."""
    level: int = 6
    """How hard zlib tries: from 1, fast, to 9, small."""
    window_bits: int = 15
    """The size of the window with which this side compresses, as a power of 2: from 9 to 15."""
    server_no_context_takeover: bool = True
    """Begin each message that is sent anew."""
    client_no_context_takeover: bool = True
    """Ask the client to begin each of its messages anew."""

    def __post_init__(self) -> None:
        check_fields(self, "per_message_deflate")
        _check_level(self.level, "per_message_deflate")
        if not 9 <= self.window_bits <= 15:
            raise ValueError(f"option 'per_message_deflate.window_bits' must be from 9 to 15, not {self.window_bits}")


class EngineOptions(TypedDict, total=False):
    """Name the options that concern connections, for type checkers; :class:`ServerOptions` says what they mean."""

    path: str
    transports: Sequence[str]
    allow_upgrades: bool
    allow_eio3: bool
    ping_interval: float
    ping_timeout: float
    upgrade_timeout: float
    close_timeout: float
    max_http_buffer_size: int
    max_header_bytes: int
    max_fragments: int
    max_buffered_bytes: int
    cors: Any
    allow_request: Callable[..., Any] | None
    cookie: Cookie | Mapping[str, Any] | str | bool | None
    http_compression: HttpCompression | Mapping[str, Any] | bool | None
    per_message_deflate: PerMessageDeflate | Mapping[str, Any] | bool | None
    initial_packet: str | bytes | None
    add_trailing_slash: bool


class Options(EngineOptions, total=False):
    """Name all options for type checkers; :class:`ServerOptions` says what they mean."""

    connect_timeout: float
    ack_timeout: float
    attachment_timeout: float
    max_attachments: int
    max_packet_bytes: int
    max_waiting_events: int
    max_queued_events: int
    max_namespaces: int
    serve_client: bool
    adapter: Callable[..., Any] | None
    parser: Any
    connection_state_recovery: ConnectionStateRecovery | Mapping[str, Any] | bool | None
    cleanup_empty_child_namespaces: bool
    event_concurrency: Literal["concurrent", "ordered"]


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
    max_queued_events: int = 10_000
    """The most events of a socket that wait for earlier ones, where they are ordered or pass ``socket.use``."""
    max_namespaces: int = 1000
    """The most namespaces that one connection may be in or join at a time."""
    cors: Any = None
    """Which other origins may connect: one, ``"*"``, a pattern, a callable, a list of these or a ``Cors`` record."""
    allow_request: Callable[..., Any] | None = None
    """A function of the request, sync or async, that tells whether a handshake goes on."""
    cookie: Cookie | None = None
    """The cookie set by a handshake over polling: True, a name, or a ``Cookie`` record."""
    http_compression: HttpCompression | None = dataclasses.field(default_factory=lambda: HttpCompression())
    """Compress polling responses: True, False, or an ``HttpCompression`` record."""
    per_message_deflate: PerMessageDeflate | None = None
    """Compress WebSocket messages: True, False, or a ``PerMessageDeflate`` record."""
    initial_packet: str | bytes | None = None
    """A message that every client gets with its handshake."""
    add_trailing_slash: bool = True
    """Serve ``path`` with a slash behind it only; False serves it without one too."""
    serve_client: bool = True
    """Serve the browser client below ``path``."""
    adapter: Callable[..., Any] | None = None
    """Make the adapter of a namespace: a callable of the namespace; by default rooms live in this process alone."""
    parser: Any = None
    """How Socket.IO packets are written: by default as JSON; ``socketeer.MSGPACK`` or a parser of one's own."""
    connection_state_recovery: ConnectionStateRecovery | None = None
    """Recover clients that come back soon: True, False, or a ``ConnectionStateRecovery`` record."""
    cleanup_empty_child_namespaces: bool = True
    """Forget a namespace that was made on demand when its last client leaves."""
    event_concurrency: Literal["concurrent", "ordered"] = "concurrent"
    """How the async handlers of one socket run: side by side, or ``"ordered"``, one after another."""

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            object.__setattr__(self, name, check(name, getattr(self, name)))

    @classmethod
    def from_keywords(
        cls, keywords: Mapping[str, Any], *, server: str = "Server", known: Iterable[str] | None = None
    ) -> ServerOptions:
        """Build the record from options of any name; ``server`` is the class that takes only those in ``known``."""
        names = _CHECKS if known is None else known
        for name in keywords:
            if name not in names:
                raise TypeError(f"{server}() has no option {name!r}{nearest(name, names)}")
        return cls(**keywords)


def _is_message(name: str, value: Any) -> str | bytes | None:
    if value is not None and not isinstance(value, str | bytes):
        raise TypeError(f"option {name!r} takes a str or bytes, not {value!r}")
    return value


def _is_concurrency(name: str, value: Any) -> str:
    if value not in CONCURRENCIES:
        raise ValueError(f"option {name!r} knows {', '.join(CONCURRENCIES)}, not {value!r}")
    return str(value)


def _is_cookie_name(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise TypeError(f"option {name!r} takes a str, not {value!r}")
    if not _TOKEN.fullmatch(value):
        raise ValueError(f"option {name!r} must be a name that HTTP allows, not {value!r}")


def _is_cookie_attribute(name: str, value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, str):
        raise TypeError(f"option {name!r} takes a str or None, not {value!r}")
    if not _ATTRIBUTE.fullmatch(value):
        raise ValueError(f"option {name!r} must be printable ASCII text without ';', not {value!r}")


def _is_same_site(name: str, value: Any) -> None:
    if value not in ("lax", "strict", "none", None):
        raise ValueError(f"option {name!r} knows lax, strict, none and None, not {value!r}")


def _is_cookie(name: str, value: Any) -> Cookie | None:
    return Cookie(name=value) if isinstance(value, str) else is_record(Cookie)(name, value)


def _check_level(level: int, option: str) -> None:
    if level > 9:
        raise ValueError(f"option '{option}.level' must be from 1 to 9, not {level}")


_COOKIE_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "name": _is_cookie_name,
    "path": _is_cookie_attribute,
    "domain": _is_cookie_attribute,
    "http_only": is_true_or_false,
    "secure": is_true_or_false,
    "same_site": _is_same_site,
    "max_age": lambda name, value: value is None or is_count(0)(name, value),
}
_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "path": is_path,
    "transports": are_transports,
    "max_attachments": is_count(0),
    "cors": is_anything,
    "allow_request": is_callable,
    "adapter": is_callable,
    "cookie": _is_cookie,
    "http_compression": is_record(HttpCompression),
    "per_message_deflate": is_record(PerMessageDeflate),
    "initial_packet": _is_message,
    "parser": is_anything,
    "connection_state_recovery": is_record(ConnectionStateRecovery),
    "event_concurrency": _is_concurrency,
}
for _field in dataclasses.fields(ServerOptions):
    if _field.name not in _CHECKS:
        _CHECKS[_field.name] = BY_TYPE[str(_field.type)]
