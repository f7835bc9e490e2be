"""The part of the tests' application that shows its behaviour at the edges; tests/js/reference_edges.js is its twin."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from typing import Any

from socketeer import Namespace, Server, Socket
from socketeer.exceptions import AckTimeout, ConnectionRefused, UsageError

__all__ = ["add_edges"]

ODD_NAMES = (
    "__proto__",
    "constructor",
    "hasOwnProperty",
    "toString",
    "",
    "a b",
    "\u2028 \u2029",
    "\x00",
    "🦊",
    '"\\',
    7,
)


def add_edges(io: Server) -> None:
    """Add the namespaces ``/edges``, ``/door`` and those that are made on demand."""
    edges = io.of("/edges")
    for part in (_selections, _acks, _volatile, _names):
        part(edges)
    _endings(edges)
    connections = _door(io.of("/door"))
    _dynamic(io, edges)

    @edges.event("connections of")
    def connections_of(socket: Socket, name: str) -> int:
        return connections[name]

    @edges.event
    async def who(socket: Socket, namespace: str, room: str) -> int:
        return len(await io.of(namespace).in_(room).fetch_sockets())


def _selections(edges: Namespace) -> None:
    @edges.event
    def join(socket: Socket, rooms: list[str]) -> None:
        socket.join(rooms)

    @edges.event
    def say(socket: Socket, rooms: list[str], text: str) -> None:
        target = edges.to(rooms)
        for room in rooms:
            target = target.to(room)
        target.emit("said", text)

    @edges.event("keep an operator")
    def keep(socket: Socket, one: str, other: str) -> None:
        kept = edges.to(one)
        for _ in (kept.to(other), kept.except_(one), kept.timeout(1), kept.volatile, kept.compress(False), kept.local):
            pass
        kept.emit("said", "to one")
        kept.to(other).emit("said", "to both")
        kept.except_(one).emit("said", "to nobody")
        kept.emit("said", "to one again")


def _acks(edges: Namespace) -> None:
    async def ask(operator: Any) -> tuple[bool, list[Any], float]:
        started = time.monotonic()
        try:
            answers = await operator.emit_with_ack("vote")
        except AckTimeout as error:
            return True, error.responses, time.monotonic() - started
        return False, answers, time.monotonic() - started

    @edges.event("ask a room")
    async def ask_a_room(socket: Socket, room: str, seconds: float) -> Any:
        return await ask(edges.to(room).timeout(seconds))

    @edges.event("ask a room without a limit")
    async def ask_without_a_limit(socket: Socket, room: str) -> Any:
        return await ask(edges.to(room))

    @edges.event("ask without patience")
    def ask_without_patience(socket: Socket) -> None:
        socket.timeout(0).emit("vote", ack=lambda error, answer=None: socket.emit("timed out", error is not None))


def _volatile(edges: Namespace) -> None:
    @edges.event
    def burst(socket: Socket, plan: list[list[Any]]) -> None:
        for kind, value in plan:
            (socket.volatile if kind == "volatile" else socket).emit("burst", value)


def _names(edges: Namespace) -> None:
    @edges.on("connection")
    def connected(socket: Socket) -> None:
        for name in ODD_NAMES:
            socket.on(name, lambda *args, name=name: socket.emit(name, *args))

    @edges.event
    def echo(socket: Socket, *args: Any) -> tuple[Any, ...]:
        return args


def _endings(edges: Namespace) -> None:
    handled: Counter[str] = Counter()

    @edges.event("leave and join")
    def leave_and_join(socket: Socket, room: str) -> None:
        socket.disconnect()
        socket.join(room)

    @edges.event("count for")
    def count_for(socket: Socket, name: str) -> None:
        handled[name] += 1

    @edges.event("counted for")
    def counted_for(socket: Socket, name: str) -> int:
        return handled[name]

    @edges.event("leave by name")
    def leave_by_name(socket: Socket, name: str) -> None:
        handled[name] += 1
        socket.disconnect(close=True)


def _door(door: Namespace) -> Counter[str]:
    connections: Counter[str] = Counter()

    @door.use
    async def check(socket: Socket) -> None:
        said = {**socket.handshake.query, **socket.handshake.auth}
        socket.join(said["room"])
        socket.emit("in the middleware", socket.connected)
        await asyncio.sleep(float(said.get("ms", 1)) / 1000)
        if said.get("unwelcome"):
            raise ConnectionRefused("not in here")

    @door.on("connection")
    def connected(socket: Socket) -> None:
        said = {**socket.handshake.query, **socket.handshake.auth}
        connections[said["room"]] += 1
        socket.emit("in the handler", socket.connected)

    return connections


def _dynamic(io: Server, edges: Namespace) -> None:
    first = io.of(re.compile(r"^/dynamic-\d+$"))
    second = io.of(re.compile(r"^/dynamic-1\d+$"))

    @first.use
    async def check(socket: Socket) -> None:
        await asyncio.sleep(0.02)
        if {**socket.handshake.query, **socket.handshake.auth}.get("unwelcome"):
            raise ConnectionRefused("not in here")

    @first.on("connection")
    def connected(socket: Socket) -> None:
        socket.emit("parent", "first")

    @first.event
    def here(socket: Socket) -> int:
        return len(socket.nsp.sockets)

    @second.on("connection")
    def connected_to_the_second(socket: Socket) -> None:
        socket.emit("parent", "second")

    @edges.event("make by hand")
    def make(socket: Socket, name: str) -> None:
        io.of(name)

    @edges.event("is there")
    def is_there(socket: Socket, name: str) -> bool:
        return name in io._namespaces

    @edges.event("say to all children")
    def say_to_all(socket: Socket, text: str) -> None:
        first.emit("said", text)

    @edges.event("ask the parent")
    async def ask_the_parent(socket: Socket) -> bool:
        try:
            await first.fetch_sockets()
        except UsageError:
            return True
        return False
