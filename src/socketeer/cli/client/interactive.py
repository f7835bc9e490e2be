"""The prompt: a line to type in, everything that happens above it, the state of the connection below."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from prompt_toolkit import PromptSession, print_formatted_text
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import ANSI, StyleAndTextTuples
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.patch_stdout import patch_stdout
from prompt_toolkit.shortcuts import clear
from prompt_toolkit.styles import Style

from socketeer.cli.client.commands import Commands
from socketeer.cli.client.completion import LineCompleter
from socketeer.cli.client.happenings import Happening, Note, Packet, Received
from socketeer.cli.client.lines import lines_of
from socketeer.cli.client.screen import Screen, has_colors, logging_to, painter_for
from socketeer.cli.client.session import Session, Settings, end_by_sigterm
from socketeer.cli.client.values import safe
from socketeer.cli.connecting import Target

__all__ = ["converse", "default_history"]

_STYLE = Style.from_dict(
    {"namespace": "ansimagenta", "good": "ansigreen", "bad": "ansired", "bottom-toolbar": "noreverse ansibrightblack"}
)
_PAUSE = 0.03
"""How long lines are collected before they are printed, in seconds."""
_MAX_LINES = 200
"""After so many lines in one such pause, only the latest events are shown."""
_LATEST = 20
_GOODBYE = 2.0


def default_history() -> Path:
    """Return where the lines of earlier days are kept."""
    if os.name == "nt":
        return Path(click.get_app_dir("socketeer", roaming=False), "client-history")
    return Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser() / "socketeer" / "client-history"


async def converse(target: Target, settings: Settings, history: Path | None, *, as_json: bool) -> None:
    """Talk to a server by hand, until the user has enough; ``history`` is the file to remember lines in."""
    end_by_sigterm()
    prompt = _Prompt(history, as_json=as_json)
    session = Session(target, prompt.show, settings)
    with logging_to(prompt.screen):
        try:
            await prompt.run(session)
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(_GOODBYE):
                    await session.close()
            prompt.flush()


class _Prompt:
    """Be the terminal: read lines, and print above the one that is being typed."""

    def __init__(self, history: Path | None, *, as_json: bool) -> None:
        colors = has_colors(sys.stdout)
        self._color_depth = None if colors else ColorDepth.DEPTH_1_BIT
        self.screen = Screen(painter_for(sys.stdout), self._print, as_json=as_json)
        self._history = _open_history(history, self.screen)
        self._open = True
        self._waiting: list[str] = []
        self._lines = self._skipped = 0
        self._latest: deque[Happening] = deque(maxlen=_LATEST)
        self._timer: asyncio.TimerHandle | None = None
        self._app: Any = None

    async def run(self, session: Session) -> None:
        """Read lines and act upon them until the user leaves."""
        commands = Commands(session, self)
        prompt: PromptSession[str] = PromptSession(
            lambda: [("class:namespace", session.current.socket.nsp), ("", "> ")],
            auto_suggest=AutoSuggestFromHistory(),
            bottom_toolbar=lambda: _state_of(session),
            color_depth=self._color_depth,
            complete_while_typing=Condition(lambda: prompt.default_buffer.text.startswith("/")),
            completer=LineCompleter(session.events, lambda: session.talks),
            enable_suspend=True,
            history=self._history,
            style=_STYLE,
        )
        self._app = prompt.app
        with patch_stdout():
            while self._open:
                try:
                    for line in lines_of(await prompt.prompt_async()):
                        commands.run(line)
                except KeyboardInterrupt:
                    self.screen.show(Note("Ctrl+D or /quit to leave"))
                except EOFError:
                    self.close()

    def show(self, happening: Happening) -> None:
        """Show what happened, and what it changes below; not all of it where a server sends too fast."""
        if self._lines > _MAX_LINES and isinstance(happening, Received | Packet):
            self._skipped += len(self._latest) == _LATEST
            self._latest.append(happening)
            return
        self.screen.show(happening)
        if self._app is not None:
            self._app.invalidate()

    def clear(self) -> None:
        """Empty the screen."""
        self.flush()
        clear()

    def close(self) -> None:
        """Read no further line."""
        self._open = False

    # -- printing

    def _print(self, happening: Happening, text: str) -> None:
        """Print a little later, all at once."""
        self._lines += text.count("\n") + 1
        self._waiting.append(text)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_PAUSE, self.flush)

    def flush(self) -> None:
        """Print what waits."""
        if self._skipped:
            self._waiting.append(self.screen.painter.style(f"… {self._skipped:,} more, too fast to be shown", "aside"))
        while self._latest:
            self.screen.show(self._latest.popleft())
        if self._timer is not None:  # that of what has just been shown
            self._timer.cancel()
            self._timer = None
        if self._waiting:
            print_formatted_text(ANSI("\n".join(self._waiting)), color_depth=self._color_depth)
        self._waiting.clear()
        self._lines = self._skipped = 0


def _state_of(session: Session) -> StyleAndTextTuples:
    """Write the line below the prompt."""
    socket = session.current.socket
    if socket.connected:
        state = ("class:good", f"● {safe(socket.id or '')} over {socket.transport}")
    else:
        state = ("class:bad", "○ connecting" if socket.active else "○ not connected: /connect")
    return [state, ("", f"  {session.url}  /help")]


class _History(FileHistory):
    """Keep lines in a file, except for those that may have secrets in them; go on without it where it cannot be."""

    def __init__(self, path: Path, screen: Screen) -> None:
        super().__init__(path)
        self._screen = screen
        self._broken = False

    def load_history_strings(self) -> Iterable[str]:
        """Read the file, the latest line first."""
        try:
            return list(super().load_history_strings())
        except OSError as error:
            self._give_up(error)
            return []

    def store_string(self, string: str) -> None:
        """Add a line to the file."""
        if self._broken or string.lstrip().startswith("/auth"):
            return
        try:
            super().store_string(string)
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self._broken = True
        self._screen.show(Note(f"no history: {error.strerror or error}", error=True))


def _open_history(path: Path | None, screen: Screen) -> History:
    if path is None:
        return InMemoryHistory()
    with suppress(OSError):  # the history itself will say so
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(0o600)
    return _History(path, screen)
