"""``socketeer client``: its options, and whether they make it a prompt or a script."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from dataclasses import replace
from pathlib import Path

import click

from socketeer.cli.client.lines import Emission, read_values, read_words
from socketeer.cli.client.screen import Screen, painter_for, print_to_streams
from socketeer.cli.client.script import Exit, Listen, ReadInput, Step, Wait, carry_out
from socketeer.cli.client.session import Settings
from socketeer.cli.client.values import BadValue
from socketeer.cli.connecting import Target, connection_options

__all__ = ["command"]

_STEPS = "socketeer.steps"
_OPTION = re.compile(r"--?[A-Za-z]")
_INTERRUPTED, _TERMINATED = 130, 143


class _Steps(click.Command):
    """Keep ``--emit`` and ``--wait`` in the order in which they are given, and every word of an event."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take these two out, and leave the rest to click."""
        steps: list[Step] = ctx.meta.setdefault(_STEPS, [])
        left: list[str] = []
        words = list(reversed(args))
        while words:
            name, equals, value = words[-1].partition("=")
            if name not in ("--emit", "--wait"):
                left.append(words.pop())
                if name == "--":
                    break
                continue
            words.pop()
            found = [value] if equals else _words_of_step(words, None if name == "--emit" else 1)
            if not found:
                raise click.UsageError(f"{name} needs the name of an event", ctx)
            steps.append(_emission(found, ctx) if name == "--emit" else Wait(found[0]))
        return super().parse_args(ctx, left + words[::-1])


def _words_of_step(words: list[str], count: int | None) -> list[str]:
    """Take the words up to the next option."""
    found: list[str] = []
    while words and len(found) != count and words[-1] != "--" and not _OPTION.match(words[-1]):
        found.append(words.pop())
    return found


def _emission(words: list[str], ctx: click.Context) -> Step:
    if words == ["-"]:
        return ReadInput()
    try:
        return read_words(words)
    except BadValue as error:
        raise click.BadParameter(str(error), ctx, param_hint="'--emit'") from error


def _values(ctx: click.Context, param: click.Parameter, text: str | None) -> list[object] | None:
    try:
        return None if text is None else read_values(text)
    except BadValue as error:
        raise click.BadParameter(str(error)) from error


@click.command(cls=_Steps)
@connection_options
@click.option("--no-reconnect", is_flag=True, help="Do not connect again when the connection is lost.")
@click.option(
    "--emit",
    metavar="EVENT [ARG]...",
    expose_value=False,
    help="Send an event; '-' sends those that come as lines of standard input. Repeatable, as --wait is, in order.",
)
@click.option("--wait", metavar="EVENT", expose_value=False, help="Wait for an event of this name.")
@click.option("--wait-count", type=click.IntRange(min=1), metavar="N", help="Wait for so many; without --wait, of any.")
@click.option("--ack", is_flag=True, help="Wait for the answer of each event that is sent.")
@click.option("--answer", metavar="JSON...", callback=_values, help="What to answer to events that ask for it.")
@click.option("--listen", is_flag=True, help="At last, print what comes until Ctrl+C.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the connection, for each answer and each event.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@click.option("--history", type=click.Path(dir_okay=False, path_type=Path), help="Where the prompt's history is kept.")
@click.option("--no-history", is_flag=True, help="Keep no history.")
@click.pass_context
def command(
    ctx: click.Context,
    target: Target,
    no_reconnect: bool,
    wait_count: int | None,
    ack: bool,
    answer: list[object] | None,
    listen: bool,
    timeout: float,
    as_json: bool,
    history: Path | None,
    no_history: bool,
) -> None:
    """Talk to a Socket.IO server: by hand at a prompt, or from a script.

    With --emit, --wait or --listen, or where standard input is no terminal, it is a script. It ends with 0 when all
    is done, 1 when it is refused or cannot connect, 2 when it is called wrongly and 3 when it has waited in vain.
    """
    if no_reconnect:
        target.options["reconnection"] = False
    steps = _complete(ctx.meta[_STEPS], wait_count, ack=ack, listen=listen)
    if not steps and sys.stdin.isatty() and sys.stdout.isatty():
        _interact(target, Settings(timeout, answer), history, as_json=as_json, no_history=no_history)
        return
    ctx.exit(_run(steps or [ReadInput(ack)], target, Settings(timeout, answer or []), as_json=as_json))


def _complete(steps: list[Step], wait_count: int | None, *, ack: bool, listen: bool) -> list[Step]:
    """Put together what the options ask for."""
    complete: list[Step] = []
    for step in steps:
        match step:
            case Wait() if wait_count is not None:
                complete.append(replace(step, count=wait_count))
            case Emission() | ReadInput() if ack:
                complete.append(replace(step, ack=True))
            case _:
                complete.append(step)
    if wait_count is not None and not any(isinstance(step, Wait) for step in steps):
        complete.append(Wait(None, wait_count))
    return [*complete, Listen()] if listen else complete


def _interact(target: Target, settings: Settings, history: Path | None, *, as_json: bool, no_history: bool) -> None:
    try:
        from socketeer.cli.client.interactive import converse, default_history
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "prompt_toolkit":
            raise
        raise click.ClickException(
            "the prompt needs prompt_toolkit: pip install 'socketeer[cli]' (--emit, --wait and --listen do without)"
        ) from error
    file = None if no_history else history or default_history()
    try:
        asyncio.run(converse(target, settings, file, as_json=as_json))
    except asyncio.CancelledError:
        sys.exit(_TERMINATED)


def _run(steps: list[Step], target: Target, settings: Settings, *, as_json: bool) -> int:
    """Run a script; its exit code is also that of one which listens until it is told to stop."""
    listens = isinstance(steps[-1], Listen)
    screen = Screen(painter_for(sys.stdout), print_to_streams(as_json=as_json), as_json=as_json)
    try:
        code = int(asyncio.run(carry_out(steps, target, settings, screen)))
    except KeyboardInterrupt:
        code = Exit.DONE if listens else _INTERRUPTED
    except asyncio.CancelledError:
        code = Exit.DONE if listens else _TERMINATED
    _close_output()
    return code


def _close_output() -> None:
    """Write what is left; where it cannot be, as when nobody reads any more, Python is not to complain at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
