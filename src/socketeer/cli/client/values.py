"""Values as they are typed and as they are written: JSON, in which binary is ``{"$base64": "..."}``.

Whatever came from a server passes :func:`safe` before it reaches a terminal.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

__all__ = ["BadValue", "read_json", "read_word", "safe", "write_json"]

_BASE64 = "$base64"
_JOINER = "\u200d"  # holds emoji together, and moves nothing


class BadValue(ValueError):
    """Say what is wrong with something that was typed."""


def safe(text: str) -> str:
    r"""Write whatever a terminal might act upon, or not show, as ``\uXXXX``, as JSON does inside strings."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == _JOINER else _escape(char) for char in text)


def _escape(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def write_json(value: Any) -> str:
    """Write one line of JSON that is safe for terminals.

    Raises ``RecursionError`` for what is nested too deeply, as anything that a server sends may be.
    """
    return safe(json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":")))


def _plain(value: Any) -> Any:
    """Give a value that came over any parser as JSON has it; what JSON has no word for is null or a string."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case bytes() | bytearray() | memoryview():
            return {_BASE64: base64.b64encode(value).decode()}
        case Mapping():
            return {key if isinstance(key, str) else str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case date():
            return value.isoformat()
    return str(value)


def read_json(text: str, start: int = 0) -> tuple[Any, int]:
    """Read the JSON value that begins at ``start``, and say where it ends. Raises BadValue."""
    try:
        return _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise BadValue(f"not JSON: {error.msg} at column {error.pos + 1} of {_excerpt(text)}") from error
    except RecursionError:
        raise BadValue("nested too deeply") from None
    except BadValue:
        raise
    except ValueError as error:  # of a number with thousands of digits
        raise BadValue(f"not JSON: {error}") from error


def read_word(word: str) -> Any:
    """Read an argument that stands alone: JSON, ``@file`` or ``base64:...`` for binary, else a string."""
    if word.startswith("@") and len(word) > 1:
        return _read_file(word[1:])
    if word.startswith("base64:"):
        return _read_base64(word.removeprefix("base64:"))
    if word.lstrip()[:1] in _BRACKETS:
        start = len(word) - len(word.lstrip())
        value, end = read_json(word, start)
        if word[end:].strip():
            raise BadValue(f"not JSON: something follows at column {end + 1} of {_excerpt(word)}")
        return value
    try:
        value, end = _DECODER.raw_decode(word)
    except ValueError:
        return word
    return value if end == len(word) else word


def _read_file(name: str) -> bytes:
    try:
        return Path(name).expanduser().read_bytes()
    except OSError as error:
        raise BadValue(f"cannot read {name}: {error.strerror or error}") from error


def _read_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadValue(f"not base64: {_excerpt(text)}") from error


def _excerpt(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def _no_number(name: str) -> Any:
    raise BadValue(f"{name} is not JSON")


def _revive(value: dict[str, Any]) -> Any:
    if value.keys() == {_BASE64} and isinstance(value[_BASE64], str):
        return _read_base64(value[_BASE64])
    return value


_BRACKETS = frozenset('"{[')
_DECODER = json.JSONDecoder(object_hook=_revive, parse_constant=_no_number)
