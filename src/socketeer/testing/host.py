"""The application under test: its lifespan, begun once for all of its clients in an event loop, and ended behind them.

Nobody has to end it: what ends an event loop in good order cancels every task, and that shuts the application down too.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from typing import Any

from socketeer.transports.asgi import Scope
from socketeer.transports.portable import Message

__all__ = ["Host"]

_log = logging.getLogger("socketeer.testing")

_hosts: dict[tuple[int, int], Host] = {}
"""The applications that run, by their event loops and themselves; each host keeps both alive."""


class Host:
    """Run an application's lifespan; made by :meth:`of` in the event loop that it belongs to."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.state: dict[str, Any] = {}
        """What the application keeps for its requests: the state of the lifespan scope."""
        self.users: set[object] = set()
        """The networks that lead here; with the last that closes the application is shut down."""
        self.loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()
        self._messages = 0
        self._stop = asyncio.Event()
        self._started: asyncio.Future[None] = self.loop.create_future()
        self._task = self.spawn(self._run())
        self._task.add_done_callback(self._forget)

    @classmethod
    def of(cls, app: Any) -> Host:
        """Give the host of an application in the running event loop."""
        key = id(asyncio.get_running_loop()), id(app)
        host = _hosts.get(key)
        if host is None:
            host = _hosts[key] = cls(app)
        return host

    def _forget(self, _: object) -> None:
        _hosts.pop((id(self.loop), id(self.app)), None)

    def spawn(self, coroutine: Any) -> asyncio.Task[Any]:
        """Run something of the application, which must not see the context of who calls it."""
        return self.loop.create_task(coroutine, context=self._context.copy())

    async def started(self) -> None:
        """Wait until the application has started up. Raises RuntimeError where it could not."""
        await asyncio.shield(self._started)

    async def leave(self, user: object) -> None:
        """Take note that a network is closed; wait for the application's end where it was the last."""
        self.users.discard(user)
        if not self.users:
            self._forget(None)  # who comes now begins anew
            self._stop.set()
            await asyncio.wait((self._task,))

    async def _run(self) -> None:
        scope: Scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self.app(scope, self._receive, self._send)
        except Exception as error:
            if self._started.done():
                if self._started.exception() is None:
                    _log.exception("the application failed in its lifespan")
            else:  # what an application does that has none
                _log.debug("the application has no lifespan: %r", error)
        if not self._started.done():
            self._started.set_result(None)
        while not self._stop.is_set():
            await self._receive()

    async def _receive(self) -> Message:
        self._messages += 1
        if self._messages == 1:
            return {"type": "lifespan.startup"}
        try:
            await self._stop.wait()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            assert task is not None
            task.uncancel()
            self._stop.set()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "lifespan.startup.complete":
            self._started.set_result(None)
        elif kind == "lifespan.startup.failed":
            self._started.set_exception(RuntimeError(f"the application did not start: {message.get('message', '')}"))
            self._started.exception()  # it has been seen, even if nobody waits for it
        elif kind == "lifespan.shutdown.failed":
            _log.error("the application did not shut down in order: %s", message.get("message", ""))
