"""Rooms, and everything that selects sockets by them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from socketeer import Server, Socket
from tests.server.conftest import Served
from tests.support.raw import Client

Serve = Callable[[Server], Served]


class Crowd:
    """Hold clients a, b, c and d; b is in room 1, c in rooms 1 and 2, d in room 2."""

    def __init__(self, served: Served) -> None:
        self.io = served.io
        self.served = served
        members = {name: served.member() for name in "abcd"}
        self.clients: dict[str, Client] = {name: client for name, (client, _) in members.items()}
        self.sockets: dict[str, Socket] = {name: socket for name, (_, socket) in members.items()}
        self.sockets["b"].join("1")
        self.sockets["c"].join(["1", "2"])
        self.sockets["d"].join("2")
        served.settle()

    def who_gets(self, operator: Any) -> str:
        """Emit to what ``operator`` selects and tell who gets it, each as often as it does."""
        self.served.call(lambda: operator.emit("x", 1))
        got = ""
        for name, client in self.clients.items():
            client.emit("sync", id=999)
            while (packet := client.packet()).id != 999:
                assert packet.data == ["x", 1]
                got += name
        return got


@pytest.fixture
def crowd(serve: Serve) -> Crowd:
    return Crowd(serve(Server()))


SELECTIONS: list[tuple[str, Callable[[Crowd], Any]]] = [
    ("abcd", lambda crowd: crowd.io),
    ("abcd", lambda crowd: crowd.io.sockets),
    ("abcd", lambda crowd: crowd.io.local),
    ("abcd", lambda crowd: crowd.io.compress(True)),
    ("bc", lambda crowd: crowd.io.to("1")),
    ("bc", lambda crowd: crowd.io.in_("1")),
    ("bcd", lambda crowd: crowd.io.to("1").to("2")),
    ("bcd", lambda crowd: crowd.io.to(["1", "2"])),
    ("bcd", lambda crowd: crowd.io.to("1", "2")),
    ("bcd", lambda crowd: crowd.io.to({"1"}).in_(("2", "1"))),
    ("bc", lambda crowd: crowd.io.to("1").to("1")),
    ("bc", lambda crowd: crowd.io.to("1").to(crowd.sockets["b"].id)),
    ("", lambda crowd: crowd.io.to("nowhere")),
    ("bc", lambda crowd: crowd.io.to("1").to("nowhere")),
    ("ad", lambda crowd: crowd.io.except_("1")),
    ("a", lambda crowd: crowd.io.except_("1").except_("2")),
    ("a", lambda crowd: crowd.io.except_(["1", "2"])),
    ("b", lambda crowd: crowd.io.to("1").except_("2")),
    ("b", lambda crowd: crowd.io.except_("2").to("1")),
    ("acd", lambda crowd: crowd.io.except_(crowd.sockets["b"].id)),
    ("abcd", lambda crowd: crowd.io.except_("nowhere")),
    ("bcd", lambda crowd: crowd.sockets["a"].broadcast),
    ("bcd", lambda crowd: crowd.sockets["a"].local),
    ("cd", lambda crowd: crowd.sockets["b"].to("1").to("2")),
    ("c", lambda crowd: crowd.sockets["b"].in_("1")),
    ("bc", lambda crowd: crowd.sockets["a"].to("1")),
    ("ad", lambda crowd: crowd.sockets["c"].except_("1")),
    ("d", lambda crowd: crowd.sockets["a"].except_("1")),
    ("", lambda crowd: crowd.sockets["a"].to(crowd.sockets["a"].id)),
    ("c", lambda crowd: crowd.sockets["a"].to(crowd.sockets["c"].id)),
    ("a", lambda crowd: crowd.sockets["a"]),
    ("a", lambda crowd: crowd.sockets["a"].compress(False)),
    ("bcd", lambda crowd: crowd.sockets["a"].volatile.broadcast),
    ("bc", lambda crowd: crowd.sockets["a"].volatile.to("1")),
    ("bc", lambda crowd: crowd.sockets["a"].timeout(1).in_("1")),
]


def test_who_gets_an_event(crowd: Crowd) -> None:
    for index, (expected, select) in enumerate(SELECTIONS):
        assert crowd.who_gets(select(crowd)) == expected, f"selection {index}"


def test_send_is_an_event_named_message(crowd: Crowd) -> None:
    crowd.io.to("2").send("a", 2)
    crowd.sockets["c"].to("2").write(None)
    crowd.sockets["d"].send(b"3")
    assert crowd.clients["c"].event() == ["message", "a", 2]
    assert crowd.clients["d"].events(3) == [["message", "a", 2], ["message", None], ["message", b"3"]]


def test_operators_do_not_change(crowd: Crowd) -> None:
    one = crowd.io.to("1")
    others = crowd.sockets["b"].broadcast
    for operator in (one, others):
        operator.to("2")
        operator.except_("1")
        operator.timeout(0)
        operator.local.compress(True)
        assert operator.volatile is not operator
    assert crowd.who_gets(one) == "bc"
    assert crowd.who_gets(one) == "bc"
    assert crowd.who_gets(others) == "acd"


def test_an_operator_selects_when_it_is_used(crowd: Crowd) -> None:
    one = crowd.io.to("1")
    crowd.sockets["a"].join("1")
    crowd.sockets["b"].leave("1")
    crowd.served.settle()
    assert crowd.who_gets(one) == "ac"


@pytest.mark.parametrize("room", [3, None, [4], ["a", None], b"room"])
def test_a_room_is_a_text(crowd: Crowd, room: Any) -> None:
    calls: list[Callable[[Any], Any]] = [
        crowd.io.to,
        crowd.io.except_,
        crowd.io.sockets_join,
        crowd.io.sockets_leave,
        crowd.sockets["a"].to,
        crowd.sockets["a"].join,
    ]
    for call in calls:
        with pytest.raises(TypeError):
            call(room)
    assert crowd.sockets["a"].rooms == {crowd.sockets["a"].id}


def test_joining_and_leaving(crowd: Crowd) -> None:
    socket = crowd.sockets["a"]

    def go() -> list[set[str]]:
        seen = []
        socket.join("r")
        socket.join("r")
        seen.append(set(socket.rooms))
        socket.join({"s", "t"})
        seen.append(set(socket.rooms))
        socket.leave("s")
        socket.leave("never joined")
        seen.append(set(socket.rooms))
        return seen

    id = socket.id
    assert crowd.served.call(go) == [{id, "r"}, {id, "r", "s", "t"}, {id, "r", "t"}]
    rooms: Any = socket.rooms
    rooms.add("not really")
    assert "not really" not in socket.rooms


def test_empty_rooms_are_forgotten(crowd: Crowd) -> None:
    adapter: Any = crowd.io.sockets.adapter
    ids = {socket.id for socket in crowd.sockets.values()}
    assert crowd.served.call(lambda: set(adapter.rooms)) == {*ids, "1", "2"}
    crowd.sockets["b"].leave("1")
    crowd.sockets["c"].leave("1")
    assert crowd.served.call(lambda: set(adapter.rooms)) == {*ids, "2"}
    crowd.io.disconnect_sockets()
    assert crowd.served.call(lambda: (adapter.rooms, adapter._rooms_of)) == ({}, {})


def test_a_socket_may_leave_the_room_of_its_own_id(crowd: Crowd) -> None:
    socket = crowd.sockets["a"]
    socket.leave(socket.id)
    crowd.served.settle()
    assert crowd.who_gets(crowd.io.to(socket.id)) == ""
    assert crowd.who_gets(crowd.io) == "abcd"
    assert crowd.who_gets(socket) == "a"


# Many at once.


def test_fetched_sockets_tell_what_is_known(crowd: Crowd) -> None:
    crowd.sockets["b"].data["name"] = "Bea"
    fetched = crowd.served.run(crowd.io.in_("1").fetch_sockets())
    assert {remote.id for remote in fetched} == {crowd.sockets["b"].id, crowd.sockets["c"].id}
    (remote,) = [remote for remote in fetched if remote.id == crowd.sockets["b"].id]
    assert remote.rooms == {remote.id, "1"}
    assert remote.data == {"name": "Bea"}
    assert remote.handshake == crowd.sockets["b"].handshake
    assert len(crowd.served.run(crowd.io.fetch_sockets())) == 4
    assert len(crowd.served.run(crowd.sockets["a"].broadcast.fetch_sockets())) == 3
    assert len(crowd.served.run(crowd.io.except_("1").local.fetch_sockets())) == 2
    assert crowd.served.run(crowd.io.in_("nowhere").fetch_sockets()) == []


def test_fetched_sockets_can_be_worked_with(crowd: Crowd) -> None:
    (remote,) = crowd.served.run(crowd.io.in_(crowd.sockets["a"].id).fetch_sockets())
    remote.emit("hello", 1)
    assert crowd.clients["a"].event() == ["hello", 1]
    remote.join("x", "y")
    remote.leave("y")
    crowd.served.settle()
    assert crowd.sockets["a"].rooms == {remote.id, "x"}

    async def ask() -> Any:
        return await remote.timeout(5).emit_with_ack("question")

    waiting = asyncio.run_coroutine_threadsafe(ask(), crowd.served.running.loop)
    crowd.clients["a"].answer(crowd.clients["a"].packet(), "answer")
    assert waiting.result(20) == ["answer"]
    remote.disconnect()
    assert crowd.clients["a"].packet().type == 1
    remote.emit("nobody is there")
    assert crowd.served.run(crowd.io.in_(remote.id).fetch_sockets()) == []


def test_sockets_are_moved_together(crowd: Crowd) -> None:
    crowd.io.in_("1").sockets_join("x", "y")
    crowd.io.except_("1").sockets_join(["z"])
    crowd.io.in_("x").sockets_leave("1", "y")
    crowd.served.settle()
    ids = {name: socket.id for name, socket in crowd.sockets.items()}
    assert {name: set(socket.rooms) - {ids[name]} for name, socket in crowd.sockets.items()} == {
        "a": {"z"},
        "b": {"x"},
        "c": {"x", "2"},
        "d": {"2", "z"},
    }


@pytest.mark.parametrize("close", [False, True])
def test_sockets_are_put_out_together(crowd: Crowd, close: bool) -> None:
    crowd.io.in_("1").disconnect_sockets(close=close)
    for name in "bc":
        assert crowd.clients[name].packet().type == 1
        if close:
            assert crowd.clients[name].closed() == 1000
    for name in "ad":
        assert crowd.clients[name].silent()
    assert len(crowd.served.run(crowd.io.fetch_sockets())) == 2


def test_a_socket_can_be_put_out_by_another_with_a_broadcast(crowd: Crowd) -> None:
    crowd.sockets["b"].to("1").disconnect_sockets(close=True)
    crowd.clients["c"].closed()
    assert crowd.clients["b"].silent()


def test_a_broadcast_is_not_disturbed_by_a_handler_that_puts_sockets_out(serve: Serve) -> None:
    io = Server()
    served = serve(io)
    members = [served.member() for _ in range(3)]

    def storm() -> None:
        for _, socket in members:
            socket.on("disconnect", lambda: io.emit("left"))
        members[0][1].on("disconnect", lambda: io.disconnect_sockets())
        members[0][1].disconnect()

    served.call(storm)
    for client, _ in members:
        client.send("0/missing,")
        while (packet := client.packet()).namespace != "/missing":
            assert packet.type == 1 or packet.data == ["left"]
    assert served.run(io.fetch_sockets()) == []


# Volatile.


def test_volatile_events_are_dropped_while_the_client_cannot_take_them(serve: Serve) -> None:
    io = Server()
    served = serve(io)
    client, socket = served.member()
    quick = served.join()

    def flood() -> None:
        socket.volatile.emit("before")
        socket.emit("flood", "x" * 8_000_000)  # more than the buffers of both ends take
        socket.volatile.emit("dropped", b"with bytes")
        io.volatile.emit("told", "those who can")
        io.emit("told", "all")

    served.call(flood)
    assert quick.event() == ["told", "those who can"]
    assert quick.event() == ["told", "all"]
    assert client.event() == ["before"]
    assert client.event()[0] == "flood"
    assert client.event() == ["told", "all"]
    assert client.silent()
    socket.volatile.emit("after", b"\1")
    assert client.event() == ["after", b"\1"]


def test_volatile_events_need_a_poll_that_waits(serve: Serve) -> None:
    io = Server()
    served = serve(io)
    client, socket = served.member(transport="polling")
    socket.volatile.emit("dropped")
    socket.emit("kept")
    socket.volatile.emit("dropped too")
    served.settle()
    assert client.event() == ["kept"]
    socket.emit("kept too")
    assert client.event() == ["kept too"]
