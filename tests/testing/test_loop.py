"""Virtual time: it jumps where nothing real is under way, waits where something is, and never runs for nothing."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio.to_thread
import pytest

from socketeer import Server
from socketeer.engine.timers import TICK
from socketeer.testing import Stuck, VirtualLoop, run
from socketeer.transports.driver import Driver


def now() -> float:
    return asyncio.get_running_loop().time()


def test_sleeps_and_timeouts_end_in_their_order_at_their_times() -> None:
    seen: list[tuple[str, float]] = []

    async def sleep(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        seen.append((name, now()))

    async def main() -> str:
        others = [asyncio.create_task(sleep(name, seconds)) for name, seconds in (("b", 2), ("a", 0.5), ("c", 600.0))]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(20):
                await asyncio.Event().wait()
        seen.append(("timeout", now()))
        await asyncio.gather(*others)
        return "done"

    began = time.monotonic()
    assert run(main()) == "done"
    assert seen == [("a", 0.5), ("b", 2.0), ("timeout", 20.0), ("c", 600.0)]
    assert time.monotonic() - began < 30


def test_time_stands_still_while_anything_is_ready_to_run() -> None:
    async def main() -> None:
        timer = asyncio.create_task(asyncio.sleep(TICK))
        for _ in range(1000):
            await asyncio.sleep(0)
        assert now() == 0.0
        assert not timer.done()
        await timer
        assert now() == TICK

    run(main())


def test_time_does_not_jump_over_a_job_in_a_thread() -> None:
    """The timeout would come first if it did: the job takes real time, of which the timeout leaves plenty."""

    def work() -> str:
        time.sleep(0.05)
        return "worked"

    async def main() -> None:
        with ThreadPoolExecutor(1) as pool:
            jobs = [asyncio.to_thread(work), asyncio.get_running_loop().run_in_executor(pool, work)]
            for job in jobs:
                assert await asyncio.wait_for(job, 30) == "worked"
        assert await asyncio.wait_for(anyio.to_thread.run_sync(work), 30) == "worked"
        assert now() == 0.0
        await asyncio.sleep(1000)  # threads that are idle again hold nothing up

    began = time.monotonic()
    run(main())
    assert time.monotonic() - began < 30


def test_time_passes_for_a_job_that_takes_its_time_and_never_jumps_over_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even when its timeout has come, and nobody awaits it any more."""
    monkeypatch.setattr("socketeer.testing.loop._STILL", 0.05)
    release, ended = threading.Event(), threading.Event()

    def work() -> None:
        release.wait(10)
        time.sleep(0.05)
        ended.set()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(work), 0.01)
        assert now() == 0.01
        release.set()
        await asyncio.sleep(600)
        assert ended.is_set()

    run(main())


def test_time_does_not_jump_while_a_real_connection_is_open() -> None:
    async def main() -> None:
        echoes = await asyncio.start_server(echo, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*echoes.sockets[0].getsockname())
        writer.write(b"over the wire\n")
        assert await asyncio.wait_for(reader.readline(), 30) == b"over the wire\n"
        before = time.monotonic()
        await asyncio.sleep(0.05)
        assert time.monotonic() - before >= 0.04
        writer.close()
        echoes.close()
        await writer.wait_closed()
        await asyncio.sleep(600)

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()

    began = time.monotonic()
    run(main())
    assert time.monotonic() - began < 30


def test_another_thread_can_call_into_the_loop() -> None:
    async def main() -> str:
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(lambda: loop.call_soon_threadsafe(answer.set_result, "called"))
        return await answer

    assert run(main()) == "called"


async def never() -> None:
    await asyncio.Event().wait()


def test_a_program_that_waits_for_nothing_is_told_who_waits() -> None:
    async def main() -> None:
        await asyncio.create_task(never(), name="the one that hangs")

    with pytest.raises(
        Stuck, match=r"(?s)nothing is left.*the one that hangs: never \(.*test_loop\.py:\d+\) > wait "
    ) as e:
        run(main())
    assert "main (" in str(e.value)


@pytest.mark.parametrize("limit", [50.0, None])
def test_heartbeats_without_end_are_limited(limit: float | None) -> None:
    beats: list[float] = []

    async def beat() -> None:
        while len(beats) < 1000:
            await asyncio.sleep(25)
            beats.append(now())

    async def main() -> None:
        await beat()

    if limit is None:
        run(main(), limit=None)
        assert beats[-1] == 25_000
    else:
        with pytest.raises(Stuck, match=r"(?s)50 s of virtual time.*main .*beat "):
            run(main(), limit=limit)
        assert beats == [25.0, 50.0]


def test_what_is_left_over_is_cancelled_and_errors_come_out() -> None:
    cleaned: list[str] = []

    async def leftover() -> None:
        try:
            await never()
        finally:
            await asyncio.sleep(5)
            cleaned.append("up")

    async def main() -> None:
        asyncio.create_task(leftover())  # noqa: RUF006  # run() has to find it by itself
        await asyncio.sleep(1)
        raise LookupError("from main")

    with pytest.raises(LookupError, match="from main"):
        run(main())
    assert cleaned == ["up"]


def test_the_wheel_of_a_server_keeps_virtual_time() -> None:
    fired: list[tuple[str, float]] = []

    async def main(driver: Driver, names: dict[str, float]) -> None:
        driver.bind()
        start = now()
        for name, delay in names.items():
            driver.wheel.call_later(delay, lambda name=name: fired.append((name, now() - start)))  # type: ignore[misc]
        await asyncio.sleep(30)

    run(main(Driver(), {"late": 45.0, "ping": 25.0, "soon": 0.1}))
    assert fired == [("soon", 0.1), ("ping", 25.0)]


def test_a_server_that_changes_loops_keeps_its_timers_as_far_away_as_they_were() -> None:
    """A server of a module serves one test after the other, and perhaps a real web server in between."""
    fired: list[float] = []

    async def main(seconds: float) -> None:
        driver.bind()
        await asyncio.sleep(seconds)

    driver = Driver()
    driver.wheel.call_later(1000.0, lambda: fired.append(now()))  # by the real clock: nothing runs yet
    run(main(600.0))
    asyncio.run(main(0.0))
    run(main(399.0))
    assert not fired
    run(main(2.0))
    assert len(fired) == 1
    assert 0.0 < fired[0] <= 1.0 + 2 * TICK


def test_other_loops_pay_nothing() -> None:
    async def main() -> Any:
        io = Server()
        io.driver.bind()
        return io.driver.wheel.clock

    assert asyncio.run(main()) is time.monotonic


def test_a_loop_can_be_given_to_a_runner() -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(asyncio.sleep(100))
        runner.run(asyncio.sleep(3599))  # the limit is one of each run
        assert runner.get_loop().time() == 3699


def test_a_loop_settles_without_time_passing() -> None:
    seen: list[str] = []

    async def work() -> None:
        for step in ("begun", "gone on"):
            seen.append(step)
            await asyncio.sleep(0)
        seen.append(await asyncio.to_thread(lambda: "back from a thread"))
        await asyncio.sleep(TICK)
        seen.append("too late")

    idle, other = socket.socketpair()
    with asyncio.Runner(loop_factory=VirtualLoop) as runner, idle, other:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        loop.add_reader(idle, seen.append, "readable")  # what is quiet outside is not waited for
        task = loop.create_task(work())
        loop.settle()
        assert seen == ["begun", "gone on", "back from a thread"]
        assert loop.time() < 5
        loop.remove_reader(idle)
        loop.run_until_complete(task)


def test_a_lookup_of_a_name_is_real_work() -> None:
    async def main() -> Any:
        return await asyncio.wait_for(asyncio.get_running_loop().getaddrinfo("127.0.0.1", 80), 20)

    assert run(main())[0][0] == socket.AF_INET
