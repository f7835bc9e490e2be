"""The commands of the prompt: what begins with a slash."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Protocol

from socketeer.cli.client.happenings import Note
from socketeer.cli.client.lines import read_emission, read_values
from socketeer.cli.client.screen import Screen
from socketeer.cli.client.session import Session
from socketeer.cli.client.values import BadValue, safe, write_json
from socketeer.exceptions import SocketeerError

__all__ = ["COMMANDS", "Command", "Commands", "Window"]


class Window(Protocol):
    """Be the terminal, for the commands that concern it."""

    screen: Screen

    def clear(self) -> None:
        """Empty it."""

    def close(self) -> None:
        """Ask for no further line."""


class Commands:
    """Act upon lines that were typed."""

    def __init__(self, session: Session, window: Window) -> None:
        self._session = session
        self._window = window

    def run(self, line: str) -> None:
        """Carry out a command, or send an event; what is wrong with the line is shown."""
        line = line.strip()
        if not line:
            return
        try:
            if line.startswith("/"):
                self._command(line)
            else:
                self._emit(line)
        except (BadValue, SocketeerError, TypeError, ValueError) as error:
            self._note(str(error), error=True)

    def _command(self, line: str) -> None:
        name, _, rest = line.partition(" ")
        found = [name] if name in COMMANDS else [each for each in COMMANDS if each.startswith(name)]
        if len(found) != 1:
            near = found or get_close_matches(name, COMMANDS, 1)
            raise BadValue(f"there is no command {name}: {' or '.join(near) + '?' if near else 'see /help'}")
        command = COMMANDS[found[0]]
        command.run(self, f"{found[0]} {rest}" if command.is_prefix else rest.strip())

    def _note(self, text: str, *, error: bool = False) -> None:
        self._window.screen.show(Note(text, error))

    # -- sending

    def _emit(self, line: str) -> None:
        socket = self._session.current.socket
        emission = read_emission(line)
        self._session.emit(emission)
        if not socket.connected:
            kept = "not sent, for want of a connection" if emission.volatile else "kept until this is connected"
            self._note(kept if socket.active else f"{kept}: /connect")

    def _answer(self, rest: str) -> None:
        if not self._session.current.answer(read_values(rest)):
            raise BadValue("the server waits for no answer here")

    def _timeout(self, rest: str) -> None:
        seconds = read_values(rest)
        if len(seconds) != 1 or isinstance(seconds[0], bool) or not isinstance(seconds[0], int | float):
            raise BadValue("/timeout takes a number of seconds")
        if seconds[0] <= 0:
            raise BadValue("the seconds must be more than 0")
        self._session.set_timeout(seconds[0])

    # -- the connection

    def _connect(self, rest: str) -> None:
        self._session.current.socket.connect()

    def _disconnect(self, rest: str) -> None:
        self._session.current.socket.disconnect()

    def _ns(self, rest: str) -> None:
        if rest:
            self._session.switch("/" + rest.removeprefix("/"))
            return
        for name, talk in self._session.talks.items():
            mark = "*" if talk is self._session.current else " "
            self._note(f"{mark} {name} {'connected' if talk.socket.connected else 'not connected'}")

    def _auth(self, rest: str) -> None:
        socket = self._session.current.socket
        if not rest:
            self._note(write_json(socket.auth))
            return
        values = read_values(rest)
        if len(values) != 1 or not isinstance(values[0], dict):
            raise BadValue("/auth takes a JSON object")
        socket.auth = values[0]
        self._note("shown at the next connection: " + ("/disconnect, /connect" if socket.active else "/connect"))

    def _info(self, rest: str) -> None:
        for name, value in self._session.describe().items():
            self._note(f"{name + ':':<14} {safe(value)}")

    # -- the terminal

    def _raw(self, rest: str) -> None:
        self._session.raw = not self._session.raw
        self._note("packets are shown as they pass" if self._session.raw else "packets are not shown any more")

    def _json(self, rest: str) -> None:
        screen = self._window.screen
        screen.as_json = not screen.as_json
        self._note("everything is shown as JSON" if screen.as_json else "nothing is shown as JSON any more")

    def _clear(self, rest: str) -> None:
        self._window.clear()

    def _quit(self, rest: str) -> None:
        self._window.close()

    def _help(self, rest: str) -> None:
        name = "/" + rest.removeprefix("/")
        if rest and name not in COMMANDS:
            raise BadValue(f"there is no command {name}")
        listed = [COMMANDS[name]] if rest else COMMANDS.values()
        if not rest:
            self._note(_HELP)
        for command in listed:
            self._note(f"  {command.usage:<26} {command.about}")


@dataclass(frozen=True, slots=True)
class Command:
    """Say what a command is called with, what it does, and what its argument is."""

    usage: str
    about: str
    run: Callable[[Commands, str], None]
    takes: str = ""
    is_prefix: bool = False


_HELP = """\
  EVENT [JSON ...]           send an event; bare words are strings, @FILE and base64:... are binary
  EVENT? [JSON ...]          send it and ask for an answer"""

COMMANDS = {
    command.usage.split()[0]: command
    for command in (
        Command(
            "/ack EVENT [JSON ...]",
            "send an event and ask for an answer, as EVENT? does",
            Commands._emit,
            "event",
            True,
        ),
        Command(
            "/volatile EVENT [JSON ...]", "send an event unless it would have to wait", Commands._emit, "event", True
        ),
        Command("/answer [JSON ...]", "answer the oldest event that asks for it", Commands._answer),
        Command("/timeout SECONDS", "how long to wait for answers", Commands._timeout),
        Command("/ns [NAME]", "speak to another namespace, or list them", Commands._ns, "namespace"),
        Command("/connect", "connect", Commands._connect),
        Command("/disconnect", "disconnect from this namespace", Commands._disconnect),
        Command("/auth [JSON]", "what to show at the door from the next connection on", Commands._auth),
        Command("/info", "what is known of the connection", Commands._info),
        Command("/raw", "show the packets as they pass, or stop that", Commands._raw),
        Command("/json", "show everything as JSON, or stop that", Commands._json),
        Command("/clear", "empty the screen", Commands._clear),
        Command("/help [COMMAND]", "this", Commands._help, "command"),
        Command("/quit", "leave, as Ctrl+D does", Commands._quit),
    )
}
