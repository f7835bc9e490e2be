"""What the demo's chat knows: rooms, who is in them, their last messages and the images of these.

Nothing here touches a connection. All of it is bounded, and all that comes from a client is checked before it gets in.
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from dataclasses import dataclass, field
from typing import Any

__all__ = ["DEFAULT_ROOMS", "LIMITS", "Chat", "Invalid", "Message", "Person", "Room", "identify"]

LIMITS = {"text": 2000, "image": 2_000_000, "name": 20, "room": 24}
DEFAULT_ROOMS = ("lobby", "random")
MAX_ROOMS = 40
MAX_ROOMS_EACH = 10
HISTORY = 60
IMAGE_BYTES = 24_000_000

_MESSAGE_ID = re.compile(r"[0-9A-Za-z]{8,64}")
_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}


class Invalid(Exception):
    """Refuse what a client sent, with a sentence for the person at the other end."""


@dataclass(frozen=True, slots=True)
class Person:
    """Name somebody in the chat; ``id`` stays the same over reconnections and in several windows."""

    id: str
    name: str

    def wire(self) -> dict[str, str]:
        """Return the form that clients get."""
        return {"id": self.id, "name": self.name}


@dataclass(slots=True)
class Message:
    """Hold one message and what became of it."""

    id: str
    room: str
    sender: Person
    text: str
    at: int
    image: bytes | None = None
    image_type: str = ""
    image_size: int = 0
    delivered: dict[str, int] | None = None

    def wire(self, *, with_image: bool) -> dict[str, Any]:
        """Return the form that clients get; in a history they fetch the images one by one."""
        form: dict[str, Any] = {
            "id": self.id,
            "room": self.room,
            "from": self.sender.wire(),
            "text": self.text,
            "at": self.at,
            "image": {"type": self.image_type, "size": self.image_size} if self.image_type else None,
            "delivered": self.delivered,
        }
        if with_image and self.image is not None:
            form["data"] = self.image
        return form


@dataclass(slots=True)
class Room:
    """Hold a room: its members by socket id, and its last messages, oldest first."""

    name: str
    members: dict[str, Person] = field(default_factory=dict)
    history: deque[Message] = field(default_factory=deque)

    @property
    def people(self) -> list[Person]:
        """Return who is here, each once, whatever the number of windows."""
        return list({person.id: person for person in self.members.values()}.values())

    def find(self, message_id: str) -> Message | None:
        """Return a message that is still kept."""
        return next((message for message in self.history if message.id == message_id), None)

    def wire(self) -> dict[str, Any]:
        """Return what somebody who enters gets."""
        return {
            "room": self.name,
            "people": [person.wire() for person in self.people],
            "history": [message.wire(with_image=False) for message in self.history],
        }


class Chat:
    """Keep the rooms."""

    def __init__(self) -> None:
        self.rooms: dict[str, Room] = {name: Room(name) for name in DEFAULT_ROOMS}
        self._online: dict[str, Person] = {}
        self._with_images: deque[Message] = deque()
        self._image_bytes = 0

    def identify(self, name: object, key: object) -> Person:
        """Return the person of that name; raise :class:`Invalid` when somebody else has it now."""
        person = identify(name, key)
        for other in self._online.values():
            if other.id != person.id and other.name.casefold() == person.name.casefold():
                raise Invalid(f"{person.name} is already here; choose another name.")
        return person

    def come(self, socket_id: str, person: Person) -> None:
        """Note that a socket of ``person`` is connected."""
        self._online[socket_id] = person

    def go(self, socket_id: str) -> list[Room]:
        """Forget a socket; return the rooms that it was in."""
        self._online.pop(socket_id, None)
        left = self._rooms_of(socket_id)
        for room in left:
            del room.members[socket_id]
        return left

    def enter(self, socket_id: str, name: object) -> Room:
        """Put a connected socket into a room, which is made when there is none of that name."""
        clean = _room_name(name)
        if clean not in self.rooms:
            self._make_place()
        if clean not in (rooms := {room.name for room in self._rooms_of(socket_id)}) and len(rooms) >= MAX_ROOMS_EACH:
            raise Invalid(f"You are in {MAX_ROOMS_EACH} rooms already; leave one first.")
        room = self.rooms.setdefault(clean, Room(clean))
        room.members[socket_id] = self._online[socket_id]
        return room

    def leave(self, socket_id: str, name: object) -> Room | None:
        """Take a socket out of a room; return the room if it was in it."""
        room = self.rooms.get(name) if isinstance(name, str) else None
        if room is None or socket_id not in room.members:
            return None
        del room.members[socket_id]
        return room

    def room_with(self, socket_id: str, name: object) -> Room:
        """Return the room of that name, which the socket must be in."""
        room = self.rooms.get(name) if isinstance(name, str) else None
        if room is None or socket_id not in room.members:
            raise Invalid("You are not in that room.")
        return room

    def accept(self, socket_id: str, draft: object, now: float) -> tuple[Message, bool]:
        """Check and keep what a socket wants to say; the flag says that it is new and not sent a second time."""
        if not isinstance(draft, dict):
            raise Invalid("That is not a message.")
        room = self.room_with(socket_id, draft.get("room"))
        sender = room.members[socket_id]
        message_id = draft.get("id")
        if not isinstance(message_id, str) or not _MESSAGE_ID.fullmatch(message_id):
            raise Invalid("The message has no proper id.")
        if (known := room.find(message_id)) is not None:
            if known.sender.id != sender.id:
                raise Invalid("The message has the id of another one.")
            return known, False
        message = Message(message_id, room.name, sender, _text(draft.get("text", "")), int(now * 1000))
        if (image := draft.get("image")) is not None:
            message.image_type = _image_type(image)
            message.image, message.image_size = image, len(image)
        if not message.text and message.image is None:
            raise Invalid("The message is empty.")
        self._keep(room, message)
        return message, True

    def caught_up(self, socket_id: str, name: object) -> list[Message]:
        """Note that somebody has read a room's history; return the messages that nobody had received before."""
        room = self.room_with(socket_id, name)
        reader = room.members[socket_id]
        fresh = [
            message
            for message in room.history
            if message.sender.id != reader.id and not (message.delivered and message.delivered["received"])
        ]
        for message in fresh:
            message.delivered = {"received": 1, "of": 1}
        return fresh

    def summary(self) -> list[dict[str, Any]]:
        """Return every room's name and the number of people in it."""
        return [{"name": room.name, "people": len(room.people)} for room in self.rooms.values()]

    def _rooms_of(self, socket_id: str) -> list[Room]:
        return [room for room in self.rooms.values() if socket_id in room.members]

    def _make_place(self) -> None:
        if len(self.rooms) < MAX_ROOMS:
            return
        for room in self.rooms.values():
            if not room.members and room.name not in DEFAULT_ROOMS:
                for message in room.history:
                    self._drop_image(message)
                del self.rooms[room.name]
                return
        raise Invalid(f"There are {MAX_ROOMS} rooms already, and somebody is in each of them.")

    def _keep(self, room: Room, message: Message) -> None:
        room.history.append(message)
        if len(room.history) > HISTORY:
            self._drop_image(room.history.popleft())
        if message.image is not None:
            self._with_images.append(message)
            self._image_bytes += message.image_size
        while self._image_bytes > IMAGE_BYTES:
            self._drop_image(self._with_images[0])

    def _drop_image(self, message: Message) -> None:
        if message.image is not None:
            self._image_bytes -= message.image_size
            message.image = None
            self._with_images.remove(message)


def identify(name: object, key: object) -> Person:
    """Return the person of a name and a secret key; only who has the key can be that person again."""
    if not isinstance(name, str) or not (clean := " ".join(_printable(name).split())):
        raise Invalid("A name has at least one letter.")
    if len(clean) > LIMITS["name"]:
        raise Invalid(f"A name has at most {LIMITS['name']} characters.")
    if not isinstance(key, str) or not 16 <= len(key) <= 64 or not key.isascii():
        raise Invalid("The key has 16 to 64 plain characters.")
    return Person(hashlib.sha256(key.encode()).hexdigest()[:16], clean)


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())


def _room_name(name: object) -> str:
    if not isinstance(name, str) or not (clean := "-".join(_printable(name).split()).lower()):
        raise Invalid("A room has a name.")
    if len(clean) > LIMITS["room"]:
        raise Invalid(f"A room's name has at most {LIMITS['room']} characters.")
    return clean


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise Invalid("The text of a message is text.")
    if len(value) > LIMITS["text"]:
        raise Invalid(f"A message has at most {LIMITS['text']} characters.")
    return value.encode("utf-8", "replace").decode().strip()  # half of a surrogate pair is no text


def _image_type(value: object) -> str:
    if not isinstance(value, bytes):
        raise Invalid("An image is sent as binary.")
    if len(value) > LIMITS["image"]:
        raise Invalid(f"An image may have {LIMITS['image'] // 1_000_000} MB at most.")
    for signature, image_type in _SIGNATURES.items():
        if value.startswith(signature):
            return image_type
    if value[:4] == b"RIFF" and value[8:12] == b"WEBP":
        return "image/webp"
    raise Invalid("Only PNG, JPEG, GIF and WebP images can be sent.")
