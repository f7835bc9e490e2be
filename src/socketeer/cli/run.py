"""``socketeer run``: serve an application that is named on the command line."""

from __future__ import annotations

import logging
import signal
import socket
import ssl
import sys
import traceback
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import click
import uvicorn
from uvicorn.config import LIFESPAN, LOG_LEVELS
from uvicorn.logging import DefaultFormatter
from uvicorn.supervisors import ChangeReload

from socketeer.cli.finding import NotFound, find_app, find_factory, own_traceback
from socketeer.cli.serve import CannotListen, listening, make_config, serve

__all__ = ["command"]

_FILE = click.Path(exists=True, dir_okay=False)
_FOLDER = click.Path(exists=True, file_okay=False)


@click.command(
    "run",
    context_settings={"auto_envvar_prefix": "SOCKETEER_RUN", "show_default": True},
    epilog="Every option can be a variable of the environment, too: SOCKETEER_RUN_PORT for --port.",
)
@click.argument("app", metavar="MODULE[:NAME]", envvar="SOCKETEER_RUN_APP")
@click.option("--host", default="127.0.0.1", help="The address to listen on; 0.0.0.0 is all of this machine's.")
@click.option("--port", type=click.IntRange(0, 65535), default=3000, help="The port to listen on; 0 takes a free one.")
@click.option("--uds", metavar="PATH", help="Listen on a Unix domain socket instead.")
@click.option("--fd", type=click.IntRange(0), help="Listen on a socket that is open already, by its number.")
@click.option("--app-dir", type=_FOLDER, default=".", help="Where to look for the module.")
@click.option("--factory", is_flag=True, help="NAME is a function, plain or async, that makes the application.")
@click.option("--reload", is_flag=True, help="Begin anew when a file changes.")
@click.option(
    "--reload-dir", type=_FOLDER, multiple=True, help="A folder to watch instead of this one and --app-dir; repeatable."
)
@click.option("--ssl-certfile", type=_FILE, help="The certificate, for TLS.")
@click.option("--ssl-keyfile", type=_FILE, help="Its key, where that is in a file of its own.")
@click.option("--ssl-keyfile-password", help="The password of the key.")
@click.option("--ssl-ca-certs", type=_FILE, help="The certificates that those of clients are checked with.")
@click.option(
    "--ssl-cert-reqs",
    type=click.IntRange(0, 2),
    default=0,
    help="Whether clients need a certificate: 0 no, 1 it is checked where there is one, 2 yes.",
)
@click.option("--proxy-headers/--no-proxy-headers", default=True, help="Believe X-Forwarded-For and -Proto of proxies.")
@click.option(
    "--forwarded-allow-ips", help="The proxies to believe: addresses and networks, or *.  [default: 127.0.0.1]"
)
@click.option("--root-path", default="", show_default=False, help="The path below which a proxy shows the application.")
@click.option("--lifespan", type=click.Choice(list(LIFESPAN)), default="auto", help="Tell it of its start and end.")
@click.option("--log-level", type=click.Choice(list(LOG_LEVELS)), default="info", help="How much to say.")
@click.option("--access-log/--no-access-log", default=False, help="Write a line for every request.")
@click.option(
    "--timeout-graceful-shutdown", type=click.IntRange(0), default=5, help="The seconds that requests get to end in."
)
def command(
    app: str,
    host: str,
    port: int,
    uds: str | None,
    fd: int | None,
    app_dir: str,
    factory: bool,
    reload: bool,
    reload_dir: tuple[str, ...],
    **settings: Any,
) -> None:
    """Serve an ASGI application, on the fast lane.

    It may be a socketeer.Server, what its attach() gave, or another application that one is mounted in. Without NAME it
    is the one that there is in the module.
    """
    _check_tls(**{name: value for name, value in settings.items() if name.startswith("ssl_")})
    if reload_dir and not reload:
        raise click.UsageError("--reload-dir is for --reload")
    sys.path.insert(0, str(Path(app_dir).resolve()))
    if reload:
        settings["reload_dirs"] = list(reload_dir) or [".", app_dir]
    config = make_config(app, reload=reload, **settings)
    try:
        with listening(host, port, uds, fd) as listener:
            if reload:
                _Reloader(config, partial(_run_again, app, factory, config), [listener]).run()
            else:
                _run(app, factory, config, [listener])
    except CannotListen as error:
        raise click.ClickException(str(error)) from error


def _check_tls(
    ssl_certfile: str | None,
    ssl_keyfile: str | None,
    ssl_keyfile_password: str | None,
    ssl_ca_certs: str | None,
    ssl_cert_reqs: int,
) -> None:
    """Try what uvicorn is going to do, whose errors name no file."""
    if ssl_certfile is None:
        if ssl_keyfile or ssl_ca_certs or ssl_cert_reqs:
            raise click.UsageError("TLS needs --ssl-certfile")
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    asked = []

    def password() -> str:
        asked.append(True)
        return ssl_keyfile_password or ""

    try:
        context.load_cert_chain(ssl_certfile, ssl_keyfile, password)
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        if asked:
            says = "needs another --ssl-keyfile-password" if ssl_keyfile_password else "needs --ssl-keyfile-password"
            raise click.ClickException(f"{ssl_keyfile or ssl_certfile} {says}") from error
        files = f"{ssl_certfile} and {ssl_keyfile}" if ssl_keyfile else ssl_certfile
        raise click.ClickException(f"{files}: no certificate with its key ({_said(error)})") from error
    if ssl_ca_certs is not None:
        try:
            context.load_verify_locations(ssl_ca_certs)
        except OSError as error:
            raise click.ClickException(f"{ssl_ca_certs}: no certificates ({_said(error)})") from error


def _said(error: Exception) -> str:
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)


def _run(app: str, factory: bool, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
    """Find the application and serve it, in this process."""
    _show_what_nobody_takes(config)
    try:
        if factory:
            serve(config, sockets[0], find_factory(app))
        else:
            config.app = find_app(app)
            serve(config, sockets[0])
    except NotFound as error:
        cause = own_traceback(error)
        if cause is not None:
            traceback.print_exception(cause)
        raise click.ClickException(str(error)) from error


def _run_again(app: str, factory: bool, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
    """Do the same in the process of a reloader, which begins another one when a file changes."""
    try:
        _run(app, factory, config, sockets)
    except click.ClickException as error:
        error.show()
        click.echo("Nothing is served until a file changes", err=True)
        sys.exit(error.exit_code)


def _show_what_nobody_takes(config: uvicorn.Config) -> None:
    """Have records that the application has no handler for look as uvicorn's do, our own from the same level on."""
    level = LOG_LEVELS[str(config.log_level)]
    logging.getLogger("socketeer").setLevel(level)
    if logging.lastResort is not None:
        logging.lastResort.setLevel(min(level, logging.WARNING))
        logging.lastResort.setFormatter(DefaultFormatter("%(levelprefix)s %(message)s"))


class _Reloader(ChangeReload):  # type: ignore[misc, valid-type]  # it is the class for what is installed
    """Watch files, and end the process that serves at once when the user asks a second time."""

    def signal_handler(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit.is_set() and sig == signal.SIGINT:
            self.process.kill()
        super().signal_handler(sig, frame)
