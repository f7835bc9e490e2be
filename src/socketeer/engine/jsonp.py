"""JSONP polling, for pages that can make no other request across origins: scripts go out, forms come in.

A browser names no origin when it loads a script, so who asks has to be read from what else it says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from socketeer.exceptions import PacketError

__all__ = ["SCRIPT_HEADERS", "origin_of_page", "read_form", "write_script"]

SCRIPT_HEADERS = (
    (b"content-type", b"text/javascript; charset=UTF-8"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
)

_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
_ESCAPED_NEWLINE = re.compile(rb"(\\?)\\n")
_MOST_FIELDS = 16
_OPAQUE = "null"
"""What a browser sends for an origin that it does not tell."""


def write_script(payload: bytes, number: str) -> bytes:
    """Write a polling body as the call of the page's function ``number``.

    It is plain ASCII, so that no charset of the page and no line separator of Unicode can change it.
    """
    return f"___eio[{number}]({json.dumps(payload.decode('utf-8', 'surrogatepass'))});".encode("ascii")


def read_form(body: bytes) -> bytes:
    r"""Read a polling body out of the form's field ``d``.

    Clients write a newline as ``\n``, for browsers change it in a form, and put a backslash before what looked like
    that already. Raises PacketError for a form without the field, or with several.
    """
    fields = body.split(b"&", _MOST_FIELDS)
    found = [value for name, _, value in (field.partition(b"=") for field in fields) if name == b"d"]
    if len(found) != 1 or len(fields) > _MOST_FIELDS:
        raise PacketError("not a form with one field d")
    text = unquote_to_bytes(found[0].replace(b"+", b" "))  # never longer than the form
    return _ESCAPED_NEWLINE.sub(lambda match: rb"\n" if match[1] else b"\n", text)


def origin_of_page(headers: Mapping[str, str]) -> str | None:
    """Give the origin of the page that loads a script; None where the browser, if it is one, says nothing of it."""
    referer = headers.get("referer")
    if referer is not None:
        found = _ORIGIN.match(referer)
        return found[0] if found else _OPAQUE
    return _OPAQUE if headers.get("sec-fetch-site") in ("cross-site", "same-site") else None
