"""The timer wheel: deadlines met once, in order and not early, and no work that grows with what passes by."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from socketeer.engine.timers import TICK, Timer, TimerWheel
from tests.support.virtual import VirtualTime, timers_in


def noted(fired: list[float], time: VirtualTime) -> Callable[[], None]:
    return lambda: fired.append(time.now)


def test_an_empty_wheel_has_no_deadline() -> None:
    time = VirtualTime()
    assert time.wheel.next_deadline() is None
    time.wheel.advance()
    assert time.wakes == []


def test_a_timer_fires_once_and_at_most_a_tick_late() -> None:
    time = VirtualTime()
    fired: list[float] = []
    time.wheel.call_later(2.0, noted(fired, time))
    time.advance(1.99)
    assert fired == []
    time.advance(0.02)
    assert len(fired) == 1
    assert 1002.0 <= fired[0] <= 1002.0 + TICK + 1e-6
    time.advance(1000)
    assert len(fired) == 1
    assert time.wheel.next_deadline() is None


@settings(deadline=None)
@given(st.lists(st.floats(0.0, 100.0), min_size=1, max_size=30), st.floats(0.0, 1e7))
def test_deadlines_are_met_in_order(delays: list[float], start: float) -> None:
    time = VirtualTime(start)
    fired: list[tuple[float, float]] = []

    def note(due: float) -> None:
        fired.append((due, time.now))

    for delay in delays:
        time.wheel.call_later(delay, partial(note, start + delay))
    time.advance(101)
    assert len(fired) == len(delays)
    for due, now in fired:
        assert due - 1e-6 <= now <= due + TICK + 1e-6
    assert [due for due, _ in fired] == sorted(due for due, _ in fired)
    assert timers_in(time.wheel) == 0


def test_a_wheel_that_turns_late_still_keeps_the_order() -> None:
    time = VirtualTime()
    fired: list[int] = []
    for number, delay in enumerate([3.0, 1.0, 2.0, 1.004, 1.001]):
        time.wheel.call_later(delay, partial(fired.append, number))
    time.now += 10
    time.wheel.advance()
    assert fired == [1, 4, 3, 2, 0]


def test_a_clock_coarser_than_the_slots_does_not_hold_a_timer_back() -> None:
    # An event loop may call a little before its own deadline: what is due within half a tick goes with it.
    time = VirtualTime()
    fired: list[float] = []
    time.wheel.call_later(1.0, noted(fired, time))
    deadline = time.wheel.next_deadline()
    assert deadline is not None
    time.now = deadline - TICK * 0.4
    time.wheel.advance()
    assert len(fired) == 1


def test_a_timer_that_is_not_due_waits_on() -> None:
    time = VirtualTime()
    fired: list[float] = []
    time.wheel.call_later(1.0, noted(fired, time))
    time.now += 0.9
    time.wheel.advance()
    assert fired == []
    assert time.wheel.next_deadline() == pytest.approx(1001.0, abs=TICK)


def test_a_stopped_timer_does_not_fire() -> None:
    time = VirtualTime()
    fired: list[float] = []
    timer = time.wheel.call_later(1.0, noted(fired, time))
    time.wheel.stop(timer)
    time.wheel.stop(timer)
    time.wheel.stop(None)
    time.advance(10)
    assert fired == []
    time.wheel.start(timer, 1.0)
    time.advance(2)
    assert len(fired) == 1


def test_stopping_a_timer_that_was_never_started_does_nothing() -> None:
    time = VirtualTime()
    timer = Timer(lambda: None)
    time.wheel.stop(timer)
    assert time.wheel.next_deadline() is None


def test_a_timer_may_move_earlier_and_later() -> None:
    time = VirtualTime()
    fired: list[float] = []
    timer = time.wheel.call_later(10.0, noted(fired, time))
    time.wheel.start(timer, 1.0)
    time.advance(0.9)
    time.wheel.start(timer, 5.0)
    time.advance(4.9)
    assert fired == []
    time.advance(0.2)
    assert len(fired) == 1
    time.advance(20)
    assert len(fired) == 1


def test_a_timer_that_is_moved_on_and_on_costs_no_wake_up_each_time() -> None:
    time = VirtualTime()
    fired: list[float] = []
    timer = Timer(noted(fired, time))
    for _ in range(1000):
        time.wheel.start(timer, 10.0)
        time.advance(0.05)
    assert fired == []
    assert timers_in(time.wheel) == 1
    assert time.turns <= 6  # the 50 seconds that passed, in steps of its 10
    assert len(time.wakes) <= 7


def test_the_driver_is_woken_for_an_earlier_deadline_only() -> None:
    time = VirtualTime()
    time.wheel.call_later(10.0, lambda: None)
    time.wheel.call_later(20.0, lambda: None)
    time.wheel.call_later(10.0, lambda: None)
    assert len(time.wakes) == 1
    time.wheel.call_later(5.0, lambda: None)
    assert time.wakes == [pytest.approx(1010.0, abs=TICK), pytest.approx(1005.0, abs=TICK)]
    assert time.wheel.next_deadline() == time.wakes[-1]


def test_a_wheel_needs_no_driver_to_wake() -> None:
    now = 0.0
    fired: list[int] = []
    wheel = TimerWheel(lambda: now)
    wheel.call_later(1.0, lambda: fired.append(1))
    now = 2.0
    wheel.advance()
    assert fired == [1]


def test_timers_of_one_slot_share_a_turn() -> None:
    time = VirtualTime()
    for _ in range(500):
        time.wheel.call_later(1.0, lambda: None)
    time.advance(2)
    assert time.turns == 1


def test_a_timer_may_start_itself_again() -> None:
    time = VirtualTime()
    fired: list[float] = []

    def again() -> None:
        fired.append(time.now)
        time.wheel.start(timer, 1.0)

    timer = Timer(again)
    time.wheel.start(timer, 1.0)
    time.advance(5.5)
    assert len(fired) == 5
    assert timers_in(time.wheel) == 1


def test_a_timer_without_delay_fires_at_the_next_turn() -> None:
    time = VirtualTime()
    fired: list[str] = []

    def first() -> None:
        fired.append("first")
        time.wheel.call_later(0.0, lambda: fired.append("second"))

    time.wheel.call_later(0.0, first)
    time.now += TICK
    time.wheel.advance()
    assert fired == ["first"]  # not within the turn: a timer that always restarts at once must not hold the loop
    time.advance(TICK)
    assert fired == ["first", "second"]


def test_a_callback_may_stop_and_move_timers_that_are_due_with_it() -> None:
    time = VirtualTime()
    fired: list[str] = []
    stopped = Timer(lambda: fired.append("stopped"))
    moved = Timer(lambda: fired.append("moved"))

    def first() -> None:
        fired.append("first")
        time.wheel.stop(stopped)
        time.wheel.start(moved, 5.0)

    time.wheel.call_later(1.0, first)
    time.wheel.start(stopped, 1.0001)
    time.wheel.start(moved, 1.0002)
    time.now += 2
    time.wheel.advance()
    assert fired == ["first"]
    time.advance(5)
    assert fired == ["first", "moved"]


def test_a_callback_that_fails_keeps_no_other_from_firing(caplog: pytest.LogCaptureFixture) -> None:
    time = VirtualTime()
    fired: list[str] = []

    def fail() -> None:
        raise ZeroDivisionError

    time.wheel.call_later(1.0, fail)
    time.wheel.call_later(1.0001, lambda: fired.append("after"))
    with caplog.at_level(logging.ERROR, "socketeer.engine.timers"):
        time.advance(2)
    assert fired == ["after"]
    (record,) = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


def test_what_was_stopped_leaves_nothing_behind() -> None:
    # Acknowledgements with long timeouts start and stop a timer each.
    time = VirtualTime()
    kept = time.wheel.call_later(5000.0, lambda: None)
    for _ in range(5000):
        time.wheel.stop(time.wheel.call_later(3600.0, lambda: None))
        time.now += 0.02
    assert len(time.wheel._slots) == 1
    assert len(time.wheel._order) <= 100
    assert time.wheel.next_deadline() == pytest.approx(6000.0, abs=TICK)
    time.wheel.stop(kept)
    assert time.wheel.next_deadline() is None


def test_a_slot_that_is_used_again_keeps_its_place() -> None:
    time = VirtualTime()
    fired: list[int] = []
    for number in range(500):
        time.wheel.stop(time.wheel.call_later(2.0, partial(fired.append, -1)))
        if number % 100 == 0:
            time.wheel.call_later(2.0, partial(fired.append, number))
    time.wheel.call_later(1.0, partial(fired.append, 1000))
    time.advance(3)
    assert (fired[0], sorted(fired[1:])) == (1000, [0, 100, 200, 300, 400])


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from([0.0, 0.01, 0.5, 3.0, None]), st.floats(0, 0.5))))
def test_whatever_is_started_moved_and_stopped(steps: list[tuple[int, float | None, float]]) -> None:
    time = VirtualTime()
    fired: list[int] = []
    timers = [Timer(partial(fired.append, number)) for number in range(10)]
    due: dict[int, float] = {}
    for number, delay, pause in steps:
        if delay is None:
            time.wheel.stop(timers[number])
            due.pop(number, None)
        else:
            time.wheel.start(timers[number], delay)
            due[number] = time.now + delay
        time.advance(pause)
        for number in fired:
            assert due.pop(number) <= time.now + TICK / 2 + 1e-6
        fired.clear()
        assert all(later > time.now - TICK - 1e-6 for later in due.values())
        assert timers_in(time.wheel) == len(due)
