"""Threads for functions of the application that may block: those of one socket run in one thread, in order.

A thread begins with the first call, and ends when nothing is to be done and nothing more is to be expected. What the
asynchronous half gets to call is a wrapper, which looks like the function: it has its signature, and equals it.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar, cast

from socketeer.exceptions import Disconnected
from socketeer.handling.handlers import is_async

__all__ = ["Posted", "Threaded", "Worker", "bare", "close_threads", "forget_threads", "join_threads", "works_here"]

T = TypeVar("T")
F = TypeVar("F")

_log = logging.getLogger("socketeer.client")

_PAUSE = 0.1
"""How long a thread that nothing more is expected of waits for something all the same."""

_running: set[Worker] = set()
_closed = False


class _Thread(threading.Thread):
    """Be known as one of these."""


class Worker(Executor):
    """Call functions one at a time, in a thread that ends when there is nothing to do and ``lingers`` says no.

    Whoever makes ``lingers`` change its mind calls :meth:`wake`.
    """

    def __init__(self, name: str, lingers: Callable[[], bool] = lambda: False) -> None:
        self._name = name
        self._lingers = lingers
        self._jobs: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._changed = threading.Condition()
        self.thread: threading.Thread | None = None

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Call a function behind those that were submitted before."""
        future: Future[T] = Future()
        with self._changed:
            self._jobs.append((future, functools.partial(fn, *args, **kwargs)))
            if self.thread is None:
                thread = _Thread(target=self._work, name=self._name, daemon=True)
                thread.start()
                self.thread = thread
                _running.add(self)
            else:
                self._changed.notify()
        return future

    async def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function in the thread, and give what it gives."""
        loop = asyncio.get_running_loop()
        value, error = await loop.run_in_executor(self, _attempt, function, args, kwargs)
        if error is not None:
            raise error
        return value

    def wake(self) -> None:
        """Let the thread see whether it is needed any longer."""
        with self._changed:
            self._changed.notify()

    def threaded(self, function: F) -> F:
        """Wrap a function that is called in the thread, and its result awaited; one that is async is only awaited."""
        return cast("F", Threaded(function, self)) if callable(function) else function

    def posted(self, function: F) -> F:
        """Wrap a function that is called in the thread some time later; one that is async stays itself."""
        return cast("F", Posted(function, self)) if callable(function) and not is_async(function) else function

    def _work(self) -> None:
        while (job := self._next()) is not None:
            future, function = job
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function())
                except BaseException as error:
                    future.set_exception(error)
                del function
            del job, future

    def _next(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        with self._changed:
            while not self._jobs and not _closed:
                if self._lingers():
                    self._changed.wait()
                elif not self._changed.wait(_PAUSE):
                    break
            if self._jobs and not _closed:
                return self._jobs.popleft()
            _running.discard(self)
            self.thread = None
            return None


def _attempt(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, Exception | None]:
    """Give what a function gives, or raises: as a value, for not every exception may pass through a future."""
    try:
        return function(*args, **kwargs), None
    except Exception as error:
        return None, error
    except BaseException as error:
        if _closed:
            return None, None
        # It would end the thread of whoever awaits the result, which is that of the event loop.
        wrapped = RuntimeError(f"{type(error).__name__} in a thread of handlers, where it ends nothing")
        wrapped.__cause__ = error
        return None, wrapped


class _Wrapper:
    """Stand for a function."""

    def __init__(self, function: Callable[..., Any], worker: Worker) -> None:
        functools.update_wrapper(cast("Any", self), function, updated=())
        self.function = function
        self.worker = worker

    def __eq__(self, other: object) -> bool:
        return bool(self.function == bare(other))

    def __hash__(self) -> int:
        return hash(self.function)

    def __repr__(self) -> str:
        return repr(self.function)


class Threaded(_Wrapper):
    """Be an async function that calls a blocking one in a thread, and awaits what it may have given back."""

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it, unless the program ends: then every connection is lost, which is nothing to report."""
        if _closed:
            return None
        try:
            if is_async(self.function):
                return await self.function(*args, **kwargs)
            value = await self.worker.run(self.function, *args, **kwargs)
            return await value if inspect.iscoroutine(value) else value
        except Disconnected:
            if not _is_closed():
                raise
            return None


class Posted(_Wrapper):
    """Be a function that lets another one be called in a thread, and does not wait for it."""

    def __call__(self, *args: Any) -> None:
        """Let it be called, unless the program ends."""
        if _closed:
            return
        job = self.worker.submit(self._call, args)
        wait_for = getattr(asyncio.get_running_loop(), "wait_for_job", None)
        if wait_for is not None:  # a loop on which time is virtual does not let it jump over the call
            wait_for(job)

    def _call(self, args: tuple[Any, ...]) -> None:
        _, error = _attempt(self.function, args, {})
        if error is not None:
            _log.error("a listener failed: %r", self.function, exc_info=error)


def _is_closed() -> bool:
    return _closed


def bare(function: Any) -> Any:
    """Give the function of the application that is behind a wrapper."""
    return function.function if isinstance(function, _Wrapper) else function


def works_here() -> bool:
    """Tell whether the current thread is one of these."""
    return isinstance(threading.current_thread(), _Thread)


def close_threads() -> None:
    """Begin no further call."""
    global _closed
    _closed = True
    for worker in list(_running):
        worker.wake()


def join_threads(patience: float) -> None:
    """Wait for the calls that run, up to so many seconds."""
    deadline = time.monotonic() + patience
    for worker in list(_running):
        thread = worker.thread
        if thread is not None:
            thread.join(max(0.0, deadline - time.monotonic()))


def forget_threads() -> None:
    """Take note that there are none in this process, which was forked."""
    _running.clear()
