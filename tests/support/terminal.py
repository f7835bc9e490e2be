"""A real terminal for interactive programs: tmux runs them, types for us and shows what the screen has."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.node import missing

__all__ = ["Terminal", "terminal"]

PATIENCE = 20.0
HISTORY = 20_000  # lines that have left the screen


class Terminal:
    """Hold a terminal with one program in it."""

    def __init__(self, socket: Path) -> None:
        self._tmux = [
            shutil.which("tmux") or missing("tmux is not installed"),
            "-u",
            "-S",
            str(socket),
            "-f",
            "/dev/null",
        ]

    def start(self, command: Sequence[str], environment: Mapping[str, str], columns: int, lines: int) -> None:
        """Run a program; the terminal stays when it ends."""
        # The terminal's own size counts; readline puts another one into the environment of a process that imports it.
        settings = [f"{name}={value}" for name, value in environment.items()]
        program = shlex.join(["env", "-u", "COLUMNS", "-u", "LINES", *settings, *command])
        size = ["-x", str(columns), "-y", str(lines)]
        history = ["set-option", "-g", "history-limit", str(HISTORY)]
        self._run(*history, ";", "new-session", "-d", *size, f"{program}; echo ended with $?; exec cat")

    def stop(self) -> None:
        """Close the terminal, and whatever runs in it."""
        subprocess.run([*self._tmux, "kill-server"], stderr=subprocess.DEVNULL, check=False, timeout=PATIENCE)

    def type(self, text: str) -> None:
        """Type a text."""
        self._run("send-keys", "-l", "--", text)

    def press(self, *keys: str) -> None:
        """Press keys by their names: ``Enter``, ``Tab``, ``Up``, ``C-c``."""
        self._run("send-keys", *keys)

    def enter(self, line: str) -> None:
        """Type a line, and Enter."""
        self.type(line)
        self.press("Enter")

    def screen(self, *, styled: bool = False, scrollback: bool = False) -> str:
        """Return what is on the screen: with the codes of its colours, with the lines that have left it."""
        shown = self._run("capture-pane", "-p", *(["-e"] if styled else []), *(["-S", "-"] if scrollback else []))
        return "\n".join(line.rstrip() for line in shown.split("\n")).rstrip()

    def wait_for(self, pattern: str) -> str:
        """Wait until a regular expression is found on the screen, and return the screen."""
        deadline = time.monotonic() + PATIENCE
        while not re.search(pattern, shown := self.screen(), re.MULTILINE):
            if time.monotonic() > deadline:
                raise AssertionError(f"{pattern!r} is not on the screen:\n{shown}")
            time.sleep(0.02)
        return shown

    def _run(self, *arguments: str) -> str:
        return subprocess.run(
            [*self._tmux, *arguments], capture_output=True, text=True, check=True, timeout=PATIENCE
        ).stdout


@contextmanager
def terminal(
    command: Sequence[str], environment: Mapping[str, str] | None = None, columns: int = 100, lines: int = 30
) -> Iterator[Terminal]:
    """Run a program in a terminal until the block ends.

    Without tmux the running test is skipped, or fails where ``CI`` says that everything must be there.
    """
    with tempfile.TemporaryDirectory() as directory:
        running = Terminal(Path(directory, "tmux"))
        try:
            running.start(command, environment or {}, columns, lines)
            yield running
        finally:
            running.stop()
