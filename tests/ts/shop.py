"""A server whose events have types of every kind, for the client of main.ts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Annotated, Generic, Literal, NotRequired, Protocol, TypeVar

import msgspec
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from socketeer import Server, Socket

io = Server()
app = io.attach(lambda scope, receive, send: None)
T = TypeVar("T")


class Size(Enum):
    """Be the size of a cup."""

    SMALL = "small"
    LARGE = "large"


@dataclass
class Item:
    """Be a thing to order."""

    name: str
    size: Size
    count: Annotated[int, msgspec.Meta(ge=1)] = 1
    extras: list[Item] = field(default_factory=list)


class Guest(TypedDict):
    """Be who orders."""

    name: str
    table: NotRequired[int]


class Receipt(msgspec.Struct, rename="camel"):
    """Be what is given for an order."""

    total_price: float
    items: list[Item]
    ordered_at: datetime


class Review(BaseModel):
    """Be an opinion."""

    stars: int = Field(ge=1, le=5)
    comment: str | None = Field(default=None, alias="the comment")


@dataclass
class Page(Generic[T]):
    """Be a part of a list."""

    entries: list[T]
    next: int | None


@io.emits
class Emitted(Protocol):
    """Be what clients get."""

    def menu(self, names: list[str], picture: bytes | None = None) -> None:
        """Come at the start. */"""

    def ready(self, receipt: Receipt, *notes: str) -> None: ...

    def question(self, text: str) -> Literal["yes", "no"]: ...


More = TypedDict("More", {"table moved": tuple[int, int], "closing": None, "review": Review})
io.emits(More)


@io.on("connection")
def connected(socket: Socket) -> None:
    socket.emit("menu", ["tea"], b"\x89PNG")


@io.event
async def order(socket: Socket, item: Item, guest: Guest) -> Receipt:
    """Order one thing."""
    assert item.size in Size
    answer = await socket.timeout(5).emit_with_ack("question", f"{item.count} {item.name}?")
    assert answer == "yes"
    receipt = Receipt(4.5 * item.count, [item, *item.extras], datetime(2030, 1, 2, 3, 4, 5))
    socket.emit("ready", receipt, guest["name"], "enjoy")
    return receipt


@io.event("leave a review")
def review(socket: Socket, review: Review, public: bool = True) -> None:
    socket.emit("review", review)


@io.event
def picture(socket: Socket, data: bytes, *tags: Literal["menu", "guest"]) -> tuple[int, str]:
    return len(data), ",".join(tags)


@io.event
def orders(socket: Socket, first: int = 0) -> Page[Item] | None:
    return Page([Item("tea", Size.SMALL)], None) if first == 0 else None


@io.event
def later(socket: Socket, ack: Callable[[dict[Size, int]], None]) -> None:
    ack({Size.SMALL: 2})


@io.event
def anything(socket: Socket, value, function=None):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
    return value


@io.of("/kitchen").event
def cooked(socket: Socket, item: Item) -> bool:
    return True


@io.of("/kitchen").emits
class Kitchen(TypedDict):
    """Be what the kitchen gets."""

    order: Item
