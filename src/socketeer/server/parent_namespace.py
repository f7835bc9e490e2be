"""The parents of namespaces that are made on demand."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from socketeer.adapters.base import PLAIN, Adapter, Flags, Selection
from socketeer.adapters.memory import MemoryAdapter
from socketeer.exceptions import UsageError
from socketeer.handling.emitting import AckCallback
from socketeer.multiplex.encoded import Body
from socketeer.server.listening import CONNECTION
from socketeer.server.namespace import Namespace

if TYPE_CHECKING:
    from socketeer.server.server import Server

__all__ = ["ParentNamespace"]

F = TypeVar("F", bound=Callable[..., Any])
Matcher = str | re.Pattern[str] | Callable[..., Any]


class ParentNamespace(Namespace):
    """Be the model of namespaces that come into being when a client asks for them.

    What is registered here holds for every child; what is emitted here reaches them all.
    """

    def __init__(self, server: Server, name: str, matcher: Matcher) -> None:
        self.children: dict[str, Namespace] = {}
        self.matcher = matcher
        super().__init__(server, name)

    def _make_adapter(self) -> Adapter:
        return _Children(self)

    def matches(self, name: str, auth: Any) -> Any:
        """Tell whether this is the parent of ``name``; the answer of an async callable has to be awaited."""
        if isinstance(self.matcher, re.Pattern):
            return self.matcher.search(name) is not None
        assert callable(self.matcher)
        return self.matcher(name, auth)

    def adopt(self, child: Namespace) -> None:
        """Give a namespace everything that is registered here."""
        for handlers, theirs in ((self.handlers, child.handlers), (self.own_handlers, child.own_handlers)):
            for event, present in handlers.by_event.items():
                theirs.by_event[event] = (*present, *theirs.by_event.get(event, ()))
        child.middlewares[:0] = self.middlewares
        self.children[child.name] = child

    def tidy(self) -> None:
        """Do nothing: a parent stays."""

    def emit_to_servers(self, event: str, args: tuple[Any, ...], ack: AckCallback | None) -> None:
        """Raise UsageError: what other servers have are the children."""
        self.check_addressable()

    def listen(self, event: str, function: F, *, once: bool = False) -> F:
        """Register a handler with every child, now and later."""
        super().listen(event, function, once=once)
        for child in self.children.values():
            child.listen(event, function, once=once)
        return function

    def stop_listening(self, event: str | None, function: Callable[..., Any] | None) -> None:
        """Remove handlers here and from every child."""
        super().stop_listening(event, function)
        for child in self.children.values():
            child.stop_listening(event, function)

    def add_event(self, event: str | int, function: F) -> F:
        """Register a handler for every socket of every child, now and later."""
        if event in CONNECTION:
            return self.listen("connection", function)
        super().add_event(event, function)
        for child in self.children.values():
            child.add_event(event, function)
        return function

    def add_middleware(self, middleware: F) -> F:
        """Register a middleware with every child, now and later."""
        super().add_middleware(middleware)
        for child in self.children.values():
            child.add_middleware(middleware)
        return middleware

    def check_addressable(self) -> None:
        """Raise UsageError: the sockets are the children's."""
        raise UsageError("a parent namespace has no sockets of its own: ask its children")


class _Children(MemoryAdapter):
    """Pass a parent's broadcasts on to its children, each of which may go with the last of its clients meanwhile."""

    def __init__(self, parent: ParentNamespace) -> None:
        super().__init__(parent.name, {})
        self._parent = parent

    def broadcast(self, body: Body, selection: Selection, flags: Flags = PLAIN) -> None:
        """Send an event to every socket selected of every child."""
        for child in list(self._parent.children.values()):
            child.adapter.broadcast(body, selection, flags)

    def join(self, selection: Selection, rooms: tuple[str, ...], flags: Flags = PLAIN) -> None:
        """Let every socket selected of every child join ``rooms``."""
        for child in list(self._parent.children.values()):
            child.adapter.join(selection, rooms, flags)

    def leave(self, selection: Selection, rooms: tuple[str, ...], flags: Flags = PLAIN) -> None:
        """Let every socket selected of every child leave ``rooms``."""
        for child in list(self._parent.children.values()):
            child.adapter.leave(selection, rooms, flags)

    def disconnect(self, selection: Selection, *, close: bool, flags: Flags = PLAIN) -> None:
        """Put every socket selected out of every child, or close its whole connection."""
        for child in list(self._parent.children.values()):
            child.adapter.disconnect(selection, close=close, flags=flags)
