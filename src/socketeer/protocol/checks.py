"""What each type of Socket.IO packet may carry, however it was written (Socket.IO protocol, "Packet encoding")."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from socketeer.exceptions import PacketError
from socketeer.protocol.packets import RESERVED_EVENTS, PacketType

__all__ = ["check_payload"]


def check_payload(kind: PacketType, payload: Any, id: int | None, *, has_payload: bool) -> None:
    """Raise PacketError for a payload or an id that no packet of this type, which is none of the binary ones, has."""
    _CHECKS[kind](payload, id, has_payload=has_payload)


def _check_connect(payload: Any, id: int | None, *, has_payload: bool) -> None:
    if id is not None or (has_payload and not isinstance(payload, dict)):
        raise PacketError("the payload of CONNECT must be an object")


def _check_disconnect(payload: Any, id: int | None, *, has_payload: bool) -> None:
    if id is not None or has_payload:
        raise PacketError("DISCONNECT has no payload")


def _check_event(payload: Any, id: int | None, *, has_payload: bool) -> None:
    if not isinstance(payload, list) or not payload:
        raise PacketError("the payload of EVENT must be an array that starts with the event's name")
    _check_event_name(payload[0])


def _check_event_name(name: Any) -> None:
    """Raise PacketError unless ``name``, as it came from a peer, can be the name of an event."""
    if isinstance(name, str):
        if name in RESERVED_EVENTS:
            raise PacketError(f"{name!r} is a reserved event name")
    elif isinstance(name, bool) or not isinstance(name, int | float):
        raise PacketError("the name of an event must be a string or a number")


def _check_ack(payload: Any, id: int | None, *, has_payload: bool) -> None:
    if not isinstance(payload, list) or id is None:
        raise PacketError("ACK needs an id and an array")


def _check_connect_error(payload: Any, id: int | None, *, has_payload: bool) -> None:
    if id is not None:
        raise PacketError("CONNECT_ERROR has no id")


_CHECKS: tuple[Callable[..., None], ...] = (
    _check_connect,
    _check_disconnect,
    _check_event,
    _check_ack,
    _check_connect_error,
)
"""By type: the hash of an enum's member costs more than the check."""
