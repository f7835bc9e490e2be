"""The application that the official clients talk to in the tests.

tests/js/reference_server.js is the same on Node's own server; the scenarios of tests/js/scenarios use both.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

from socketeer import Namespace, Server, Socket
from socketeer.exceptions import AckTimeout, ConnectionRefused
from tests.support.edges import add_edges
from tests.support.recovery import add_recovery

__all__ = ["create"]

Note = Callable[[str, str], None]


class Reports:
    """Keep what was noted of sockets that are gone, for clients that ask for it, also before it is known."""

    def __init__(self) -> None:
        self._futures: dict[str, asyncio.Future[dict[str, Any]]] = {}

    def of(self, id: str) -> asyncio.Future[dict[str, Any]]:
        """Return the future of a socket's report."""
        if id not in self._futures:
            self._futures[id] = asyncio.get_running_loop().create_future()
        return self._futures[id]


def create(note: Note | None = None, **options: Any) -> Server:
    """Build a server with the application; ``note`` is called with the id and the reason of each socket that goes."""
    io = Server(**options)
    reports = Reports()

    def basics(socket: Socket) -> None:
        _basics(socket, reports, note)

    @io.on("connection")
    def connected(socket: Socket) -> None:
        basics(socket)
        socket.emit("welcome", socket.handshake.query.get("name", "stranger"))

    @io.use
    async def door(socket: Socket) -> None:
        if socket.handshake.query.get("refuse"):
            raise ConnectionRefused("not today", data={"retry": False})

    for part in (_data, _acks, _server_asks, _rooms, _endings):
        part(io)
    io.of("/chat").on("connection", basics)
    io.of("/lobby").on("connection", basics)
    io.of(re.compile(r"/room-\d+")).on("connection", basics)
    io.of(_is_tenant).on("connection", basics)
    _guard(io.of("/guarded"))
    io.of("/guarded").on("connection", basics)
    add_edges(io)
    add_recovery(io)

    @io.of("/observer").event("report")
    async def report(socket: Socket, id: str) -> dict[str, Any]:
        return await reports.of(id)

    return io


def _is_tenant(name: str, auth: Any) -> bool:
    return re.fullmatch(r"/tenant-[a-z]+", name) is not None


def _rooms_of(socket: Socket) -> list[str]:
    return sorted(str(room) for room in socket.rooms if room != socket.id)


def _basics(socket: Socket, reports: Reports, note: Note | None) -> None:
    rooms: list[str] = []

    @socket.on("disconnecting")
    def disconnecting() -> None:
        rooms.extend(_rooms_of(socket))

    @socket.on("disconnect")
    def gone(reason: str) -> None:
        report = reports.of(socket.id)
        if not report.done():  # an old client that joins a namespace again has the same id there
            report.set_result({"reason": reason, "rooms": rooms, "left": _rooms_of(socket)})
        if note is not None:
            note(socket.id, reason)

    @socket.on("whoami")
    def whoami() -> str:
        return socket.id

    @socket.on("where")
    def where() -> str:
        return socket.nsp.name

    @socket.on("echo")
    def echo(*args: Any) -> None:
        socket.emit("echo", *args)

    @socket.on("handshake")
    def handshake() -> dict[str, Any]:
        shake = socket.handshake
        return {
            "query": dict(shake.query),
            "auth": shake.auth,
            "secure": shake.secure,
            "header": shake.headers.get("x-test"),
        }

    @socket.on("announce")
    def announce(*args: Any) -> None:
        socket.nsp.emit("announced", *args)


def _describe(value: Any) -> Any:
    match value:
        case bytes():
            return f"bytes {len(value)}"
        case list():
            return [_describe(item) for item in value]
        case dict():
            return {key: _describe(item) for key, item in value.items()}
        case None:
            return "null"
        case str():
            return "string"
    return type(value).__name__


def _data(io: Server) -> None:
    @io.event("describe")
    def describe(socket: Socket, *args: Any) -> Any:
        return (_describe(list(args)),)

    @io.event("code points")
    def code_points(socket: Socket, text: str) -> list[int]:
        return [ord(character) for character in text]

    @io.event("from code points")
    def from_code_points(socket: Socket, numbers: list[int]) -> str:
        return "".join(map(chr, numbers))

    @io.event
    async def message(socket: Socket, *args: Any) -> None:
        socket.send(*args)

    @io.event
    def count(socket: Socket, number: int) -> None:
        socket.data.setdefault("counted", []).append(number)

    @io.event
    def counted(socket: Socket) -> Any:
        return socket.data["counted"]

    @io.event
    def many(socket: Socket, n: int) -> None:
        for i in range(n):
            socket.emit("many", i, bytes([i % 256]) if i % 50 == 0 else "x" * i)

    @io.event
    async def ticks(socket: Socket, n: int, ms: float) -> None:
        for i in range(n):
            socket.emit("tick", i)
            await asyncio.sleep(ms / 1000)


def _acks(io: Server) -> None:
    @io.event("give back")
    def give_back(socket: Socket, *args: Any) -> tuple[Any, ...]:
        return args

    @io.event
    def nothing(socket: Socket) -> None:
        return None

    @io.event
    async def late(socket: Socket, ms: int, value: Any, ack: Callable[..., None]) -> None:
        await asyncio.sleep(ms / 1000)
        ack(value)

    @io.event
    def twice(socket: Socket, ack: Callable[..., None]) -> str:
        ack("first")
        ack("second")
        return "third"

    @io.event("with or without")
    def with_or_without(socket: Socket, ack: Callable[..., None] | None) -> None:
        socket.emit("asked for an answer", ack is not None)


def _server_asks(io: Server) -> None:
    @io.event
    async def ask(socket: Socket, *question: Any) -> None:
        socket.emit("answered", await socket.timeout(5).emit_with_ack("question", *question))

    @io.event("ask with callback")
    def ask_with_callback(socket: Socket, *question: Any) -> None:
        def answered(*answer: Any) -> None:
            socket.emit("answered", *answer)

        socket.emit("question", *question, ack=answered)

    @io.event("ask in vain")
    async def ask_in_vain(socket: Socket) -> None:
        try:
            await socket.timeout(0.1).emit_with_ack("question")
        except AckTimeout:
            socket.emit("unanswered")

    @io.event
    async def poll(socket: Socket, room: str) -> list[Any]:
        return sorted(await io.to(room).timeout(10).emit_with_ack("vote"))

    @io.event("poll in vain")
    async def poll_in_vain(socket: Socket, room: str) -> tuple[bool, list[Any]]:
        try:
            return False, await io.to(room).timeout(0.6).emit_with_ack("vote")
        except AckTimeout as error:
            return True, error.responses


def _select(target: Any, rooms: list[str], excepted: list[str]) -> Any:
    for room in rooms:
        target = target.to(room)
    for room in excepted:
        target = target.except_(room)
    return target


def _rooms(io: Server) -> None:
    @io.event
    def join(socket: Socket, names: Any) -> list[str]:
        socket.join(names)
        return _rooms_of(socket)

    @io.event
    def leave(socket: Socket, name: str) -> list[str]:
        socket.leave(name)
        return _rooms_of(socket)

    @io.event
    def say(socket: Socket, rooms: list[str], excepted: list[str], *args: Any) -> None:
        _select(io, rooms, excepted).emit("said", *args)

    @io.event("say to others")
    def say_to_others(socket: Socket, rooms: list[str], excepted: list[str], *args: Any) -> None:
        _select(socket, rooms, excepted).emit("said", *args)

    @io.event("tell everyone")
    def tell_everyone(socket: Socket, *args: Any) -> None:
        io.emit("told", *args)

    @io.event("tell others")
    def tell_others(socket: Socket, *args: Any) -> None:
        socket.broadcast.emit("told", *args)

    @io.event
    async def who(socket: Socket, room: str) -> list[str]:
        return sorted(found.id for found in await io.in_(room).fetch_sockets())

    @io.event
    def move(socket: Socket, source: str, target: str) -> None:
        io.in_(source).sockets_join(target)
        io.in_(source).sockets_leave(source)


def _endings(io: Server) -> None:
    @io.event
    def kick(socket: Socket, close: bool) -> None:
        socket.emit("bye", 1)
        socket.emit("bye", b"2")
        socket.disconnect(close=close)

    @io.event("close the connection")
    def close_the_connection(socket: Socket) -> None:
        socket.conn.close()

    @io.event("kick room")
    def kick_room(socket: Socket, room: str, close: bool) -> None:
        io.in_(room).disconnect_sockets(close=close)


def _guard(guarded: Namespace) -> None:
    @guarded.use
    async def check(socket: Socket) -> None:
        await asyncio.sleep(0.005)
        token = socket.handshake.auth.get("token") or socket.handshake.query.get("token")
        if token == "boom":
            raise RuntimeError("of the inner workings")
        if token == "plain":
            raise ConnectionRefused("not authorized")
        if token != "secret":
            raise ConnectionRefused("not authorized", data={"code": 7, "hints": ["ask", "wait"]})
