"""What is checked and encoded of an event before it is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from socketeer.multiplex.encoded import Body, Format
from socketeer.protocol.packets import RESERVED_EVENTS

__all__ = ["AckCallback", "check_ack", "check_event", "check_timeout", "encode_event"]

AckCallback = Callable[..., Any]


def encode_event(event: str | int, args: tuple[Any, ...], fmt: Format, namespace: str) -> Body:
    """Encode an event of a namespace.

    Raises ``ValueError`` for a reserved name or too many binary values, ``TypeError`` for what cannot be encoded.
    """
    if event.__class__ is not str:
        check_event(event)
    if event in RESERVED_EVENTS:
        raise ValueError(f"{event!r} is a reserved event name")
    try:
        return fmt.body([event, *args], namespace)
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError  # some heirs take other arguments
        hint = "; to be called back, pass it as ack=" if args and callable(args[-1]) else ""
        raise kind(f"emit({event!r}): {error}{hint}") from None


def check_event(event: Any) -> None:
    """Raise TypeError unless ``event`` can be the name of an event."""
    if isinstance(event, bool) or not isinstance(event, str | int):
        raise TypeError(f"the name of an event must be a str or an int, not {event!r}")


def check_ack(ack: Any) -> None:
    """Raise TypeError unless ``ack`` can be called with an acknowledgement."""
    if not callable(ack):
        raise TypeError(f"ack= takes a function, not {ack!r:.100}")


def check_timeout(seconds: float) -> float:
    """Check the argument of ``timeout()``."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"timeout() takes a number of seconds, not {seconds!r}")
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"timeout() takes a finite number of seconds that is not negative, not {seconds!r}")
    return float(seconds)
