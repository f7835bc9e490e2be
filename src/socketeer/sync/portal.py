"""Where blocking code meets the event loop: a portal runs there what a thread asks for, while the thread waits.

The one that programs use has an event loop in a thread of its own. It ends when the servers have been told.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import enum
import functools
import logging
import sys
import threading
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, Final, ParamSpec, Protocol, TypeVar

from socketeer.client.manager import Manager
from socketeer.client.socket import ClientSocket
from socketeer.exceptions import UsageError
from socketeer.sync.threads import close_threads, join_threads, works_here

__all__ = ["BackgroundPortal", "Ended", "Portal", "take_leave"]

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger("socketeer.client")

_FAREWELL: Final = 1.25
"""How long, at the end of the program, the servers may take to be told."""
_REST: Final = 0.25
"""How long what else runs in the event loop may take then."""
_LAST: Final = 0.25
"""How long it may take to cancel that, and then how long handlers may take that run in their threads."""
_PULSE: Final = 0.2
"""How often Windows looks whether a thread that waits has been interrupted."""


class Portal(Protocol):
    """Lead into an event loop, from any thread."""

    def run(self, function: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call an async function in the event loop, and wait for its result.

        It is cancelled where the wait is interrupted. Raises ``UsageError`` in the event loop's own thread, where that
        would wait for itself.
        """

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in the event loop; at once where this is its thread."""

    def post(self, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Call a function that may be called in any thread, and does not have to be in the event loop's."""

    def check(self) -> None:
        """Raise ``UsageError`` where the event loop cannot be reached any more."""

    def adopt(self, manager: Manager) -> None:
        """Take note of a manager, which has to be closed before the event loop ends."""


class Ended(UsageError):
    """Report a call that would have to wait at the end of the program, when nothing is there any more to wait for."""


class _State(enum.Enum):
    RUNNING = "running"
    ENDING = "ending"
    ENDED = "ended"
    FORKED = "forked"  # left behind in the parent process


class _Pool(concurrent.futures.ThreadPoolExecutor):
    """Be the executor of the event loop, which looks up addresses: also behind the end of the main thread.

    Other threads may go on then, and connect, where the pools of the standard library take nothing any more.
    """

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> concurrent.futures.Future[T]:
        try:
            return super().submit(function, *args, **kwargs)
        except RuntimeError:
            if threading.main_thread().is_alive():
                raise
        outcome: concurrent.futures.Future[T] = concurrent.futures.Future()

        def work() -> None:
            try:
                outcome.set_result(function(*args, **kwargs))
            except BaseException as error:
                outcome.set_exception(error)

        threading.Thread(target=work, name="socketeer.sync pool", daemon=True).start()
        return outcome


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


class BackgroundPortal:
    """Lead into an event loop that runs in a thread of its own, from now on."""

    def __init__(self) -> None:
        self._state = _State.RUNNING
        self._managers: weakref.WeakSet[Manager] = weakref.WeakSet()
        self._waits: set[_Wait] = set()
        self._runner = asyncio.Runner(loop_factory=_new_loop)
        self._loop = self._runner.get_loop()
        self._loop.set_default_executor(_Pool())
        self._thread = threading.Thread(target=self._serve, name="socketeer.sync", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with self._runner:
            while self._state is _State.RUNNING:
                try:
                    self._loop.run_forever()
                except BaseException:  # a handler that is async has called sys.exit(), which must not end the others
                    _log.exception("an async handler failed")

    def run(self, function: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call an async function in the event loop, and wait for its result."""
        self.check()
        if threading.get_ident() == self._thread.ident:
            raise UsageError(
                "this call waits for the event loop, and this is the event loop's own thread: make the handler a plain "
                "function, which may wait, or await the methods of socket.asynchronous"
            )
        wait = _Wait(functools.partial(function, *args, **kwargs), self._is_told)
        self._waits.add(wait)
        try:
            if not self._post(wait.begin):
                _end_here()
            result: T = wait.result()
            return result
        except BaseException:
            if not wait.outcome.done():
                self._post(wait.give_up)
            raise
        finally:
            self._waits.discard(wait)

    def _post(self, function: Callable[[], object]) -> bool:
        """Let a function be called in the event loop, unless that ends; tell whether it will be."""
        if self._state is _State.RUNNING:
            try:
                self._loop.call_soon_threadsafe(function)
            except RuntimeError:
                if not self._loop.is_closed():
                    raise
            else:
                return True
        return False

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in the event loop; at once where this is its thread, or there is none any more."""
        if threading.get_ident() == self._thread.ident or self._state is _State.ENDED:
            return function(*args, **kwargs)

        async def called() -> T:
            return function(*args, **kwargs)

        return self.run(called)

    def post(self, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Call a function here and now."""
        self.check()
        function(*args, **kwargs)

    def check(self) -> None:
        """Raise ``UsageError`` in a process that was forked."""
        if self._state is _State.FORKED:
            raise UsageError("this belongs to the process that was forked: connect anew in this one")

    def adopt(self, manager: Manager) -> None:
        """Take note of a manager."""
        self._managers.add(manager)

    # -- the end

    def _is_told(self, wait: _Wait) -> bool:
        """Tell whether a thread learns what it waits for: at the end, those of handlers only, for they are joined.

        The others are daemons by then. They stay where they are until the interpreter has ended: an exception would be
        shown to the user, who has done nothing wrong.
        """
        return self._state is _State.RUNNING or wait.in_handler

    def close(self) -> None:
        """Disconnect every socket, and end the threads."""
        if self._state is not _State.RUNNING:
            return
        self._state = _State.ENDING
        close_threads()
        self._loop.call_soon_threadsafe(lambda: self._loop.create_task(self._finish()))
        self._thread.join(_FAREWELL + _REST + _LAST)
        self._state = _State.ENDED
        join_threads(_LAST)

    async def _finish(self) -> None:
        for wait in list(self._waits):
            if wait.in_handler:
                wait.settle(None, SystemExit())
        managers = list(self._managers)
        farewells = [asyncio.ensure_future(take_leave(manager)) for manager in managers]
        try:
            if farewells:
                _, late = await asyncio.wait(farewells, timeout=_FAREWELL)
                for manager in managers if late else ():
                    await manager.abort(drop=True)
            if rest := asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.wait(rest, timeout=_REST)
        finally:
            self._loop.stop()

    def forked(self) -> None:
        """Take note that this is another process, where neither the thread nor the connections are."""
        self._state = _State.FORKED
        self._loop.set_exception_handler(lambda loop, context: None)

    def bury(self) -> None:
        """Let a forked process end.

        libuv joins the threads of its pool then, and crashes where the fork has left them behind, so it gets new ones.
        """
        if type(self._loop).__module__.partition(".")[0] == "uvloop":
            loop = _new_loop()
            loop.run_until_complete(loop.getaddrinfo("127.0.0.1", 0))
            loop.close()


class _Wait:
    """Be the wait of a thread for a coroutine."""

    def __init__(self, function: Callable[[], Coroutine[Any, Any, Any]], is_told: Callable[[_Wait], bool]) -> None:
        self._function = function
        self._is_told = is_told
        self._task: asyncio.Task[None] | None = None
        self.outcome: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self.in_handler = works_here()

    def result(self) -> Any:
        """Wait."""
        if sys.platform == "win32":  # where a lock that has no timeout cannot be interrupted
            while not self.outcome.done():
                concurrent.futures.wait((self.outcome,), _PULSE)
        return self.outcome.result()

    def begin(self) -> None:
        """Run the coroutine: in the event loop, as all that follows."""
        if not self.outcome.done():
            self._task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        try:
            result = await self._function()
        except BaseException as error:
            self.settle(None, error)
        else:
            self.settle(result, None)

    def settle(self, result: Any, error: BaseException | None) -> None:
        """Tell the thread."""
        if self.outcome.done() or not self._is_told(self):
            return
        if error is None:
            self.outcome.set_result(result)
        else:
            self.outcome.set_exception(error)

    def give_up(self) -> None:
        """Cancel the coroutine: the thread waits no longer."""
        self.outcome.cancel()
        if self._task is not None:
            self._task.cancel()


async def take_leave(manager: Manager) -> None:
    """Disconnect the sockets of a manager, and wait until the server has been told."""
    if manager.connection is not None:
        for socket in list(manager.connection.links.values()):
            if isinstance(socket, ClientSocket):
                socket.disconnect()
    manager.close()
    await manager.wait_closed()


def _end_here() -> None:
    """End a thread that would wait while the program ends."""
    if works_here():
        raise SystemExit
    if threading.current_thread().daemon:
        threading.Event().wait()  # until the interpreter has ended
    raise Ended("the program ends, and its connections have been closed")
