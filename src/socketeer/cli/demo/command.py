"""``socketeer demo``."""

from __future__ import annotations

import click

from socketeer.cli.demo.app import create_app, create_server
from socketeer.cli.serve import CannotListen, listening, make_config, serve, url_of

__all__ = ["command"]


@click.command("demo")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=3000,
    show_default=True,
    help="The port to listen on; 0 takes a free one.",
)
def command(host: str, port: int) -> None:
    """Serve a chat: open it in two windows."""
    app = create_app(create_server())
    try:
        with listening(host, port) as listener:
            click.echo(f"The chat is at {url_of(listener)} (Ctrl+C stops it)")
            serve(make_config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=3), listener)
    except CannotListen as error:
        raise click.ClickException(str(error)) from error
