"""HTTP requests and responses as values: what the engine sees of a web server and what it answers.

The transports translate between these records and ASGI; nothing here reads a socket.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

__all__ = ["ErrorCode", "Request", "Response", "error_response"]

Headers = tuple[tuple[bytes, bytes], ...]


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

    @property
    def wants_text(self) -> bool:
        """Tell whether the client asked to be sent binary as base64."""
        return "b64" in self.query


@dataclass(slots=True, frozen=True)
class Response:
    """Hold one HTTP response."""

    status: int
    headers: Headers = ()
    body: bytes = b""


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
