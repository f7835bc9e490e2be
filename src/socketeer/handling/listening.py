"""What an application registers with a single socket, on either side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload

from socketeer.exceptions import UsageError
from socketeer.handling.handlers import Handler, Handlers
from socketeer.protocol.packets import RESERVED_EVENTS

__all__ = ["EventListening", "check_listened", "check_name"]

F = TypeVar("F", bound=Callable[..., Any])


def check_name(event: Any) -> None:
    """Raise TypeError for what is no name of an event: most likely a handler, of a decorator without its brackets."""
    if isinstance(event, bool) or not isinstance(event, str | int):
        raise TypeError(f"the name of an event must be a str or an int, as in on('news'), not {event!r:.200}")


def check_listened(event: Any, own: frozenset[str], peer: str) -> None:
    """Raise TypeError or UsageError unless handlers of this event may be called some day.

    ``own`` are the events of this side, ``peer`` is who sends the others: a client or a server.
    """
    check_name(event)
    if event in RESERVED_EVENTS and event not in own:
        raise UsageError(f"{event!r} is no event that a {peer} can send: this handler would never be called")


class EventListening:
    """Offer everything that an application registers with one socket."""

    __slots__ = ("_any", "_handlers", "_outgoing")

    _handlers: Handlers | None
    _any: tuple[Handler, ...]
    _outgoing: tuple[Handler, ...]

    def _check_listened(self, event: Any) -> None:
        """Raise unless handlers of this event may be called some day: see :func:`check_listened`."""
        raise NotImplementedError

    def _listen(self, event: str | int, function: F, *, once: bool = False) -> F:
        self._add_handler(event, Handler(function, once=once, typed=True))
        return function

    def _add_handler(self, event: str | int, handler: Handler) -> None:
        if self._handlers is None:
            self._handlers = Handlers()
        self._handlers.add(event, handler)

    def _set_outgoing(self, handlers: tuple[Handler, ...]) -> None:
        self._outgoing = handlers

    @overload
    def on(self, event: str | int) -> Callable[[F], F]: ...
    @overload
    def on(self, event: str | int, handler: F) -> F: ...
    def on(self, event: str | int, handler: F | None = None) -> F | Callable[[F], F]:
        """Call ``handler`` with the arguments of each ``event``; as a decorator without ``handler``.

        Several handlers of one event are called in the order of their registration.
        """
        self._check_listened(event)
        if handler is None:
            return lambda function: self._listen(event, function)
        return self._listen(event, handler)

    @overload
    def once(self, event: str | int) -> Callable[[F], F]: ...
    @overload
    def once(self, event: str | int, handler: F) -> F: ...
    def once(self, event: str | int, handler: F | None = None) -> F | Callable[[F], F]:
        """Call ``handler`` for the next ``event`` only; as a decorator without ``handler``."""
        self._check_listened(event)
        if handler is None:
            return lambda function: self._listen(event, function, once=True)
        return self._listen(event, handler, once=True)

    def off(self, event: str | int | None = None, handler: Callable[..., Any] | None = None) -> None:
        """Remove one handler, every handler of an event, or all of this socket."""
        if self._handlers is not None:
            self._handlers.remove(event, handler)

    def listeners(self, event: str | int) -> list[Callable[..., Any]]:
        """Give the handlers of an event that belong to this socket alone."""
        return [] if self._handlers is None else self._handlers.functions(event)

    def event_names(self) -> list[str | int]:
        """Give the events that this socket alone has handlers for."""
        return [] if self._handlers is None else list(self._handlers.by_event)

    def on_any(self, handler: F) -> F:
        """Call ``handler`` with the name and the arguments of every event, before the event's own handlers."""
        self._any = (*self._any, Handler(handler))
        return handler

    def prepend_any(self, handler: F) -> F:
        """Call ``handler`` for every event, before the other catch-all handlers."""
        self._any = (Handler(handler), *self._any)
        return handler

    def off_any(self, handler: Callable[..., Any] | None = None) -> None:
        """Remove one catch-all handler, or all."""
        self._any = tuple(other for other in self._any if handler is not None and other.function != handler)

    def listeners_any(self) -> list[Callable[..., Any]]:
        """Give the catch-all handlers."""
        return [handler.function for handler in self._any]

    def on_any_outgoing(self, handler: F) -> F:
        """Call ``handler`` with the name and the arguments of every event that is sent."""
        self._set_outgoing((*self._outgoing, Handler(handler)))
        return handler

    def prepend_any_outgoing(self, handler: F) -> F:
        """Call ``handler`` for every event that is sent, before the other such handlers."""
        self._set_outgoing((Handler(handler), *self._outgoing))
        return handler

    def off_any_outgoing(self, handler: Callable[..., Any] | None = None) -> None:
        """Remove one handler of what is sent, or all."""
        self._set_outgoing(tuple(h for h in self._outgoing if handler is not None and h.function != handler))

    def listeners_any_outgoing(self) -> list[Callable[..., Any]]:
        """Give the handlers of what is sent."""
        return [handler.function for handler in self._outgoing]
