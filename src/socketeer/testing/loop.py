"""An event loop on which time is virtual: it stands still while there is work, and jumps to the next timer when not.

Sleeps, timeouts and heartbeats of any length take no time, in the order and with the times that they would have. Where
the loop waits for something real it waits. For a thread of an executor time stands still, but for a second at the most:
then it passes as outside, as it does from the first on where a file descriptor is watched.
"""

from __future__ import annotations

import asyncio
import selectors
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from socketeer.exceptions import SocketeerError

__all__ = ["LIMIT", "Stuck", "VirtualLoop", "run"]

T = TypeVar("T")
_Events = list[tuple[selectors.SelectorKey, int]]

LIMIT = 3600.0
"""How many virtual seconds may pass before a run that has not ended is taken for one that never will."""


_STILL = 1.0
"""How long time stands still for threads, in real seconds: a timeout for one that hangs has to come in the end."""
_PACKAGE = str(Path(__file__).parents[1])


class Stuck(SocketeerError):
    """Report a program on virtual time that waits for what will never come; it names the tasks that wait."""


def run(main: Coroutine[Any, Any, T], *, limit: float | None = LIMIT, debug: bool | None = None) -> T:
    """Run a coroutine on a :class:`VirtualLoop` of its own, and clean up behind it as ``asyncio.run`` does.

    Raises :class:`Stuck` where nothing is left that could happen, and where more than ``limit`` virtual seconds pass:
    a heartbeat goes on for ever, even if nobody will ever say anything else.
    """
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(limit), debug=debug) as runner:
        return runner.run(main)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Run tasks on virtual time, which begins at zero."""

    def __init__(self, limit: float | None = LIMIT) -> None:
        self._now = 0.0
        self._end: float | None = None
        self._outside = 0
        self._stood_still = 0.0
        self._settling = False
        self._awaited: Any = None
        self._executor: Executor | None = None
        self.limit = limit
        """How many virtual seconds a run may take; None: as many as it likes."""
        self.failures: dict[object, str] = {}
        """Why nobody gets through a network, by the network: what a run that is stuck may wait for."""
        super().__init__(_Selector(self))

    def time(self) -> float:
        """Give the virtual time in seconds."""
        return self._now

    virtual_clock = time
    """The mark by which what measures time by another clock knows that here it must not."""

    def run_forever(self) -> None:
        """Run until :meth:`stop` is called, or until it is clear that nothing will lead there."""
        self._end = None if self.limit is None else self._now + self.limit
        super().run_forever()

    def run_until_complete(self, future: Any) -> Any:
        """Run until a future is done, and give its result."""
        self._awaited = future
        try:
            return super().run_until_complete(future)
        finally:
            self._awaited = None

    def settle(self) -> None:
        """Run what is ready, and what that leads to, until nothing more happens unless time passes."""
        self._settling = True
        try:
            self.run_forever()
        finally:
            self._settling = False

    # -- what happens outside, where time is real

    def run_in_executor(self, executor: Executor | None, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        """Call ``func`` in an executor; until it returns time does not jump, even where nobody awaits it any more."""
        if executor is None:
            if self._executor is None:
                self.set_default_executor(ThreadPoolExecutor(thread_name_prefix="asyncio"))
            executor = self._executor
        assert executor is not None
        recorder = _Recorder(executor)
        future = super().run_in_executor(recorder, func, *args)
        self.wait_for_job(recorder.job, future)
        return future

    def wait_for_job(self, job: Future[Any], future: asyncio.Future[Any] | None = None) -> None:
        """Let time not jump until a job in a thread has ended, and the future in the loop knows, if there is one."""
        # Both have to end: the job may outlive the future that was cancelled, or end a moment before the future knows.
        self._outside += 1
        missing = 1 if future is None else 2

        def back(_: object = None) -> None:
            nonlocal missing
            missing -= 1
            if not missing:
                self._outside -= 1

        def back_from_thread(_: object) -> None:
            try:
                self.call_soon_threadsafe(back)
            except RuntimeError:
                if not self.is_closed():
                    raise

        if future is not None:
            future.add_done_callback(back)
        job.add_done_callback(back_from_thread)

    @contextmanager
    def awaited_by_job(self) -> Iterator[None]:
        """Let time jump although a job has not ended: it waits for what is done here meanwhile."""
        self._outside -= 1
        try:
            yield
        finally:
            self._outside += 1

    def set_default_executor(self, executor: ThreadPoolExecutor) -> None:  # type: ignore[override]
        """Use ``executor`` where none is named."""
        super().set_default_executor(executor)
        self._executor = executor

    async def shutdown_default_executor(self, *args: Any, **kwargs: Any) -> None:
        """Wait in real time for the threads to end."""
        self._outside += 1
        try:
            await super().shutdown_default_executor(*args, **kwargs)
        finally:
            self._outside -= 1

    # -- time

    def _wait(self, select: Callable[[float | None], _Events], descriptors: int, timeout: float | None) -> _Events:
        """Wait for what is outside, or let time jump where there is nothing."""
        threads = self._outside > 0 or _anyio_works_for(self)
        connections = descriptors > 1 and not self._settling  # one wakes the loop itself
        if not threads and not connections:
            self._stood_still = 0.0
            self._jump(timeout)
            return []
        still = not connections and self._stood_still < _STILL
        began = time.monotonic()
        ready = select(_STILL - self._stood_still if still else timeout)
        passed = time.monotonic() - began
        if still:
            self._stood_still += passed
        else:  # never beyond the next timer: a busy machine must not make two of them due at once
            self._now += passed if timeout is None else min(passed, timeout) if ready else timeout
        return ready

    def _jump(self, seconds: float | None) -> None:
        if self._settling:
            self.stop()
            return
        if seconds is None:
            raise Stuck(f"nothing is left that could happen: no timer, no thread, no descriptor.{self._waiting()}")
        if self._end is not None and self._now + seconds > self._end:
            raise Stuck(f"{self.limit:g} s of virtual time have passed, more than the limit.{self._waiting()}")
        self._now += seconds

    def _waiting(self) -> str:
        """Name what the run waits for, and the tasks that are not this package's own."""
        lines = []
        for task in sorted(asyncio.all_tasks(self), key=lambda task: task is not self._awaited):
            places = list(_places(task.get_coro()))
            if task is self._awaited or (places and not places[0][1].startswith(_PACKAGE)):
                lines.append(f"\n  {task.get_name()}: {' > '.join(f'{name} ({place})' for name, place in places)}")
        failures = "".join(f"\nThe last attempt to connect failed: {failure}" for failure in self.failures.values())
        return (f" What waits:{''.join(lines)}" if lines else "") + failures


class _Selector(selectors.DefaultSelector):
    """Let time jump where the event loop would sleep."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> _Events:
        """Give what is ready; wait for it only where it comes from outside."""
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        return self._loop._wait(super().select, len(self.get_map()), timeout)


class _Recorder(Executor):
    """Hand a job on to an executor, and keep hold of it."""

    job: Future[Any]

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Begin a job."""
        self.job = self._executor.submit(fn, *args, **kwargs)
        return self.job


def _anyio_works_for(loop: VirtualLoop) -> bool:
    """Tell whether a thread of anyio, in which Starlette and FastAPI run what is not async, is at work for a loop.

    These threads belong to no executor, and anyio keeps what it knows of them from whoever is not one of its tasks.
    """
    if "anyio" not in sys.modules:
        return False
    return any(
        getattr(thread, "loop", None) is loop
        and thread in getattr(thread, "workers", ())
        and thread not in getattr(thread, "idle_workers", ())
        for thread in threading.enumerate()
        if thread.name == "AnyIO worker thread"
    )


def _places(coroutine: Any) -> Iterator[tuple[str, str]]:
    """Give the functions in which a task waits, the innermost last."""
    while coroutine is not None:
        for kind in ("cr", "gi", "ag"):
            frame = getattr(coroutine, f"{kind}_frame", None)
            if frame is not None:
                yield coroutine.__name__, f"{frame.f_code.co_filename}:{frame.f_lineno}"
                coroutine = getattr(coroutine, f"{kind}_await", None) or getattr(coroutine, "gi_yieldfrom", None)
                break
        else:
            return
