"""The demo's chat bounds what it keeps and refuses what is not proper, with a sentence for the person."""

from __future__ import annotations

from typing import Any

import pytest

from socketeer.cli.demo.chat import (
    HISTORY,
    IMAGE_BYTES,
    LIMITS,
    MAX_ROOMS,
    MAX_ROOMS_EACH,
    Chat,
    Invalid,
    identify,
)

PNG = b"\x89PNG\r\n\x1a\n"
KEY = "k" * 32


def key_of(name: str) -> str:
    return name.ljust(32, "k")


def chat_with(*names: str) -> Chat:
    """Return a chat with these people in the lobby; their names are their socket ids too."""
    chat = Chat()
    for name in names:
        chat.come(name, chat.identify(name, key_of(name)))
        chat.enter(name, "lobby")
    return chat


def draft(number: int = 0, **fields: Any) -> dict[str, Any]:
    return {"id": f"message{number:04}", "room": "lobby", "text": "hi", **fields}


@pytest.mark.parametrize("name", [None, 7, "", "  ", "\x00\x07", "x" * 21, "\ud800"])
def test_improper_names(name: object) -> None:
    with pytest.raises(Invalid, match="name"):
        identify(name, KEY)


@pytest.mark.parametrize("key", [None, "short", "k" * 65, 1, "ключ" * 4])
def test_improper_keys(key: object) -> None:
    with pytest.raises(Invalid, match="key"):
        identify("Ada", key)


def test_a_person_is_the_key_and_does_not_give_it_away() -> None:
    ada = identify("  Ada \u202e  Lovelace\n", KEY)
    assert ada.name == "Ada Lovelace"
    assert ada.id == identify("Another", KEY).id != identify("Ada", "j" * 32).id
    assert KEY not in str(ada.wire())


def test_a_name_is_free_again_when_its_last_window_has_gone() -> None:
    chat = chat_with("Ada")
    chat.come("second window", chat.identify("Ada", key_of("Ada")))
    with pytest.raises(Invalid, match="already here"):
        chat.identify("ADA", "somebody else's key")
    chat.go("Ada")
    with pytest.raises(Invalid, match="already here"):
        chat.identify("ADA", "somebody else's key")
    chat.go("second window")
    assert chat.identify("ADA", "somebody else's key").name == "ADA"


@pytest.mark.parametrize("room", [None, "", "\n", ["lobby"], "x" * 25])
def test_improper_rooms(room: object) -> None:
    with pytest.raises(Invalid, match="room"):
        chat_with("Ada").enter("Ada", room)


def test_rooms_are_bounded_and_an_empty_one_makes_place() -> None:
    chat = chat_with(*(f"Person {number}" for number in range(8)))
    for number in range(MAX_ROOMS - 2):
        chat.enter(f"Person {number // 8}", f"room {number}")
    with pytest.raises(Invalid, match=f"There are {MAX_ROOMS} rooms already"):
        chat.enter("Person 7", "one more")
    chat.accept("Person 0", draft(room="room-3", image=PNG), 0)
    chat.leave("Person 0", "room-3")
    chat.enter("Person 7", "one more")
    assert "room-3" not in chat.rooms
    assert len(chat.rooms) == MAX_ROOMS
    assert {"lobby", "random"} <= set(chat.rooms)


def test_rooms_of_one_person_are_bounded() -> None:
    chat = chat_with("Ada")
    for number in range(MAX_ROOMS_EACH - 1):
        chat.enter("Ada", f"room {number}")
    chat.enter("Ada", "room 0")
    with pytest.raises(Invalid, match=f"{MAX_ROOMS_EACH} rooms already"):
        chat.enter("Ada", "one more")
    assert "one-more" not in chat.rooms


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"room": "random"}, "not in that room"),
        ({"room": None}, "not in that room"),
        ({"room": ["lobby"]}, "not in that room"),
        ({"id": None}, "proper id"),
        ({"id": "short"}, "proper id"),
        ({"id": "with space in"}, "proper id"),
        ({"id": "x" * 65}, "proper id"),
        ({"text": 7}, "is text"),
        ({"text": "x" * (LIMITS["text"] + 1)}, "at most 2000"),
        ({"text": " \n"}, "empty"),
        ({"image": "text"}, "as binary"),
        ({"image": b""}, "Only PNG"),
        ({"image": b"<svg/>"}, "Only PNG"),
        ({"image": b"RIFF1234WAVE"}, "Only PNG"),
        ({"image": PNG + bytes(LIMITS["image"])}, "2 MB at most"),
    ],
)
def test_improper_messages(fields: dict[str, Any], reason: str) -> None:
    chat = chat_with("Ada")
    with pytest.raises(Invalid, match=reason):
        chat.accept("Ada", draft(**fields), 0)
    assert not chat.rooms["lobby"].history


@pytest.mark.parametrize("value", [None, 7, "text", []])
def test_a_message_is_a_mapping(value: object) -> None:
    with pytest.raises(Invalid, match="not a message"):
        chat_with("Ada").accept("Ada", value, 0)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"GIF87a", "image/gif"),
        (b"RIFF\0\0\0\0WEBP", "image/webp"),
    ],
)
def test_the_type_of_an_image_is_read_from_its_bytes(data: bytes, kind: str) -> None:
    message, _ = chat_with("Ada").accept("Ada", draft(image=data, text=""), 12.5)
    form = message.wire(with_image=True)
    assert (form["image"], form["data"], form["at"]) == ({"type": kind, "size": len(data)}, data, 12500)
    assert "data" not in message.wire(with_image=False)


def test_half_a_surrogate_pair_does_not_get_in() -> None:
    message, _ = chat_with("Ada").accept("Ada", draft(text="a\ud83d!"), 0)
    assert message.text == "a?!"


def test_a_message_sent_twice_is_one_message() -> None:
    chat = chat_with("Ada", "Grace")
    first, first_is_new = chat.accept("Ada", draft(), 1)
    again, again_is_new = chat.accept("Ada", draft(), 2)
    assert (first is again, first_is_new, again_is_new) == (True, True, False)
    with pytest.raises(Invalid, match="another one"):
        chat.accept("Grace", draft(), 3)


def test_history_and_its_images_are_bounded() -> None:
    chat = chat_with("Ada")
    room = chat.rooms["lobby"]
    large = PNG + bytes(LIMITS["image"] - len(PNG))
    for number in range(HISTORY + 5):
        chat.accept("Ada", draft(number, image=large), number)
    kept = [message for message in room.history if message.image is not None]
    assert len(room.history) == HISTORY
    assert room.history[0].id == "message0005"
    assert len(kept) == IMAGE_BYTES // LIMITS["image"]
    assert kept == list(room.history)[-len(kept) :]
    assert room.wire()["history"][0]["image"] == {"type": "image/png", "size": LIMITS["image"]}


def test_who_reads_the_history_has_received_what_others_wrote() -> None:
    chat = chat_with("Ada", "Grace")
    message, _ = chat.accept("Ada", draft(), 0)
    assert chat.caught_up("Ada", "lobby") == []
    assert chat.caught_up("Grace", "lobby") == [message]
    assert message.delivered == {"received": 1, "of": 1}
    assert chat.caught_up("Grace", "lobby") == []


def test_a_person_with_two_windows_is_listed_once() -> None:
    chat = chat_with("Ada", "Grace")
    chat.come("second window", chat.identify("Ada", key_of("Ada")))
    chat.enter("second window", "lobby")
    assert [person["name"] for person in chat.rooms["lobby"].wire()["people"]] == ["Ada", "Grace"]
    assert [room.name for room in chat.go("Ada")] == ["lobby"]
    assert {room["name"]: room["people"] for room in chat.summary()} == {"lobby": 2, "random": 0}
