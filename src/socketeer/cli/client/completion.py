"""What the prompt offers: commands, the events that were seen or sent, namespaces, and files behind an ``@``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document

from socketeer.cli.client.commands import COMMANDS
from socketeer.cli.client.lines import quote
from socketeer.cli.client.session import EventNames

__all__ = ["LineCompleter"]


class LineCompleter(Completer):
    """Complete the word before the cursor."""

    def __init__(self, events: EventNames, namespaces: Callable[[], Iterable[str]]) -> None:
        self._events = events
        self._namespaces = namespaces
        self._files = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """Give what may stand here."""
        before = document.text_before_cursor.lstrip()
        if before.startswith("/"):
            yield from self._of_command(before)
        elif _is_name(before):
            yield from self._names(before)
        word = before.rpartition(" ")[2]
        if " " in before and word.startswith("@"):
            yield from self._files.get_completions(Document(word[1:]), complete_event)

    def _of_command(self, before: str) -> Iterator[Completion]:
        name, space, rest = before.partition(" ")
        if not space:
            for command_name, command in COMMANDS.items():
                if command_name.startswith(name):
                    yield Completion(command_name, -len(name), display=command.usage, display_meta=command.about)
            return
        takes = COMMANDS[name].takes if name in COMMANDS else ""
        if takes == "event" and _is_name(rest):
            yield from self._names(rest)
        elif takes == "namespace":
            yield from _starting_with(rest, self._namespaces())
        elif takes == "command":
            yield from _starting_with(rest, (each.removeprefix("/") for each in COMMANDS))

    def _names(self, before: str) -> Iterator[Completion]:
        for name in self._events:
            written = quote(name)
            if written.startswith(before) or name.startswith(before):
                yield Completion(written, -len(before))


def _is_name(text: str) -> bool:
    """Tell whether a text may be the beginning of the name of an event, and nothing behind it."""
    return " " not in text or (text.startswith('"') and text.count('"') == 1)


def _starting_with(text: str, candidates: Iterable[str]) -> Iterator[Completion]:
    return (Completion(each, -len(text)) for each in candidates if each.startswith(text))
