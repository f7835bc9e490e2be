"""Events that are sent again until they are acknowledged, one after another: what the option ``retries`` chooses."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from socketeer.adapters.base import Flags
from socketeer.client.socket_operator import GONE
from socketeer.exceptions import Disconnected
from socketeer.handling.acks import wait_for_ack
from socketeer.multiplex.encoded import Body

if TYPE_CHECKING:
    from socketeer.client.socket import ClientSocket

__all__ = ["RetryQueue"]

_log = logging.getLogger("socketeer.client")

_Settle = Callable[[Exception | None, list[Any]], None]


class _Queued:
    """Hold an event until it is acknowledged."""

    __slots__ = ("body", "done", "flags", "pending", "seconds", "tries")

    def __init__(self, body: Body, flags: Flags, seconds: float, done: _Settle | None) -> None:
        self.body = body
        self.flags = flags
        self.seconds = seconds
        self.done = done
        self.tries = 0
        self.pending = False


class RetryQueue:
    """Send one event at a time; the next one follows when it is acknowledged, or was sent in vain once too often.

    An event that was under way when the connection was lost is sent again with the next one, which does not count. The
    server may get an event more than once.
    """

    def __init__(self, socket: ClientSocket) -> None:
        self._socket = socket
        self._queue: deque[_Queued] = deque()
        self.waiters: list[asyncio.Future[None]] = []
        """Of those who wait until nothing is left, or the socket has come to its end."""

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, body: Body, flags: Flags, seconds: float, done: _Settle | None) -> Callable[[], None]:
        """Queue an event; ``done`` gets an error, or None and the answer. Give a function to wait for it no longer."""
        item = _Queued(body, flags, seconds, done)
        self._queue.append(item)
        self.go_on()

        def stop_waiting() -> None:
            item.done = None  # it is sent all the same

        return stop_waiting

    def go_on(self) -> None:
        """Send the first event, unless it is under way or there is no connection."""
        socket = self._socket
        if not (socket.connected and self._queue) or self._queue[0].pending:
            return
        item = self._queue[0]
        item.pending = True
        item.tries += 1
        wait_for_ack(
            socket.io.driver.wheel,
            item.seconds,
            lambda answered: socket.transmit(item.body, item.flags, answered),
            socket.forget_ack,
            lambda error, args: self._settled(item, error, args),
            GONE,
        )

    def wake(self) -> None:
        """Let those who wait look again."""
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _settled(self, item: _Queued, error: Exception | None, args: list[Any]) -> None:
        item.pending = False
        if isinstance(error, Disconnected):
            item.tries -= 1
            return
        if error is not None and item.tries <= self._socket.options.retries:
            self.go_on()
            return
        self._queue.popleft()
        if item.done is not None:
            item.done(error, args)
        elif error is not None:
            _log.warning("%s: %r was not acknowledged, %d times", self._socket.nsp, item.body.args[0], item.tries)
        self.go_on()
        if not self._queue:
            self.wake()
