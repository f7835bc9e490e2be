"""The connections of a load test: open them, know which are left, and close them all at the end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from time import perf_counter_ns

import click

from socketeer.cli.bench.tally import Tally
from socketeer.cli.connecting import Target, connect_to, explain
from socketeer.client import ClientSocket
from socketeer.exceptions import ConnectionRefused, SocketeerError

__all__ = ["Crowd"]

_LOOK = 0.05
_QUIET_LOOKS = 10
_CLOSE = 2.0


class Crowd:
    """Hold the connections that are open; what goes wrong with them is counted in a tally."""

    def __init__(self, target: Target, timeout: float, tally: Tally) -> None:
        self._target = target
        self._timeout = timeout
        self._tally = tally
        self._sockets: set[ClientSocket] = set()
        self._partings: set[asyncio.Task[None]] = set()
        self.on_loss: Callable[[ClientSocket], None] = lambda _: None
        """Called with each connection that was lost."""

    def __len__(self) -> int:
        return len(self._sockets)

    def transports(self) -> dict[str, int]:
        """Return how many connections use which transport."""
        return dict(Counter(socket.transport or "none" for socket in self._sockets))

    async def open(self, due: int) -> ClientSocket | None:
        """Open a connection that was due then, or count why that failed."""
        socket = connect_to(self._target, reconnection=False, force_new=True, timeout=self._timeout)
        self._sockets.add(socket)
        socket.on("disconnect", lambda reason, *_: self._lose(socket, reason))
        try:
            async with asyncio.timeout(self._timeout):
                await socket
        except ConnectionRefused as error:
            self._tally.fail("refused", error.message)
        except TimeoutError:
            self._tally.fail("not connected in time")
        except (ValueError, TypeError) as error:  # of an option that is looked at only then
            raise click.UsageError(str(error)) from error
        except (SocketeerError, OSError) as error:
            self._tally.fail("cannot connect", explain(error))
        else:
            self._tally.connects.record(perf_counter_ns() - due)
            return socket if socket in self._sockets else None
        self._part_with(socket)
        return None

    async def leave(self, socket: ClientSocket) -> None:
        """Close one connection."""
        await asyncio.shield(self._part_with(socket))

    def _part_with(self, socket: ClientSocket) -> asyncio.Task[None]:
        self._sockets.discard(socket)
        socket.disconnect()
        parting = asyncio.create_task(socket.io.wait_closed())
        self._partings.add(parting)
        parting.add_done_callback(self._partings.discard)
        return parting

    async def settle(self) -> None:
        """Wait while connections change over from polling to WebSocket, until all have or no further one does."""
        before: dict[str, int] = {}
        quiet = 0
        while quiet < _QUIET_LOOKS and (now := self.transports()) != {"websocket": len(self)}:
            quiet = quiet + 1 if now == before else 0
            before = now
            await asyncio.sleep(_LOOK)

    async def close(self) -> None:
        """Close what is left, but do not wait long for it."""
        for socket in [*self._sockets]:
            self._part_with(socket)
        if self._partings:
            _, slow = await asyncio.wait(self._partings, timeout=_CLOSE)
            for each in slow:
                each.cancel()

    def _lose(self, socket: ClientSocket, reason: str) -> None:
        if socket not in self._sockets:  # it was asked to go
            return
        self._sockets.discard(socket)
        self._tally.fail("disconnected", reason)
        self.on_loss(socket)
