"""Checks of options: each gives the value as it is kept, or an error that names the option."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

__all__ = [
    "BY_TYPE",
    "TRANSPORTS",
    "are_transports",
    "check_fields",
    "is_anything",
    "is_callable",
    "is_count",
    "is_path",
    "is_record",
    "is_seconds",
    "is_true_or_false",
    "nearest",
]

TRANSPORTS = ("polling", "websocket")


def nearest(name: Any, names: Iterable[str]) -> str:
    """Give the end of a sentence that suggests the name that was meant, if one is near."""
    import difflib  # only a mistake needs it

    near = difflib.get_close_matches(str(name), names, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def is_true_or_false(name: str, value: Any) -> bool:
    """Check an option that takes True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"option {name!r} takes True or False, not {value!r}")
    return value


def is_seconds(name: str, value: Any) -> float:
    """Check an option that takes a time: more than nothing, and less than for ever."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"option {name!r} takes a number of seconds, not {value!r}")
    try:
        seconds = float(value)
    except OverflowError:  # an int of any size
        seconds = math.inf
    if not 0 < seconds < math.inf:
        raise ValueError(f"option {name!r} must be more than 0 seconds and finite, not {value!r:.100}")
    return seconds


def is_count(least: int) -> Callable[[str, Any], int]:
    """Check an option that takes a whole number."""

    def check(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"option {name!r} takes a whole number, not {value!r}")
        if value < least:
            raise ValueError(f"option {name!r} must be at least {least}, not {value}")
        return value

    return check


def is_path(name: str, value: Any) -> str:
    """Check an option that takes the path of a URL."""
    if not isinstance(value, str):
        raise TypeError(f"option {name!r} takes a str, not {value!r}")
    path = "/" + value.strip("/")
    if path == "/" or not (path.isascii() and path.isprintable()) or any(c in path for c in "?#% "):
        raise ValueError(f"option {name!r} must be a URL path such as '/socket.io', not {value!r}")
    return path


def are_transports(name: str, value: Any) -> tuple[str, ...]:
    """Check an option that takes names of transports."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(f"option {name!r} takes a list of transports, not {value!r}")
    for transport in value:
        if transport not in TRANSPORTS:
            raise ValueError(f"option {name!r} knows {', '.join(TRANSPORTS)}, not {transport!r}")
    if not value:
        raise ValueError(f"option {name!r} needs at least one transport")
    return tuple(dict.fromkeys(value))


def is_anything(name: str, value: Any) -> Any:
    """Take any value."""
    return value  # checked where it is used: see socketeer.engine.cors and socketeer.protocol.parsers


def is_callable(name: str, value: Any) -> Any:
    """Check an option that takes a function, or None."""
    if value is not None and not callable(value):
        raise TypeError(f"option {name!r} takes a callable, not {value!r}")
    return value


R = TypeVar("R")


def is_record(record: type[R]) -> Callable[[str, Any], R | None]:
    """Check an option that takes a dataclass, its fields as a mapping, True for its defaults, or False."""
    names = [field.name for field in dataclasses.fields(record)]  # type: ignore[arg-type]  # it is a dataclass

    def check(name: str, value: Any) -> R | None:
        if value is None or value is False:
            return None
        if value is True:
            return record()
        if isinstance(value, record):
            return value
        if not isinstance(value, Mapping):
            raise TypeError(f"option {name!r} takes True, False or a {record.__name__}, not {value!r}")
        for key in value:
            if key not in names:
                raise TypeError(f"option {name!r} has no {key!r}{nearest(key, names)}")
        return record(**value)

    return check


def check_fields(record: Any, option: str) -> None:
    """Check the fields of a record by their types."""
    for field in dataclasses.fields(record):
        check = is_count(0) if field.name == "threshold" else BY_TYPE[str(field.type)]
        value = check(f"{option}.{field.name}", getattr(record, field.name))
        object.__setattr__(record, field.name, value)


BY_TYPE: dict[str, Callable[[str, Any], Any]] = {
    "bool": is_true_or_false,
    "float": is_seconds,
    "int": is_count(1),
}
"""By the type of a field."""
