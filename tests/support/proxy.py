"""A TCP proxy that is as bad as networks can be: it cuts connections, holds up what they carry, refuses new ones.

It does so when it is told to, or on its own, by chance that a seed makes the same in every run.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

__all__ = ["Faults", "LoopThread", "Proxy", "proxying"]

PATIENCE = 20.0
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time at all


class LoopThread:
    """Run an event loop in a thread of its own."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def _call(self, function: Callable[..., Any], *args: Any) -> Any:
        async def invoke() -> Any:
            outcome = function(*args)
            return await outcome if asyncio.iscoroutine(outcome) else outcome

        return asyncio.run_coroutine_threadsafe(invoke(), self._loop).result(PATIENCE)

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()


@dataclass(frozen=True)
class Faults:
    """Say what becomes of new connections by chance.

    ``share`` of them, from 0 to 1, are cut before they carry anything. The others are cut when they have carried a
    number of bytes, both ways together, or when they are a number of seconds old: drawn between the two that are given.
    Half of the cuts are by FIN, half by RST.
    """

    seed: int
    share: float = 0.0
    after_bytes: tuple[int, int] | None = None
    after_seconds: tuple[float, float] | None = None


class Proxy(LoopThread):
    """Hand every connection to a port of its own on to a server's; to be used from any thread."""

    def __init__(self, target: int) -> None:
        super().__init__("proxy")
        self._target = target
        self._ends: set[_End] = set()
        self._tasks: set[asyncio.Task[object]] = set()
        self._faults: Faults | None = None
        self._chance = random.Random()
        self._accidents = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._held = False
        self._call(self._listen)

    def cut(self, *, reset: bool = False) -> int:
        """Cut every connection, on both sides, by FIN or by RST; give their number."""
        count: int = self._call(self._cut, reset)
        return count

    def hold(self) -> None:
        """Let nothing through any more, in neither direction; the connections stay open and nobody is told."""
        self._call(self._hold, True)

    def release(self) -> None:
        """Let through what was held, and what follows."""
        self._call(self._hold, False)

    def refuse(self) -> None:
        """Take no new connections: they are refused by the system."""
        self._call(self._stop_listening)

    def accept(self) -> None:
        """Take new connections again, on the same port."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._call(self._listen)

    def disturb(self, faults: Faults | None) -> None:
        """Let the connections made from now on have ``faults``, or none any more."""
        self._call(self._disturb, faults)

    @property
    def accidents(self) -> int:
        """Give how many connections were cut by chance so far."""
        return self._accidents

    def close(self) -> None:
        """End every connection and the proxy's thread."""
        if self._listener.fileno() >= 0:
            self._call(self._stop_listening)
        self._call(self._finish)
        self._stop()

    # In the proxy's thread

    def _listen(self) -> None:
        self._listener.setblocking(False)
        self._loop.add_reader(self._listener, self._take)

    def _take(self) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
            taken, _ = self._listener.accept()
            taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio does so where it accepts by itself
            self._run(self._loop.connect_accepted_socket(lambda: _End(self), taken))

    def _stop_listening(self) -> None:
        self._loop.remove_reader(self._listener)
        self._listener.close()

    def _run(self, coroutine: Coroutine[Any, Any, object]) -> None:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _cut(self, reset: bool) -> int:
        ends = list(self._ends)
        for end in ends:
            end.cut(reset)
        while self._ends.intersection(ends):
            await asyncio.sleep(0)
        return len(ends) // 2

    async def _finish(self) -> None:
        while self._tasks:  # a connection is a task before it is an end
            await asyncio.wait(self._tasks)
        await self._cut(True)

    def _hold(self, held: bool) -> None:
        self._held = held
        for end in list(self._ends):
            end.hold(held)

    def _disturb(self, faults: Faults | None) -> None:
        self._faults = faults
        if faults is not None:
            self._chance = random.Random(faults.seed)

    def fate(self) -> _Fate | None:
        """Draw what becomes of a new connection."""
        faults = self._faults
        if faults is None:
            return None
        reset = self._chance.random() < 0.5
        if self._chance.random() < faults.share:
            return _Fate(reset, carries=0)
        carries = None if faults.after_bytes is None else self._chance.randint(*faults.after_bytes)
        lasts = None if faults.after_seconds is None else self._chance.uniform(*faults.after_seconds)
        return _Fate(reset, carries, lasts)

    def accident(self) -> None:
        """Count a connection that was cut by chance."""
        self._accidents += 1

    def made(self, end: _End) -> bool:
        """Count an end among the living; tell whether it has to hold what it reads."""
        self._ends.add(end)
        return self._held

    def lost(self, end: _End) -> None:
        """Count an end among the living no longer."""
        self._ends.discard(end)

    def connect(self, near: _End) -> None:
        """Open the connection to the server that belongs to a client's."""
        self._run(self._connect(near))

    async def _connect(self, near: _End) -> None:
        try:
            await self._loop.create_connection(lambda: _End(self, near), "127.0.0.1", self._target)
        except OSError:
            near.cut(True)


@dataclass
class _Fate:
    """Say when a connection is cut by chance: after so many bytes more, or so many seconds."""

    reset: bool
    carries: int | None = None
    lasts: float | None = None


class _End(asyncio.Protocol):
    """Be one of the two ends of a connection: what it reads the other one writes."""

    def __init__(self, proxy: Proxy, near: _End | None = None) -> None:
        self._proxy = proxy
        self._other = near
        self._fate: _Fate | None = proxy.fate() if near is None else near._fate
        self._transport: asyncio.Transport | None = None
        self._waiting = bytearray()
        self._held = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._held = self._proxy.made(self)
        if self._other is None:
            self._begin()
        elif self._other._transport is None:  # the client has gone meanwhile
            self.cut(True)
        else:
            self._other._other = self
            self._other.flush()

    def _begin(self) -> None:
        fate = self._fate
        if fate is not None and fate.carries == 0:
            self._break(fate)
            return
        if fate is not None and fate.lasts is not None:
            asyncio.get_running_loop().call_later(fate.lasts, self._break, fate)
        self._proxy.connect(self)

    def _break(self, fate: _Fate) -> None:
        if self._transport is not None:
            self._proxy.accident()
            self.cut(fate.reset)
            if self._other is not None:
                self._other.cut(fate.reset)

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        self.flush()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._proxy.lost(self)
        if self._other is not None and self._other._transport is not None and not self._held:
            self._other._transport.close()

    def flush(self) -> None:
        """Write what was read to the other side, if there is one and nothing is held."""
        if self._held or self._other is None or self._other._transport is None:
            return
        fate = self._fate
        limit = len(self._waiting) if fate is None or fate.carries is None else fate.carries
        data = bytes(self._waiting[:limit])
        self._waiting.clear()
        self._other._transport.write(data)
        if fate is not None and fate.carries is not None:
            fate.carries -= len(data)
            if fate.carries == 0:
                self._break(fate)

    def hold(self, held: bool) -> None:
        """Keep what is read, or let go of it."""
        self._held = held
        self.flush()
        if not held and self._transport is None and self._other is not None and self._other._transport is not None:
            self._other._transport.close()

    def cut(self, reset: bool) -> None:
        """End the connection at once; what was read and not written is lost."""
        self._waiting.clear()
        if self._transport is None:
            return
        if reset:
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._transport.abort()


@contextmanager
def proxying(target: int) -> Iterator[Proxy]:
    """Run a proxy before a port of 127.0.0.1 until the block ends."""
    proxy = Proxy(target)
    try:
        yield proxy
    finally:
        proxy.close()
