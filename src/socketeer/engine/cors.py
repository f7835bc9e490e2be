"""Which other origins may talk to the server, and the headers that tell a browser so.

The same rule holds for HTTP requests and for the WebSocket upgrade: a page of the server's own origin may always
connect, a page of another one only where the option ``cors`` says so, and a request without ``Origin`` does not come
from a page and is not checked.
"""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

__all__ = ["Cors", "CorsOption", "OriginPolicy", "OriginRule", "is_malformed"]

_log = logging.getLogger("socketeer.engine.cors")

Headers = tuple[tuple[bytes, bytes], ...]
OriginRule = str | re.Pattern[str] | Callable[[str], bool]

_DEFAULT_PORTS = {"http": 80, "https": 443}
_MOST_SHOWN = 200
_MOST_REFLECTED = 4096

_AUTHORITY = r"(\[[0-9a-f:.]+\]|[^\s/?#@:\[\]\\*]*)(?::([0-9]{1,5}))?"
_ORIGIN = re.compile(rf"([a-z][a-z0-9+.-]*)://{_AUTHORITY}", re.ASCII | re.IGNORECASE)
_HOST = re.compile(_AUTHORITY, re.ASCII | re.IGNORECASE)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TOKEN_LIST = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z, \t-]*")


@dataclass(frozen=True, slots=True)
class Cors:
    """Say in detail which other origins may use the server and what their pages may send and see.

    ``origin`` is an origin (``"https://example.com"``), ``"*"`` for all, a pattern that must match the whole origin, a
    callable that gets the origin and returns whether it may connect, or a collection of these. ``True`` stands for all
    and names each in the answer, ``False`` for none. ``allowed_headers=None`` allows those that the page asks for.
    """

    origin: OriginRule | Collection[OriginRule] | bool = "*"
    methods: str | Collection[str] = ("GET", "POST")
    allowed_headers: str | Collection[str] | None = None
    exposed_headers: str | Collection[str] = ()
    credentials: bool = False
    max_age: int | None = None

    def __post_init__(self) -> None:
        _compile(self.origin)
        for name in ("methods", "allowed_headers", "exposed_headers"):
            _join(name, getattr(self, name))
        if not isinstance(self.credentials, bool):
            raise TypeError(f"option 'cors': credentials takes True or False, not {self.credentials!r}")
        if self.max_age is not None:
            if isinstance(self.max_age, bool) or not isinstance(self.max_age, int):
                raise TypeError(f"option 'cors': max_age takes a whole number of seconds, not {self.max_age!r}")
            if self.max_age < 0:
                raise ValueError(f"option 'cors': max_age must be at least 0, not {self.max_age}")


CorsOption = OriginRule | Collection[OriginRule] | bool | Cors | None


class OriginPolicy:
    """Decide about origins and write the headers that go with the decision."""

    __slots__ = ("_cors", "_exposed", "_preflight", "_reflects_headers", "_rules", "_wildcard")

    def __init__(self, cors: Cors | None = None) -> None:
        self._cors = cors
        self._rules = _compile(cors.origin if cors else False)
        self._wildcard = cors is not None and self._rules.all_as_star and not cors.credentials
        self._exposed: Headers = ()
        self._preflight: Headers = ()
        self._reflects_headers = cors is not None and cors.allowed_headers is None
        if cors is not None:
            self._exposed = _header(b"access-control-expose-headers", _join("exposed_headers", cors.exposed_headers))
            self._preflight = (
                *_header(b"access-control-allow-methods", _join("methods", cors.methods)),
                *_header(b"access-control-allow-headers", _join("allowed_headers", cors.allowed_headers)),
                *_header(b"access-control-max-age", "" if cors.max_age is None else str(cors.max_age)),
            )

    @classmethod
    def from_option(cls, cors: CorsOption) -> OriginPolicy:
        """Build the policy from the option ``cors``.

        A wrong value is a ``TypeError`` or ``ValueError`` that names the option.
        """
        if cors is None or isinstance(cors, Cors):
            return cls(cors)
        return cls(Cors(origin=cors))

    def allows(self, origin: str | None, host: str | None, secure: bool) -> bool:
        """Tell whether a request with these ``Origin`` and ``Host`` headers may be served.

        ``secure`` says that the request came over TLS. Where it did not, TLS may have ended at a proxy, so a page of
        ``https://`` on the same host counts as the server's own.
        """
        if origin is None:
            return True
        if is_malformed(origin):
            return False
        return self._rules.match(origin) or _is_same(origin, host, secure)

    def response_headers(self, origin: str | None) -> Headers:
        """Build the CORS headers of an answer, of a refusing one too."""
        if self._cors is None:
            return ()
        return self._origin_headers(origin, self._exposed)

    def preflight(self, origin: str | None, request_headers: Mapping[str, str]) -> Headers:
        """Build the headers of the 204 that answers an ``OPTIONS`` request; its header names are in lower case."""
        if self._cors is None:
            return ()
        if not self._reflects_headers:
            return self._origin_headers(origin, self._preflight)
        wanted = request_headers.get("access-control-request-headers", "")
        if len(wanted) > _MOST_REFLECTED or not _TOKEN_LIST.fullmatch(wanted):
            wanted = ""
        granted = (*self._preflight, *_header(b"access-control-allow-headers", wanted))
        return self._origin_headers(origin, granted, b"Access-Control-Request-Headers")

    def refusal(self, origin: str | None) -> str:
        """Word the refusal so that it names the fix."""
        text = "" if origin is None else origin
        shown = text[:_MOST_SHOWN].encode("unicode_escape").decode("ascii")[:_MOST_SHOWN]
        if shown != text or '"' in text or "'" in text:
            return f"Origin {shown} is not allowed; see the option cors of Server(...)"
        if self._cors is None:
            return f'Origin {shown} is not allowed; pass cors="{shown}" to Server(...) to allow it'
        return f'Origin {shown} is not allowed; add "{shown}" to the option cors of Server(...) to allow it'

    def _origin_headers(self, origin: str | None, granted: Headers, vary: bytes = b"") -> Headers:
        """Put the headers for ``origin`` together; ``vary`` names what else the answer depends on."""
        if self._wildcard:
            varies: Headers = ((b"vary", vary),) if vary else ()
            return ((b"access-control-allow-origin", b"*"), *granted, *varies)
        varies = ((b"vary", b"Origin, " + vary if vary else b"Origin"),)
        if origin is None or is_malformed(origin) or not self._rules.match(origin):
            return varies
        allowed: Headers = ((b"access-control-allow-origin", origin.encode("ascii")),)
        if self._cors is not None and self._cors.credentials:
            allowed = (*allowed, (b"access-control-allow-credentials", b"true"))
        return (*allowed, *granted, *varies)


def is_malformed(origin: str) -> bool:
    """Tell whether the value of an ``Origin`` header has what no origin can have: control or non-ASCII characters."""
    return not (origin.isascii() and origin.isprintable())


class _Rules(NamedTuple):
    """Hold the compiled origins; ``all_as_star`` lets the answer say ``*``, which ``True`` does not."""

    all: bool = False
    all_as_star: bool = False
    names: frozenset[str] = frozenset()
    patterns: tuple[re.Pattern[str], ...] = ()
    callables: tuple[Callable[[str], Any], ...] = ()

    def match(self, origin: str) -> bool:
        return (
            self.all
            or origin in self.names
            or (bool(self.names) and _canonical(origin) in self.names)
            or any(pattern.fullmatch(origin) for pattern in self.patterns)
            or any(_ask(ask, origin) for ask in self.callables)
        )


def _compile(option: Any) -> _Rules:
    if isinstance(option, bool):
        return _Rules(all=option)
    if isinstance(option, Collection) and not isinstance(option, str | bytes | bytearray | Mapping):
        rules = list(option)
    else:
        rules = [option]
    for rule in rules:
        _check_rule(rule)
    names = [rule for rule in rules if isinstance(rule, str)]
    return _Rules(
        all="*" in names,
        all_as_star="*" in names,
        names=frozenset(_configured(name) for name in names if name != "*"),
        patterns=tuple(rule for rule in rules if isinstance(rule, re.Pattern)),
        callables=tuple(rule for rule in rules if callable(rule)),
    )


def _check_rule(rule: Any) -> None:
    if isinstance(rule, re.Pattern) and not isinstance(rule.pattern, str):
        raise TypeError(f"option 'cors' takes patterns of str, not {rule!r}")
    if isinstance(rule, type) or not (isinstance(rule, str | re.Pattern) or callable(rule)):
        raise TypeError(
            "option 'cors' takes an origin such as 'https://example.com', '*', a pattern, a callable, a list of these "
            f"or a Cors record, not {rule!r}"
        )
    if inspect.iscoroutinefunction(rule):
        raise TypeError(f"option 'cors' takes a callable that answers at once, not the coroutine function {rule!r}")


def _configured(name: str) -> str:
    if name == "null":
        return name
    canonical = _canonical(name.removesuffix("/") if name.count("/") == 3 else name)
    if canonical is None:
        hint = "; for several hosts pass a pattern, re.compile(...)" if "*" in name else ""
        raise ValueError(f"option 'cors': {name!r} is not an origin, which has the form 'https://example.com'{hint}")
    if is_malformed(name):
        raise ValueError(f"option 'cors': write the host of {name!r} as browsers send it, in its ASCII form (xn--...)")
    return canonical


def _split(origin: str) -> tuple[str, str, int | None] | None:
    found = _ORIGIN.fullmatch(origin)
    if found is None:
        return None
    scheme, host = found[1].lower(), found[2].lower()
    port = int(found[3]) if found[3] else _DEFAULT_PORTS.get(scheme)
    if (scheme in _DEFAULT_PORTS and not host) or (port is not None and port > 65535):
        return None
    return scheme, host, port


def _canonical(origin: str) -> str | None:
    parts = _split(origin)
    if parts is None:
        return None
    scheme, host, port = parts
    return f"{scheme}://{host}" if port == _DEFAULT_PORTS.get(scheme) else f"{scheme}://{host}:{port}"


def _is_same(origin: str, host: str | None, secure: bool) -> bool:
    parts = _split(origin)
    found = _HOST.fullmatch(host) if host else None
    if parts is None or found is None:
        return False
    scheme, name, port = parts
    if scheme not in _DEFAULT_PORTS or (secure and scheme != "https"):
        return False
    return name == found[1].lower() and port == (int(found[2]) if found[2] else _DEFAULT_PORTS[scheme])


def _ask(ask: Callable[[str], Any], origin: str) -> bool:
    try:
        answer = ask(origin)
    except Exception:
        _log.exception("the callable of the option cors failed; the origin is refused")
        return False
    if inspect.isawaitable(answer):
        if inspect.iscoroutine(answer):
            answer.close()
        _log.error("the callable of the option cors returned an awaitable, not an answer; the origin is refused")
        return False
    return bool(answer)


def _join(name: str, value: Any) -> str:
    """Write a list of methods or header names as the value of a header."""
    if value is None and name == "allowed_headers":
        return ""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, Collection) or not all(isinstance(part, str) for part in value):
        raise TypeError(f"option 'cors': {name} takes a list of str, not {value!r}")
    for part in value:
        if not _TOKEN.fullmatch(part):
            raise ValueError(f"option 'cors': {part!r} in {name} is not a name that HTTP allows")
    return ",".join(value)


def _header(name: bytes, value: str) -> Headers:
    return ((name, value.encode("ascii")),) if value else ()
