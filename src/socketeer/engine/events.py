"""Events of this side, such as a session's ``upgrade`` or an adapter's ``create-room``: who listens, and telling them.

Nothing here is on the way of a packet: owners ask :meth:`Events.has`, or make no ``Events`` before somebody listens.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, NamedTuple, TypeVar, overload

from socketeer.exceptions import UsageError

__all__ = ["Events", "Spawn"]

_log = logging.getLogger("socketeer.engine")

F = TypeVar("F", bound=Callable[..., Any])

Spawn = Callable[[Coroutine[Any, Any, Any]], Any]
"""Run a coroutine as a task, and give the task."""


class _Listener(NamedTuple):
    function: Callable[..., Any]
    most: int | None
    """The most arguments that it takes; None for any number."""
    once: bool


class Events:
    """Keep the listeners of events, and call them.

    Only the names in ``known`` may be listened to, where there are any. ``spawn`` runs what an async listener gives;
    without it there can be none.
    """

    __slots__ = ("_known", "_listeners", "_spawn")

    def __init__(self, known: Iterable[str] = (), spawn: Spawn | None = None) -> None:
        self._known = frozenset(known)
        self._spawn = spawn
        self._listeners: dict[str, tuple[_Listener, ...]] = {}

    @overload
    def on(self, event: str) -> Callable[[F], F]: ...
    @overload
    def on(self, event: str, listener: F) -> F: ...
    def on(self, event: str, listener: F | None = None) -> F | Callable[[F], F]:
        """Call ``listener`` at each ``event``, with as many of its arguments as it takes; as a decorator without one.

        Raises ``UsageError`` for an event that does not exist.
        """
        self._check(event)
        if listener is None:
            return lambda function: self._add(event, function, once=False)
        return self._add(event, listener, once=False)

    @overload
    def once(self, event: str) -> Callable[[F], F]: ...
    @overload
    def once(self, event: str, listener: F) -> F: ...
    def once(self, event: str, listener: F | None = None) -> F | Callable[[F], F]:
        """Call ``listener`` at the next ``event`` only."""
        self._check(event)
        if listener is None:
            return lambda function: self._add(event, function, once=True)
        return self._add(event, listener, once=True)

    def off(self, event: str | None = None, listener: Callable[..., Any] | None = None) -> None:
        """Remove one listener, every listener of an event, or all."""
        if event is None:
            self._listeners.clear()
            return
        self._check(event)
        present = self._listeners.get(event, ())
        self._set(event, [other for other in present if listener is not None and other.function != listener])

    def listeners(self, event: str) -> list[Callable[..., Any]]:
        """Give the listeners of an event, in the order of their registration."""
        self._check(event)
        return [present.function for present in self._listeners.get(event, ())]

    def has(self, event: str) -> bool:
        """Tell whether anybody listens to an event."""
        return event in self._listeners

    def fire(self, event: str, *args: Any) -> None:
        """Call the listeners of an event; what one of them raises is logged and does not stop the others."""
        for listener in self._listeners.get(event, ()):
            if listener.once and not self._discard(event, listener):
                continue  # called by what another listener set off
            try:
                value = listener.function(*args[: listener.most])
            except Exception:
                _log.exception("a listener of %r failed", event)
            else:
                if self._spawn is not None and inspect.iscoroutine(value):
                    task = self._spawn(value)
                    if task is not None:  # else it is kept until the event loop runs
                        task.add_done_callback(_note_failure)

    def _check(self, event: str) -> None:
        if self._known and event not in self._known:
            raise UsageError(f"there is no event {event!r}, but {', '.join(sorted(self._known))}")

    def _add(self, event: str, function: F, *, once: bool) -> F:
        if not callable(function):
            raise TypeError(f"a listener must be callable, not {function!r}")
        if self._spawn is None and _is_async(function):
            raise UsageError(f"the listeners of {event!r} are called at once and cannot be async: {function!r}")
        self._listeners[event] = (*self._listeners.get(event, ()), _Listener(function, _most(function), once))
        return function

    def _discard(self, event: str, listener: _Listener) -> bool:
        present = self._listeners.get(event, ())
        left = [other for other in present if other is not listener]
        self._set(event, left)
        return len(left) < len(present)

    def _set(self, event: str, listeners: list[_Listener]) -> None:
        if listeners:
            self._listeners[event] = tuple(listeners)
        else:
            self._listeners.pop(event, None)


def _note_failure(task: Any) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("an async listener failed", exc_info=error)


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def _most(function: Callable[..., Any]) -> int | None:
    """Count the positional arguments that a function takes; None for any number."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some builtins have none
        return None
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return None
    return sum(
        parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD) for parameter in parameters
    )
