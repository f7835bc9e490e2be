"""What all clients of one event loop share. Those that are left when the loop ends are closed then.

A connected WebSocket has no task that ``asyncio.run`` could cancel. What it does end, when all tasks are over, are
asynchronous generators: one of them waits for that here, as long as there are clients to close.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Protocol

from socketeer.transports.driver import Driver

if TYPE_CHECKING:
    from socketeer.client.manager import Manager

__all__ = ["ClientDriver", "client_driver"]

_PATIENCE = 1.0
"""How long clients may take to close in order when the event loop ends, in seconds."""
_ROUNDS = 5
"""The rounds that event loops take to close a socket whose transport was told to."""


class Kept(Protocol):
    """Be a client, as the end of its event loop sees it."""

    def close(self) -> None:
        """Close in order."""

    async def wait_closed(self) -> None:
        """Wait until that is done."""

    async def abort(self, *, drop: bool = False) -> None:
        """Close at once what is still open; with ``drop`` without a goodbye."""


class ClientDriver(Driver):
    """Drive all clients of one event loop, and close them when it ends."""

    def __init__(self) -> None:
        super().__init__()
        self.managers: weakref.WeakValueDictionary[str, Manager] = weakref.WeakValueDictionary()
        """The managers that new sockets may share, by where they connect to."""
        self._kept: set[Kept] = set()
        self._keeper: AsyncGenerator[None, None] | None = None
        self._ending: asyncio.AbstractEventLoop | None = None

    def keep(self, client: Kept) -> bool:
        """Close a client when the event loop ends, unless it is released before; False where the loop ends already."""
        if self._ending is self.loop:
            return False
        self._kept.add(client)
        if self._keeper is None:
            self._keeper = self._keep()
            _resume(self._keeper)
        return True

    def release(self, client: Kept) -> None:
        """Forget a client of which nothing is left to close."""
        self._kept.discard(client)
        if not self._kept and self._keeper is not None:
            keeper, self._keeper = self._keeper, None
            _resume(keeper)

    async def _keep(self) -> AsyncGenerator[None, None]:
        try:
            yield
        except GeneratorExit:
            await self._close_all()
            raise

    async def _close_all(self) -> None:
        self._keeper = None
        self._ending = asyncio.get_running_loop()
        clients = list(self._kept)
        for client in clients:
            client.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                for client in clients:
                    await client.wait_closed()
        for client in clients:
            await client.abort(drop=True)
        await self.finish(_PATIENCE)
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)


def _resume(generator: AsyncGenerator[None, None]) -> None:
    """Let a generator that awaits nothing on its way go on to its next stop."""
    with contextlib.suppress(StopIteration, StopAsyncIteration):
        generator.__anext__().__await__().send(None)


_latest: weakref.ref[ClientDriver] | None = None


def client_driver() -> ClientDriver:
    """Give the driver of the running event loop, or one for a loop that does not run yet."""
    global _latest
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return ClientDriver()
    driver = _latest() if _latest is not None else None
    if driver is None or driver.loop is not loop:
        driver = ClientDriver()
        driver.bind()
        _latest = weakref.ref(driver)
    return driver
