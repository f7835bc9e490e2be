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


_CHECKS: dict[PacketType, Callable[..., None]] = {
    PacketType.CONNECT: _check_connect,
    PacketType.DISCONNECT: _check_disconnect,
    PacketType.EVENT: _check_event,
    PacketType.ACK: _check_ack,
    PacketType.CONNECT_ERROR: _check_connect_error,
}
