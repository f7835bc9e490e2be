"""The rooms of one process: who is in them, who is selected, and how a broadcast bears with what happens meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketeer.adapters.base import PLAIN, Adapter, Flags, Member, Selection
from socketeer.adapters.memory import MemoryAdapter
from socketeer.multiplex.encoded import JsonFormat
from tests.adapters.members import KeepingCollector, KeepingMember, Room

EVENT = JsonFormat(10).body(["news", 1])


def names(members: Collection[Member]) -> list[str]:
    return sorted(member.id for member in members)


def chosen(room: Room, rooms: tuple[str, ...] = (), except_: tuple[str, ...] = ()) -> list[str]:
    return names(room.adapter.select(Selection(rooms, except_)))


def got(room: Room) -> list[str]:
    """Return the members that got a packet, once for each."""
    return sorted(member.id for member in room.members.values() for _ in member.packets)


@pytest.fixture
def house() -> Room:
    """Return a namespace with four sockets in two rooms that overlap."""
    room = Room()
    room.add("ann", "red")
    room.add("bob", "red", "blue")
    room.add("cid", "blue")
    room.add("dan")
    return room


# Rooms


def test_it_is_an_adapter() -> None:
    assert issubclass(MemoryAdapter, Adapter)


def test_rooms_come_and_go_with_their_members() -> None:
    room = Room()
    ann, bob = room.add("ann"), room.add("bob")
    ann.join("red")
    bob.join(["red", "blue"])
    assert set(room.adapter.rooms) == {"ann", "bob", "red", "blue"}
    assert set(room.adapter.rooms_of(bob)) == {"bob", "red", "blue"}
    ann.leave("red")
    assert set(room.adapter.rooms) == {"ann", "bob", "red", "blue"}
    bob.leave("red")
    assert set(room.adapter.rooms) == {"ann", "bob", "blue"}
    room.drop(bob)
    assert set(room.adapter.rooms) == {"ann"}
    assert set(room.adapter.rooms_of(bob)) == set()
    room.drop(ann)
    assert room.adapter.rooms == {}
    assert room.adapter._rooms_of == {}


def test_joining_and_leaving_twice_changes_nothing() -> None:
    room = Room()
    ann = room.add("ann")
    ann.join("red")
    ann.join(["red", "red"])
    assert room.adapter.rooms["red"] == {ann}
    ann.leave("red")
    ann.leave("red")
    ann.leave("never")
    assert set(room.adapter.rooms) == {"ann"}
    room.drop(ann)
    room.drop(ann)
    ann.leave("ann")
    assert room.adapter.rooms == {}


def test_rooms_may_come_from_an_iterator() -> None:
    room = Room()
    ann = room.add("ann")
    room.adapter.add(ann, (f"room {number}" for number in range(3)))
    assert len(room.adapter.rooms_of(ann)) == 4


def test_leaving_a_room_of_others_leaves_it_to_them() -> None:
    room = Room()
    room.add("ann", "red")
    bob = room.add("bob")
    bob.leave("red")
    assert chosen(room, ("red",)) == ["ann"]


# Selections


@pytest.mark.parametrize(
    ("rooms", "except_", "expected"),
    [
        ((), (), ["ann", "bob", "cid", "dan"]),
        (("red",), (), ["ann", "bob"]),
        (("red", "blue"), (), ["ann", "bob", "cid"]),
        (("red", "red"), (), ["ann", "bob"]),
        (("blue", "dan"), (), ["bob", "cid", "dan"]),
        (("none",), (), []),
        (("none", "blue"), (), ["bob", "cid"]),
        (("none", "nil"), (), []),
        ((), ("ann",), ["bob", "cid", "dan"]),
        ((), ("red",), ["cid", "dan"]),
        ((), ("red", "blue"), ["dan"]),
        ((), ("none",), ["ann", "bob", "cid", "dan"]),
        ((), ("none", "dan"), ["ann", "bob", "cid"]),
        (("red",), ("blue",), ["ann"]),
        (("red", "blue"), ("bob",), ["ann", "cid"]),
        (("red", "blue"), ("ann", "cid"), ["bob"]),
        (("red",), ("red",), []),
        (("ann",), (), ["ann"]),
    ],
)
def test_a_selection(house: Room, rooms: tuple[str, ...], except_: tuple[str, ...], expected: list[str]) -> None:
    assert chosen(house, rooms, except_) == expected
    house.adapter.broadcast(EVENT, Selection(rooms, except_))
    assert got(house) == expected


@given(
    st.lists(st.frozensets(st.sampled_from("abc")), max_size=8),
    st.lists(st.sampled_from("abcx"), max_size=4),
    st.lists(st.sampled_from("abcx"), max_size=4),
)
def test_any_selection(memberships: list[frozenset[str]], rooms: list[str], except_: list[str]) -> None:
    room = Room()
    for number, membership in enumerate(memberships):
        room.add(str(number), *membership)
    expected = [
        str(number)
        for number, membership in enumerate(memberships)
        if (not rooms or membership & set(rooms)) and not membership & set(except_)
    ]
    assert chosen(room, tuple(rooms), tuple(except_)) == expected


@pytest.mark.parametrize("rooms", [(), ("red",), ("red", "blue")])
@pytest.mark.parametrize("except_", [(), ("dan",), ("dan", "ann")])
def test_later_changes_leave_a_selection_alone(house: Room, rooms: tuple[str, ...], except_: tuple[str, ...]) -> None:
    selected = house.adapter.select(Selection(rooms, except_))
    before = names(selected)
    for member in list(house.members.values()):
        house.drop(member)
    house.add("eve", "red", "blue")
    assert names(selected) == before


@pytest.mark.parametrize("rooms", [(), ("red",), ("red", "blue")])
def test_a_socket_that_is_not_let_in_yet_is_reached_by_nothing(house: Room, rooms: tuple[str, ...]) -> None:
    eve = house.add_joining("eve", "red", "blue")
    assert "eve" not in chosen(house, rooms)
    collector = KeepingCollector()
    selection = Selection(rooms)
    house.adapter.broadcast(EVENT, selection)
    house.adapter.broadcast_with_ack(EVENT, 1, selection, collector)
    house.adapter.join(selection, ("green",))
    house.adapter.disconnect(selection, close=True)
    assert (eve.packets, eve.waiting, eve.disconnects) == ([], {}, [])
    assert set(house.adapter.rooms_of(eve)) == {"red", "blue"}
    house.members["eve"] = eve  # now it is
    assert chosen(house, ("red",)) == ["eve"]


# Broadcasts


def test_a_packet_is_encoded_once_for_all(house: Room) -> None:
    house.adapter.broadcast(EVENT, Selection())
    packets = [member.packets[0] for member in house.members.values()]
    assert all(packet is packets[0] for packet in packets)
    assert packets[0].text == b'42["news",1]'


@pytest.mark.parametrize("selection", [Selection(("none",)), Selection((), ("red", "blue", "dan"))])
def test_a_broadcast_to_nobody(house: Room, selection: Selection) -> None:
    house.adapter.broadcast(EVENT, selection)
    collector = KeepingCollector()
    house.adapter.broadcast_with_ack(EVENT, 1, selection, collector)
    assert collector.expected == [0]
    assert got(house) == []


def test_the_namespace_is_the_adapters_own() -> None:
    room = Room("/chat")
    ann = room.add("ann")
    room.adapter.broadcast(EVENT, Selection())
    room.adapter.broadcast_with_ack(EVENT, 5, Selection(), KeepingCollector())
    assert [packet.text for packet in ann.packets] == [b'42/chat,["news",1]', b'42/chat,5["news",1]']


@pytest.mark.parametrize("flags", [PLAIN, Flags(volatile=True), Flags(compress=False), Flags(local=True)])
def test_the_flags_are_passed_on(house: Room, flags: Flags) -> None:
    house.adapter.broadcast(EVENT, Selection(), flags)
    assert [member.flags for member in house.members.values()] == [[flags]] * 4


class WatchedMembers(dict[str, KeepingMember]):
    """Count the members that are looked at one by one."""

    walked = 0

    def values(self) -> Any:
        """Count them all."""
        self.walked += len(self)
        return super().values()


def test_a_room_costs_no_work_for_those_outside() -> None:
    room = Room()
    room.members = members = WatchedMembers()
    room.adapter = MemoryAdapter("/", members)
    for number in range(1000):
        room.add(str(number), "big")
    small = [room.add(f"s{number}", "small") for number in range(3)]
    members.walked = 0
    touched: list[str] = []

    class Watched(set[Any]):
        def __iter__(self) -> Any:
            touched.append("big")
            return super().__iter__()

    room.adapter.rooms["big"] = Watched(room.adapter.rooms["big"])
    room.adapter.broadcast(EVENT, Selection(("small",)))
    room.adapter.broadcast(EVENT, Selection(("small", "s1"), ("big",)))
    room.adapter.broadcast(EVENT, Selection(("7",)))
    assert [len(member.packets) for member in small] == [2, 2, 2]
    assert (members.walked, touched) == (0, [])


def test_a_member_may_leave_while_it_is_sent_to(house: Room) -> None:
    for member in house.members.values():
        member.on_deliver = lambda member=member: house.drop(member)  # type: ignore[misc]
    members = list(house.members.values())
    house.adapter.broadcast(EVENT, Selection(("red", "blue")))
    assert [len(member.packets) for member in members] == [1, 1, 1, 0]
    assert set(house.members) == {"dan"}


def test_rooms_may_change_while_a_broadcast_is_under_way(house: Room) -> None:
    ann, bob, dan = (house.members[id] for id in ("ann", "bob", "dan"))

    def change() -> None:
        bob.leave("red")
        dan.join("red")
        house.add(f"new {len(house.members)}", "red")

    ann.on_deliver = bob.on_deliver = change
    house.adapter.broadcast(EVENT, Selection(("red",)))
    assert [len(member.packets) for member in (ann, bob, dan)] == [1, 1, 0]
    house.adapter.broadcast(EVENT, Selection(("red",)))
    assert [len(member.packets) for member in (ann, bob, dan)] == [2, 1, 1]


def test_a_broadcast_may_start_another(house: Room) -> None:
    ann = house.members["ann"]
    inner = JsonFormat(10).body(["inner"])

    def echo() -> None:
        ann.on_deliver = lambda: None
        house.adapter.broadcast(inner, Selection())

    ann.on_deliver = echo
    house.adapter.broadcast(EVENT, Selection())
    for member in house.members.values():
        assert sorted(packet.text for packet in member.packets) == [b'42["inner"]', b'42["news",1]']


# Broadcasts with acknowledgements


def test_the_collector_knows_first_how_many_are_asked(house: Room) -> None:
    collector = KeepingCollector()
    ann, bob = house.members["ann"], house.members["bob"]
    ann.on_deliver = lambda: ann.waiting.pop(7)(["at once"])
    house.adapter.broadcast_with_ack(EVENT, 7, Selection(("red",)), collector)
    assert collector.expected == [2]
    assert collector.answers == [["at once"]]
    bob.waiting.pop(7)(None)
    assert collector.answers == [["at once"], None]
    assert [packet.text for packet in ann.packets + bob.packets] == [b'427["news",1]'] * 2


# What is done to a selection


def test_joining_and_leaving_together(house: Room) -> None:
    house.adapter.join(Selection(("red",)), ("green", "red"))
    assert chosen(house, ("green",)) == ["ann", "bob"]
    house.adapter.leave(Selection(("blue",)), ("green", "red", "none"))
    assert chosen(house, ("green",)) == ["ann"]
    assert chosen(house, ("red",)) == ["ann"]
    house.adapter.leave(Selection(("red",)), ("red",))  # the room that it goes through
    assert "red" not in house.adapter.rooms


@pytest.mark.parametrize("close", [False, True])
def test_putting_out_together(house: Room, close: bool) -> None:
    members = list(house.members.values())
    house.adapter.disconnect(Selection((), ("dan",)), close=close)
    assert [member.disconnects for member in members] == [[close], [close], [close], []]
    assert set(house.adapter.rooms) == {"dan"}


def test_fetching(house: Room) -> None:
    async def fetch() -> None:
        assert names(await house.adapter.fetch(Selection(("blue",)))) == ["bob", "cid"]
        assert await house.adapter.fetch(Selection(("none",))) == []
        await house.adapter.close()
        assert chosen(house) == ["ann", "bob", "cid", "dan"]

    asyncio.run(fetch())
