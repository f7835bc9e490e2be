"""Where happenings are shown: as lines for people or for programs, on a terminal or into a pipe."""

from __future__ import annotations

import io
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from socketeer.cli.client.happenings import Answered, Happening, Note, Received, Replied, write_line
from socketeer.cli.client.paint import Painter
from socketeer.cli.client.values import safe

__all__ = ["Screen", "has_colors", "logging_to", "painter_for", "print_to_streams"]

_ANY_WIDTH = 1_000_000


class Screen:
    """Write happenings as people or programs want them; ``write`` takes a happening and its text."""

    def __init__(self, painter: Painter, write: Callable[[Happening, str], None], *, as_json: bool) -> None:
        self.as_json = as_json
        self.painter = painter
        self._write = write

    def show(self, happening: Happening) -> None:
        """Write a happening."""
        self._write(happening, write_line(happening) if self.as_json else self.painter.paint(happening))


def has_colors(stream: TextIO) -> bool:
    """Tell whether a stream takes colours, and the user wants them (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def painter_for(stream: TextIO) -> Painter:
    """Make what writes for people: as wide as the terminal, and on one line where it is none."""
    if stream.isatty():
        return Painter(color=has_colors(stream), width=lambda: shutil.get_terminal_size().columns)
    return Painter(color=False, width=lambda: _ANY_WIDTH)


def print_to_streams(*, as_json: bool) -> Callable[[Happening, str], None]:
    """Give what writes events to standard output; of what is for people, the rest goes to standard error.

    What it gives raises ``BrokenPipeError`` once nobody reads any more.
    """
    of_events = (Received, Replied, Answered)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8" if as_json else None, errors="backslashreplace")

    def write(happening: Happening, text: str) -> None:
        stream = sys.stdout if as_json or isinstance(happening, of_events) else sys.stderr
        stream.write(text + "\n")
        stream.flush()

    return write


@contextmanager
def logging_to(screen: Screen) -> Iterator[None]:
    """Show what libraries log while the block runs: a server may have had a part in it, so not as it is."""
    handler = _Handler(screen)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)


class _Handler(logging.Handler):
    def __init__(self, screen: Screen) -> None:
        super().__init__(logging.WARNING)
        self._screen = screen

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(BrokenPipeError):  # nobody reads any more, which the script notices by itself
            self._screen.show(Note(safe(record.getMessage()), error=True))
