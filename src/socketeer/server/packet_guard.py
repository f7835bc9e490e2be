"""What ``socket.use`` builds: middleware that sees each event of a client before its handlers."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from socketeer.server.socket import Socket

__all__ = ["PacketGuard", "PacketMiddleware"]

PacketMiddleware = Callable[[Any, list[Any]], Any]


class PacketGuard:
    """Stand between a connection and a socket, as the link of its namespace.

    While an async middleware is at work on one event those behind it wait, so that none overtakes another.
    """

    __slots__ = ("_busy", "_socket", "_waiting", "middlewares")

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._busy = False
        self._waiting: deque[tuple[list[Any], int | None]] = deque()
        self.middlewares: list[PacketMiddleware] = []

    def hold(self, events: Iterable[tuple[list[Any], int | None]]) -> None:
        """Take events that came before; they begin when whoever registers the middleware has had time to do so."""
        self._waiting.extend(events)
        if self._waiting:
            self._busy = True
            self._socket.nsp.driver.call_soon(self._begin)

    def _begin(self) -> None:
        self._busy = False
        self._go_on()

    def _go_on(self) -> None:
        while self._waiting and not self._busy:
            args, id = self._waiting.popleft()
            self._go_through(args, id, iter(tuple(self.middlewares)))

    def receive_event(self, args: list[Any], id: int | None) -> None:
        """Take an event of the client."""
        if not self._busy:
            self._go_through(args, id, iter(tuple(self.middlewares)))
        elif len(self._waiting) < self._socket.nsp.server.options.max_queued_events:
            self._waiting.append((args, id))
        else:
            self._socket.overrun()

    def receive_ack(self, id: int, args: list[Any]) -> None:
        """Take an acknowledgement, which is no event."""
        self._socket.receive_ack(id, args)

    def left(self, reason: str, description: str | None = None) -> None:
        """Take note that the client left: what waits is dropped."""
        self._waiting.clear()
        self._socket.left(reason, description)

    def _go_through(self, args: list[Any], id: int | None, middlewares: Iterator[PacketMiddleware]) -> None:
        """Go through the middleware without a task for as long as none has to be awaited."""
        event, rest = args[0], args[1:]
        self._busy = False
        try:
            for middleware in middlewares:
                outcome = middleware(event, rest)
                if inspect.isawaitable(outcome):
                    self._busy = True
                    self._socket.nsp.driver.spawn(self._await(outcome, event, rest, id, middlewares))
                    return
        except (Exception, asyncio.CancelledError) as error:  # of a future that was asked for its result
            self._socket.refuse_event(error, event)
            return
        if self._socket.takes_events:
            self._socket.receive_event([event, *rest], id)

    async def _await(
        self, outcome: Any, event: Any, rest: list[Any], id: int | None, middlewares: Iterator[PacketMiddleware]
    ) -> None:
        try:
            await outcome
        except Exception as error:
            self._busy = False
            self._socket.refuse_event(error, event)
        except asyncio.CancelledError as error:
            self._busy = False
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            self._socket.refuse_event(error, event)  # of a future that the middleware awaited
        else:
            self._go_through([event, *rest], id, middlewares)
        self._go_on()
