"""How to send to one socket: the flags that stand between ``socket`` and ``emit``."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from socketeer.adapters.base import PLAIN, Flags, Selection
from socketeer.handling.acks import flatten, settle, wait_for_ack
from socketeer.handling.emitting import AckCallback, check_ack, check_timeout, encode_event
from socketeer.multiplex.encoded import Body
from socketeer.server.broadcast import BroadcastOperator, Rooms

if TYPE_CHECKING:
    from socketeer.server.socket import Socket

__all__ = ["SocketOperator"]


class SocketOperator:
    """Hold how to send to one socket; never changes, so it can be kept and used again."""

    __slots__ = ("_flags", "_socket", "_timeout")

    def __init__(self, socket: Socket, flags: Flags = PLAIN, timeout: float | None = None) -> None:
        self._socket = socket
        self._flags = flags
        self._timeout = timeout

    def timeout(self, seconds: float) -> SocketOperator:
        """Limit the wait for an acknowledgement."""
        return SocketOperator(self._socket, self._flags, check_timeout(seconds))

    def compress(self, compress: bool) -> SocketOperator:
        """Say whether the packet may be compressed, where the options and the client let it be."""
        return SocketOperator(self._socket, dataclasses.replace(self._flags, compress=compress), self._timeout)

    @property
    def volatile(self) -> SocketOperator:
        """Drop the event if the client cannot take it at once."""
        return SocketOperator(self._socket, dataclasses.replace(self._flags, volatile=True), self._timeout)

    @property
    def broadcast(self) -> BroadcastOperator:
        """Select every other socket of the namespace, with the same flags."""
        return BroadcastOperator(self._socket.nsp, Selection((), (self._socket.id,)), self._flags, self._timeout)

    def to(self, *rooms: Rooms) -> BroadcastOperator:
        """Select the other sockets in any of ``rooms``, with the same flags."""
        return self.broadcast.to(*rooms)

    in_ = to

    def except_(self, *rooms: Rooms) -> BroadcastOperator:
        """Select the other sockets that are in none of ``rooms``, with the same flags."""
        return self.broadcast.except_(*rooms)

    @property
    def local(self) -> BroadcastOperator:
        """Select every other socket of this process, with the same flags."""
        return self.broadcast.local

    def emit(self, event: str | int, *args: Any, ack: AckCallback | None = None) -> None:
        """Send an event; see :meth:`Socket.emit`.

        After ``timeout()``, ``ack`` is called once: with an ``AckTimeout`` or ``Disconnected``, or with None and the
        arguments of the acknowledgement.
        """
        socket = self._socket
        nsp = socket.nsp
        body = encode_event(event, args, nsp.format, nsp.name)
        if ack is None:
            nsp.driver.call(socket.emit_body, body, self._flags)
        elif self._timeout is None:
            nsp.driver.call(socket.ask, body, self._flags, socket.plain_callback(ack))
        else:
            check_ack(ack)
            callback = ack

            def done(error: Exception | None, args: list[Any]) -> None:
                nsp.call_back(callback, error, *args)

            nsp.driver.call(self._emit_with_ack, body, done)

    def send(self, *args: Any, ack: AckCallback | None = None) -> None:
        """Send a ``message`` event."""
        self.emit("message", *args, ack=ack)

    write = send

    async def emit_with_ack(self, event: str | int, *args: Any) -> Any:
        """Send an event and give the client's answer; see :meth:`Socket.emit_with_ack`.

        Raises ``AckTimeout`` after ``timeout()``, and ``Disconnected`` as soon as the client is gone.
        """
        nsp = self._socket.nsp
        future: asyncio.Future[Any] = nsp.future()
        stop_waiting = self._emit_with_ack(encode_event(event, args, nsp.format, nsp.name), settle(future))
        try:
            return flatten(await future)
        finally:
            stop_waiting()

    def _emit_with_ack(self, body: Body, done: Callable[[Exception | None, list[Any]], None]) -> Callable[[], None]:
        socket = self._socket
        wheel = socket.nsp.driver.wheel
        gone = "the client left before it acknowledged"
        return wait_for_ack(
            wheel, self._timeout, lambda done: socket.ask(body, self._flags, done), socket.forget_ack, done, gone
        )
