"""What is written for values of Python that no format knows by itself, the same in JSON and in MessagePack."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any, NamedTuple
from uuid import UUID

import msgpack
import msgspec
import pydantic
import pytest

from socketeer.protocol import socket_json
from socketeer.protocol.packets import Packet, PacketType
from socketeer.protocol.socket_msgpack import MSGPACK


class Colour(Enum):
    RED = "red"
    WRAPPED = ("a", 1)


class Level(IntEnum):
    HIGH = 3


class Word(str, Enum):  # noqa: UP042  # what applications older than StrEnum have
    YES = "yes"


class Point(NamedTuple):
    x: int
    y: int


@dataclass
class Plain:
    name: str
    inner: Any = None
    _hidden: int = 1
    made: list[Any] = field(default_factory=list)


@dataclass(slots=True, frozen=True)
class Slotted:
    name: str
    inner: Any = None


class Record(msgspec.Struct, rename="camel"):
    first_name: str
    inner: Any = None


class Tagged(msgspec.Struct, tag="tagged"):
    name: str
    inner: Any = None


class Listed(msgspec.Struct, array_like=True):
    name: str
    inner: Any = None


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    first_name: str = pydantic.Field(serialization_alias="firstName")
    inner: Any = None


ID = UUID("12345678-1234-5678-1234-567812345678")
BOTH: list[tuple[Any, Any]] = [
    (Colour.RED, "red"),
    (Level.HIGH, 3),
    (Word.YES, "yes"),
    (Point(1, 2), [1, 2]),
    (Plain("a", Slotted("b")), {"name": "a", "inner": {"name": "b", "inner": None}, "_hidden": 1, "made": []}),
    (Slotted("a", [Plain("b")]), {"name": "a", "inner": [{"name": "b", "inner": None, "_hidden": 1, "made": []}]}),
    (Record("a", Record("b")), {"firstName": "a", "inner": {"firstName": "b", "inner": None}}),
    (Tagged("a"), {"type": "tagged", "name": "a", "inner": None}),
    (
        Tagged("a", Tagged("b")),
        {"type": "tagged", "name": "a", "inner": {"type": "tagged", "name": "b", "inner": None}},
    ),
    (Listed("a", Record("b")), ["a", {"firstName": "b", "inner": None}]),
    (
        Model(first_name="a", inner=Model(first_name="b")),
        {"firstName": "a", "inner": {"firstName": "b", "inner": None}},
    ),
    (Model(first_name="a", inner=[Record("b")]), {"firstName": "a", "inner": [{"firstName": "b", "inner": None}]}),
    (ID, str(ID)),
    (Decimal("1.10"), "1.10"),
    (date(2024, 2, 29), "2024-02-29"),
    (time(1, 2, 3), "01:02:03"),
    ({"deep": [{"in": Colour.RED}]}, {"deep": [{"in": "red"}]}),
    (("a", "tuple"), ["a", "tuple"]),
]
RAW = [b"raw", bytearray(b"raw"), memoryview(b"raw")]


def through_json(value: Any) -> Any:
    text, attachments = socket_json.dump([value])
    return socket_json.restore(socket_json.load(text), attachments)[0]


def through_msgpack(value: Any) -> Any:
    (message,) = MSGPACK.encode(Packet(PacketType.EVENT, "/", [value]))
    assert isinstance(message, bytes)
    return msgpack.unpackb(message, strict_map_key=False)["data"][0]


both = pytest.mark.parametrize("through", [through_json, through_msgpack])


@both
@pytest.mark.parametrize(("value", "written"), BOTH, ids=lambda value: repr(value)[:40])
def test_the_same_in_each_format(through: Callable[[Any], Any], value: Any, written: Any) -> None:
    assert through(value) == written


@both
@pytest.mark.parametrize("value", RAW, ids=lambda value: type(value).__name__)
def test_bytes_stay_bytes_wherever_they_are(through: Callable[[Any], Any], value: Any) -> None:
    held = [Plain("a", value), Slotted("a", [value]), Record("a", value), {"a": (value,)}]
    for holder in held:
        inner = through(holder)
        assert (inner.get("inner") or inner.get("a")) in (b"raw", [b"raw"])


@both
@pytest.mark.parametrize("value", [object(), {1}, 1j, Plain, Colour, Record, Model, lambda: None, Exception("x")])
def test_what_cannot_be_written(through: Callable[[Any], Any], value: Any) -> None:
    for held in (value, [value], Slotted("a", value), Record("a", value)):
        with pytest.raises(TypeError, match="not serializable"):
            through(held)


@pytest.mark.parametrize("zone", [None, UTC])
def test_moments_are_text_in_json_and_dates_in_messagepack(zone: Any) -> None:
    moment = datetime(2024, 2, 29, 1, 2, 3, 456000, tzinfo=zone)
    assert through_json(moment) == moment.isoformat()
    (message,) = MSGPACK.encode(Packet(PacketType.EVENT, "/", [moment]))
    assert MSGPACK.decoder().add(message).data == [moment.replace(tzinfo=UTC)]


def test_a_value_that_holds_itself_is_refused() -> None:
    ring: list[Any] = []
    ring.append(ring)
    endless = Slotted("a", ring)
    for through in (through_json, through_msgpack):
        with pytest.raises(TypeError, match="not serializable"):
            through(endless)


def test_what_json_falls_back_to_says_the_same() -> None:
    """Go the slow way, which a lone surrogate asks for."""
    for value, written in BOTH:
        text, attachments = socket_json.dump(["\ud800", value])
        assert not attachments
        assert json.loads(text)[1] == written
