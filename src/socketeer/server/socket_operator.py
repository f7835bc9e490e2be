"""How to send to one socket: the flags that stand between ``socket`` and ``emit``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from socketeer.exceptions import AckTimeout, Disconnected
from socketeer.multiplex.encoded import Body
from socketeer.server.acks import flatten
from socketeer.server.broadcast import AckCallback, BroadcastOperator, Rooms, check_timeout, encode_event

if TYPE_CHECKING:
    from socketeer.server.socket import Socket

__all__ = ["SocketOperator"]


class SocketOperator:
    """Hold how to send to one socket; never changes, so it can be kept and used again."""

    __slots__ = ("_socket", "_timeout", "_volatile")

    def __init__(self, socket: Socket, *, volatile: bool = False, timeout: float | None = None) -> None:
        self._socket = socket
        self._volatile = volatile
        self._timeout = timeout

    def timeout(self, seconds: float) -> SocketOperator:
        """Limit the wait for an acknowledgement."""
        return SocketOperator(self._socket, volatile=self._volatile, timeout=check_timeout(seconds))

    def compress(self, compress: bool) -> SocketOperator:
        """Say whether the packet may be compressed. Nothing is compressed yet, so this changes nothing."""
        return self

    @property
    def volatile(self) -> SocketOperator:
        """Drop the event if the client cannot take it at once."""
        return SocketOperator(self._socket, volatile=True, timeout=self._timeout)

    @property
    def broadcast(self) -> BroadcastOperator:
        """Select every other socket of the namespace, with the same flags."""
        return self._socket.broadcast.with_flags(volatile=self._volatile, timeout=self._timeout)

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
        body = encode_event(event, args, nsp.server.options.max_attachments)
        if ack is None:
            nsp.driver.call(self._deliver, body)
        elif self._timeout is None:
            nsp.driver.call(socket.ask, body, self._volatile, socket.plain_callback(ack))
        else:
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

        def done(error: Exception | None, args: list[Any]) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(flatten(args))
            else:
                future.set_exception(error)

        stop_waiting = self._emit_with_ack(encode_event(event, args, nsp.server.options.max_attachments), done)
        try:
            return await future
        finally:
            stop_waiting()

    def _deliver(self, body: Body) -> None:
        self._socket.deliver(body.event(self._socket.nsp.name), volatile=self._volatile)

    def _emit_with_ack(self, body: Body, done: Callable[[Exception | None, list[Any]], None]) -> Callable[[], None]:
        socket = self._socket
        wheel = socket.nsp.driver.wheel
        timer = None

        def answered(args: list[Any] | None) -> None:
            wheel.stop(timer)
            if args is None:
                done(Disconnected("the client left before it acknowledged"), [])
            else:
                done(None, args)

        def expired() -> None:
            stop_waiting()
            done(AckTimeout(), [])

        def stop_waiting() -> None:
            wheel.stop(timer)
            socket.forget_ack(number)

        if self._timeout is not None:
            timer = wheel.call_later(self._timeout, expired)
        number = socket.ask(body, self._volatile, answered)
        return stop_waiting
