"""Acknowledgements: the answer to a client's event, and the answers to a broadcast put together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from socketeer.engine.timers import Timer, TimerWheel
from socketeer.exceptions import AckTimeout

if TYPE_CHECKING:
    from socketeer.server.socket import Socket

__all__ = ["Ack", "Collector", "arguments_of", "flatten", "settle"]


def flatten(args: list[Any]) -> Any:
    """Give an acknowledgement's arguments as one value: None, the only one, or a tuple of several."""
    if len(args) == 1:
        return args[0]
    return tuple(args) if args else None


def arguments_of(value: Any) -> list[Any]:
    """Give what a handler returned as the arguments of an acknowledgement: None is none, a tuple several."""
    if isinstance(value, tuple):
        return list(value)
    return [] if value is None else [value]


def settle(future: asyncio.Future[Any]) -> Callable[[Exception | None, Any], None]:
    """Give a callback that puts an error or a result into a future, unless nobody waits for it any more."""

    def done(error: Exception | None, result: Any) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    return done


class Ack:
    """Answer an event of the client, once: a further call does nothing."""

    __slots__ = ("_id", "_open", "_socket")

    def __init__(self, socket: Socket, id: int, handlers: int) -> None:
        self._socket = socket
        self._id = id
        self._open: int | None = handlers  # how many have not returned; None: answered

    def __call__(self, *args: Any) -> None:
        """Send the acknowledgement, now or later, from any thread.

        Raises ``TypeError`` for arguments that cannot be encoded; the acknowledgement is then still to be sent.
        """
        if self._open is None:
            return
        nsp = self._socket.nsp
        packet = nsp.format.ack(list(args), nsp.name, self._id)
        self._open = None
        nsp.driver.call(self._socket.deliver, packet)

    def returned(self, value: Any) -> None:
        """Take what a handler returned: the first value answers, and nothing at all only after the last handler.

        A handler that has a parameter ``ack``, or failed, never returns here: unless another one has a value, it
        answers or nobody does.
        """
        if self._open is None:
            return
        self._open -= 1
        if value is not None or self._open == 0:
            self(*arguments_of(value))


class Collector:
    """Collect the acknowledgements of one broadcast and say when they are complete."""

    __slots__ = ("_done", "_expected", "_finished", "_left", "_timer", "_wheel", "responses")

    def __init__(self, done: Callable[[AckTimeout | None, list[Any]], None]) -> None:
        self.responses: list[Any] = []
        self._timer: Timer | None = None
        self._wheel: TimerWheel | None = None
        self._done = done
        self._expected: int | None = None
        self._left = 0
        self._finished = False

    def start(self, wheel: TimerWheel, seconds: float) -> None:
        """Begin to wait, so many seconds at the most."""
        self._wheel = wheel
        self._timer = wheel.call_later(seconds, self.time_out)

    def expect(self, count: int) -> None:
        """Take note of how many sockets the event goes to."""
        self._expected = (self._expected or 0) + count
        self._check()

    def answered(self, args: list[Any] | None) -> None:
        """Take the answer of one socket, or None for one that left."""
        if args is None:
            self._left += 1
        else:
            self.responses.append(flatten(args))
        self._check()

    def time_out(self) -> None:
        """Give up waiting."""
        missing = (self._expected or 0) - self._left - len(self.responses)
        self._finish(
            AckTimeout(f"{missing} of {self._expected or 0} did not acknowledge in time", list(self.responses))
        )

    def _check(self) -> None:
        if self._expected is not None and self._left + len(self.responses) >= self._expected:
            self._finish(None)

    def _finish(self, error: AckTimeout | None) -> None:
        if not self._finished:
            self._finished = True
            if self._wheel is not None:
                self._wheel.stop(self._timer)
            self._done(error, list(self.responses))
