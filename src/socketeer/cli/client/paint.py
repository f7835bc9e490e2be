"""Happenings for people: a line with the time for each, in colours where the terminal has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import click

from socketeer.cli.client.happenings import (
    Answered,
    Connected,
    Disconnected,
    Failed,
    Happening,
    Note,
    Packet,
    Received,
    Refused,
    Replied,
    Retrying,
    Unanswered,
    Upgraded,
)
from socketeer.cli.client.pretty import pretty
from socketeer.cli.client.values import safe

__all__ = ["Painter"]

_Word = tuple[str, str]
"""A text, safe for the terminal, and its style."""
_STYLES: dict[str, dict[str, Any]] = {
    "time": {"fg": "bright_black"},
    "aside": {"fg": "bright_black"},
    "namespace": {"fg": "magenta"},
    "event": {"fg": "cyan", "bold": True},
    "good": {"fg": "green"},
    "bad": {"fg": "red"},
    "busy": {"fg": "yellow"},
    "key": {"fg": "blue"},
    "string": {"fg": "green"},
    "number": {"fg": "yellow"},
    "word": {"fg": "magenta"},
    "binary": {"fg": "bright_yellow"},
    "cut": {"fg": "bright_black"},
    "plain": {},
}
_HEAD = 15
"""How long the time and the sign are."""
_INDENT = " " * 6
_MAX_PACKET = 500
_MAX_WORD = 200


class Painter:
    """Write happenings as text for a terminal; ``width`` is asked how wide it is."""

    def __init__(self, *, color: bool, width: Callable[[], int], clock: Callable[[], datetime] = datetime.now) -> None:
        self._color = color
        self._width = width
        self._clock = clock
        self._painters: dict[type[Any], Callable[[Any], str]] = {
            Answered: self._answered,
            Connected: self._connected,
            Disconnected: self._disconnected,
            Failed: self._failed,
            Note: self._note,
            Packet: self._packet,
            Received: self._received,
            Refused: self._refused,
            Replied: self._replied,
            Retrying: self._retrying,
            Unanswered: self._unanswered,
            Upgraded: self._upgraded,
        }

    def paint(self, happening: Happening) -> str:
        """Write a happening: a line or several, without a line feed at the end."""
        return self._painters[type(happening)](happening)

    def style(self, text: str, kind: str) -> str:
        """Colour a text, if there are colours."""
        return click.style(text, **_STYLES[kind]) if self._color else text

    def _head(self, sign: str, kind: str) -> str:
        now = self._clock()
        time = f"{now:%H:%M:%S}.{now.microsecond // 1000:03}"
        return f"{self.style(time, 'time')} {self.style(sign, kind)} "

    def _row(self, sign: str, kind: str, words: list[_Word], values: Sequence[Any] = (), aside: str = "") -> str:
        """Write a line of words with values behind them, or below where there is no room."""
        taken = _HEAD + sum(len(text) + 1 for text, _ in words) + (len(aside) + 3 if aside else 0)
        width = self._width()
        beside, below = pretty(values, self.style, width - taken, width - len(_INDENT))
        parts = [self.style(text, word) for text, word in words if text]
        parts += [beside] if beside else []
        parts += [self.style(f"({aside})", "aside")] if aside else []
        return "\n".join([self._head(sign, kind) + " ".join(parts), *(_INDENT + line for line in below)])

    # -- the connection

    def _connected(self, connected: Connected) -> str:
        how = f"connected as {_brief(connected.id or '?')} over {connected.transport or '?'}"
        aside = "what was missed follows" if connected.recovered else ""
        return self._row("●", "good", [_namespace(connected), (how, "good")], aside=aside)

    def _upgraded(self, upgraded: Upgraded) -> str:
        return self._row("●", "good", [(f"upgraded to {upgraded.transport}", "good")])

    def _disconnected(self, disconnected: Disconnected) -> str:
        words = [_namespace(disconnected), (f"disconnected: {_brief(disconnected.reason)}", "bad")]
        return self._row("●", "bad", words, aside=_brief(disconnected.description or ""))

    def _refused(self, refused: Refused) -> str:
        words = [_namespace(refused), (f"refused: {_brief(refused.message)}", "bad")]
        return self._row("●", "bad", words, [] if refused.data is None else [refused.data])

    def _failed(self, failed: Failed) -> str:
        return self._row("●", "bad", [_namespace(failed), (f"cannot connect: {_brief(failed.message)}", "bad")])

    def _retrying(self, retrying: Retrying) -> str:
        words = [(f"reconnecting in {retrying.delay:.1f} s", "busy")]
        return self._row("●", "busy", words, aside=f"attempt {retrying.attempt}")

    # -- events

    def _received(self, received: Received) -> str:
        aside = "asks for an answer" if received.asks else ""
        return self._row("←", "event", [_namespace(received), _event(received)], received.args, aside)

    def _replied(self, replied: Replied) -> str:
        words = [_namespace(replied), _event(replied), ("answered", "aside")]
        return self._row("→", "good", words, replied.args)

    def _answered(self, answered: Answered) -> str:
        words = [_namespace(answered), _event(answered)]
        return self._row("✓", "good", words, answered.args, _duration(answered.seconds))

    def _unanswered(self, unanswered: Unanswered) -> str:
        why = f"not acknowledged: {_brief(unanswered.message)}"
        return self._row("✗", "bad", [_namespace(unanswered), _event(unanswered), (why, "bad")])

    # -- the rest

    def _packet(self, packet: Packet) -> str:
        arrow = "⇢" if packet.outgoing else "⇠"
        words = [(packet.type, "aside")]
        if isinstance(packet.data, bytes):
            return self._row(arrow, "aside", words, [packet.data])
        return self._row(arrow, "aside", [*words, (_brief(packet.data, _MAX_PACKET), "plain")])

    def _note(self, note: Note) -> str:
        lines = [safe(line) for line in note.text.split("\n")]
        return "\n".join(self.style(line, "bad") if note.error else line for line in lines)


def _namespace(about: Any) -> _Word:
    return _brief(about.namespace), "namespace"


def _event(about: Received | Replied | Answered | Unanswered) -> _Word:
    return _brief(str(about.event)), "event"


def _brief(text: str, limit: int = _MAX_WORD) -> str:
    more = len(text) - limit
    return f"{safe(text[:limit])}… {more:,} more" if more > 0 else safe(text)


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"
