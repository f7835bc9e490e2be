"""The browser client that the server offers below its path: ``/socket.io/socket.io.js`` and its seven siblings.

The files come from the npm package ``socket.io-client``, put beside this package by its build. They are read once, at
the first request for one of them, and kept; so are their compressed forms.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from socketeer.engine.compression import choose, compress
from socketeer.engine.http import Response

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

__all__ = ["NAMES", "ClientFiles"]

_BUNDLES = ("socket.io.js", "socket.io.min.js", "socket.io.esm.min.js", "socket.io.msgpack.min.js")
NAMES = frozenset((*_BUNDLES, *(f"{name}.map" for name in _BUNDLES)))

_SCRIPT = b"application/javascript; charset=utf-8"
_MAP = b"application/json; charset=utf-8"
_TEXT = b"text/plain; charset=utf-8"

_LEVEL = 9  # each file is compressed once
_ETAG = re.compile(r'(?:W/)?("[^"]*")')


class ClientFiles:
    """Answer requests for the files of the browser client."""

    def __init__(self, root: Traversable | None = None) -> None:
        """Read the files from ``root``, by default those of the installed package."""
        self._root = Path(__file__).parents[1] / "client_dist" if root is None else root
        self._bodies: dict[tuple[str, str], bytes] = {}

    @cached_property
    def version(self) -> str:
        """The version of the browser client; ``FileNotFoundError`` where the package was not built."""
        return (self._root / "VERSION").read_text("utf-8").strip()

    @cached_property
    def licence(self) -> str:
        """The text of the browser client's licence."""
        return (self._root / "LICENSE").read_text("utf-8")

    def respond(self, name: str, headers: Mapping[str, str], method: str) -> Response | None:
        """Answer a request for the file ``name``, or return ``None`` where there is none of that name.

        The names of ``headers`` are in lower case. HEAD is answered as GET is: whoever sends the answer leaves the body
        out and still tells its length.
        """
        if name not in NAMES:
            return None
        if method not in ("GET", "HEAD"):
            return Response(405, ((b"allow", b"GET, HEAD"), (b"content-type", _TEXT)), b"Method Not Allowed")
        coding = choose(headers.get("accept-encoding", ""))
        try:
            etag = f'"{self.version}"'
            body = self._body(name, coding)
        except FileNotFoundError:
            return Response(404, ((b"content-type", _TEXT),), b"This installation was made without the browser client")
        common = (
            (b"cache-control", b"public, max-age=0"),
            (b"etag", etag.encode("ascii")),
            (b"vary", b"Accept-Encoding"),
        )
        if _is_known(etag, headers.get("if-none-match", "")):
            return Response(304, common)
        kind = (b"content-type", _MAP if name.endswith(".map") else _SCRIPT)
        encoded = () if coding == "identity" else ((b"content-encoding", coding.encode("ascii")),)
        return Response(200, (kind, *encoded, *common), body)

    def _body(self, name: str, coding: str) -> bytes:
        body = self._bodies.get((name, coding))
        if body is None:
            if coding == "identity":
                body = (self._root / name).read_bytes()
            else:
                body = compress(self._body(name, "identity"), coding, _LEVEL)
            self._bodies[name, coding] = body
        return body


def _is_known(etag: str, if_none_match: str) -> bool:
    """Compare weakly, as RFC 9110 (13.1.2) has it for ``If-None-Match``."""
    return if_none_match.strip() == "*" or etag in _ETAG.findall(if_none_match)
