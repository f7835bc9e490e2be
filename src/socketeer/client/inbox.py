"""Events that no handler takes: they wait for whoever asks for them with ``async for`` or ``receive()``."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Self

from socketeer.exceptions import UsageError
from socketeer.handling.acks import Ack

__all__ = ["Inbox", "Received"]

_KEPT_UNASKED = 1000
"""How many of the latest events wait for somebody to ask for them, before anybody has."""


class Received(tuple[str | int, list[Any]]):
    """Hold an event that was received: its name and its arguments."""

    ack: Ack | None
    """How to answer it, if the server wants to know."""

    def __new__(cls, event: str | int, args: list[Any], ack: Ack | None) -> Self:
        received = super().__new__(cls, (event, args))
        received.ack = ack
        return received

    @property
    def event(self) -> str | int:
        """Give the name."""
        return self[0]

    @property
    def args(self) -> list[Any]:
        """Give the arguments."""
        return self[1]


class Inbox:
    """Keep the events of one socket; ``most`` of them once somebody has asked, before that the latest 1,000."""

    __slots__ = ("_events", "_most", "_overrun", "asked", "waiters")

    def __init__(self, most: int) -> None:
        self._most = most
        self._events: deque[Received] | None = None
        self._overrun = False
        self.asked = False
        """Whether anybody has asked for events."""
        self.waiters: list[asyncio.Future[None]] = []

    def put(self, received: Received) -> None:
        """Take an event. One that is too many is lost, and whoever asks hears of it."""
        if self._events is None:
            self._events = deque()
        if self.asked and len(self._events) >= self._most:
            self._overrun = True
        else:
            if not self.asked and len(self._events) >= _KEPT_UNASKED:
                self._events.popleft()
            self._events.append(received)
        self.wake()

    def wake(self) -> None:
        """Let those who wait look again."""
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def next(self, is_active: Callable[[], bool]) -> Received | None:
        """Give the next event; None where there is none and the socket is not active any more.

        Raises ``UsageError`` in the place of events that were too many.
        """
        self.asked = True
        while not self._events:
            if self._overrun:
                self._overrun = False
                raise UsageError("more than max_waiting_events events wait: further ones were lost")
            if not is_active():
                return None
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.waiters.append(future)
            try:
                await future
            finally:
                if future in self.waiters:
                    self.waiters.remove(future)
        return self._events.popleft()
