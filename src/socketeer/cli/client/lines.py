"""What may be typed at the prompt, or come in a line of standard input: ``event json json ...``.

Bare words are strings, so quotes are for those that have spaces in them or look like something else. A ``?`` behind
the event's name asks for an acknowledgement.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from socketeer.cli.client.values import BadValue, read_json, read_word, safe

__all__ = ["Emission", "lines_of", "quote", "read_emission", "read_values", "read_words"]

_WORD = re.compile(r"\S+")
_BARE = re.compile(r"[^\W\d][\w-]*\??")
_SPACE = re.compile(r"\s*")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'')


@dataclass(frozen=True, slots=True)
class Emission:
    """Hold an event that is to be sent."""

    event: str
    args: tuple[Any, ...] = ()
    ack: bool = False
    volatile: bool = False


def lines_of(text: str) -> list[str]:
    """Give the lines of a text, such as one that was pasted; one ends where the brackets of its JSON are closed."""
    lines: list[str] = []
    depth = 0
    for line in text.split("\n"):
        if depth > 0:
            lines[-1] += "\n" + line
        else:
            lines.append(line)
        bare = _QUOTED.sub("", line)
        depth = max(0, depth) + sum(map(bare.count, "{[")) - sum(map(bare.count, "}]"))
    return lines


def read_emission(line: str) -> Emission:
    """Read a line: the name of an event, which may stand behind ``/ack`` or ``/volatile``, and its arguments.

    Raises BadValue.
    """
    reader = _Reader(line)
    ack = volatile = False
    while not reader.at_end() and (prefix := reader.prefix()):
        ack |= prefix == "/ack"
        volatile |= prefix == "/volatile"
    if reader.at_end():
        raise BadValue("the name of an event is missing")
    event, asks = reader.name()
    return Emission(event, tuple(reader.values()), ack or asks, volatile)


def read_values(text: str) -> list[Any]:
    """Read values with spaces between them. Raises BadValue."""
    return list(_Reader(text).values())


def read_words(words: Sequence[str]) -> Emission:
    """Read an event as the words of a shell's command: one alone is a line, further ones are its arguments.

    Raises BadValue, also for a line of bare words: it might be meant as the name of an event, with spaces in it.
    """
    first, *rest = words
    if not rest:
        if len(first.split()) > 1 and all(map(_BARE.fullmatch, first.split())):
            raise BadValue(f"quote the name of the event, '\"{first}\"', or give each argument as a word of its own")
        return read_emission(first)
    if first[:1] == '"':
        event, ack = _Reader(first).name()
    else:
        event, ack = _asks(first)
    return Emission(event, tuple(map(read_word, rest)), ack)


def quote(event: str) -> str:
    """Write the name of an event so that :func:`read_emission` reads it."""
    if _WORD.fullmatch(event) and event.isprintable() and event[0] not in "\"'/" and not event.endswith("?"):
        return event
    return safe(json.dumps(event, ensure_ascii=False))


def _asks(name: str) -> tuple[str, bool]:
    return (name[:-1], True) if name.endswith("?") and len(name) > 1 else (name, False)


class _Reader:
    """Read a line from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def at_end(self) -> bool:
        """Tell whether nothing but space is left, and pass over the space."""
        space = _SPACE.match(self._text, self._at)
        assert space is not None
        self._at = space.end()
        return self._at == len(self._text)

    def prefix(self) -> str | None:
        """Read a command that says how to send, if there is one."""
        if not self._text.startswith("/", self._at):
            return None
        command = self._word()
        if command not in ("/ack", "/volatile"):
            raise BadValue(f"{command} is for the prompt; an event whose name begins with / needs quotes")
        return command

    def name(self) -> tuple[str, bool]:
        """Read the name of an event, and whether it asks for an acknowledgement."""
        if self._text[self._at] not in "\"'":
            return _asks(self._word())
        name = self._quoted()
        asks = self._text.startswith("?", self._at)
        self._at += asks
        self._check_space()
        return name, asks

    def values(self) -> list[Any]:
        """Read all that is left."""
        values = []
        while not self.at_end():
            values.append(self._value())
        return values

    def _value(self) -> Any:
        text, start = self._text, self._at
        if text[start] == "'":
            value: Any = self._quoted()
        elif text[start] in '"{[':
            value, self._at = read_json(text, start)
        elif text.startswith('@"', start):
            self._at += 1
            value = read_word("@" + self._quoted())
        else:
            return read_word(self._word())
        self._check_space()
        return value

    def _word(self) -> str:
        word = _WORD.match(self._text, self._at)
        assert word is not None
        self._at = word.end()
        return word[0]

    def _quoted(self) -> str:
        text, start = self._text, self._at
        if text[start] == '"':
            value, self._at = read_json(text, start)
            assert isinstance(value, str)
            return value
        end = text.find("'", start + 1)
        if end < 0:
            raise BadValue(f"the quote at column {start + 1} is not closed")
        self._at = end + 1
        return text[start + 1 : end]

    def _check_space(self) -> None:
        if self._at < len(self._text) and not self._text[self._at].isspace():
            raise BadValue(f"a space is missing at column {self._at + 1}")
