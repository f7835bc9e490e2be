"""How to send to the server: the flags that stand between ``socket`` and ``emit``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from socketeer.adapters.base import PLAIN, Flags
from socketeer.handling.acks import ack_future, flatten, settle, wait_for_ack
from socketeer.handling.emitting import AckCallback, check_ack, check_timeout
from socketeer.multiplex.encoded import Body

if TYPE_CHECKING:
    from socketeer.client.socket import ClientSocket

__all__ = ["GONE", "ClientOperator"]

GONE = "the socket has been disconnected"
_DROPPED = "the event is volatile and could not leave at once, or the socket has been disconnected since"
_RETRY_PATIENCE = 10.0
"""How long ``retries`` wait for an acknowledgement where nothing else is said, in seconds."""


class ClientOperator:
    """Hold how to send to the server; never changes, so it can be kept and used again."""

    __slots__ = ("_flags", "_socket", "_timeout")

    def __init__(self, socket: ClientSocket, flags: Flags = PLAIN, timeout: float | None = None) -> None:
        self._socket = socket
        self._flags = flags
        self._timeout = timeout

    def timeout(self, seconds: float) -> ClientOperator:
        """Limit the wait for an acknowledgement."""
        return ClientOperator(self._socket, self._flags, check_timeout(seconds))

    def compress(self, compress: bool) -> ClientOperator:
        """Say whether the packet may be compressed, where the options and the server let it be."""
        return ClientOperator(self._socket, dataclasses.replace(self._flags, compress=compress), self._timeout)

    @property
    def volatile(self) -> ClientOperator:
        """Drop the event if it cannot leave at once."""
        return ClientOperator(self._socket, dataclasses.replace(self._flags, volatile=True), self._timeout)

    def emit(self, event: str | int, *args: Any, ack: AckCallback | None = None) -> None:
        """Send an event; see :meth:`ClientSocket.emit`.

        After ``timeout()``, ``ack`` is called once: with an ``AckTimeout`` or ``Disconnected``, or with None and the
        arguments of the acknowledgement.
        """
        socket = self._socket
        body = socket.encode(event, args, self._flags)
        if ack is None:
            if socket.retries is None or self._flags.volatile:
                socket.call(socket.transmit, body, self._flags)
            else:
                socket.call(socket.retries.add, body, self._flags, self._patience, None)
        elif self._patience is None:
            socket.call(socket.transmit, body, self._flags, socket.plain_callback(ack))
        else:
            check_ack(ack)
            callback = ack

            def done(error: Exception | None, args: list[Any]) -> None:
                socket.call_back(callback, error, *args)

            socket.call(self._ask, body, done)

    def send(self, *args: Any, ack: AckCallback | None = None) -> None:
        """Send a ``message`` event."""
        self.emit("message", *args, ack=ack)

    write = send

    async def emit_with_ack(self, event: str | int, *args: Any) -> Any:
        """Send an event and give the server's answer; see :meth:`ClientSocket.emit_with_ack`.

        Raises ``AckTimeout`` after ``timeout()``.
        """
        socket = self._socket
        future = ack_future(socket.io.driver, "client")
        stop_waiting = self._ask(socket.encode(event, args, self._flags), settle(future))
        try:
            return flatten(await future)
        finally:
            stop_waiting()

    @property
    def _patience(self) -> float | None:
        """Give how long to wait for an acknowledgement; None for ever."""
        if self._timeout is not None:
            return self._timeout
        options = self._socket.options
        return options.ack_timeout if options.ack_timeout is not None or not options.retries else _RETRY_PATIENCE

    def _ask(self, body: Body, done: Callable[[Exception | None, list[Any]], None]) -> Callable[[], None]:
        socket, flags, seconds = self._socket, self._flags, self._patience
        if socket.retries is not None and not flags.volatile and seconds is not None:
            return socket.retries.add(body, flags, seconds, done)
        return wait_for_ack(
            socket.io.driver.wheel,
            seconds,
            lambda answered: socket.transmit(body, flags, answered),
            socket.forget_ack,
            done,
            _DROPPED if flags.volatile else GONE,
        )
