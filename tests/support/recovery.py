"""The part of the tests' application that clients come back to; tests/js/reference_recovery.js is its twin."""

from __future__ import annotations

from collections import Counter
from typing import Any

from socketeer import Namespace, Server, Socket
from socketeer.exceptions import ConnectionRefused

__all__ = ["add_recovery"]


def add_recovery(io: Server) -> None:
    """Add the namespace ``/recovery``."""
    space = io.of("/recovery")
    _count(space)
    _tell(space)
    _move(space)


def _count(space: Namespace) -> None:
    asked: Counter[str] = Counter()
    heard: Counter[str] = Counter()

    @space.use
    def count(socket: Socket) -> None:
        name = str(socket.handshake.auth.get("name"))
        asked[name] += 1
        if socket.handshake.auth.get("unwelcome"):
            raise ConnectionRefused("not any more")

    @space.event("asked of")
    def asked_of(socket: Socket, name: str) -> int:
        return asked[name]

    @space.event
    def say(socket: Socket, name: str) -> int:
        heard[name] += 1
        return heard[name]


def _tell(space: Namespace) -> None:
    @space.event
    def tell(socket: Socket, plan: list[dict[str, Any]]) -> None:
        for item in plan:
            operator: Any = space.volatile if item.get("volatile") else space
            operator = operator.to(item.get("to", [])).except_(item.get("except", []))
            operator.emit("news", item["value"])

    @space.event("tell myself")
    def tell_myself(socket: Socket, value: Any) -> None:
        socket.emit("news", value)

    @space.event("tell others")
    def tell_others(socket: Socket, value: Any) -> None:
        socket.broadcast.emit("news", value)


def _move(space: Namespace) -> None:
    @space.event
    def state(socket: Socket) -> dict[str, Any]:
        return {
            "id": socket.id,
            "recovered": socket.recovered,
            "rooms": sorted(socket.rooms),
            "data": socket.data,
        }

    @space.event
    def join(socket: Socket, rooms: list[str]) -> None:
        socket.join(rooms)

    @space.event
    def remember(socket: Socket, key: str, value: Any) -> None:
        socket.data[key] = value

    @space.event("is here")
    def is_here(socket: Socket, id: str) -> bool:
        return id in space.sockets

    @space.event
    def kick(socket: Socket) -> None:
        socket.disconnect()
