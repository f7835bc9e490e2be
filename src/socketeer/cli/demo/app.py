"""The chat demo: one page, and the server behind it.

It is also meant to be read: every handler is registered once with ``io.event``, a return value answers the client's
acknowledgement, and a broadcast collects acknowledgements to know that the room has a message.
"""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from importlib import resources
from typing import Any

from socketeer import AckTimeout, ConnectionRefused, Server, Socket
from socketeer.cli.demo.chat import LIMITS, Chat, Invalid, Message, Person, Room

__all__ = ["create_app", "create_server"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Ack = Callable[..., None]

DELIVERY_TIMEOUT = 10.0


def create_server() -> Server:
    """Build the server of one chat, with nobody in it."""
    # An image of the largest size has to fit into one message, in base64 where a client is on polling.
    io = Server(max_http_buffer_size=LIMITS["image"] * 4 // 3 + 10_000)
    chat = Chat()
    _on_coming_and_going(io, chat)
    _on_rooms(io, chat)
    _on_messages(io, chat)
    _on_images_and_typing(io, chat)
    return io


def create_app(io: Server) -> Any:
    """Build the whole demo as an ASGI application: the page, and the chat of ``io`` behind it."""
    return io.attach(_page())


def _on_coming_and_going(io: Server, chat: Chat) -> None:
    @io.use
    def admit(socket: Socket) -> None:
        auth = _auth(socket)
        try:
            socket.data["person"] = chat.identify(auth.get("name"), auth.get("key"))
        except Invalid as error:
            raise ConnectionRefused(str(error), data={"reason": "name"}) from error

    @io.on("connection")
    def connection(socket: Socket) -> None:
        person: Person = socket.data["person"]
        chat.come(socket.id, person)
        socket.join(_person_room(person))
        wanted = _auth(socket).get("rooms")
        joined = []
        for name in wanted if isinstance(wanted, list) and wanted else ["lobby"]:
            try:
                joined.append(_enter(io, chat, socket, name))
            except Invalid:
                continue  # the page sees that the room is missing in "joined"
        if not joined:
            joined.append(_enter(io, chat, socket, "lobby"))
        rooms = [room.wire() for room in joined]
        socket.emit("welcome", {"me": person.wire(), "rooms": chat.summary(), "joined": rooms, "limits": LIMITS})
        socket.broadcast.emit("rooms", chat.summary())

    @io.event
    def disconnect(socket: Socket, reason: str) -> None:
        for room in chat.go(socket.id):
            io.to(_room(room)).emit("people", _people(room))
        io.emit("rooms", chat.summary())


def _on_rooms(io: Server, chat: Chat) -> None:
    @io.event
    def enter(socket: Socket, name: str) -> dict[str, Any]:
        try:
            room = _enter(io, chat, socket, name)
        except Invalid as error:
            return {"error": str(error)}
        io.emit("rooms", chat.summary())
        return room.wire()

    @io.event
    def leave(socket: Socket, name: str) -> None:
        room = chat.leave(socket.id, name)
        if room is not None:
            socket.leave(_room(room))
            io.to(_room(room)).emit("people", _people(room))
            io.emit("rooms", chat.summary())


def _on_messages(io: Server, chat: Chat) -> None:
    @io.event
    async def say(socket: Socket, draft: dict[str, Any], ack: Ack | None) -> None:
        answer = ack or (lambda *args: None)
        try:
            message, is_new = chat.accept(socket.id, draft, time.time())
        except Invalid as error:
            answer({"error": str(error)})
            return
        answer({"id": message.id, "at": message.at, "delivered": message.delivered})
        room = chat.rooms[message.room]
        others = len(room.members) - 1
        if not is_new or not others:
            return
        everybody_else = socket.to(_room(room)).timeout(DELIVERY_TIMEOUT)
        try:
            received = len(await everybody_else.emit_with_ack("message", message.wire(with_image=True)))
        except AckTimeout as error:
            received = len(error.responses)
        message.delivered = {"received": received, "of": others}
        _tell_sender(io, message)

    @io.event("caught up")
    def caught_up(socket: Socket, name: str) -> None:
        try:
            fresh = chat.caught_up(socket.id, name)
        except Invalid:
            return
        for message in fresh:
            _tell_sender(io, message)


def _on_images_and_typing(io: Server, chat: Chat) -> None:
    @io.event
    def image(socket: Socket, name: str, message_id: str) -> bytes | None:
        try:
            message = chat.room_with(socket.id, name).find(message_id)
        except Invalid:
            return None
        return message.image if message is not None else None

    @io.event
    def typing(socket: Socket, name: str, on: bool) -> None:
        try:
            room = chat.room_with(socket.id, name)
        except Invalid:
            return
        news = {"room": room.name, "person": room.members[socket.id].wire(), "on": on is True}
        socket.to(_room(room)).volatile.emit("typing", news)


def _tell_sender(io: Server, message: Message) -> None:
    news = {"id": message.id, "room": message.room, **(message.delivered or {})}
    io.to(_person_room(message.sender)).emit("delivered", news)


def _auth(socket: Socket) -> dict[str, Any]:
    auth = socket.handshake.auth
    return auth if isinstance(auth, dict) else {}


def _room(room: Room) -> str:
    return f"room:{room.name}"


def _person_room(person: Person) -> str:
    return f"person:{person.id}"


def _people(room: Room) -> dict[str, Any]:
    return {"room": room.name, "people": [person.wire() for person in room.people]}


def _enter(io: Server, chat: Chat, socket: Socket, name: object) -> Room:
    room = chat.enter(socket.id, name)
    socket.join(_room(room))
    socket.to(_room(room)).emit("people", _people(room))
    return room


def _page() -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """Build the application that answers with the page, and 404 elsewhere."""
    page = resources.files(__package__).joinpath("index.html").read_bytes()
    headers = [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"cache-control", b"no-cache"),
        (b"content-security-policy", _policy(page.decode()).encode()),
        (b"referrer-policy", b"no-referrer"),
        (b"x-content-type-options", b"nosniff"),
    ]

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        found = scope["path"] == "/" and scope["method"] in ("GET", "HEAD")
        body = page if found else b"Not found\n"
        length = (b"content-length", str(len(body)).encode())
        answer = [*headers, length] if found else [(b"content-type", b"text/plain; charset=utf-8"), length]
        await send({"type": "http.response.start", "status": 200 if found else 404, "headers": answer})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return application


async def _lifespan(receive: Receive, send: Send) -> None:
    while (event := (await receive())["type"]) != "lifespan.shutdown":
        await send({"type": f"{event}.complete"})
    await send({"type": "lifespan.shutdown.complete"})


def _policy(page: str) -> str:
    """Return a content security policy that lets nothing run but what the page itself holds."""

    def hashes(tag: str) -> str:
        blocks = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digests = (base64.b64encode(hashlib.sha256(block.encode()).digest()).decode() for block in blocks)
        return " ".join(f"'sha256-{digest}'" for digest in digests)

    return "; ".join(
        [
            "default-src 'none'",
            f"script-src 'self' {hashes('script')}",
            f"style-src {hashes('style')}",
            "img-src blob: data:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )
