"""How events reach their handlers, on either side: in order, sync or async, with what they return as the answer."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Sequence
from types import CoroutineType
from typing import Any

from socketeer.handling.acks import Ack, Done, arguments_of
from socketeer.handling.emitting import AckCallback, check_ack
from socketeer.handling.handlers import BadArguments, Handler
from socketeer.handling.listening import EventListening
from socketeer.transports.driver import EAGER, Driver, close_with

__all__ = ["Dispatcher", "call_back"]


def call_back(
    driver: Driver, report: Callable[[BaseException], None], function: Callable[..., Any], *args: Any
) -> None:
    """Call a callback of the application, which may be async; its exception is reported."""
    try:
        outcome = function(*args)
    except Exception as error:
        report(error)
        return
    if inspect.iscoroutine(outcome):
        close_with(driver.spawn(_finish_callback(outcome, report)), outcome)


async def _finish_callback(coroutine: Coroutine[Any, Any, Any], report: Callable[[BaseException], None]) -> None:
    try:
        await coroutine
    except Exception as error:
        report(error)


class Dispatcher(EventListening):
    """Be the part of a socket that calls handlers, and keeps who waits for acknowledgements.

    An heir says which events may be registered (``_check_listened``), where errors go (``_report``) and events that
    no handler takes (``_note_unheard``), and sends acknowledgements (:meth:`answer`).
    """

    __slots__ = ("_acks", "_driver", "_unstarted")

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._handlers = None
        self._any = ()
        self._outgoing = ()
        self._acks: dict[int, Done] | None = None
        self._unstarted = 0  # handlers that wait for the next round of the event loop

    # -- what an heir has to say

    def answer(self, args: list[Any], id: int) -> None:
        """Send an acknowledgement, from any thread. Raises ``TypeError`` for arguments that cannot be encoded."""
        raise NotImplementedError

    def _report(self, error: BaseException, event: Any) -> None:
        """Report what went wrong in a handler, or an event that fits none."""
        raise NotImplementedError

    def _note_unheard(self, args: list[Any], ack: Ack | None) -> None:
        """Take an event, its name first, that has no handlers; catch-all handlers may have got it."""
        raise NotImplementedError

    # -- dispatch

    def _make_ack(self, id: int, handlers: int) -> Ack:
        """Make what answers an event that so many handlers take."""
        return Ack(self, id, handlers)

    def _handlers_of(self, event: Any) -> tuple[Handler, ...]:
        return () if self._handlers is None else self._handlers.by_event.get(event, ())

    def _has_handlers(self, event: Any) -> bool:
        return bool(self._any or self._handlers_of(event))

    def _discard_once(self, event: Any, handler: Handler) -> bool:
        """Remove a handler; False where it was gone already."""
        return self._handlers is not None and self._handlers.discard(event, handler)

    def _dispatch(self, args: list[Any], id: int | None) -> None:
        event = args[0]
        handlers = self._handlers_of(event)
        ack = None if id is None else self._make_ack(id, len(handlers))
        for handler in self._any:
            self._offer(handler, handler.trim(args), event, ack if handler.wants_ack else None)
        if not handlers:
            self._note_unheard(args, ack)
        for handler in handlers:
            self._offer(handler, args[1:], event, ack)

    def _fire(self, event: str, *args: Any) -> bool:
        """Call the handlers of an event of this side; tell whether one of them has not begun to run."""
        unstarted = self._unstarted
        for handler in self._handlers_of(event):
            if handler.once and not self._discard_once(event, handler):
                continue
            offered = (self, *args) if handler.bound else args
            self._start(handler, handler.trim(offered), event, None)
        return self._unstarted > unstarted

    def _offer(self, handler: Handler, args: list[Any], event: Any, ack: Ack | None) -> None:
        try:
            taken = handler.take(event, args)
        except Exception as error:
            self._report(error, event)
            if ack is not None and isinstance(error, BadArguments):
                ack(error.answer())
            return
        if handler.once and not self._discard_once(event, handler):
            return
        self._start(handler, [self, *taken] if handler.bound else taken, event, ack)

    def _start(
        self,
        handler: Handler,
        args: Sequence[Any],
        event: Any,
        ack: Ack | None,
        then: Callable[[], None] | None = None,
    ) -> None:
        """Call a handler, or begin its task; handlers begin in the order of these calls."""
        if self._unstarted and not handler.is_async:
            self._unstarted += 1
            self._driver.call_soon(self._call_later, handler, args, event, ack, then)
        else:
            self._call(handler, args, event, ack, then)

    def _call(
        self,
        handler: Handler,
        args: Sequence[Any],
        event: Any,
        ack: Ack | None,
        then: Callable[[], None] | None = None,
    ) -> None:
        try:
            if handler.wants_ack:
                value = handler.function(*args, ack=ack)
                ack = None
            else:
                value = handler.function(*args)
            if value.__class__ is CoroutineType:  # of an async function, or what any other function has given back
                self._spawn(self._run(value, event, ack, then), value)
                return
            if ack is not None:
                ack.returned(value)
        except (Exception, asyncio.CancelledError) as error:  # of a future that the handler asked for its result
            self._report(error, event)
        if then is not None:
            then()

    def _call_later(
        self, handler: Handler, args: Sequence[Any], event: Any, ack: Ack | None, then: Callable[[], None] | None
    ) -> None:
        self._unstarted -= 1
        self._call(handler, args, event, ack, then)

    def _take_value(self, value: Any, event: Any, id: int | None) -> None:
        """Take what the only handler of an event has returned."""
        if value.__class__ is CoroutineType:  # from a function that is not async itself
            self._spawn(self._run(value, event, None if id is None else Ack(self, id, 1), None), value)
        elif id is not None:
            self._acknowledge(value, id)

    def _acknowledge(self, value: Any, id: int) -> None:
        """Answer an event with what its handler has returned."""
        self.answer(arguments_of(value), id)

    def _spawn(self, running: Coroutine[Any, Any, None], handler: CoroutineType[Any, Any, Any]) -> None:
        """Run a task that runs a handler."""
        self._unstarted += not EAGER
        self._driver.spawn(running)

    async def _run(
        self, coroutine: Coroutine[Any, Any, Any], event: Any, ack: Ack | None, then: Callable[[], None] | None
    ) -> None:
        self._unstarted -= not EAGER
        try:
            await self._finish(coroutine, event, ack)
        finally:
            if then is not None:
                then()

    async def _finish(self, coroutine: Coroutine[Any, Any, Any], event: Any, ack: Ack | None) -> None:
        try:
            value = await coroutine
            if ack is not None:
                ack.returned(value)
        except Exception as error:
            self._report(error, event)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            self._report(error, event)  # of a future that the handler awaited

    # -- callbacks

    def call_back(self, function: Callable[..., Any], *args: Any) -> None:
        """Call a callback of the application, which may be async; its exception is reported."""
        call_back(self._driver, lambda error: self._report(error, None), function, *args)

    def _show_outgoing(self, args: Sequence[Any]) -> None:
        """Let the handlers of what is sent see an event, its name first."""
        for handler in self._outgoing:
            self.call_back(handler.function, *handler.trim(args))

    def plain_callback(self, ack: AckCallback) -> Done:
        """Wrap a callback that gets the answer alone, and nothing where there is none. Raises TypeError for none."""
        check_ack(ack)

        def done(args: list[Any] | None) -> None:
            if args is not None:
                self.call_back(ack, *args)

        return done

    # -- acknowledgements that are awaited

    def _expect_ack(self, id: int, done: Done) -> None:
        """Call ``done`` with the arguments of an acknowledgement that will come."""
        if self._acks is None:
            self._acks = {}
        self._acks[id] = done

    def receive_ack(self, id: int, args: list[Any]) -> None:
        """Take an acknowledgement; one that nobody waits for changes nothing."""
        done = self._acks.pop(id, None) if self._acks else None
        if done is not None:
            done(args)

    def forget_ack(self, id: int) -> None:
        """Wait no longer for an acknowledgement."""
        if self._acks:
            self._acks.pop(id, None)

    def _fail_acks(self) -> None:
        """Tell whoever waits for an acknowledgement that none will come."""
        acks, self._acks = self._acks, None
        for done in (acks or {}).values():
            done(None)
