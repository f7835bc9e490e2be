"""The options that commands with a connection share, and what they make of them for ``connect``."""

from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner

from socketeer import MSGPACK
from socketeer.cli.connecting import Target, connect_options, connection_options, explain, target_of
from socketeer.client import Manager
from socketeer.exceptions import TransportError


@pytest.mark.parametrize(
    ("url", "namespace", "expected"),
    [
        ("localhost:3000", None, "http://localhost:3000"),
        ("example.com/admin?x=1", None, "http://example.com/admin?x=1"),
        ("wss://example.com/a", "/a", "https://example.com/a"),
        ("ws://[::1]:80/", "chat", "http://[::1]:80/chat"),
        ("https://example.com?x=1", "/chat", "https://example.com/chat?x=1"),
    ],
)
def test_urls(url: str, namespace: str | None, expected: str) -> None:
    assert target_of(url, namespace).url == expected


@pytest.mark.parametrize(
    "url", ["", "http://", "ftp://example.com", "localhost:99999", "localhost:0", "http://[::1", "http://a b"]
)
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(click.BadParameter, match="is no URL"):
        target_of(url)


@pytest.mark.parametrize(("url", "namespace"), [("x/a", "/b"), ("x", "/a?b"), ("x", "#a")])
def test_namespaces_that_cannot_be(url: str, namespace: str) -> None:
    with pytest.raises(click.BadParameter):
        target_of(url, namespace)


def test_every_option_reaches_the_client() -> None:
    given: dict[str, Any] = {
        "auth": '{"token": "abc"}',
        "headers": ["X-A: 1", "x-b:2: 3", "X-A: 4"],
        "query": ["a=b=c", "d="],
        "cookies": ["id=7"],
        "transports": ["websocket", "websocket"],
        "path": "/live",
        "eio": "3",
        "parser": "msgpack",
        "insecure": True,
        "proxy": "http://127.0.0.1:8080",
    }
    options = connect_options(**given)
    assert options == {
        "auth": {"token": "abc"},
        "extra_headers": {"X-A": "1, 4", "x-b": "2: 3"},
        "query": {"a": "b=c", "d": ""},
        "cookies": {"id": "7"},
        "transports": ("websocket",),
        "path": "/live",
        "eio": 3,
        "parser": MSGPACK,
        "ssl": False,
        "proxy": "http://127.0.0.1:8080",
    }
    del options["auth"]  # of the socket
    Manager("http://localhost", **options)


def test_a_proxy_needs_no_scheme() -> None:
    assert connect_options(proxy="127.0.0.1:8080")["proxy"] == "http://127.0.0.1:8080"


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("HTTP 404 <html>\n  <p>", "HTTP 404 <html> <p>"),
        ("is it a server 1.x or 2.x (eio=3)?", "is it a server 1.x or 2.x (--eio 3)?"),
        ("which needs the option eio=3?", "which needs --eio 3?"),
        (
            "no (1, '[SSL: ...] certificate verify failed: self-signed certificate (_ssl.c:1006)')",
            "certificate verify failed: self-signed certificate (--insecure connects all the same)",
        ),
        ("", "TransportError"),
    ],
)
def test_failures_are_told_in_the_words_of_the_command_line(message: str, said: str) -> None:
    assert explain(TransportError(message)) == said


def test_what_is_not_given_is_left_to_the_client() -> None:
    assert connect_options() == {"path": "/socket.io", "eio": 4}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("auth", "abc"),
        ("auth", "[1]"),
        ("headers", ["abc"]),
        ("headers", [": x"]),
        ("headers", ["a b: c"]),
        ("headers", ["a: b\nc: d"]),
        ("query", ["a"]),
        ("query", ["a=1", "a=2"]),
        ("cookies", ["=1"]),
    ],
)
def test_improper_values_name_their_option(option: str, value: Any) -> None:
    with pytest.raises(click.BadParameter) as raised:
        connect_options(**{option: value})
    assert raised.value.format_message().startswith("Invalid value for '--")


def test_a_command_gets_the_target_beside_its_own_options() -> None:
    @click.command()
    @click.option("--own", type=int)
    @connection_options
    def command(target: Target, own: int) -> None:
        click.echo(f"{own} {target.url} {target.options['transports']}")

    run = CliRunner().invoke(command, ["localhost", "--own", "7", "--transport", "polling", "--namespace", "a"])
    assert run.output == "7 http://localhost/a ('polling',)\n"
    assert CliRunner().invoke(command, ["localhost", "--transport", "pigeon"]).exit_code == 2
