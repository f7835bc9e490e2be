"""The command line: ``socketeer demo`` and ``socketeer types``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from socketeer.cli.demo.app import create_app, create_server
from socketeer.cli.serve import BusyPort, listen_on, serve, url_of
from socketeer.cli.types import NotAServer, declare, find_server

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="socketeer", prog_name="socketeer", message="%(prog)s %(version)s")
def main() -> None:
    """Socket.IO for Python."""


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=3000,
    show_default=True,
    help="The port to listen on; 0 takes a free one.",
)
def demo(host: str, port: int) -> None:
    """Serve a chat: open it in two windows."""
    try:
        listener = listen_on(host, port)
    except BusyPort as error:
        raise click.ClickException(f"{error}; name another with --port") from error
    click.echo(f"The chat is at {url_of(listener)} (Ctrl+C stops it)")
    io = create_server()
    serve(create_app(io), listener, io.close)


@main.command()
@click.argument("server", metavar="MODULE:NAME")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="The file to write, as events.d.ts."
)
@click.option("--app-dir", default=".", show_default=True, help="Where to look for the module.")
def types(server: str, output: Path | None, app_dir: str) -> None:
    """Write the types of a server's events for clients in TypeScript."""
    sys.path.insert(0, str(Path(app_dir).resolve()))
    try:
        text = declare(find_server(server), server, lambda warning: click.echo(f"Warning: {warning}", err=True))
    except NotAServer as error:
        raise click.ClickException(str(error)) from error
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, "utf-8")
    except OSError as error:
        raise click.ClickException(f"cannot write {output}: {error.strerror or error}") from error
