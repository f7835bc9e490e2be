"""What the adapter keeps for clients that lost their connection: which of them may come back, and what they missed."""

from __future__ import annotations

import asyncio
import itertools
import json
from enum import Enum
from typing import Any
from uuid import UUID

import pytest

from socketeer.adapters.base import Flags, LostSession, Selection
from socketeer.adapters.recovery import RecoveringAdapter
from socketeer.engine.timers import TICK
from socketeer.multiplex.encoded import Encoded, JsonFormat
from socketeer.options import ConnectionStateRecovery
from tests.adapters.members import KeepingMember, Room
from tests.support.virtual import VirtualTime, timers_in

EVERYBODY = Selection()
VOLATILE = Flags(volatile=True)
LIFETIME, GRACE = 100.0, 10.0


class Haven(Room):
    """Keep the members of a namespace whose adapter lets them come back, on virtual time."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.time = VirtualTime()
        ids = (f"{number:x}mark" for number in itertools.count(10))
        recovery = ConnectionStateRecovery(**{"max_disconnection_duration": LIFETIME, **options})
        self.keeper = RecoveringAdapter("/", self.members, recovery, self.time.wheel, GRACE, lambda: next(ids))
        self.adapter = self.keeper

    def emit(self, *args: Any, to: tuple[str, ...] = (), but: tuple[str, ...] = (), flags: Flags | None = None) -> None:
        """Send an event."""
        body = JsonFormat(10).body(list(args))
        selection = Selection(to, but)
        self.keeper.broadcast(body, selection, flags) if flags else self.keeper.broadcast(body, selection)

    def enter(self, id: str, *rooms: str) -> LostSession:
        """Add a member; give what would be kept of it."""
        self.add(id, *rooms)
        return LostSession(id, f"secret of {id}", (id, *rooms), {}, self.keeper.position())

    def lose(self, session: LostSession) -> str | None:
        """Let a member lose its connection; give the offset of the last event that it got."""
        member = self.members[session.id]
        self.drop(member)
        self.keeper.persist(session)
        offsets = [args_of(packet)[-1] for packet in member.packets]
        return next((offset for offset in reversed(offsets) if isinstance(offset, str)), None)

    def return_of(self, session: LostSession, offset: str | None) -> list[Any] | None:
        """Give the first arguments of what a client missed; None where it cannot come back."""
        back = asyncio.run(self.keeper.restore(session.pid, offset))
        if back is None:
            return None
        assert back is session
        return [args_of(packet)[1] for packet in self.keeper.missed(back)]


def args_of(packet: Encoded) -> list[Any]:
    args = json.loads(packet.text[packet.text.index(b"[") :])
    assert isinstance(args, list)
    return args


def offset_of(packet: Encoded) -> str:
    offset = args_of(packet)[-1]
    assert isinstance(offset, str)
    return offset


def test_what_was_missed_comes_once_and_in_order() -> None:
    haven = Haven()
    ann = haven.enter("ann", "red")
    haven.emit("x", 1)
    offset = haven.lose(ann)
    for number in (2, 3, 4):
        haven.emit("x", number)
    assert haven.return_of(ann, offset) == [2, 3, 4]
    assert haven.return_of(ann, offset) is None


def test_an_event_on_its_way_when_the_connection_broke_was_missed_too() -> None:
    haven = Haven()
    ann = haven.enter("ann")
    for number in (1, 2, 3):
        haven.emit("x", number)
    first = offset_of(haven.members["ann"].packets[0])
    haven.lose(ann)
    assert haven.return_of(ann, first) == [2, 3]


def test_only_what_was_meant_for_the_client_counts() -> None:
    haven = Haven()
    haven.emit("x", "before it came")
    ann = haven.enter("ann", "red")
    haven.lose(ann)
    haven.emit("x", "all")
    haven.emit("x", "blue", to=("blue",))
    haven.emit("x", "red", to=("red",))
    haven.emit("x", "both", to=("blue", "red"))
    haven.emit("x", "itself", to=("ann",))
    haven.emit("x", "not red", but=("red",))
    haven.emit("x", "others", but=("ann",))
    haven.emit("x", "red but ann", to=("red",), but=("ann",))
    haven.emit("x", "not blue", but=("blue",))
    assert haven.return_of(ann, None) == ["all", "red", "both", "itself", "not blue"]


def test_every_recipient_gets_the_same_bytes_and_older_clients_no_offset() -> None:
    haven = Haven()
    members = [haven.add(id) for id in ("ann", "bob", "old")]
    members[2].recovers = False
    haven.emit("x", {"a": b"bytes"})
    ann, bob, old = (member.packets[0] for member in members)
    assert ann is bob
    assert args_of(ann) == ["x", {"a": {"_placeholder": True, "num": 0}}, offset_of(ann)]
    assert args_of(old) == ["x", {"a": {"_placeholder": True, "num": 0}}]
    assert ann.attachments == old.attachments == (b"bytes",)
    assert ann.args == old.args == ["x", {"a": b"bytes"}]


class Colour(Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("args", "stamped"),
    [
        ((), True),  # the name is the last string
        (("text",), True),
        ((Colour.RED,), True),
        ((UUID(int=0),), True),
        ((1,), False),
        ((None,), False),
        ((True,), False),
        ((1.5,), False),
        ((["text"],), False),
        (({"a": "text"},), False),
        ((b"text",), False),
        (("text", 1), False),
    ],
)
def test_a_volatile_event_is_not_kept_and_its_last_string_is_not_taken_for_an_offset(
    args: tuple[Any, ...], stamped: bool
) -> None:
    haven = Haven()
    ann = haven.enter("ann")
    haven.emit("x", 1)
    haven.emit("x", *args, flags=VOLATILE)
    first, second = haven.members["ann"].packets
    assert len(args_of(second)) == 1 + len(args) + stamped
    if stamped:
        assert offset_of(second) == offset_of(first)
    haven.lose(ann)
    haven.emit("x", 2)
    haven.emit("x", 3, flags=VOLATILE)
    assert haven.return_of(ann, offset_of(second if stamped else first)) == [2]


def test_two_losses_in_a_row_lose_nothing() -> None:
    haven = Haven()
    ann = haven.enter("ann")
    haven.emit("x", 1)
    offset = haven.lose(ann)
    haven.emit("x", 2)
    assert haven.return_of(ann, offset) == [2]
    haven.keeper.persist(ann)  # before it got anything
    haven.emit("x", 3)
    assert haven.return_of(ann, offset) == [2, 3]


# Who may come back.


def test_a_secret_that_nobody_has_lost() -> None:
    haven = Haven()
    ann = haven.enter("ann")
    assert haven.return_of(ann, None) is None  # it is still here
    haven.lose(ann)
    for pid in ("", "secret of an", "secret of annx", "Secret of ann", "\udc80"):
        assert asyncio.run(haven.keeper.restore(pid, None)) is None
    assert haven.return_of(ann, None) == []


@pytest.mark.parametrize(("late", "back"), [(0.0, True), (0.5, False)])
def test_the_time_is_up_behind_the_last_moment(late: float, back: bool) -> None:
    haven = Haven()
    ann = haven.enter("ann")
    haven.lose(ann)
    haven.emit("x", 1)
    haven.time.advance(LIFETIME + late)
    assert haven.return_of(ann, None) == ([1] if back else None)


@pytest.mark.parametrize(
    "offset",
    ["", "x", "foreign.1", "{mark}", "{mark}g", "{mark}-1", "{mark}+1", "{mark} 1", "{mark}1_0", "{mark}0x1", "{mark}٣",
     "{mark}" + "0" * 17, "{mark}2", "{mark}ffffffffffffffff", "1", "{mark}1\n", "\udc80"],
)  # fmt: skip
def test_an_offset_that_no_packet_has(offset: str) -> None:
    haven = Haven()
    ann = haven.enter("ann")
    haven.emit("x", 1)
    mark = offset_of(haven.members["ann"].packets[0]).removesuffix("1")
    haven.lose(ann)
    assert haven.return_of(ann, offset.replace("{mark}", mark)) is None
    assert haven.return_of(ann, f"{mark}1") is None  # a secret is good for one try


def test_an_offset_of_a_session_before_counts_for_no_more_than_none() -> None:
    haven = Haven()
    first = haven.enter("ann")
    haven.emit("x", 1)
    offset = haven.lose(first)
    haven.emit("x", 2)
    second = haven.enter("ann again")
    haven.lose(second)
    haven.emit("x", 3)
    assert haven.return_of(second, offset) == [3]


@pytest.mark.parametrize(("sent", "back"), [(5, True), (6, False)])
def test_so_many_packets_are_kept(sent: int, back: bool) -> None:
    haven = Haven(max_packets=5)
    ann = haven.enter("ann")
    haven.emit("x", 0)
    offset = haven.lose(ann)
    for number in range(sent):
        haven.emit("x", number)
    assert haven.return_of(ann, offset) == (list(range(sent)) if back else None)


def test_a_client_that_has_missed_nothing_of_what_was_dropped_may_come_back() -> None:
    haven = Haven(max_packets=2)
    haven.enter("bob")
    for number in range(5):
        haven.emit("x", number)
    ann = haven.enter("ann")
    offset = haven.lose(ann)
    haven.emit("x", "new")
    assert haven.return_of(ann, offset) == ["new"]


@pytest.mark.parametrize(("sizes", "back"), [([300, 300, 300], True), ([300, 300, 301], False), ([901], False)])
def test_so_many_bytes_are_kept(sizes: list[int], back: bool) -> None:
    haven = Haven(max_bytes=900)
    ann = haven.enter("ann")
    haven.lose(ann)
    overhead = len('42["x","","aard.1"]') - len('""') + len('{"_placeholder":true,"num":0}') + len("451-") - len("42")
    for size in sizes:
        haven.emit("x", bytes(size - overhead))
    missed = haven.return_of(ann, None)
    assert (missed is not None) == back
    if back:
        assert haven.keeper._size == sum(sizes)
    assert haven.keeper._size <= 900
    haven.emit("x", "small enough")
    assert haven.keeper._kept


@pytest.mark.parametrize(("others", "back"), [(2, True), (3, False)])
def test_so_many_clients_are_kept(others: int, back: bool) -> None:
    haven = Haven(max_sessions=3)
    haven.lose(ann := haven.enter("ann"))
    sessions = [haven.enter(f"bob {number}") for number in range(others)]
    for session in sessions:
        haven.lose(session)
    assert (haven.return_of(ann, None) is not None) == back
    assert all(haven.return_of(session, None) == [] for session in sessions)


def test_a_client_that_is_lost_again_is_the_youngest() -> None:
    haven = Haven(max_sessions=2)
    haven.lose(ann := haven.enter("ann"))
    haven.lose(haven.enter("bob"))
    assert haven.return_of(ann, None) == []
    haven.keeper.persist(ann)
    haven.lose(haven.enter("cid"))
    assert haven.return_of(ann, None) == []


# Time.


def test_a_quiet_client_is_not_held_to_have_missed_what_is_merely_old() -> None:
    haven = Haven()
    ann = haven.enter("ann", "quiet")
    haven.enter("bob", "loud")
    haven.emit("x", "once")
    offset = offset_of(haven.members["ann"].packets[-1])
    for _ in range(5):
        haven.emit("x", "noise", to=("loud",))
        haven.time.advance(LIFETIME)
    assert len(haven.keeper._kept) < 4
    haven.lose(ann)
    haven.emit("x", "news")
    haven.time.advance(LIFETIME - 1)
    assert haven.return_of(ann, offset) == ["news"]


def test_what_was_sent_before_silence_was_noticed_is_kept_as_long_as_the_client_may_return() -> None:
    haven = Haven()
    ann = haven.enter("ann")
    haven.emit("x", "into the void")
    haven.time.advance(GRACE)  # until the heartbeat finds out
    haven.lose(ann)
    haven.time.advance(LIFETIME)
    assert haven.return_of(ann, None) == ["into the void"]


def test_nothing_is_kept_for_good_and_no_timer_runs_for_nothing() -> None:
    haven = Haven()
    empty: list[bool] = []
    haven.keeper.on_empty = lambda: empty.append(haven.keeper.is_empty())
    assert timers_in(haven.time.wheel) == 0
    haven.lose(haven.enter("ann"))
    haven.emit("x", 1)
    assert not haven.keeper.is_empty()
    haven.time.advance(2 * LIFETIME + GRACE + TICK)
    assert empty
    assert all(empty)
    assert haven.keeper.is_empty()
    assert (haven.keeper._size, len(haven.keeper._kept)) == (0, 0)
    assert timers_in(haven.time.wheel) == 0
    # And all over again, with offsets that go on.
    ann = haven.enter("ann")
    haven.lose(ann)
    haven.emit("x", 2)
    assert haven.return_of(ann, None) == [2]


def test_who_stays_away_is_forgotten_one_after_another() -> None:
    haven = Haven()
    haven.lose(haven.enter("early"))
    haven.time.advance(70)
    haven.lose(haven.enter("late"))
    haven.time.advance(50 + TICK)
    assert len(haven.keeper._lost) == 1
    haven.time.advance(60)
    assert haven.keeper.is_empty()


def test_after_the_end_it_keeps_again() -> None:
    haven = Haven(max_bytes=60)
    haven.emit("x", "something long enough")
    asyncio.run(haven.keeper.close())
    assert timers_in(haven.time.wheel) == 0
    assert haven.keeper.is_empty()
    ann = haven.enter("ann")
    haven.lose(ann)
    haven.emit("x", "something as long as it")
    assert haven.return_of(ann, None) == ["something as long as it"]
    haven.lose(haven.enter("bob"))
    haven.time.advance(2 * LIFETIME + GRACE + TICK)
    assert haven.keeper.is_empty()
    assert timers_in(haven.time.wheel) == 0


def test_it_keeps_for_nobody_what_only_older_clients_have_got() -> None:
    haven = Haven()
    old: KeepingMember = haven.add("old")
    old.recovers = False
    haven.emit("x", "text")
    assert args_of(old.packets[0]) == ["x", "text"]
