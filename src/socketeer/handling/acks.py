"""Acknowledgements: the answer to an event that has come, and the wait for the answer to one that was sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from socketeer.engine.timers import TimerWheel
from socketeer.exceptions import AckTimeout, Disconnected, UsageError
from socketeer.transports.driver import Driver

__all__ = ["Ack", "Answering", "Done", "ack_future", "arguments_of", "flatten", "settle", "wait_for_ack"]

Done = Callable[[list[Any] | None], None]
"""Gets the arguments of an acknowledgement, or None where the other side is gone."""


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


def ack_future(driver: Driver, side: str) -> asyncio.Future[Any]:
    """Make a future on the event loop of a server or a client. Raises UsageError on any other."""
    loop = asyncio.get_running_loop()
    if driver.loop is not None and loop is not driver.loop:
        raise UsageError(f"acknowledgements can be awaited on the {side}'s event loop only")
    driver.bind()
    return loop.create_future()


def wait_for_ack(
    wheel: TimerWheel,
    seconds: float | None,
    ask: Callable[[Done], int],
    forget: Callable[[int], None],
    done: Callable[[Exception | None, list[Any]], None],
    gone: str,
) -> Callable[[], None]:
    """Send an event that asks for an acknowledgement, and give a function to wait no longer.

    ``ask`` sends it and gives the id under which ``forget`` drops the wait. ``done`` is called once at the most: with
    None and the arguments, with an ``AckTimeout``, or with a ``Disconnected`` that says ``gone``.
    """
    timer = None

    def answered(args: list[Any] | None) -> None:
        wheel.stop(timer)
        if args is None:
            done(Disconnected(gone), [])
        else:
            done(None, args)

    def expired() -> None:
        stop_waiting()
        done(AckTimeout(), [])

    def stop_waiting() -> None:
        wheel.stop(timer)
        forget(number)

    if seconds is not None:
        timer = wheel.call_later(seconds, expired)
    number = ask(answered)
    return stop_waiting


class Answering(Protocol):
    """Be a socket, as an acknowledgement that it is to send sees it."""

    def answer(self, args: list[Any], id: int) -> None:
        """Send an acknowledgement, from any thread. Raises ``TypeError`` for arguments that cannot be encoded."""


class Ack:
    """Answer an event of the other side, once: a further call does nothing."""

    __slots__ = ("_id", "_open", "_socket")

    def __init__(self, socket: Answering, id: int, handlers: int) -> None:
        self._socket = socket
        self._id = id
        self._open: int | None = handlers  # how many have not returned; None: answered

    def __call__(self, *args: Any) -> None:
        """Send the acknowledgement, now or later, from any thread.

        Raises ``TypeError`` for arguments that cannot be encoded; the acknowledgement is then still to be sent.
        """
        if self._open is None:
            return
        self._socket.answer(list(args), self._id)
        self._open = None

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
