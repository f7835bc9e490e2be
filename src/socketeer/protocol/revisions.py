"""A revision is a value: everything in which the generations of the protocol differ.

Above this package no code compares a version number; it asks the record.

==========  =========  =========  ==================
clients     Engine.IO  Socket.IO  record
==========  =========  =========  ==================
1.x, 2.x    3          4          :data:`REVISION_4`
3.x, 4.x    4          5          :data:`REVISION_5`
==========  =========  =========  ==================
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from socketeer.exceptions import PacketError
from socketeer.protocol.engine_v3 import ENGINE_V3
from socketeer.protocol.engine_v4 import ENGINE_V4
from socketeer.protocol.packets import EngineCodec

__all__ = ["REVISIONS", "REVISION_4", "REVISION_5", "Revision"]


@dataclass(frozen=True, slots=True)
class Revision:
    """Hold what distinguishes one revision from the others."""

    engine: int
    """The number of the Engine.IO revision, as the ``EIO`` parameter carries it."""
    socket: int
    """The number of the Socket.IO revision."""
    codec: EngineCodec
    server_pings: bool
    """Whether the server sends the heartbeats (Engine.IO 4) or the client does (Engine.IO 3)."""
    implicit_root: bool
    """Whether the server joins the client to ``/`` unasked."""
    strict_namespaces: bool
    """Whether traffic for a namespace that was not joined ends the connection, or is ignored."""
    query_in_namespace: bool
    """Whether CONNECT carries its data as a query behind the namespace, or as a JSON object."""
    recovers: bool
    """Whether clients can say what they missed while they were away."""
    connected: Callable[[str, str | None], Any]
    """Give the payload of the answer to CONNECT from the socket's id and the secret by which it can be recovered."""
    refused: Callable[[str, Any], Any]
    """Give the payload of a refusal from the message and the application's data (None for none)."""
    socket_id: Callable[[str, str, Callable[[], str]], str]
    """Give a socket its id, from the secret Engine.IO session id, the namespace, and a source of new ids."""
    joining: Callable[[str, dict[str, Any]], tuple[str, Any]]
    """Give the namespace and the payload of a client's CONNECT from the namespace and what it is told of the client."""
    read_connected: Callable[[Any, str, str], tuple[str, str | None]]
    """Read the answer to CONNECT: from its payload, the session's id and the namespace, the socket's id and its secret.

    Raises PacketError for what is no answer.
    """
    read_refused: Callable[[Any], tuple[str, Any]]
    """Read a refusal: from its payload, the message and the application's data."""


def _connected_4(id: str, pid: str | None) -> None:
    return None


def _connected_5(id: str, pid: str | None) -> dict[str, str]:
    return {"sid": id} if pid is None else {"sid": id, "pid": pid}


def _refused_4(message: str, data: Any) -> Any:
    return message if data is None else data


def _refused_5(message: str, data: Any) -> dict[str, Any]:
    return {"message": message} if data is None else {"message": message, "data": data}


def _socket_id_4(session_id: str, namespace: str, generate: Callable[[], str]) -> str:
    # The clients of this revision compute the id by themselves, from the id of the session.
    return session_id if namespace == "/" else f"{namespace}#{session_id}"


def _socket_id_5(session_id: str, namespace: str, generate: Callable[[], str]) -> str:
    return generate()


def _joining_4(namespace: str, auth: dict[str, Any]) -> tuple[str, None]:
    return f"{namespace}?{urlencode(auth)}" if auth else namespace, None


def _joining_5(namespace: str, auth: dict[str, Any]) -> tuple[str, dict[str, Any] | None]:
    return namespace, auth or None


def _read_connected_4(payload: Any, session_id: str, namespace: str) -> tuple[str, None]:
    return _socket_id_4(session_id, namespace, str), None


def _read_connected_5(payload: Any, session_id: str, namespace: str) -> tuple[str, str | None]:
    id, pid = (payload.get("sid"), payload.get("pid")) if isinstance(payload, dict) else (None, None)
    if not isinstance(id, str):
        raise PacketError("CONNECT without an id: a server 1.x or 2.x, which needs the option eio=3?")
    return id, pid if isinstance(pid, str) else None


def _read_refused_4(payload: Any) -> tuple[str, Any]:
    return (payload, None) if isinstance(payload, str) else ("Connection refused", payload)


def _read_refused_5(payload: Any) -> tuple[str, Any]:
    if not isinstance(payload, dict):
        return _read_refused_4(payload)
    message = payload.get("message")
    return message if isinstance(message, str) else "Connection refused", payload.get("data")


REVISION_4 = Revision(
    engine=3,
    socket=4,
    codec=ENGINE_V3,
    server_pings=False,
    implicit_root=True,
    strict_namespaces=False,
    query_in_namespace=True,
    recovers=False,
    connected=_connected_4,
    refused=_refused_4,
    socket_id=_socket_id_4,
    joining=_joining_4,
    read_connected=_read_connected_4,
    read_refused=_read_refused_4,
)
REVISION_5 = Revision(
    engine=4,
    socket=5,
    codec=ENGINE_V4,
    server_pings=True,
    implicit_root=False,
    strict_namespaces=True,
    query_in_namespace=False,
    recovers=True,
    connected=_connected_5,
    refused=_refused_5,
    socket_id=_socket_id_5,
    joining=_joining_5,
    read_connected=_read_connected_5,
    read_refused=_read_refused_5,
)
REVISIONS: dict[str, Revision] = {"2": REVISION_4, "3": REVISION_4, "4": REVISION_5}
"""The revisions by the value of the ``EIO`` parameter; 2 never had a wire format of its own and is read as 3."""
