"""The options that every command with a connection has, and what they mean for ``socketeer.connect``.

    @main.command()
    @connection_options
    def client(target: Target, ...) -> None:
        socket = connect_to(target)

``--help`` lists them where the decorator stands among the command's own options.
"""

from __future__ import annotations

import functools
import inspect
import json
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

import click

from socketeer.client import ClientSocket, connect
from socketeer.engine.http import check_header
from socketeer.exceptions import UsageError
from socketeer.options import TRANSPORTS
from socketeer.protocol.socket_msgpack import MSGPACK

__all__ = ["Target", "connect_options", "connect_to", "connection_options", "explain", "target_of"]

_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
_PARSERS = {"msgpack": MSGPACK}
_UNTRUSTED = re.compile(r"certificate verify failed: [^(]*[^( ]")
_IN_OUR_WORDS = {"the option eio=3": "--eio 3", "eio=3": "--eio 3"}
_OPTIONS = (
    click.argument("url"),
    click.option("--namespace", metavar="NAME", help="The namespace; by default the path of the URL."),
    click.option("--auth", metavar="JSON", help="What to show at the door: a JSON object."),
    click.option("-H", "--header", "headers", metavar="'NAME: VALUE'", multiple=True, help="A header of each request."),
    click.option("--query", metavar="NAME=VALUE", multiple=True, help="A parameter of each request's URL."),
    click.option("--cookie", "cookies", metavar="NAME=VALUE", multiple=True, help="A cookie."),
    click.option(
        "--transport",
        "transports",
        type=click.Choice(TRANSPORTS),
        multiple=True,
        help="A transport to use; the first one opens the connection.  [default: polling, then websocket]",
    ),
    click.option("--path", default="/socket.io", show_default=True, help="Where the server takes connections."),
    click.option(
        "--eio",
        type=click.Choice(["3", "4"]),
        default="4",
        show_default=True,
        help="The revision of Engine.IO; 3 is for servers of Socket.IO 1.x and 2.x.",
    ),
    click.option("--parser", type=click.Choice(list(_PARSERS)), help="The parser that the server uses, unless JSON."),
    click.option("--insecure", is_flag=True, help="Do not verify the server's certificate."),
    click.option("--proxy", metavar="URL", help="The proxy to go through."),
)


class Target(NamedTuple):
    """Hold what ``socketeer.connect`` is called with: the URL, whose path is the namespace, and the options."""

    url: str
    options: dict[str, Any]


def connect_to(target: Target, **defaults: Any) -> ClientSocket:
    """Connect, with ``defaults`` for what the user did not say; raise ``click.UsageError`` for what cannot be."""
    try:
        return connect(target.url, **{**defaults, **target.options})
    except (UsageError, ValueError, TypeError) as error:
        raise click.UsageError(str(error)) from error


def explain(error: Exception) -> str:
    """Say on one line why a connection failed, in the words of the command line."""
    text = " ".join(str(error).split()) or type(error).__name__
    for theirs, ours in _IN_OUR_WORDS.items():
        text = text.replace(theirs, ours)
    untrusted = _UNTRUSTED.search(text)
    return f"{untrusted[0]} (--insecure connects all the same)" if untrusted else text


def connection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the argument ``URL`` and the options of a connection, as one parameter ``target``."""

    @functools.wraps(command)
    def with_target(*args: Any, **parameters: Any) -> Any:
        target = target_of(**{name: parameters.pop(name) for name in _NAMES})
        return command(*args, target=target, **parameters)

    decorated: Callable[..., Any] = with_target
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


def target_of(url: str, namespace: str | None = None, **given: Any) -> Target:
    """Return what to connect to; raise a ``click.ClickException`` with a sentence for the user."""
    return Target(_url_of(url, namespace), connect_options(**given))


def connect_options(
    *,
    auth: str | None = None,
    headers: Sequence[str] = (),
    query: Sequence[str] = (),
    cookies: Sequence[str] = (),
    transports: Sequence[str] = (),
    path: str = "/socket.io",
    eio: str = "4",
    parser: str | None = None,
    insecure: bool = False,
    proxy: str | None = None,
) -> dict[str, Any]:
    """Return the keyword options of ``socketeer.connect`` for what was given; what was not given is left out.

    Raises ``click.BadParameter`` with a sentence for the user.
    """
    options: dict[str, Any] = {
        "auth": None if auth is None else _auth_of(auth),
        "extra_headers": _headers_of(headers),
        "query": _pairs_of(query, "--query"),
        "cookies": _pairs_of(cookies, "--cookie"),
        "transports": tuple(dict.fromkeys(transports)),
        "proxy": proxy if proxy is None or "://" in proxy else f"http://{proxy}",
        "parser": _PARSERS.get(parser or ""),
    }
    given = {name: value for name, value in options.items() if value not in (None, {}, ())}
    if insecure:
        given["ssl"] = False
    return {**given, "path": path, "eio": int(eio)}


_NAMES = ("url", "namespace", *inspect.signature(connect_options).parameters)


def _url_of(text: str, namespace: str | None) -> str:
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host = parts.hostname or ""
        proper = parts.scheme in _SCHEMES and host.split() == [host] and (parts.port is None or parts.port > 0)
    except ValueError:
        proper = False
    if not proper:
        raise click.BadParameter(f"{text!r} is no URL, as in http://localhost:3000/namespace", param_hint="'URL'")
    return _with_namespace(parts._replace(scheme=_SCHEMES[parts.scheme]), namespace).geturl()


def _with_namespace(parts: SplitResult, namespace: str | None) -> SplitResult:
    if namespace is None:
        return parts
    wanted = f"/{namespace.removeprefix('/')}"
    if parts.path not in ("", "/", wanted):
        message = f"the URL names the namespace {parts.path}, and --namespace {wanted}"
        raise click.BadParameter(message, param_hint="'--namespace'")
    if "?" in wanted or "#" in wanted:
        raise click.BadParameter(f"{wanted} cannot be in a URL", param_hint="'--namespace'")
    return parts._replace(path=wanted)


def _auth_of(text: str) -> dict[str, Any]:
    try:
        auth = json.loads(text)
    except ValueError:
        auth = None
    if not isinstance(auth, dict):
        raise click.BadParameter(f'{text!r} is no JSON object, as in \'{{"token": "abc"}}\'', param_hint="'--auth'")
    return auth


def _headers_of(lines: Sequence[str]) -> dict[str, str]:
    """Return the headers by name; the values of one that is given several times are joined, as HTTP has it."""
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name, value = name.strip(), value.strip()
        try:
            check_header(name if colon else "", value)
        except ValueError as error:
            raise click.BadParameter(f"{line!r} is no header, as in 'Name: value'", param_hint="'--header'") from error
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _pairs_of(pairs: Sequence[str], option: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (equals and name):
            raise click.BadParameter(f"{pair!r} is not of the form name=value", param_hint=f"'{option}'")
        if name in found:
            raise click.BadParameter(f"{name!r} is given twice", param_hint=f"'{option}'")
        found[name] = value
    return found
