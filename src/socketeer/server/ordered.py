"""A socket whose handlers run one after another: what ``event_concurrency="ordered"`` chooses."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from socketeer.handling.acks import Ack
from socketeer.handling.handlers import Handler
from socketeer.multiplex.server import ServerConnection
from socketeer.server.handshake import Handshake
from socketeer.server.socket import Socket

if TYPE_CHECKING:
    from socketeer.server.namespace import Namespace

__all__ = ["OrderedSocket"]


class OrderedSocket(Socket):
    """Be one client in one namespace, whose handlers never overlap.

    A handler that is a coroutine holds back everything behind it: other events, also those of the ``connection``
    handlers, ``disconnecting`` and ``disconnect``. Acknowledgements that the handler waits for are no events.
    """

    __slots__ = ("_draining", "_farewell", "_queue", "_running", "_steps")

    def __init__(self, nsp: Namespace, connection: ServerConnection, id: str, handshake: Handshake) -> None:
        super().__init__(nsp, connection, id, handshake)
        self._queue: deque[Callable[[], None]] = deque()
        self._steps: deque[Callable[[], None]] = deque()  # what is left to do of the event whose turn it is
        self._running = False
        self._draining = False
        self._farewell: tuple[str, str | None] | None = None

    # -- one after another

    def _in_turn(self, event: Callable[[], None]) -> None:
        """Do what an event asks for once the handlers of those before it are done, which may attach others."""
        if self._running or self._steps or self._queue:
            self._queue.append(event)
        else:
            event()

    def _in_step(self, step: Callable[[], None]) -> None:
        if self._running or self._steps:
            self._steps.append(step)
        else:
            step()

    def _dispatch(self, args: list[Any], id: int | None) -> None:
        if len(self._queue) >= self.nsp.server.options.max_queued_events and self._open:
            self.overrun()
        else:
            self._in_turn(partial(super()._dispatch, args, id))

    def refuse_event(self, error: BaseException, event: Any) -> None:
        """Report an event that a middleware has dropped, in its turn."""
        self._in_turn(partial(super().refuse_event, error, event))

    def _start(
        self,
        handler: Handler,
        args: Sequence[Any],
        event: Any,
        ack: Ack | None,
        then: Callable[[], None] | None = None,
    ) -> None:
        self._in_step(partial(self._call, handler, args, event, ack, then))

    def _spawn(self, running: Coroutine[Any, Any, None], handler: CoroutineType[Any, Any, Any]) -> None:
        self._running = True
        self._unstarted += 1  # keeps events from the short way, past the queue
        self.nsp.driver.spawn(running)

    async def _run(
        self, coroutine: Coroutine[Any, Any, Any], event: Any, ack: Ack | None, then: Callable[[], None] | None
    ) -> None:
        try:
            await self._finish(coroutine, event, ack)
        finally:
            self._running = False
            self._unstarted -= 1
            if then is not None:
                then()
            self._go_on()

    def _go_on(self) -> None:
        if self._draining:
            return  # a handler that did not have to wait: the loop below goes on by itself
        self._draining = True
        try:
            while (waiting := self._steps or self._queue) and not self._running:
                waiting.popleft()()
        finally:
            self._draining = False

    # -- the connection handlers come first

    def _begin_dispatch(self) -> None:
        if self._attaching:
            return
        super()._begin_dispatch()
        farewell, self._farewell = self._farewell, None
        if farewell is not None:
            self._in_turn(partial(self._leave, *farewell))

    def _attached(self) -> None:
        self._attaching -= 1
        if not self._attaching:
            self._begin_dispatch()

    def _wait(self, args: list[Any], id: int | None) -> None:
        assert self._waiting is not None
        if len(self._waiting) >= self.nsp.server.options.max_queued_events:
            self.overrun()
        else:
            self._waiting.append((args, id))

    # -- leaving

    def _depart(self, reason: str, description: str | None) -> None:
        self._fail_acks()  # the handler that runs may wait for one
        if self._lost is not None:
            self.nsp.leaving[self._lost.pid] = asyncio.Event()
        if self._waiting_all:
            self._farewell = (reason, description)
        else:
            self._in_turn(partial(self._leave, reason, description))

    def _fire_disconnecting(self, reason: str, description: str | None) -> None:
        self._fire("disconnecting", reason, description)
        self._in_step(partial(self._gone, reason, description))

    def _gone(self, reason: str, description: str | None) -> None:
        super()._gone(reason, description)
        if self._lost is not None:
            self._in_step(partial(self._left_for_good, self._lost.pid))

    def _left_for_good(self, pid: str) -> None:
        """Let a client that is back already come in."""
        self.nsp.leaving.pop(pid).set()
