"""Happenings for programs: one JSON object in each line. docs/command-line.md lists them."""

from __future__ import annotations

from typing import Any

from socketeer.cli.client.happenings import (
    Answered,
    Connected,
    Disconnected,
    Failed,
    Happening,
    Note,
    Packet,
    Received,
    Refused,
    Replied,
    Retrying,
    Unanswered,
    Upgraded,
)
from socketeer.cli.client.values import write_json

__all__ = ["write_line"]


def write_line(happening: Happening) -> str:
    """Write a happening as one line of JSON, safe for terminals."""
    fields = _FIELDS[type(happening)](happening)
    try:
        return write_json(fields)
    except RecursionError:
        return write_json({**fields, **dict.fromkeys(_OF_SERVER & fields.keys()), "error": "nested too deeply"})


_OF_SERVER = frozenset({"args", "data"})


def _connected(connected: Connected) -> dict[str, Any]:
    about = {
        "id": connected.id,
        "transport": connected.transport,
        "namespace": connected.namespace,
        "recovered": connected.recovered,
    }
    return {"connect": about}


def _disconnected(disconnected: Disconnected) -> dict[str, Any]:
    fields = {"disconnect": disconnected.reason}
    return fields if disconnected.description is None else {**fields, "description": disconnected.description}


def _refused(refused: Refused) -> dict[str, Any]:
    return {"connect_error": refused.message, "data": refused.data}


def _failed(failed: Failed) -> dict[str, Any]:
    return {"connect_error": failed.message}


def _retrying(retrying: Retrying) -> dict[str, Any]:
    return {"reconnect_attempt": retrying.attempt, "seconds": round(retrying.delay, 3)}


def _upgraded(upgraded: Upgraded) -> dict[str, Any]:
    return {"upgrade": upgraded.transport}


def _received(received: Received) -> dict[str, Any]:
    return {"event": received.event, "args": received.args}


def _replied(replied: Replied) -> dict[str, Any]:
    return {"answer": replied.event, "args": replied.args}


def _answered(answered: Answered) -> dict[str, Any]:
    return {"ack": answered.event, "args": answered.args, "seconds": round(answered.seconds, 6)}


def _unanswered(unanswered: Unanswered) -> dict[str, Any]:
    return {"ack": unanswered.event, "error": unanswered.message}


def _packet(packet: Packet) -> dict[str, Any]:
    return {"packet": packet.type, "direction": "out" if packet.outgoing else "in", "data": packet.data}


def _note(note: Note) -> dict[str, Any]:
    return {"error" if note.error else "note": note.text}


_FIELDS: dict[type[Any], Any] = {
    Answered: _answered,
    Connected: _connected,
    Disconnected: _disconnected,
    Failed: _failed,
    Note: _note,
    Packet: _packet,
    Received: _received,
    Refused: _refused,
    Replied: _replied,
    Retrying: _retrying,
    Unanswered: _unanswered,
    Upgraded: _upgraded,
}
