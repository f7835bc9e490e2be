"""A server that says what a test tells it to, in memory: an ASGI application without a protocol of its own."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

__all__ = ["Scripted", "Visitor"]

Message = dict[str, Any]


class Visitor:
    """Be one client as the server sees it."""

    def __init__(self, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]) -> None:
        self._receive = receive
        self._send = send
        self.heard: list[str] = []
        """What it has said, without the digit of Engine.IO; packets without one of Socket.IO as they are."""

    async def hear(self) -> str | None:
        """Give what it says next; None when it is gone."""
        message = await self._receive()
        if message["type"] != "websocket.receive":
            return None
        text = str(message["text"])
        self.heard.append(text.removeprefix("4"))
        return self.heard[-1]

    async def say(self, *texts: str) -> None:
        """Send packets of Socket.IO, or others that begin with ``!``."""
        for text in texts:
            await self._send({"type": "websocket.send", "text": text[1:] if text[0] == "!" else f"4{text}"})


async def keep_silent(visitor: Visitor) -> None:
    """Say nothing."""


class Scripted:
    """Be the application. ``begin`` says something to each client, ``end`` whether it is to be closed then."""

    def __init__(
        self,
        begin: Callable[[Visitor], Awaitable[None]] = keep_silent,
        *,
        interval: float = 1000.0,
        patience: float = 1000.0,
    ) -> None:
        self._begin = begin
        self._handshake = {
            "sid": "scripted",
            "upgrades": [],
            "pingInterval": 1000 * interval,
            "pingTimeout": 1000 * patience,
        }
        self.visitors: list[Visitor] = []
        """All clients there have been."""

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        if scope["type"] != "websocket":
            raise NotImplementedError
        await receive()
        await send({"type": "websocket.accept"})
        visitor = Visitor(receive, send)
        self.visitors.append(visitor)
        await visitor.say(f"!0{json.dumps(self._handshake)}")
        await self._begin(visitor)
