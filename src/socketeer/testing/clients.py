"""Clients for tests that are plain functions: blocking ones, connected in memory, on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from socketeer.options.client import ConnectOptions
from socketeer.sync.client import ClientSocket, connect_through
from socketeer.testing.connecting import in_memory
from socketeer.testing.loop import LIMIT
from socketeer.testing.portal import VirtualPortal

__all__ = ["Clients"]

T = TypeVar("T")


class Clients:
    """Connect blocking clients to ASGI applications in memory: what the fixture ``socketeer_client`` gives to a test.

    Everything runs in the thread of the test, while the test waits for one of the clients: when a call returns, what
    it leads to without time passing has happened, in the application and in the handlers of clients. Time is virtual,
    and stands still between the calls. A call that would wait for ever, or for more than ``limit`` virtual seconds,
    raises :class:`Stuck`. Leaving ``with`` disconnects the clients and shuts the applications down.
    """

    def __init__(self, *, limit: float | None = LIMIT) -> None:
        self._portal = VirtualPortal(limit)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __call__(self, app: Any, url: str = "/", **options: Unpack[ConnectOptions]) -> ClientSocket:
        """Connect another client, and give its socket when it is connected; see :func:`socketeer.testing.connect`.

        Raises what :func:`socketeer.sync.connect` does.
        """
        return connect_through(self._portal, in_memory(app, url, options), **options)

    @property
    def time(self) -> float:
        """Give the virtual time in seconds, which begins at zero."""
        return self._portal.loop.time()

    def advance(self, seconds: float) -> None:
        """Let time pass, with all that happens then; with 0, let happen what is under way."""
        loop = self._portal.loop
        limit = loop.limit
        loop.limit = None if limit is None else limit + seconds
        try:
            self._portal.run(asyncio.sleep, seconds)
        finally:
            loop.limit = limit

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the event loop of the applications and the clients, and give its result."""

        async def awaited() -> T:
            return await coroutine

        return self._portal.run(awaited)

    def close(self) -> None:
        """Disconnect the clients, shut the applications down, and end the event loop."""
        self._portal.close()
