"""A socket that is neither a server's nor a client's: what both stand on needs nothing but a driver."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from socketeer.exceptions import AckTimeout, Disconnected, UsageError
from socketeer.handling.acks import Ack, Done, ack_future, flatten, settle, wait_for_ack
from socketeer.handling.dispatch import Dispatcher
from socketeer.handling.handlers import BadArguments
from socketeer.handling.listening import check_listened
from socketeer.transports.driver import Driver


class Heir(Dispatcher):
    """Keep what goes out."""

    def __init__(self, driver: Driver) -> None:
        super().__init__(driver)
        self.answers: list[tuple[int, list[Any]]] = []
        self.errors: list[tuple[type[BaseException], Any]] = []
        self.unheard: list[tuple[list[Any], Ack | None]] = []
        self.asked = 0

    def _check_listened(self, event: Any) -> None:
        check_listened(event, frozenset({"connect"}), "server")

    def _report(self, error: BaseException, event: Any) -> None:
        self.errors.append((type(error), event))

    def _note_unheard(self, args: list[Any], ack: Ack | None) -> None:
        self.unheard.append((args, ack))

    def answer(self, args: list[Any], id: int) -> None:
        self.answers.append((id, args))

    def receive(self, args: list[Any], id: int | None = None) -> None:
        self._dispatch(args, id)

    def fire(self, event: str, *args: Any) -> None:
        self._fire(event, *args)

    def ask(self, done: Done) -> int:
        self.asked += 1
        self._expect_ack(self.asked, done)
        return self.asked

    def lose(self) -> None:
        self._fail_acks()


def run(scenario: Callable[[Heir, Driver], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        driver = Driver()
        driver.bind()
        await scenario(Heir(driver), driver)
        await driver.finish(0.5)

    asyncio.run(main())


def test_what_handlers_return_answers_and_all_begin_in_order() -> None:
    async def scenario(socket: Heir, _: Driver) -> None:
        begun: list[str] = []

        @socket.on("slow")
        async def slow() -> tuple[int, int]:
            begun.append("slow")
            await asyncio.sleep(0)
            return 1, 2

        @socket.once("quick")
        def quick(number: int) -> int:
            begun.append("quick")
            return number + 1

        socket.receive(["slow"], 5)
        socket.receive(["quick", 1], 6)
        socket.receive(["quick", 1], 7)
        while len(socket.answers) < 2:
            await asyncio.sleep(0)
        assert begun == ["slow", "quick"]
        assert sorted(socket.answers) == [(5, [1, 2]), (6, [2])]
        [(args, ack)] = socket.unheard
        assert args == ["quick", 1]
        assert ack is not None
        ack("late", "answer")
        ack("once only")
        assert socket.answers[2:] == [(7, ["late", "answer"])]

    run(scenario)


def test_what_fails_or_does_not_fit_is_reported_with_its_event() -> None:
    async def scenario(socket: Heir, _: Driver) -> None:
        @socket.on("typed")
        def typed(number: int) -> None:
            raise LookupError

        socket.receive(["typed", 1], 0)
        socket.receive(["typed", "one"], 1)
        socket.call_back(lambda: 1 // 0)
        assert [event for _, event in socket.errors] == ["typed", "typed", None]
        kinds = [kind for kind, _ in socket.errors]
        assert kinds[0] is LookupError
        assert issubclass(kinds[1], BadArguments)
        assert kinds[2] is ZeroDivisionError
        [(id, [answer])] = socket.answers
        assert id == 1
        assert answer["error"]["argument"] == "number"

    run(scenario)


def test_own_events_are_the_heirs_to_name_and_take_what_their_handlers_declare() -> None:
    async def scenario(socket: Heir, _: Driver) -> None:
        heard: list[tuple[Any, ...]] = []
        socket.on("connect", lambda: heard.append(()))
        socket.on("connect", lambda *args: heard.append(args))
        socket.fire("connect", 1, 2)
        assert heard == [(), (1, 2)]
        with pytest.raises(UsageError, match="no event that a server can send"):
            socket.on("disconnecting")

    run(scenario)


def test_the_wait_for_an_acknowledgement_ends_in_one_of_three_ways() -> None:
    async def scenario(socket: Heir, driver: Driver) -> None:
        async def ask(seconds: float | None) -> Any:
            future = ack_future(driver, "client")
            stop = wait_for_ack(driver.wheel, seconds, socket.ask, socket.forget_ack, settle(future), "it is gone")
            try:
                return flatten(await future)
            finally:
                stop()

        answered, expired, lost = (asyncio.ensure_future(ask(each)) for each in (5, 0.01, None))
        await asyncio.sleep(0)
        socket.receive_ack(1, ["here"])
        assert await answered == "here"
        with pytest.raises(AckTimeout):
            await expired
        socket.receive_ack(2, ["too late"])
        socket.lose()
        with pytest.raises(Disconnected, match="it is gone"):
            await lost
        assert driver.wheel.next_deadline() is None

    run(scenario)
