"""Events of this side: who listens, in which order, and what happens to a listener that fails."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any

import pytest

from socketeer.engine.events import Events
from socketeer.exceptions import UsageError


def test_listeners_are_called_in_order_with_the_arguments_that_they_take() -> None:
    events = Events()
    calls: list[tuple[object, ...]] = []
    events.on("end", lambda: calls.append(()))

    @events.on("end")
    def one(reason: str) -> None:
        calls.append((reason,))

    events.on("end", lambda *args: calls.append(args))
    events.on("end", partial(lambda first, second: calls.append((first, second)), "bound"))
    assert one is events.listeners("end")[1]
    events.fire("end", "forced close", None)
    assert calls == [(), ("forced close",), ("forced close", None), ("bound", "forced close")]
    assert events.has("end")
    assert not events.has("other")


def test_once_is_once_even_where_the_event_sets_itself_off() -> None:
    events, calls = Events(), []

    @events.on("tick")
    def again(depth: int) -> None:
        if depth:
            events.fire("tick", depth - 1)

    @events.once("tick")
    def first(depth: int) -> None:
        calls.append(depth)

    events.fire("tick", 2)
    assert calls == [0]
    assert events.listeners("tick") == [again]


def test_listeners_can_be_removed_one_by_one_by_event_and_altogether() -> None:
    class Owner:
        def listen(self) -> None:
            calls.append("bound")

    calls: list[str] = []
    events, owner = Events(), Owner()
    events.on("a", owner.listen)
    events.on("a", print)
    events.off("a", owner.listen)  # another bound method of the same meaning
    assert events.listeners("a") == [print]
    events.on("b", print)
    events.off("a")
    assert (events.has("a"), events.has("b")) == (False, True)
    events.off()
    events.fire("b")
    assert not events.has("b")
    assert calls == []


def test_a_listener_that_fails_is_logged_and_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    events, calls = Events(), []
    events.on("end", lambda: 1 / 0)
    events.on("end", lambda: calls.append("next"))
    events.fire("end")
    assert calls == ["next"]
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("socketeer.engine", logging.ERROR)
    assert "'end'" in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


def test_an_event_that_does_not_exist_is_refused_with_the_names_that_do() -> None:
    events = Events(("close", "data"))
    for use in (events.on, events.once, events.off, events.listeners):
        with pytest.raises(UsageError, match="no event 'clsoe', but close, data"):
            use("clsoe")
    with pytest.raises(TypeError, match="callable"):
        events.on("close", "print")  # type: ignore[call-overload]


def test_async_listeners_run_as_tasks_where_there_is_a_loop_for_them(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[Any] = []

    async def main() -> None:
        tasks: list[asyncio.Task[Any]] = []

        def spawn(coroutine: Any) -> asyncio.Task[Any]:
            tasks.append(asyncio.ensure_future(coroutine))
            return tasks[-1]

        events = Events(spawn=spawn)

        @events.on("end")
        async def slowly(reason: str) -> None:
            await asyncio.sleep(0)
            calls.append(reason)
            raise ValueError("on purpose")

        events.fire("end", "forced close")
        await asyncio.wait(tasks)
        await asyncio.sleep(0)

    asyncio.run(main())
    assert calls == ["forced close"]
    assert [type(record.exc_info[1]) for record in caplog.records if record.exc_info] == [ValueError]


def test_async_listeners_are_refused_where_nobody_would_run_them() -> None:
    async def listen() -> None:
        pass

    with pytest.raises(UsageError, match="async"):
        Events().on("end", listen)
