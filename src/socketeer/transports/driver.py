"""The event loop at work for the pure floors: one timer for the wheel, tasks for handlers, a door for other threads."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine
from threading import get_ident
from typing import Any

from socketeer.engine.timers import TimerWheel

__all__ = ["EAGER", "Driver", "close_with"]

EAGER = sys.version_info >= (3, 12)
"""Whether a task can begin to run within the call that makes it."""
_EAGERLY: dict[str, Any] = {"eager_start": True}


def close_with(task: asyncio.Task[Any] | None, coroutine: Coroutine[Any, Any, Any]) -> None:
    """Close, with a task that is to await it, a coroutine that has not begun: the task was cancelled before it could.

    That is not possible where tasks begin at once.
    """
    if not EAGER and task is not None:
        task.add_done_callback(lambda _: coroutine.close())


class Driver:
    """Tie a server to the event loop it runs in."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.thread = 0
        self.wheel = TimerWheel(time.monotonic, self._arm)
        self.on_bind: Callable[[], None] = lambda: None
        """Called when the server has got to know its event loop."""
        self._clock = time.monotonic
        self._handle: asyncio.TimerHandle | None = None
        self._armed = 0.0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._waiting: list[Coroutine[Any, Any, Any]] = []

    def bind(self) -> asyncio.AbstractEventLoop:
        """Take the running event loop for the server's; cheap when it is already."""
        loop = asyncio.get_running_loop()
        if loop is not self.loop:
            clock: Callable[[], float] = getattr(loop, "virtual_clock", time.monotonic)
            if clock != self._clock:
                self._follow(clock)
            self.loop = loop
            self.thread = get_ident()
            self._handle = None
            deadline = self.wheel.next_deadline()
            if deadline is not None:
                self._arm(deadline)
            self.on_bind()
            waiting, self._waiting = self._waiting, []
            for coroutine in waiting:
                self.spawn(coroutine)
        return loop

    @property
    def elsewhere(self) -> bool:
        """Tell whether the caller runs in another thread than the server."""
        return self.thread != get_ident() and self.loop is not None

    def call(self, function: Callable[..., object], *args: Any) -> None:
        """Call ``function`` in the server's thread: now if this is it, else soon, in the order of the calls."""
        if not self.elsewhere:
            function(*args)
        elif self.loop is not None and not self.loop.is_closed():  # else the server has stopped, its clients are gone
            self.loop.call_soon_threadsafe(function, *args)

    def call_soon(self, function: Callable[..., object], *args: Any) -> None:
        """Call ``function`` in the next round of the event loop."""
        assert self.loop is not None
        self.loop.call_soon(function, *args)

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any] | None:
        """Run a coroutine as a task that is kept until it is done; it begins at once where Python can do that."""
        if self.loop is None:  # what is set off while a program is loaded waits until the server serves
            self._waiting.append(coroutine)
            return None
        if EAGER:
            task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=self.loop, **_EAGERLY)
            if task.done():
                return task
        else:
            task = self.loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def finish(self, patience: float) -> None:
        """Wait for the tasks that run, then cancel those that do not end within ``patience`` seconds.

        The end of one may begin another, which is treated alike.
        """
        loop, current = asyncio.get_running_loop(), asyncio.current_task()
        cancelled: set[asyncio.Task[Any]] = set()
        for last in (False, True):
            end = loop.time() + patience
            while (tasks := [task for task in self._tasks if task is not current and not task.done()]) and (
                left := end - loop.time()
            ) > 0:
                for task in tasks if last else ():
                    if task not in cancelled:
                        task.cancel()
                        cancelled.add(task)
                await asyncio.wait(tasks, timeout=left)

    # -- the wheel's timer

    def _follow(self, clock: Callable[[], float]) -> None:
        """Let the wheel go by another clock, on which what was measured or set before is as far away as it was."""
        fresh = self.loop is None and self.wheel.next_deadline() is None
        ahead = 0.0 if fresh else self.wheel.clock() - clock()
        self._clock = clock
        self.wheel.clock = clock if ahead == 0.0 else lambda: clock() + ahead

    def _arm(self, deadline: float) -> None:
        if self.loop is None or (self._handle is not None and self._armed <= deadline):
            return
        if self._handle is not None:
            self._handle.cancel()
        self._armed = deadline
        self._handle = self.loop.call_later(max(0.0, deadline - self.wheel.clock()), self._turn)

    def _turn(self) -> None:
        self._handle = None
        self.wheel.advance()
        deadline = self.wheel.next_deadline()
        if deadline is not None:
            self._arm(deadline)
