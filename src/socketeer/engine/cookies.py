"""The cookie by which a load balancer knows the process that has a client's session."""

from __future__ import annotations

from urllib.parse import quote

from socketeer.options import Cookie

__all__ = ["CookieWriter"]


class CookieWriter:
    """Write the ``Set-Cookie`` header of each session; the record has been checked when the option was set."""

    __slots__ = ("_attributes", "_name")

    def __init__(self, cookie: Cookie) -> None:
        self._name = cookie.name
        parts = [
            "" if cookie.max_age is None else f"; Max-Age={cookie.max_age}",
            "" if cookie.domain is None else f"; Domain={cookie.domain}",
            "" if cookie.path is None else f"; Path={cookie.path}",
            "; HttpOnly" if cookie.http_only else "",
            "; Secure" if cookie.secure else "",
            "" if cookie.same_site is None else f"; SameSite={cookie.same_site.capitalize()}",
        ]
        self._attributes = "".join(parts)

    def header(self, id: str) -> tuple[bytes, bytes]:
        """Write the header for the session with this id."""
        return b"set-cookie", f"{self._name}={quote(id, safe='')}{self._attributes}".encode("ascii")
