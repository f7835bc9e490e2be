"""An event loop on which time is virtual: it stands still while there is work, and jumps to the next timer when not.

Sleeps, timeouts and heartbeats of any length take no time, in the order and with the times that they would have. Where
the loop waits for something real (a thread of an executor, a file descriptor) it waits, and time passes as outside.
"""

from __future__ import annotations

import asyncio
import selectors
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, TypeVar

from socketeer.exceptions import SocketeerError

__all__ = ["LIMIT", "Stuck", "VirtualLoop", "run"]

T = TypeVar("T")

LIMIT = 3600.0
"""How many virtual seconds may pass before a run that has not ended is taken for one that never will."""


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
        self._settling = False
        self._executor: Executor | None = None
        self.limit = limit
        """How many virtual seconds a run may take; None: as many as it likes."""
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
        # Both have to end: the job may outlive the future that was cancelled, or end a moment before the future knows.
        self._outside += 2
        future.add_done_callback(self._back)
        recorder.job.add_done_callback(self._back_from_thread)
        return future

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

    def _back(self, _: object = None) -> None:
        self._outside -= 1

    def _back_from_thread(self, _: object) -> None:
        try:
            self.call_soon_threadsafe(self._back)
        except RuntimeError:
            if not self.is_closed():
                raise

    def _waits_outside(self, descriptors: int) -> bool:
        if self._outside > 0 or _anyio_works_for(self):
            return True
        return descriptors > 1 and not self._settling  # one wakes the loop itself

    # -- time

    def _pass(self, seconds: float) -> None:
        self._now += seconds

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
        lines = [f"\n  {task.get_name()}: {' > '.join(_places(task.get_coro()))}" for task in asyncio.all_tasks(self)]
        return f" What waits:{''.join(sorted(lines))}" if lines else ""


class _Selector(selectors.DefaultSelector):
    """Let time jump where the event loop would sleep."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Give what is ready; wait for it only where it comes from outside."""
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        loop = self._loop
        if not loop._waits_outside(len(self.get_map())):
            loop._jump(timeout)
            return ready
        began = time.monotonic()
        ready = super().select(timeout)
        passed = time.monotonic() - began
        # Never beyond the next timer: a busy machine must not make two of them due at once.
        loop._pass(passed if timeout is None else min(passed, timeout) if ready else timeout)
        return ready


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


def _places(coroutine: Any) -> Iterator[str]:
    """Give the functions in which a task waits, the innermost last."""
    while coroutine is not None:
        for kind in ("cr", "gi", "ag"):
            frame = getattr(coroutine, f"{kind}_frame", None)
            if frame is not None:
                yield f"{coroutine.__name__} ({frame.f_code.co_filename}:{frame.f_lineno})"
                coroutine = getattr(coroutine, f"{kind}_await", None) or getattr(coroutine, "gi_yieldfrom", None)
                break
        else:
            return
