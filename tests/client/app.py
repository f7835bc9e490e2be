"""The application that the client meets on our own server: the events of tests/js/client_server.js, word for word.

What ends connections without a word, silence and garbage, is the business of proxies and of servers made of bytes.
"""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from socketeer import Server, Socket
from socketeer.engine.http import Request
from socketeer.exceptions import ConnectionRefused

__all__ = ["create"]


class Book:
    """Keep what the tests want to know of clients."""

    def __init__(self, io: Server) -> None:
        self.recorded: list[Any] = []
        self.attempts: dict[str, list[Any]] = defaultdict(list)
        self.times: dict[str, int] = defaultdict(int)
        self.requests: dict[str, dict[str, Any]] = {}
        self._ends: dict[str, asyncio.Future[str]] = {}
        io.engine.use(self._note)

    def end_of(self, id: str) -> asyncio.Future[str]:
        """Give the future of the reason for which a socket is gone."""
        if id not in self._ends:
            self._ends[id] = asyncio.get_running_loop().create_future()
        return self._ends[id]

    def _note(self, request: Request) -> None:
        sid = request.query.get("sid")
        if sid is not None:
            kept = self.requests.setdefault(sid, {"upgrade": None, "last": None, "count": 0})
            kept["upgrade" if request.upgrade else "last"] = described(request)
            kept["count"] += 1


def described(request: Request) -> dict[str, Any]:
    """Describe a request."""
    return {"method": request.method, "url": request.url, "headers": dict(request.headers)}


def create(**options: Any) -> Server:
    """Build a server with the application."""
    io = Server(**options)
    book = Book(io)

    def connected(socket: Socket) -> None:
        for add in (_data, _endings, _enquiries, _records, _rooms):
            add(socket, book)

    @io.on("connection")
    def greet(socket: Socket) -> None:
        connected(socket)
        if socket.handshake.query.get("greet") == "1":
            socket.emit("greeting", 1, {"a": "b"}, b"\1\2\3")

    doors: dict[Any, Callable[[Socket], Any] | None] = {
        "/admin": _admin,
        "/refused": _refused,
        "/slow": _slow,
        "/early": _early,
        "/echo": None,
        re.compile(r"^/dynamic-\d+$"): None,
    }
    for name, door in doors.items():
        namespace = io.of(name)

        @namespace.use
        def note(socket: Socket) -> None:
            book.attempts[socket.nsp.name].append(socket.handshake.auth or {})

        if door is not None:
            namespace.use(door)
        namespace.on("connection", connected)

    @io.engine.on("initial_headers")
    def give_cookies(headers: Any, request: Request) -> None:
        if "cookies" in request.query:
            headers["set-cookie"] = f"lb={request.query['cookies']}; Path=/; HttpOnly"

    return io


# -- doors


def _admin(socket: Socket) -> None:
    if (socket.handshake.auth or {}).get("token") != "secret":
        raise ConnectionRefused("not authorized", data={"code": 1})


def _refused(socket: Socket) -> None:
    raise ConnectionRefused("not today")


async def _slow(socket: Socket) -> None:
    await asyncio.sleep(int((socket.handshake.auth or {}).get("ms", 300)) / 1000)


def _early(socket: Socket) -> None:
    socket.emit("early", 1, b"\1\2\3")


# -- events

Answer = Callable[..., None]


def _data(socket: Socket, book: Book) -> None:
    for name in ("echo", "binary", 7):

        @socket.on(name)
        def echo(*args: Any, ack: Answer | None, name: str | int = name) -> None:
            if ack is None:
                socket.emit(name, *args)
            else:
                ack(*args)

    @socket.on("ask")
    def ask(event: str, *args: Any) -> None:
        socket.emit(event, *args, ack=lambda *answer: socket.emit("answered", *answer))

    @socket.on("flood")
    def flood(n: int, size: int, binary: bool = False) -> None:
        for i in range(n):
            socket.emit("flood", i, bytes([i % 256]) * size if binary else "x" * size)

    @socket.on("never")
    def never(*args: Any, ack: Answer | None) -> None:
        pass

    @socket.on("late")
    async def late(ms: int, *args: Any) -> tuple[Any, ...]:
        await asyncio.sleep(ms / 1000)
        return args

    @socket.on("twice")
    def twice(ack: Answer) -> None:
        ack("first")
        ack("second")


def _endings(socket: Socket, book: Book) -> None:
    socket.on("bye", lambda: socket.disconnect())
    socket.on("bye all", lambda: socket.disconnect(close=True))

    @socket.on("close")
    def close(code: int | None = None) -> None:
        if code is None:
            socket.conn.close()
        else:
            wire: Any = socket.conn.transport
            wire._wire.close(code)

    @socket.on("disconnect")
    def gone(reason: str) -> None:
        end = book.end_of(socket.id)
        if not end.done():
            end.set_result(reason)


def _enquiries(socket: Socket, book: Book) -> None:
    @socket.on("handshake")
    def handshake() -> dict[str, Any]:
        shake, conn = socket.handshake, socket.conn
        seen = book.requests.get(conn.id, {"upgrade": None, "last": None, "count": 0})
        return {
            "id": socket.id,
            "namespace": socket.nsp.name,
            "recovered": socket.recovered,
            "query": dict(shake.query),
            "auth": shake.auth,
            "headers": dict(shake.headers),
            "address": shake.address,
            "secure": shake.secure,
            "url": shake.url,
            "engineId": conn.id,
            "transport": conn.transport.name,
            "protocol": conn.protocol,
            "requests": {"handshake": described(conn.request), **seen},
        }

    socket.on("transport", lambda: socket.transport)

    @socket.on("upgrade?")
    def upgrade() -> dict[str, Any]:
        conn = socket.conn
        return {"transport": conn.transport.name, "upgraded": conn.upgraded}


def _records(socket: Socket, book: Book) -> None:
    @socket.on("fail n times")
    def fail(key: str, n: int, ack: Answer) -> None:
        book.times[key] += 1
        if book.times[key] > n:
            ack(book.times[key])

    @socket.on("record")
    def record(value: Any) -> Any:
        book.recorded.append(value)
        return value

    socket.on("recorded", lambda: (book.recorded,))
    socket.on("attempts", lambda namespace: (book.attempts[namespace],))

    @socket.on("gone")
    async def gone(id: str) -> str:
        return await asyncio.shield(book.end_of(id))


def _rooms(socket: Socket, book: Book) -> None:
    def rooms() -> tuple[list[str]]:
        return (sorted(room for room in socket.rooms if room != socket.id),)

    socket.on("rooms", rooms)

    @socket.on("join")
    def join(room: str) -> tuple[list[str]]:
        socket.join(room)
        return rooms()

    @socket.on("leave")
    def leave(room: str) -> tuple[list[str]]:
        socket.leave(room)
        return rooms()

    socket.on("room emit", lambda room, event, *args: socket.nsp.to(room).emit(event, *args))
    socket.on("emit to all", lambda event, *args: socket.nsp.emit(event, *args))
    socket.on("broadcast", lambda event, *args: socket.broadcast.emit(event, *args))

    @socket.on("later")
    async def later(ms: int, event: str, *args: Any) -> None:
        await asyncio.sleep(ms / 1000)
        socket.nsp.to(socket.id).emit(event, *args)
