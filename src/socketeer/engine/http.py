"""HTTP requests and responses as values: what the engine sees of a web server and what it answers.

The transports translate between these records and ASGI; nothing here reads a socket.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from typing import Any, cast

__all__ = [
    "MESSAGES",
    "ErrorCode",
    "Headers",
    "Request",
    "Response",
    "ResponseHeaders",
    "check_header",
    "error_response",
]

Headers = tuple[tuple[bytes, bytes], ...]

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_UNFIT = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]")
_OF_THE_SERVER = ("content-length", "transfer-encoding")
_NOT_DIGITS = re.compile("[^0-9]+")


@dataclass(slots=True, frozen=True)
class Request:
    """Hold what the engine needs of one HTTP request; the body is read later, once the rest has been checked."""

    method: str
    url: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    address: str = ""
    secure: bool = False
    upgrade: bool = False
    state: dict[str, Any] = field(default_factory=dict)
    """What middlewares found out: that of the ASGI scope, with Starlette's ``session``, ``user`` and ``auth``."""

    @property
    def wants_text(self) -> bool:
        """Tell whether the client can take binary as base64 only."""
        return "b64" in self.query or "j" in self.query

    @property
    def jsonp(self) -> str | None:
        """Give the number of the function that a JSONP client wants to be called; None for any other client.

        Nothing but digits gets through: the answer is a script.
        """
        number = self.query.get("j")
        return None if number is None else _NOT_DIGITS.sub("", number)


@dataclass(slots=True, frozen=True)
class Response:
    """Hold one HTTP response.

    Raises ``TypeError`` or ``ValueError`` for what cannot be sent, and for the headers that only the web server can
    know, such as ``content-length``.
    """

    status: int
    headers: Headers = ()
    body: bytes = b""
    compress: bool = False
    """Whether the body may be compressed on its way."""

    def __post_init__(self) -> None:
        status: Any = self.status
        body: Any = self.body
        if not isinstance(status, int):
            raise TypeError(f"the status of a response is a number, not {status!r:.100}")
        if not 200 <= status <= 599:
            raise ValueError(f"the status of a response is from 200 to 599, not {status}")
        if not isinstance(body, bytes):
            raise TypeError(f"the body of a response is bytes, not {body!r:.100}")
        object.__setattr__(self, "headers", _checked(tuple(map(tuple, self.headers))))


@lru_cache(64)  # nearly every answer has the same ones
def _checked(pairs: tuple[tuple[Any, ...], ...]) -> Headers:
    for pair in pairs:
        if len(pair) != 2 or not all(isinstance(part, bytes) for part in pair):
            raise TypeError(f"a header of a response is a pair of bytes, not {pair!r:.200}")
        name, value = pair[0].decode("latin-1"), pair[1].decode("latin-1")
        check_header(name, value)
        if name.lower() in _OF_THE_SERVER:
            raise ValueError(f"a header that cannot be set: {name!r}")
    return cast("Headers", pairs)


def check_header(name: str, value: str) -> None:
    """Raise ValueError for a header that would break the answer it stands in."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"a header that cannot be set: {name!r}")
    if _UNFIT.search(value):
        raise ValueError(f"the value of the header {name!r} has characters that no header can have: {value!r}")


class ResponseHeaders(MutableMapping[str, str]):
    """Hold the headers of an answer while they can still be changed; names are in lower case.

    What cannot stand in a header is a ``ValueError``, and so are the headers that only the web server can know.
    """

    __slots__ = ("_pairs",)

    def __init__(self, raw: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self._pairs = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in raw]

    @property
    def raw(self) -> Headers:
        """Give them as ASGI has them."""
        return tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in self._pairs)

    def add(self, name: str, value: str) -> None:
        """Add a header beside others of its name, as ``set-cookie`` needs it."""
        name = name.lower()
        if name in _OF_THE_SERVER:
            raise ValueError(f"a header that cannot be set: {name!r}")
        if not isinstance(value, str):
            raise TypeError(f"the value of the header {name!r} must be a str, not {value!r}")
        check_header(name, value)
        self._pairs.append((name, value))

    def __getitem__(self, name: str) -> str:
        values = [value for present, value in self._pairs if present == name.lower()]
        if not values:
            raise KeyError(name)
        return ", ".join(values)

    def __setitem__(self, name: str, value: str) -> None:
        self.add(name, value)
        added = self._pairs.pop()
        self._pairs = [*(pair for pair in self._pairs if pair[0] != added[0]), added]

    def __delitem__(self, name: str) -> None:
        left = [pair for pair in self._pairs if pair[0] != name.lower()]
        if len(left) == len(self._pairs):
            raise KeyError(name)
        self._pairs = left

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name for name, _ in self._pairs))

    def __len__(self) -> int:
        return len(set(self))

    def __repr__(self) -> str:
        return f"ResponseHeaders({self._pairs!r})"


class ErrorCode(IntEnum):
    """Number the errors of the handshake as the reference implementation does."""

    UNKNOWN_TRANSPORT = 0
    UNKNOWN_SID = 1
    BAD_HANDSHAKE_METHOD = 2
    BAD_REQUEST = 3
    FORBIDDEN = 4
    UNSUPPORTED_PROTOCOL_VERSION = 5


MESSAGES: dict[ErrorCode, str] = {
    ErrorCode.UNKNOWN_TRANSPORT: "Transport unknown",
    ErrorCode.UNKNOWN_SID: "Session ID unknown",
    ErrorCode.BAD_HANDSHAKE_METHOD: "Bad handshake method",
    ErrorCode.BAD_REQUEST: "Bad request",
    ErrorCode.FORBIDDEN: "Forbidden",
    ErrorCode.UNSUPPORTED_PROTOCOL_VERSION: "Unsupported protocol version",
}


def error_response(code: ErrorCode, message: str | None = None, *, status: int | None = None) -> Response:
    """Build the JSON answer of a refused request: ``{"code": n, "message": m}``, 403 for FORBIDDEN, else 400."""
    if status is None:
        status = 403 if code is ErrorCode.FORBIDDEN else 400
    body = json.dumps({"code": int(code), "message": message or MESSAGES[code]}).encode()
    return Response(status, ((b"content-type", b"application/json"),), body)
