"""One direction of a connection in memory: calls of the other end, in their order, through the event loop."""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable
from typing import Any

__all__ = ["Gate", "Pipe"]


class Gate:
    """Let calls pass, or hold them, in every pipe that goes through here."""

    def __init__(self) -> None:
        self._pipes: dict[Pipe, None] = {}  # in which something waits for the gate to open
        self._held = False

    @property
    def held(self) -> bool:
        """Tell whether nothing passes."""
        return self._held

    def hold(self) -> None:
        """Let nothing pass any more; it waits."""
        self._held = True

    def open(self) -> None:
        """Let everything pass, beginning with what waits."""
        self._held = False
        pipes, self._pipes = self._pipes, {}
        for pipe in pipes:
            pipe.deliver_soon()

    def stop(self, pipe: Pipe) -> None:
        """Keep a pipe until the gate opens."""
        self._pipes[pipe] = None


class Pipe:
    """Carry calls to the other end: never within the call that sends them, and never one before another."""

    __slots__ = ("_calls", "_context", "_gate", "_loop", "_scheduled")

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._loop = asyncio.get_running_loop()
        self._calls: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._context = contextvars.copy_context()  # what one end keeps in its context is none of the other's business
        self._scheduled = False

    @property
    def empty(self) -> bool:
        """Tell whether everything has passed."""
        return not self._calls

    def put(self, call: Callable[..., object], *args: Any) -> None:
        """Call ``call`` soon."""
        self._calls.append((call, args))
        self.deliver_soon()

    def clear(self) -> None:
        """Forget what has not passed yet."""
        self._calls.clear()

    def deliver_soon(self) -> None:
        """Let pass what waits, in the next round of the event loop."""
        if self._gate.held:
            self._gate.stop(self)
        elif self._calls and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._deliver, context=self._context)

    def _deliver(self) -> None:
        self._scheduled = False
        try:
            while self._calls and not self._gate.held:
                call, args = self._calls.popleft()
                call(*args)
        finally:
            if self._calls:
                self.deliver_soon()
