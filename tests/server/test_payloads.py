"""Typed payloads: what annotated handlers get, and what becomes of an event that does not fit."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired, Protocol, TypedDict
from uuid import UUID

import msgspec
import pydantic
import pytest
import typing_extensions

from socketeer import Ack, BadArguments, BadPayload, Server, Socket
from socketeer.handling.handlers import Handler
from tests.server.conftest import Served

if TYPE_CHECKING:
    from nowhere import Absent  # type: ignore[import-not-found]

Serve = Callable[[Server], Served]


class Colour(Enum):
    RED = "red"


@dataclass
class Item:
    name: str
    count: int = 1
    parts: list[Item] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.name == "nothing":
            raise ValueError("a thing has a name")
        if self.name == "broken":
            raise KeyError("of the application")


class Guest(TypedDict):
    name: str
    photo: NotRequired[bytes]


class Place(msgspec.Struct, rename="camel"):
    table_number: int
    at: datetime | None = None


class Review(pydantic.BaseModel):
    stars: int = pydantic.Field(ge=1, le=5)
    by: Item | None = None


class Newer(typing_extensions.TypedDict):
    review: Review


class Foreign:
    """Be a class that no library knows."""


class Shaped(Protocol):
    def shape(self) -> str: ...


def take(function: Callable[..., Any], *args: Any) -> list[Any]:
    return Handler(function, typed=True).take("x", list(args))


def refusal(function: Callable[..., Any], *args: Any) -> BadPayload:
    with pytest.raises(BadPayload) as caught:
        take(function, *args)
    return caught.value


# -- what fits


def kinds(item: Item, guest: Guest, place: Place, review: Review, newer: Newer) -> None: ...


def containers(
    items: list[Item], by_name: Mapping[str, Review | None], pair: tuple[int, Colour], table: int = 0
) -> None: ...


def plain(text: str, number: float, flag: bool, data: bytes, some: dict[str, Any], colour: Literal["a", 1]) -> None: ...


def rest(first: Item, *others: Item) -> None: ...


def others(
    at: datetime, id: UUID, names: set[str], counts: dict[int, int], least: Annotated[int, msgspec.Meta(ge=3)]
) -> None: ...


def untouched(  # type: ignore[no-untyped-def]
    a,  # noqa: ANN001
    b: Any,
    c: object,
    d: Foreign,
    e: Shaped,
    f: Callable[..., None],
    g: list[int] | list[str],
) -> None: ...


TEA = Item("tea")
TREE = {"name": "cup", "parts": [{"name": "ear", "count": 2}]}
UTC_NOON = datetime(2030, 1, 2, 12, tzinfo=UTC)
SOME_ID = "12345678-1234-5678-1234-567812345678"


@pytest.mark.parametrize(
    ("function", "args", "taken"),
    [
        (
            kinds,
            [
                {"name": "tea"},
                {"name": "A", "photo": b"\x89"},
                {"tableNumber": 4},
                {"stars": 5},
                {"review": {"stars": 1}},
            ],
            [TEA, {"name": "A", "photo": b"\x89"}, Place(4), Review(stars=5), {"review": Review(stars=1)}],
        ),
        (
            containers,
            [[TREE], {"a": None, "b": {"stars": 2, "by": {"name": "tea"}}}, [1, "red"]],
            [[Item("cup", 1, [Item("ear", 2)])], {"a": None, "b": Review(stars=2, by=TEA)}, (1, Colour.RED)],
        ),
        (plain, ["a", 1, True, b"b", {"c": [b"d"]}, 1], ["a", 1.0, True, b"b", {"c": [b"d"]}, 1]),
        (rest, [{"name": "tea"}], [TEA]),
        (rest, [{"name": "tea"}] * 3, [TEA] * 3),
        (
            others,
            ["2030-01-02T12:00:00Z", SOME_ID, ["a", "b", "a"], {"1": 2}, 3],
            [UTC_NOON, UUID(SOME_ID), {"a", "b"}, {1: 2}, 3],
        ),
        (untouched, [1, "2", [3], {"4": 5}, 6, 7, [8, "9"]], [1, "2", [3], {"4": 5}, 6, 7, [8, "9"]]),
    ],
)
def test_arguments_become_what_the_annotations_say(
    function: Callable[..., Any], args: list[Any], taken: list[Any]
) -> None:
    got = take(function, *args)
    assert got == taken
    assert [type(each) for each in got] == [type(each) for each in taken]


def test_a_handler_without_annotations_is_called_as_directly_as_before() -> None:
    assert Handler(lambda a, *rest: None, typed=True).payload is None
    assert Handler(untouched, typed=True).plain
    payload = [{"name": "tea"}]
    assert take(untouched, payload, *range(6))[0] is payload


def test_handlers_and_classes_may_be_local_to_a_function() -> None:
    @dataclass
    class Leaf:
        name: str

    @dataclass
    class Tree:
        leaves: list[Leaf]
        trees: list[Tree] = field(default_factory=list)

    class Bark(TypedDict):
        tree: NotRequired[Tree]

    class Methods:
        def take(self, tree: Tree, bark: Bark | None = None) -> None: ...

    inner = {"leaves": [{"name": "a"}]}
    assert take(Methods().take, {**inner, "trees": [inner]}, {"tree": inner}) == [
        Tree([Leaf("a")], [Tree([Leaf("a")])]),
        {"tree": Tree([Leaf("a")])},
    ]
    assert refusal(Methods().take, {"leaves": [{}]}).path == "leaves[0]"


# -- what does not


@pytest.mark.parametrize(
    ("function", "args", "argument", "path", "reason"),
    [
        (rest, [{"name": 5}], "first", "name", "Expected `str`, got `int`"),
        (rest, [{}], "first", "", "Object missing required field `name`"),
        (rest, [None], "first", "", "Expected `object`, got `null`"),
        (rest, [{"name": "nothing"}], "first", "", "a thing has a name"),
        (
            rest,
            [{"name": "a"}, {"name": "b"}, TREE | {"count": "1"}],
            "others[1]",
            "count",
            "Expected `int`, got `str`",
        ),
        (containers, [[TREE, {**TREE, "parts": [1]}]], "items", "[1].parts[0]", "Expected `object`, got `int`"),
        (containers, [[], {"a": {"stars": 6}}], "by_name", "a.stars", "Input should be less than or equal to 5"),
        (containers, [[], {}, [1, "blue"]], "pair", "[1]", "Invalid enum value 'blue'"),
        (containers, [[], {}, [1, "red"], "4"], "table", "", "Expected `int`, got `str`"),
        (containers, [[], {}, [1, "red"], True], "table", "", "Expected `int`, got `bool`"),
        (plain, ["a", 10**400], "number", "", "Number out of range"),
        (plain, ["a", 1, True, "text"], "data", "", "Expected `bytes`, got `str`"),
        (others, ["2030-01-02T12:00:00Z", SOME_ID, [], {"a": 1}], "counts", "", "a key: Expected `int`, got `str`"),
        (others, ["2030-01-02T12:00:00Z", SOME_ID, [], {}, 2], "least", "", "Expected `int` >= 3"),
    ],
)
def test_what_does_not_fit_is_named(
    function: Callable[..., Any], args: list[Any], argument: str, path: str, reason: str
) -> None:
    least = Handler(function).least
    padding = ["a", 1.0, True, b"", {}, 1] if function is plain else [[], {}, [1, "red"]]
    args = args + (padding if function is not others else [UTC_NOON, SOME_ID, [], {}, 3])[len(args) : least]
    error = refusal(function, *args)
    where = f"{argument}{'.' if path and path[0] != '[' else ''}{path}"
    assert (error.event, error.argument, error.path, error.reason) == ("x", argument, path, f"{where}: {reason}")
    assert str(error) == f"event 'x': {function.__name__} does not take {where}: {reason}"
    assert isinstance(error.__cause__, msgspec.ValidationError | pydantic.ValidationError)
    assert error.answer() == {
        "error": {"name": "BadPayload", "message": f"{where}: {reason}", "argument": argument, "path": path}
    }


def test_the_words_of_the_client_in_a_refusal_are_few_and_printable() -> None:
    error = refusal(containers, [], {}, [1, "\n\x1b[2J" + "a" * 10_000])
    assert error.reason.isprintable()
    assert len(error.reason) < 300
    by_key = refusal(containers, [], {"\n" * 10_000: {"stars": 0}}, [1, "red"])
    assert by_key.path.isprintable()
    assert len(by_key.path) < 300


def test_what_is_nested_too_deep_is_refused() -> None:
    deep: dict[str, Any] = {"name": "a"}
    for _ in range(100_000):
        deep = {"name": "a", "parts": [deep]}
    assert refusal(rest, deep).reason == "first: nested too deep"
    while deep.get("parts"):  # or its end would be as deep
        deep = deep.pop("parts")[0]


# -- what cannot be met


def of_nowhere(item: Absent) -> None: ...


def misspelt(item: dict[str, Itme]) -> None: ...  # type: ignore[name-defined] # noqa: F821


def of_two_kinds(item: Item | Place) -> None: ...


def unchecked(items: Iterable[Item]) -> None: ...


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (of_nowhere, "of_nowhere: the annotation of item cannot be used: name 'Absent' is not defined"),
        (unchecked, "unchecked: the annotation of items cannot be used: it holds a class that no payload can become"),
        (misspelt, "misspelt: the annotation of item cannot be used: name 'Itme' is not defined"),
        (
            of_two_kinds,
            "of_two_kinds: the annotation of item cannot be used: Type unions may not contain more than one",
        ),
    ],
)
def test_an_annotation_that_cannot_be_met_is_refused_at_registration(function: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        Handler(function, typed=True)


def test_the_socket_and_the_ack_may_be_annotated_with_what_is_not_there_at_run_time() -> None:
    def handler(socket: Absent, item: Item, ack: Absent) -> Absent: ...

    assert Handler(handler, bound=1, typed=True).take("x", [{"name": "tea"}]) == [TEA]


# -- on a server


def test_a_refused_event_reaches_the_hook_the_log_and_the_acknowledgement(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    io = Server()
    errors: list[Any] = []
    io.on("error", lambda *args: errors.append(args))

    @io.event
    def order(socket: Socket, item: Item) -> Item:
        return item

    served = serve(io)
    client, socket = served.member()
    assert client.call("order", {"name": "tea"}) == [{"name": "tea", "count": 1, "parts": []}]
    (answer,) = client.call("order", {"name": "tea", "count": "many"})
    message = "item.count: Expected `int`, got `str`"
    assert answer == {"error": {"name": "BadPayload", "message": message, "argument": "item", "path": "count"}}
    assert client.call("order") == [{"error": {"name": "BadArguments", "message": "takes 1 arguments, 0 came"}}]
    client.emit("order", 5)
    assert client.silent()
    assert [(type(error), whose, event) for error, whose, event in errors] == [
        (BadPayload, socket, "order"),
        (BadArguments, socket, "order"),
        (BadPayload, socket, "order"),
    ]
    records = [record for record in caplog.records if record.name.startswith("socketeer")]
    assert [(record.levelname, record.getMessage()) for record in records] == [
        ("WARNING", str(error)) for error, _, _ in errors
    ]
    caplog.clear()


def test_each_way_of_listening_converts(serve: Serve) -> None:
    io = Server()
    served = serve(io)
    client, socket = served.member()

    @io.event("bound")
    async def bound(socket: Socket, item: Item) -> str:
        await asyncio.sleep(0)
        return item.name

    @socket.on("own")
    def own(item: Item, ack: Ack) -> None:
        ack(item.name)

    @socket.once("once")
    def once(item: Item) -> str:
        return item.name

    caught: list[Any] = []
    socket.on_any(lambda event, *args: caught.append(args))
    for event in ("bound", "own", "once"):
        assert client.call(event, {"name": "tea"}) == ["tea"]
    assert caught == [({"name": "tea"},)] * 3


def test_a_refused_event_does_not_use_up_a_handler_of_one_event(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    served = serve(Server())
    client, socket = served.member()
    socket.once("x", lambda item: item.name)
    socket.off("x")

    @socket.once("x")
    def x(item: Item) -> str:
        return item.name

    assert client.call("x", 5)[0]["error"]["argument"] == "item"
    assert client.call("x", {"name": "tea"}) == ["tea"]
    caplog.clear()


@pytest.mark.parametrize("typed_first", [True, False])
def test_of_several_handlers_the_first_answer_is_the_only_one(
    serve: Serve, caplog: pytest.LogCaptureFixture, typed_first: bool
) -> None:
    served = serve(Server())
    client, socket = served.member()
    seen: list[Any] = []

    def typed(item: Item) -> str:
        return item.name

    def loose(item: Any) -> None:
        seen.append(item)

    for handler in (typed, loose) if typed_first else (loose, typed):
        socket.on("x", handler)
    client.emit("x", {}, id=7)
    packet = client.packet()
    assert (packet.id, packet.data[0]["error"]["argument"]) == (7, "item")
    assert client.silent()
    assert seen == [{}]
    assert client.call("x", {"name": "tea"}) == ["tea"]
    assert seen == [{}, {"name": "tea"}]
    caplog.clear()


def test_a_validator_that_fails_is_an_error_of_the_application(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    io = Server()
    errors: list[Any] = []
    io.on("error", errors.append)
    io.event("x")(lambda socket: "still here")

    @io.event
    def order(socket: Socket, item: Item) -> None: ...

    client = serve(io).join()
    client.emit("order", {"name": "broken"}, id=1)
    assert client.call("x") == ["still here"]
    (error,) = errors
    assert isinstance(error, KeyError)
    (record,) = (record for record in caplog.records if record.exc_info)
    assert record.levelname == "ERROR"
    caplog.clear()


def test_typed_values_are_sent_as_the_client_would_send_them(serve: Serve) -> None:
    served = serve(Server())
    client, socket = served.member()

    @socket.on("x")
    def x(item: Item, guest: Guest, place: Place, review: Review) -> tuple[Any, ...]:
        return item, guest, place, review, [Colour.RED, UUID(SOME_ID)]

    item = {"name": "cup", "count": 1, "parts": [{"name": "ear", "count": 2, "parts": []}]}
    place = {"tableNumber": 4, "at": "2030-01-02T12:00:00Z"}
    review = {"stars": 5, "by": item}
    answer = client.call("x", item, {"name": "A"}, place, review)
    assert answer[:2] == [item, {"name": "A"}]
    assert answer[2] == {"tableNumber": 4, "at": "2030-01-02T12:00:00+00:00"}
    assert answer[3:] == [review, ["red", SOME_ID]]
    socket.emit("y", Guest(name="A", photo=b"\x89"), Place(1, UTC_NOON))
    assert client.event() == ["y", {"name": "A", "photo": b"\x89"}, {**place, "tableNumber": 1, "at": answer[2]["at"]}]


def test_pydantic_is_imported_by_those_who_use_it() -> None:
    code = (
        "import sys, dataclasses, socketeer\n"
        "@dataclasses.dataclass\nclass Item:\n    name: str\n"
        "@socketeer.Server().event\ndef x(socket, item: Item): pass\n"
        "print('pydantic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False"
