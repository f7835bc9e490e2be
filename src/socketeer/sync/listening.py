"""What blocking code registers with a socket: functions that are called in the socket's thread, where they may wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload

from socketeer.client.socket import ClientSocket as AsyncSocket
from socketeer.sync.portal import Portal
from socketeer.sync.threads import Worker, bare

__all__ = ["Listening"]

F = TypeVar("F", bound=Callable[..., Any])


class Listening:
    """Offer everything that can be registered with one socket, in any thread.

    Handlers are called one at a time, in the order of the events; those that are ``async`` in the event loop.
    """

    _portal: Portal
    _socket: AsyncSocket
    _worker: Worker

    @overload
    def on(self, event: str | int) -> Callable[[F], F]: ...
    @overload
    def on(self, event: str | int, handler: F) -> F: ...
    def on(self, event: str | int, handler: F | None = None) -> F | Callable[[F], F]:
        """Call ``handler`` with the arguments of each ``event``; as a decorator without ``handler``.

        Several handlers of one event are called in the order of their registration. What a handler returns answers an
        event that asks for an acknowledgement, unless the handler has a parameter ``ack``, which then has to be called.
        """
        return self._register(self._socket.on(event), handler)

    @overload
    def once(self, event: str | int) -> Callable[[F], F]: ...
    @overload
    def once(self, event: str | int, handler: F) -> F: ...
    def once(self, event: str | int, handler: F | None = None) -> F | Callable[[F], F]:
        """Call ``handler`` for the next ``event`` only; as a decorator without ``handler``."""
        return self._register(self._socket.once(event), handler)

    def _register(self, register: Callable[[F], F], handler: F | None) -> F | Callable[[F], F]:
        # Here and not in the event loop's thread: annotations may name what is local to the caller.
        def decorate(function: F) -> F:
            self._portal.check()
            register(self._worker.threaded(function))
            return function

        return decorate if handler is None else decorate(handler)

    def off(self, event: str | int | None = None, handler: Callable[..., Any] | None = None) -> None:
        """Remove one handler, every handler of an event, or all of this socket."""
        self._portal.call(self._socket.off, event, handler)

    def listeners(self, event: str | int) -> list[Callable[..., Any]]:
        """Give the handlers of an event."""
        return [bare(handler) for handler in self._portal.call(self._socket.listeners, event)]

    def event_names(self) -> list[str | int]:
        """Give the events that there are handlers for."""
        return self._portal.call(self._socket.event_names)

    def on_any(self, handler: F) -> F:
        """Call ``handler`` with the name and the arguments of every event, before the event's own handlers."""
        self._portal.call(self._socket.on_any, self._worker.threaded(handler))
        return handler

    def prepend_any(self, handler: F) -> F:
        """Call ``handler`` for every event, before the other catch-all handlers."""
        self._portal.call(self._socket.prepend_any, self._worker.threaded(handler))
        return handler

    def off_any(self, handler: Callable[..., Any] | None = None) -> None:
        """Remove one catch-all handler, or all."""
        self._portal.call(self._socket.off_any, handler)

    def listeners_any(self) -> list[Callable[..., Any]]:
        """Give the catch-all handlers."""
        return [bare(handler) for handler in self._portal.call(self._socket.listeners_any)]

    def on_any_outgoing(self, handler: F) -> F:
        """Call ``handler`` with the name and the arguments of every event that is sent."""
        self._portal.call(self._socket.on_any_outgoing, self._worker.threaded(handler))
        return handler

    def prepend_any_outgoing(self, handler: F) -> F:
        """Call ``handler`` for every event that is sent, before the other such handlers."""
        self._portal.call(self._socket.prepend_any_outgoing, self._worker.threaded(handler))
        return handler

    def off_any_outgoing(self, handler: Callable[..., Any] | None = None) -> None:
        """Remove one handler of what is sent, or all."""
        self._portal.call(self._socket.off_any_outgoing, handler)

    def listeners_any_outgoing(self) -> list[Callable[..., Any]]:
        """Give the handlers of what is sent."""
        return [bare(handler) for handler in self._portal.call(self._socket.listeners_any_outgoing)]
