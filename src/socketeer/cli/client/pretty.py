"""Values for people: coloured JSON that fits the terminal, whatever a server sends.

A value becomes a tree of bounded size first, then lines: a branch stays on one line where there is room for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from unicodedata import combining, east_asian_width

from socketeer.cli.client.values import safe

__all__ = ["Style", "pretty"]

Style = Callable[[str, str], str]
"""Colours a text: it takes the text and what it is, such as ``string``."""

_MAX_NODES = 250
_MAX_ITEMS = 50
_MAX_TEXT = 2000
_MAX_DEPTH = 10
_HEX_BYTES = 16
_INDENT = 2


@dataclass(slots=True)
class _Leaf:
    text: str
    kind: str

    @property
    def width(self) -> int:
        return _columns(self.text)

    def flat(self, style: Style) -> str:
        return style(self.text, self.kind)

    def lines(self, style: Style, room: int, taken: int = 0) -> list[str]:
        return [self.flat(style)]


@dataclass(slots=True)
class _Branch:
    opening: str
    closing: str
    items: list[tuple[_Leaf | None, _Leaf | _Branch]] = field(default_factory=list)
    _inner: int = 0

    @property
    def width(self) -> int:
        return max(self._inner, 2)  # what is counted for a comma behind the last item is that of the brackets

    def add(self, key: _Leaf | None, item: _Leaf | _Branch) -> None:
        self.items.append((key, item))
        self._inner += item.width + 2 + (key.width + 2 if key else 0)

    def flat(self, style: Style) -> str:
        parts = (_label(key, style) + item.flat(style) for key, item in self.items)
        return self.opening + ", ".join(parts) + self.closing

    def lines(self, style: Style, room: int, taken: int = 0) -> list[str]:
        """Write the branch; ``taken`` is what stands around it on the first line."""
        if self.width + taken <= room or not self.items:
            return [self.flat(style)]
        if all(key is None and isinstance(item, _Leaf) for key, item in self.items):
            return [self.opening, *self._filled(style, room - _INDENT), self.closing]
        lines = [self.opening]
        for number, (key, item) in enumerate(self.items, 1):
            first, *rest = item.lines(style, room - _INDENT, 1 + (key.width + 2 if key else 0))
            block = [_label(key, style) + first, *rest]
            block[-1] += "," * (number < len(self.items))
            lines += [" " * _INDENT + line for line in block]
        return [*lines, self.closing]

    def _filled(self, style: Style, room: int) -> Iterator[str]:
        """Put as many items on each line as have room there."""
        line, left = "", 0
        for number, (_, item) in enumerate(self.items, 1):
            if line and item.width + 1 > left:
                yield line.rstrip(" ")
                line = ""
            if not line:
                line, left = " " * _INDENT, room
            line += item.flat(style) + ", " * (number < len(self.items))
            left -= item.width + 2
        yield line


def pretty(values: Sequence[Any], style: Style, beside: int, below: int) -> tuple[str, list[str]]:
    """Write values that stand behind a name: what goes on its line, and the lines below it.

    ``beside`` and ``below`` say how many columns there are.
    """
    planter = _Planter()
    nodes = [planter.plant(value) for value in values]
    if sum(node.width + 1 for node in nodes) <= beside or all(isinstance(node, _Leaf) for node in nodes):
        return " ".join(node.flat(style) for node in nodes), []
    return "", [line for node in nodes for line in node.lines(style, below)]


def _columns(text: str) -> int:
    """Count the columns that a terminal needs: characters of East Asia and emoji have two."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(char) else 1 + (east_asian_width(char) in "WF") for char in text)


def _label(key: _Leaf | None, style: Style) -> str:
    return "" if key is None else f"{key.flat(style)}: "


class _Planter:
    """Make trees that together have no more than so many nodes."""

    def __init__(self) -> None:
        self._left = _MAX_NODES

    def plant(self, value: Any, depth: int = 0) -> _Leaf | _Branch:
        self._left -= 1
        if isinstance(value, Mapping):
            return self._branch(_Branch("{", "}"), value, value.items(), depth)
        if isinstance(value, list | tuple):
            return self._branch(_Branch("[", "]"), value, ((None, item) for item in value), depth)
        return _leaf(value)

    def _branch(self, branch: _Branch, whole: Sized, items: Iterable[tuple[Any, Any]], depth: int) -> _Branch:
        for key, item in islice(items, _MAX_ITEMS if depth < _MAX_DEPTH else 0):
            if self._left <= 0:
                break
            branch.add(None if key is None else _text_of(key), self.plant(item, depth + 1))
        if len(branch.items) < len(whole):
            branch.add(None, _Leaf(f"… {len(whole) - len(branch.items):,} more", "cut"))
        return branch


def _leaf(value: Any) -> _Leaf:
    match value:
        case None:
            return _Leaf("null", "word")
        case bool():
            return _Leaf("true" if value else "false", "word")
        case int() | float():
            return _Leaf(repr(value), "number")
        case str():
            return _text_of(value, "string")
        case bytes() | bytearray() | memoryview():
            return _Leaf(_describe(bytes(value)), "binary")
    return _Leaf(safe(str(value)), "word")


def _text_of(text: Any, kind: str = "key") -> _Leaf:
    text = text if isinstance(text, str) else str(text)
    more = len(text) - _MAX_TEXT
    written = safe(json.dumps(text[:_MAX_TEXT], ensure_ascii=False))
    return _Leaf(f"{written}… {more:,} more" if more > 0 else written, kind)


def _describe(data: bytes) -> str:
    start = data[:_HEX_BYTES].hex(" ")
    length = "1 byte" if len(data) == 1 else f"{len(data):,} bytes"
    return f"<{length}{': ' if data else ''}{start}{' …' * (len(data) > _HEX_BYTES)}>"
