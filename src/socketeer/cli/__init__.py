"""The command line, ``socketeer``: its commands, each in a module of its own that is imported when it is called."""

from __future__ import annotations

import errno
import os
import sys
from importlib import import_module
from typing import Any, NamedTuple, cast

import click

__all__ = ["main"]


class _Entry(NamedTuple):
    """Name the module whose ``command`` it is, and say what it does."""

    module: str
    about: str


_COMMANDS = {
    "run": _Entry("socketeer.cli.run", "Serve an application, on the fast lane."),
    "demo": _Entry("socketeer.cli.demo.command", "Serve a chat: open it in two windows."),
    "types": _Entry("socketeer.cli.types", "Write the types of a server's events for clients in TypeScript."),
    "client": _Entry("socketeer.cli.client.command", "Talk to a Socket.IO server, by hand or from a script."),
    "bench": _Entry("socketeer.cli.bench.command", "Load a Socket.IO server, and report how fast it answers."),
}


class _Commands(click.Group):
    """Import a command when it is called: one's libraries are not to slow another down, or to be missed by it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = _COMMANDS.get(cmd_name)
        return None if entry is None else cast("click.Command", import_module(entry.module).command)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise click.ClickException(f"cannot write: {error.strerror}") from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.about) for name, entry in _COMMANDS.items()])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="socketeer", prog_name="socketeer", message="%(prog)s %(version)s")
def main() -> None:
    """Socket.IO for Python."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started this, as `<&-` does
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115
