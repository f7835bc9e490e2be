"""``socketeer bench``: load a Socket.IO server, and report what it did."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, cast, get_args

import click

from socketeer.cli.bench.files import TooManyFiles, make_room
from socketeer.cli.bench.load import Load, LoadError
from socketeer.cli.bench.plan import Mode, Plan, Threshold, most_in_flight, payload_of
from socketeer.cli.bench.progress import progress
from socketeer.cli.bench.report import Report, address_of, report_of
from socketeer.cli.bench.text import lines_of
from socketeer.cli.bench.units import to_duration, to_rate, to_size
from socketeer.cli.connecting import Target, connection_options

__all__ = ["command"]

_CONNECT_RATE = 100.0
_WIDTHS = (60, 120)
_COUNT = click.IntRange(min=1)


def _thresholds(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> list[Threshold]:
    try:
        return [Threshold.parse(value) for value in values]
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error


def _writable(ctx: click.Context, param: click.Parameter, path: str | None) -> str | None:
    """Find out now, not when the work is done; what the file has is left as it is until then."""
    try:
        if path not in (None, "-"):
            with click.open_file(path, "a", encoding="utf-8"):
                pass
    except OSError as error:
        raise click.BadParameter(f"cannot write {path}: {error.strerror or error}", ctx, param) from error
    return path


@click.command("bench", context_settings={"show_default": True})
@click.option(
    "--mode",
    type=click.Choice(get_args(Mode)),
    help="Wait for acknowledgements, or for an event in return; or only connect, or listen.  [default: ack]",
)
@click.option("-c", "--clients", type=_COUNT, default=50, help="How many clients there are.")
@click.option("-d", "--duration", metavar="TIME", callback=to_duration, default="10s", help="How long to measure.")
@click.option(
    "--warmup", metavar="TIME", callback=to_duration, help="How long to run before that.  [default: 1s; 0 to listen]"
)
@click.option(
    "--connect-rate",
    metavar="NUMBER",
    callback=to_rate,
    help="New connections a second.  [default: 100; no limit for --mode connect]",
)
@click.option(
    "--rate",
    metavar="NUMBER",
    callback=to_rate,
    help="Events a second, of all clients together.  [default: as fast as answers come]",
)
@click.option(
    "--inflight", type=_COUNT, help="Events of a client that wait for answers.  [default: 1; with --rate 100]"
)
@click.option("--event", help="The event to send, or to listen for.  [default: echo; all]")
@click.option("--payload", metavar="JSON", multiple=True, help="An argument of the event; repeatable.")
@click.option("--size", metavar="BYTES", callback=to_size, help="Send a string of so many bytes.  [default: 64]")
@click.option("--binary", is_flag=True, help="Send bytes instead.")
@click.option("--echo", metavar="EVENT", help="Wait for this event in return instead of an acknowledgement.")
@click.option(
    "--timeout",
    metavar="TIME",
    callback=to_duration,
    default="5s",
    help="How long to wait for an answer, or a connection.",
)
@click.option(
    "--fail-above",
    metavar="NAME=LIMIT",
    multiple=True,
    callback=_thresholds,
    help="Exit with 1 above this: p99=50ms, mean=5ms, max=1s, errors=10 or errors=1%; repeatable.",
)
@click.option(
    "--json",
    "output",
    type=click.Path(dir_okay=False, allow_dash=True),
    callback=_writable,
    help="Write the report there as JSON, too; with - only that is written to standard output.",
)
@click.option("-q", "--quiet", is_flag=True, help="Do not show how it goes.")
@connection_options
def command(target: Target, output: str | None, quiet: bool, fail_above: list[Threshold], **given: Any) -> None:
    """Load a Socket.IO server, and report how many events a second it answers and how soon.

    The server has to answer the event that is sent: by an acknowledgement, or with --echo by an event in return.
    """
    plan = _plan_of(**given)
    _check_thresholds(plan, fail_above)
    try:
        make_room(plan.clients, 1 if target.options.get("transports") == ("websocket",) else 3)
        report = _run(target, plan, fail_above, quiet)
    except TooManyFiles as error:
        raise click.ClickException(str(error)) from error
    except LoadError as error:
        raise click.ClickException(f"{address_of(target.url)}: {error}") from error
    if output is not None:
        with click.open_file(output, "w", encoding="utf-8") as file:
            file.write(json.dumps(report.as_json(), indent=2) + "\n")
    if output != "-":
        _show(report)
    if not report.good:
        sys.exit(1)


def _plan_of(
    mode: Mode | None,
    echo: str | None,
    event: str | None,
    payload: tuple[str, ...],
    size: int | None,
    binary: bool,
    clients: int,
    connect_rate: float | None,
    warmup: float | None,
    duration: float,
    timeout: float,
    rate: float | None,
    inflight: int | None,
) -> Plan:
    """Return the plan that the options mean, with the defaults of its mode."""
    mode = mode or ("ack" if echo is None else "echo")
    unfit = {"--echo": echo is not None and mode != "echo"}
    if mode in ("connect", "listen"):
        unfit |= {
            "--payload": bool(payload),
            "--size": size is not None,
            "--binary": binary,
            "--rate": rate is not None,
        }
        unfit |= {"--inflight": inflight is not None, "--event": event is not None and mode == "connect"}
    for option, is_given in unfit.items():
        if is_given:
            raise click.UsageError(f"{option} means nothing with --mode {mode}")
    if duration <= 0 or timeout <= 0:
        raise click.UsageError("--duration and --timeout must be more than 0")
    try:
        arguments, payload_bytes = payload_of(payload, size, binary)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    sends = mode in ("ack", "echo")
    event = event or ("echo" if sends else "")
    return Plan(
        mode=mode,
        event=event,
        payload=arguments,
        payload_bytes=payload_bytes,
        echo=(echo or event) if mode == "echo" else None,
        clients=clients,
        connect_rate=connect_rate or (None if mode == "connect" else _CONNECT_RATE),
        warmup=warmup if warmup is not None else 0.0 if mode == "listen" else 1.0,
        duration=duration,
        timeout=timeout,
        rate=rate,
        inflight=inflight or (1 if rate is None else most_in_flight(clients, payload_bytes)),
    )


def _check_thresholds(plan: Plan, thresholds: list[Threshold]) -> None:
    if plan.mode == "listen" and any(each.name != "errors" for each in thresholds):
        raise click.UsageError("--mode listen measures no times: it takes only --fail-above errors=…")


def _run(target: Target, plan: Plan, thresholds: list[Threshold], quiet: bool) -> Report:
    with nullcontext(lambda _: None) if quiet else progress() as show:

        async def run() -> Load:
            load = Load(target, plan, show)
            await load.run()
            return load

        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            load = runner.run(run())
    return report_of(load, target.url, plan, thresholds)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return cast("Callable[[], asyncio.AbstractEventLoop]", uvloop.new_event_loop)


def _show(report: Report) -> None:
    least, most = _WIDTHS
    width = max(least, min(shutil.get_terminal_size().columns, most))
    color = False if os.environ.get("NO_COLOR") else None
    encoding = sys.stdout.encoding or "ascii"
    for line in lines_of(report, width, encoding):
        click.echo(line.encode(encoding, "replace").decode(encoding), color=color)
