"""The command line: ``socketeer demo``."""

from __future__ import annotations

import click

from socketeer.cli.demo.app import create_app, create_server
from socketeer.cli.serve import BusyPort, listen_on, serve, url_of

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
