"""What an ASGI application is to receive from one client."""

from __future__ import annotations

import asyncio
from collections import deque

from socketeer.transports.portable import Message

__all__ = ["Inbox"]


class Inbox:
    """Hold the messages of one scope until the application receives them."""

    def __init__(self, first: Message) -> None:
        self._messages = deque([first])
        self._last: Message | None = None
        self._arrived = asyncio.Event()

    @property
    def ended(self) -> bool:
        """Tell whether nothing more can come."""
        return self._last is not None

    def put(self, message: Message) -> None:
        """Add a message."""
        if self._last is None:
            self._messages.append(message)
            self._arrived.set()

    def end(self, message: Message) -> None:
        """Add the last message, which whoever goes on receiving gets again and again."""
        if self._last is None:
            self._last = message
            self._arrived.set()

    async def get(self) -> Message:
        """Give the next message once there is one: the ``receive`` of ASGI."""
        while not self._messages:
            if self._last is not None:
                return self._last
            self._arrived.clear()
            await self._arrived.wait()
        return self._messages.popleft()
