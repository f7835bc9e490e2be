"""Where a client connects to: what the URL says, and the URLs of its requests."""

from __future__ import annotations

import itertools
import math
import time
from base64 import b64encode
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from socketeer.engine.http import check_header
from socketeer.exceptions import UsageError

__all__ = ["Address", "Cookies", "read_url"]

_SCHEMES = {"http": False, "ws": False, "https": True, "wss": True}
_numbers = itertools.count()


class Address(NamedTuple):
    """Hold what a URL says."""

    secure: bool
    host: str
    """The host and, unless it is the usual one, the port, as in a ``Host`` header."""
    namespace: str
    query: tuple[tuple[str, str], ...]
    authorization: str | None
    """What an ``Authorization`` header has to say, where the URL names a user."""

    def url(self, transport: str, target: str) -> str:
        """Give the URL of a request for a path, and a query behind it."""
        scheme = ("https" if self.secure else "http") if transport == "polling" else ("wss" if self.secure else "ws")
        return f"{scheme}://{self.host}{target}"


@lru_cache(64)
def read_url(url: str) -> Address:
    """Read the URL of a server: its path is a namespace. Raises ``UsageError`` for what is no such URL."""
    try:
        parts = urlsplit(url)
        port, name = parts.port, parts.hostname or ""
        name = name if name.isascii() else name.encode("idna").decode()
    except ValueError as error:
        raise UsageError(f"not a URL: {url!r} ({error})") from None
    if parts.scheme not in _SCHEMES or not name:
        raise UsageError(
            f"the URL of a server begins with http:// or https://, as in 'http://localhost:3000', not {url!r}"
        )
    namespace = unquote(parts.path) or "/"
    if "," in namespace:
        raise UsageError(f"a namespace has no comma, but the path of {url!r} has")
    secure = _SCHEMES[parts.scheme]
    host = f"[{name}]" if ":" in name else name
    if port is not None and port != (443 if secure else 80):
        host = f"{host}:{port}"
    authorization = None
    if parts.username is not None:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + b64encode(user.encode()).decode()
    query = tuple(parse_qsl(parts.query, keep_blank_values=True))
    return Address(secure, host, namespace, query, authorization)


def timestamp() -> str:
    """Give a text that no request had before."""
    return f"{time.time_ns() // 1_000_000:x}.{next(_numbers):x}"


class Cookies:
    """Keep the cookies of one server.

    All requests of a client go to one path of one host, so all there is to know of a cookie is whether it is for that
    path, and when it ends.
    """

    def __init__(self, cookies: Mapping[str, str] | None, path: str, *, keep: bool) -> None:
        for name, value in (cookies or {}).items():
            check_header("Cookie", f"{name}={value}")
        self._cookies = {name: (value, math.inf) for name, value in (cookies or {}).items()}
        self._path = path
        self._keep = keep

    def header(self) -> str | None:
        """Give the value of the ``Cookie`` header; None for no cookies."""
        if not self._cookies:
            return None
        now = time.time()
        return "; ".join(f"{name}={value}" for name, (value, end) in self._cookies.items() if end > now) or None

    def take(self, headers: Iterable[tuple[str, str]]) -> None:
        """Take what a response sets."""
        if self._keep:
            for name, value in headers:
                if name.lower() == "set-cookie":
                    self._set(value)

    def _set(self, header: str) -> None:
        pair, *rest = header.split(";")
        name, equals, value = pair.partition("=")
        attributes = {key.strip().lower(): text.strip() for key, _, text in (part.partition("=") for part in rest)}
        path = attributes.get("path", "")
        if (
            equals
            and name.strip()
            and (not path.startswith("/") or f"{self._path}/".startswith(f"{path.rstrip('/')}/"))
        ):
            self._cookies[name.strip()] = (value.strip(), _end(attributes))


def _end(attributes: Mapping[str, str]) -> float:
    """Give the time since 1970 at which a cookie ends: for ever, unless it says so (RFC 6265, 5.3)."""
    age = attributes.get("max-age", "")
    if age.removeprefix("-").isdecimal():
        return time.time() + float(age)
    if "expires" not in attributes:
        return math.inf
    from email.utils import parsedate_to_datetime  # it brings much with it, for what few servers say

    try:
        return parsedate_to_datetime(attributes["expires"]).timestamp()
    except (ValueError, OverflowError):
        return math.inf
