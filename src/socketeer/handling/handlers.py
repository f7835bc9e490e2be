"""Handlers: functions of the application, and how an event's arguments meet their signatures.

A signature is read once, when the handler is registered. What came from the other side and does not fit is bad input:
it is reported, and the handler is not called.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any

from socketeer.exceptions import SocketeerError
from socketeer.handling.payloads import Misfit, Payload, read_payload

if sys.version_info >= (3, 14):
    import annotationlib

__all__ = ["BadArguments", "BadPayload", "Handler", "Handlers", "event_parameters", "is_async", "read_parameters"]


class BadArguments(SocketeerError):
    """Report an event whose arguments do not fit its handler: the fault of the other side."""

    def __init__(self, event: Any, handler: str, reason: str) -> None:
        super().__init__(f"event {event!r:.100}: {handler} {reason}")
        self.event = event
        self.reason = reason
        """What does not fit, in words that may be shown to the other side."""

    def answer(self) -> dict[str, Any]:
        """Give what the other side gets that asked for an acknowledgement."""
        return {"error": {"name": type(self).__name__, "message": self.reason}}


class BadPayload(BadArguments):
    """Report an argument that does not fit its annotation; ``__cause__`` is what the library that checked it said."""

    def __init__(self, event: Any, handler: str, misfit: Misfit) -> None:
        super().__init__(event, handler, f"does not take {misfit}")
        self.reason = str(misfit)
        self.argument = misfit.argument
        """The name of the handler's parameter."""
        self.path = misfit.path
        """Where in the argument, as ``items[0].count``; empty where it is the argument itself."""

    def answer(self) -> dict[str, Any]:
        """Give what the other side gets that asked for an acknowledgement."""
        answer = super().answer()
        answer["error"].update(argument=self.argument, path=self.path)
        return answer


class Handler:
    """Hold a function, what it takes, and whether it has to be awaited.

    ``bound`` counts the arguments that come from this side, before those of the event. Where these are ``typed``, they
    have to fit the annotations. A ``plain`` handler can be called with nothing further to be considered; where it takes
    neither more nor less, ``exact`` is the number of the event's arguments and its name.
    """

    __slots__ = ("bound", "exact", "function", "is_async", "least", "most", "once", "payload", "plain", "wants_ack")

    def __init__(
        self, function: Callable[..., Any], *, bound: int = 0, once: bool = False, typed: bool = False
    ) -> None:
        if not callable(function):
            raise TypeError(f"a handler must be callable, not {function!r}")
        self.function = function
        self.bound = bound
        self.once = once
        self.is_async = is_async(function)
        parameters = read_parameters(function)
        self.least, self.most, self.wants_ack = _count(function, parameters)
        if self.most is not None and self.most < bound:
            raise TypeError(f"{_name(function)} must take the socket as its first argument")
        self.payload: Payload | None = read_payload(function, event_parameters(parameters, bound)) if typed else None
        self.plain = not (self.is_async or once or self.wants_ack or self.payload)
        self.exact = self.least + 1 - bound if self.plain and self.least == self.most else -1

    def fits(self, count: int) -> bool:
        """Tell whether ``count`` arguments of an event can be passed."""
        count += self.bound
        return self.least <= count and (self.most is None or count <= self.most)

    def explain(self, event: object, count: int) -> BadArguments:
        """Say how the arguments do not fit."""
        least = max(self.least - self.bound, 0)
        most = None if self.most is None else self.most - self.bound
        takes = f"{least}" if least == most else f"{least} or more" if most is None else f"{least} to {most}"
        return BadArguments(event, _name(self.function), f"takes {takes} arguments, {count} came")

    def take(self, event: object, args: list[Any]) -> list[Any]:
        """Make the arguments of an event what the handler is to get; the list becomes its own.

        Raises BadArguments where they do not fit.
        """
        if not self.fits(len(args)):
            raise self.explain(event, len(args))
        if self.payload is None:
            return args
        try:
            return self.payload.convert(args)
        except Misfit as misfit:
            raise BadPayload(event, _name(self.function), misfit) from misfit.__cause__

    def trim(self, args: Sequence[Any]) -> list[Any]:
        """Leave off the arguments that the handler does not declare: for events of this side, not of the other."""
        return list(args if self.most is None else args[: self.most])


def is_async(function: Callable[..., Any]) -> bool:
    """Tell whether what a function gives has to be awaited."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", repr(function))


def read_parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Give the parameters of a function; their annotations may be strings."""
    try:
        if sys.version_info >= (3, 14):  # where annotations may name what is not defined
            signature = inspect.signature(function, annotation_format=annotationlib.Format.FORWARDREF)
        else:
            signature = inspect.signature(function)
    except (TypeError, ValueError):  # some builtins have none
        return [inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL)]
    return list(signature.parameters.values())


def event_parameters(parameters: list[inspect.Parameter], bound: int) -> list[inspect.Parameter]:
    """Give the parameters that take arguments of an event."""
    named = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    rest = [each for each in parameters if each.kind is each.VAR_POSITIONAL]
    return [each for each in named if each.name != "ack"][bound:] + rest


def _count(function: Callable[..., Any], parameters: list[inspect.Parameter]) -> tuple[int, int | None, bool]:
    """Give the least and the most positional arguments, and whether there is a parameter ``ack``."""
    least = 0
    most: int | None = 0
    wants_ack = False
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            most = None
        elif parameter.name == "ack" and parameter.kind is not parameter.VAR_KEYWORD:
            if parameter.kind is parameter.POSITIONAL_ONLY:
                raise TypeError(f"{_name(function)}: the parameter ack must not be positional-only")
            wants_ack = True
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            if wants_ack:
                raise TypeError(f"{_name(function)}: the parameter ack must come after the arguments of the event")
            most = None if most is None else most + 1
            least += parameter.default is parameter.empty
        elif parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty:
            raise TypeError(f"{_name(function)}: an event has no keyword arguments, {parameter.name} needs a default")
    return least, most, wants_ack


class Handlers:
    """Keep the handlers of events by name, in the order of their registration."""

    __slots__ = ("by_event",)

    def __init__(self) -> None:
        self.by_event: dict[Any, tuple[Handler, ...]] = {}

    def add(self, event: Any, handler: Handler, *, first: bool = False) -> None:
        """Add a handler behind those that are there, or before them."""
        present = self.by_event.get(event, ())
        self.by_event[event] = (handler, *present) if first else (*present, handler)

    def remove(self, event: Any = None, function: Callable[..., Any] | None = None) -> None:
        """Remove one function, every handler of an event, or all."""
        if event is None:
            self.by_event.clear()
        elif function is None:
            self.by_event.pop(event, None)
        else:
            left = tuple(handler for handler in self.by_event.get(event, ()) if handler.function != function)
            if left:
                self.by_event[event] = left
            else:
                self.by_event.pop(event, None)

    def discard(self, event: Any, handler: Handler) -> bool:
        """Remove this handler; False where it was gone already."""
        present = self.by_event.get(event, ())
        if handler not in present:
            return False
        left = tuple(other for other in present if other is not handler)
        if left:
            self.by_event[event] = left
        else:
            del self.by_event[event]
        return True

    def functions(self, event: Any) -> list[Callable[..., Any]]:
        """Give the functions that listen to an event."""
        return [handler.function for handler in self.by_event.get(event, ())]
