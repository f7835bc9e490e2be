"""Blocking code on virtual time: the event loop runs in the thread that calls, for as long as the call takes."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, ParamSpec, TypeVar

from socketeer.client.manager import Manager
from socketeer.exceptions import UsageError
from socketeer.sync.portal import take_leave
from socketeer.sync.threads import works_here
from socketeer.testing.loop import VirtualLoop

__all__ = ["VirtualPortal"]

P = ParamSpec("P")
T = TypeVar("T")


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _check_no_loop_runs() -> None:
    if _running_loop() is not None:
        raise UsageError(
            "this call waits for an event loop, and one runs in this thread: in a coroutine, or a handler of the "
            "server, use the asynchronous client (socketeer.testing.connect)"
        )


class VirtualPortal:
    """Lead into a :class:`VirtualLoop`: see :class:`socketeer.sync.Portal`.

    Whatever a call leads to without time passing has happened when it returns.
    """

    def __init__(self, limit: float | None) -> None:
        _check_no_loop_runs()
        self._runner = asyncio.Runner(loop_factory=lambda: VirtualLoop(limit))
        loop = self._runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        self.loop = loop
        self._managers: weakref.WeakSet[Manager] = weakref.WeakSet()
        self._thread = threading.get_ident()

    def run(self, function: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call an async function in the event loop, and wait for its result."""
        self.check()
        if threading.get_ident() != self._thread:
            return self._run_from_thread(function(*args, **kwargs))
        _check_no_loop_runs()
        task = self.loop.create_task(function(*args, **kwargs))
        try:
            result: T = self.loop.run_until_complete(task)
            return result
        finally:
            task.cancel()  # where the wait was interrupted
            self.loop.settle()

    def _run_from_thread(self, coroutine: Coroutine[Any, Any, T]) -> T:
        outcome: Future[T] = Future()
        in_handler = works_here()

        async def run() -> None:
            try:
                if in_handler:
                    with self.loop.awaited_by_job():
                        result = await coroutine
                else:
                    result = await coroutine
            except BaseException as error:
                outcome.set_exception(error)
            else:
                outcome.set_result(result)

        tasks: list[asyncio.Task[None]] = []  # the loop by itself would not keep it
        self.loop.call_soon_threadsafe(lambda: tasks.append(self.loop.create_task(run())))
        return outcome.result()

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in the event loop; at once where that runs in this thread, or is closed."""
        if self.loop.is_closed() or _running_loop() is self.loop:
            return function(*args, **kwargs)

        async def called() -> T:
            return function(*args, **kwargs)

        return self.run(called)

    def post(self, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Call a function in the event loop, or in another thread, where it must not wait."""
        self.check()
        if threading.get_ident() == self._thread:
            self.call(function, *args, **kwargs)
        else:
            function(*args, **kwargs)

    def check(self) -> None:
        """Raise ``UsageError`` at the end."""
        if self.loop.is_closed():
            raise UsageError("the clients of this test have been closed")

    def adopt(self, manager: Manager) -> None:
        """Take note of a manager."""
        self._managers.add(manager)

    def close(self) -> None:
        """Close every connection, shut the applications down, and end the event loop."""
        if self.loop.is_closed():
            return
        try:
            for manager in tuple(self._managers):
                self.run(take_leave, manager)
        finally:
            self._runner.close()
