"""The options of a client as frozen records: of a manager, which holds one connection, and of each socket on it.

Times are seconds, sizes are bytes. Names and defaults are those of the JavaScript client 4.x where it has the option.
"""

from __future__ import annotations

import dataclasses
import math
import ssl
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, cast
from urllib.parse import urlsplit

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
    "ClientDeflate",
    "ConnectOptions",
    "ManagerKeywords",
    "ManagerOptions",
    "SocketOptions",
    "TransportOptions",
    "split_options",
]

Values = Mapping[str, Any] | Callable[[], Any]
"""Names and values, or a function, sync or async, that gives them anew for each connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientDeflate:
    """Say how the WebSocket messages of a client are compressed, if the server agrees (RFC 7692)."""

    threshold: int = 1024
    """The smallest message that is compressed, in bytes."""
    level: int = 6
    """How hard zlib tries: from 1, fast, to 9, small."""

    def __post_init__(self) -> None:
        check_fields(self, "per_message_deflate")
        if self.level > 9:
            raise ValueError(f"option 'per_message_deflate.level' must be from 1 to 9, not {self.level}")


class TransportOptions(TypedDict, total=False):
    """Name the options that can be different for each transport, for type checkers."""

    query: Values | None
    extra_headers: Values | None
    force_base64: bool
    timestamp_requests: bool | None
    timestamp_param: str
    add_trailing_slash: bool
    request_timeout: float | None
    proxy: str | None
    path: str


class ManagerKeywords(TransportOptions, total=False):
    """Name the options of a manager for type checkers; :class:`ManagerOptions` says what they mean."""

    transports: Sequence[str]
    upgrade: bool
    remember_upgrade: bool
    try_all_transports: bool
    cookies: Mapping[str, str] | None
    with_credentials: bool
    protocols: Sequence[str]
    ssl: bool | ssl.SSLContext
    per_message_deflate: ClientDeflate | Mapping[str, Any] | bool | None
    transport_options: Mapping[str, TransportOptions] | None
    eio: Literal[3, 4]
    parser: Any
    reconnection: bool
    reconnection_attempts: float | None
    reconnection_delay: float
    reconnection_delay_max: float
    randomization_factor: float
    timeout: float | None
    auto_connect: bool
    upgrade_timeout: float
    close_timeout: float
    attachment_timeout: float
    max_http_buffer_size: int
    max_fragments: int
    max_attachments: int
    max_packet_bytes: int
    max_buffered_bytes: int
    network: Callable[..., Any] | None


class SocketKeywords(TypedDict, total=False):
    """Name the options of a socket for type checkers; :class:`SocketOptions` says what they mean."""

    auth: Any
    retries: int
    ack_timeout: float | None
    max_buffered_emits: int
    max_waiting_events: int


class ConnectOptions(ManagerKeywords, SocketKeywords, total=False):
    """Name the options of :func:`socketeer.connect` for type checkers: a manager's, a socket's, and two of its own."""

    force_new: bool
    multiplex: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagerOptions:
    """Hold every option of a :class:`socketeer.Manager`.

    Raises ``TypeError`` for an unknown name or a value of the wrong type and ``ValueError`` for a value out of range;
    the message names the option.
    """

    path: str = "/socket.io"
    """The path below which the server answers."""
    transports: Sequence[str] = TRANSPORTS
    """The transports to use; the first one opens the connection."""
    upgrade: bool = True
    """Move from polling to WebSocket where the server offers it."""
    remember_upgrade: bool = False
    """Begin with WebSocket if the connection before this one got as far as that, and no attempt has failed since."""
    try_all_transports: bool = False
    """Try the other transports, in their order, when the first one fails to connect."""
    query: Values | None = None
    """Parameters of the URL, beside those in it; or a function, sync or async, asked at each connection."""
    extra_headers: Values | None = None
    """Headers of every request; or a function, sync or async, asked at each connection."""
    cookies: Mapping[str, str] | None = None
    """Cookies to send from the beginning."""
    with_credentials: bool = True
    """Keep the cookies that the server sets, and send them with later requests: load balancers may need that."""
    force_base64: bool = False
    """Send and ask for binary as base64 text, for intermediaries that let no binary through."""
    timestamp_requests: bool | None = None
    """Make each URL a different one, against caches: by default those of polling only."""
    timestamp_param: str = "t"
    """The parameter of the URL that does it."""
    add_trailing_slash: bool = True
    """Put a slash behind ``path``."""
    protocols: Sequence[str] = ()
    """The subprotocols of the WebSocket to offer."""
    request_timeout: float | None = None
    """How long one HTTP request may take; None for as long as heartbeats let it."""
    ssl: bool | ssl.SSLContext = True
    """How certificates are verified: True, False for not at all, or a context of one's own."""
    proxy: str | None = None
    """The URL of an HTTP or SOCKS proxy for both transports, with the user and the password if it wants them."""
    per_message_deflate: ClientDeflate | None = None
    """Offer to compress WebSocket messages: True, False, or a ``ClientDeflate`` record."""
    transport_options: Mapping[str, Mapping[str, Any]] | None = None
    """Options that differ for a transport: ``{"polling": {"extra_headers": {...}}}``."""
    eio: Literal[3, 4] = 4
    """The revision of Engine.IO: 3 for servers 1.x and 2.x."""
    parser: Any = None
    """How Socket.IO packets are written: by default as JSON; ``socketeer.MSGPACK`` or a parser of one's own."""
    reconnection: bool = True
    """Connect again when the connection is lost or cannot be made."""
    reconnection_attempts: float | None = None
    """How often in a row; None for ever."""
    reconnection_delay: float = 1.0
    """The pause before the first attempt; it doubles with each further one."""
    reconnection_delay_max: float = 5.0
    """The longest pause."""
    randomization_factor: float = 0.5
    """By which part of itself a pause may be shorter or longer, from 0 to 1, so that clients come one by one."""
    timeout: float | None = 20.0
    """How long it may take to connect; None for as long as the system lets it."""
    auto_connect: bool = True
    """Connect without being told to."""
    upgrade_timeout: float = 10.0
    """How long an upgrade may stay unfinished before it is given up."""
    close_timeout: float = 10.0
    """How long a closing connection may take to send what is queued."""
    attachment_timeout: float = 60.0
    """How long the attachments of a binary packet may take to arrive."""
    max_http_buffer_size: int = 100_000_000
    """The largest body of a response and the largest WebSocket message."""
    max_fragments: int = 10_000
    """The most fragments of one WebSocket message."""
    max_attachments: int = 10
    """The most attachments of one packet, in either direction."""
    max_packet_bytes: int = 100_000_000
    """The largest binary packet: its header and its attachments together."""
    max_buffered_bytes: int = 100_000_000
    """The most unsent bytes; a connection that is too slow to stay below is closed."""
    network: Callable[..., Any] | None = None
    """Make the :class:`~socketeer.client.network.Network` of a manager, from its options; by default the real one."""

    def __post_init__(self) -> None:
        _check_given(self, _MANAGER_FIELDS)

    def for_transport(self, name: str) -> ManagerOptions:
        """Give the options as they are for one transport."""
        special = (self.transport_options or {}).get(name)
        return dataclasses.replace(self, transports=(name,), transport_options=None, **special) if special else self


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketOptions:
    """Hold every option of one socket of a client."""

    auth: Any = None
    """What the namespace is told of the client: a mapping, or a function, sync or async, asked at each connection."""
    retries: int = 0
    """How often an event that is not acknowledged is sent again, each one before the next; 0 sends it once."""
    ack_timeout: float | None = None
    """How long to wait for an acknowledgement where ``timeout()`` does not say; with ``retries`` by default 10."""
    max_buffered_emits: int = 10_000
    """The most events that wait for the connection, or for the acknowledgement of those before them."""
    max_waiting_events: int = 100_000
    """The most events that wait: until the namespace is joined, or for ``async for``, which raises beyond it."""

    def __post_init__(self) -> None:
        _check_given(self, _SOCKET_FIELDS)


def split_options(keywords: Mapping[str, Any], caller: str) -> tuple[ManagerKeywords, SocketKeywords, dict[str, bool]]:
    """Part the keywords of ``connect`` into those of the manager, those of the socket, and its own."""
    own = {"force_new": False, "multiplex": True}
    _check_known(keywords, _ALL_OPTIONS, caller, (), "")
    manager = {name: value for name, value in keywords.items() if name in _MANAGER_CHECKS}
    socket = {name: value for name, value in keywords.items() if name in _SOCKET_CHECKS}
    own.update({name: is_true_or_false(name, keywords[name]) for name in own if name in keywords})
    return cast("ManagerKeywords", manager), cast("SocketKeywords", socket), own


def check_manager_keywords(keywords: Mapping[str, Any], caller: str) -> None:
    """Raise TypeError for an option that a manager does not have."""
    _check_known(keywords, _MANAGER_CHECKS, caller, _SOCKET_CHECKS, "each of its sockets")


def check_socket_keywords(keywords: Mapping[str, Any], caller: str) -> None:
    """Raise TypeError for an option that a socket does not have."""
    _check_known(keywords, _SOCKET_CHECKS, caller, _MANAGER_CHECKS, "its manager")


def _check_known(
    keywords: Mapping[str, Any], known: Collection[str], caller: str, others: Collection[str], owner: str
) -> None:
    for name in keywords:
        if name not in known:
            hint = f": {owner} has" if name in others else nearest(name, known)
            raise TypeError(f"{caller}() has no option {name!r}{hint}")


# -- checks


def _or_none(check: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    return lambda name, value: None if value is None else check(name, value)


def _is_delay(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"option {name!r} takes a number of seconds, not {value!r}")
    if not 0 <= value <= sys.float_info.max:  # an int may be larger
        raise ValueError(f"option {name!r} must be a finite number of seconds that is not negative, not {value!r:.100}")
    return float(value)


def _is_factor(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"option {name!r} takes a number from 0 to 1, not {value!r}")
    if not 0 <= value <= 1:
        raise ValueError(f"option {name!r} must be from 0 to 1, not {value!r}")
    return float(value)


def _are_attempts(name: str, value: Any) -> float | None:
    return None if value is None or value == math.inf else is_count(0)(name, value)


def _are_values(name: str, value: Any) -> Any:
    if value is not None and not callable(value) and not isinstance(value, Mapping):
        raise TypeError(f"option {name!r} takes a mapping or a function that gives one, not {value!r:.100}")
    return dict(value) if isinstance(value, Mapping) else value


def _are_cookies(name: str, value: Any) -> dict[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping) or not all(isinstance(item, str) for pair in value.items() for item in pair):
        raise TypeError(f"option {name!r} takes a mapping of str to str, not {value!r:.100}")
    return dict(value)


def _is_text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"option {name!r} takes a str, not {value!r}")
    if not value:
        raise ValueError(f"option {name!r} must not be empty")
    return value


def _are_protocols(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(one, str) for one in value):
        raise TypeError(f"option {name!r} takes a list of str, not {value!r}")
    return tuple(value)


def _is_ssl(name: str, value: Any) -> bool | ssl.SSLContext:
    if not isinstance(value, bool | ssl.SSLContext):
        raise TypeError(f"option {name!r} takes True, False or an ssl.SSLContext, not {value!r}")
    return value


def _is_proxy(name: str, value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"option {name!r} takes a URL, not {value!r}")
    if not value.isascii():
        raise ValueError(f"option {name!r} must be ASCII, other characters of a user or password as %xx: {value!r}")
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https", "socks4", "socks5") or not parts.hostname:
        raise ValueError(f"option {name!r} must be a URL such as 'http://127.0.0.1:3128', not {value!r}")
    return value


def _is_revision(name: str, value: Any) -> int:
    if value not in (3, 4) or isinstance(value, bool):
        raise ValueError(f"option {name!r} is 4, or 3 for servers 1.x and 2.x, not {value!r}")
    return int(value)


def _are_transport_options(name: str, value: Any) -> Any:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise TypeError(f"option {name!r} takes a mapping, not {value!r:.100}")
    for transport, options in value.items():
        if transport not in TRANSPORTS:
            raise ValueError(f"option {name!r} knows {', '.join(TRANSPORTS)}, not {transport!r}")
        for option in options:
            if option not in TransportOptions.__annotations__:
                raise TypeError(f"option {name!r} has no {option!r}{nearest(option, TransportOptions.__annotations__)}")
        ManagerOptions(transports=[transport], **options)
    return value


def _is_auth(name: str, value: Any) -> Any:
    if value is not None and not callable(value) and not isinstance(value, Mapping):
        raise TypeError(f"option {name!r} takes a mapping or a function that gives one, not {value!r:.100}")
    return value


_MANAGER_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "path": is_path,
    "transports": are_transports,
    "query": _are_values,
    "extra_headers": _are_values,
    "cookies": _are_cookies,
    "timestamp_requests": _or_none(is_true_or_false),
    "timestamp_param": _is_text,
    "protocols": _are_protocols,
    "request_timeout": _or_none(BY_TYPE["float"]),
    "ssl": _is_ssl,
    "proxy": _is_proxy,
    "per_message_deflate": is_record(ClientDeflate),
    "transport_options": _are_transport_options,
    "eio": _is_revision,
    "parser": is_anything,
    "reconnection_attempts": _are_attempts,
    "reconnection_delay": _is_delay,
    "reconnection_delay_max": _is_delay,
    "randomization_factor": _is_factor,
    "timeout": _or_none(BY_TYPE["float"]),
    "max_attachments": is_count(0),
    "network": is_callable,
}
for _field in dataclasses.fields(ManagerOptions):
    if _field.name not in _MANAGER_CHECKS:
        _MANAGER_CHECKS[_field.name] = BY_TYPE[str(_field.type)]
_SOCKET_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "auth": _is_auth,
    "retries": is_count(0),
    "ack_timeout": _or_none(BY_TYPE["float"]),
    "max_buffered_emits": is_count(0),
    "max_waiting_events": is_count(0),
}
_ALL_OPTIONS = frozenset((*_MANAGER_CHECKS, *_SOCKET_CHECKS, "force_new", "multiplex"))
_Field = tuple[str, Any, Callable[[str, Any], Any]]


def _fields(record: type[Any], checks: Mapping[str, Callable[[str, Any], Any]]) -> list[_Field]:
    return [(field.name, field.default, checks[field.name]) for field in dataclasses.fields(record)]


def _check_given(record: Any, fields: list[_Field]) -> None:
    """Check what is not the default: a program may make thousands of clients."""
    for name, default, check in fields:
        value = getattr(record, name)
        if value is not default:
            object.__setattr__(record, name, check(name, value))


_MANAGER_FIELDS = _fields(ManagerOptions, _MANAGER_CHECKS)
_SOCKET_FIELDS = _fields(SocketOptions, _SOCKET_CHECKS)
