"""``DEBUG``: which scopes a pattern switches on, which it leaves alone, and where they write."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import socketeer
from socketeer import Server, debug
from socketeer.debug import SCOPES, enable
from socketeer.engine.session import trace_enabled

CLIENT = "socketeer.client"
ENGINE = [scope for scope in SCOPES if scope.startswith("socketeer.engine")]


@pytest.fixture(autouse=True)
def loggers() -> Iterator[None]:
    """Put the loggers back as they were."""
    names = ["socketeer", *SCOPES]
    before = {name: logging.getLogger(name).level for name in names}
    handlers = logging.getLogger("socketeer").handlers[:]
    yield
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)
    logging.getLogger("socketeer").handlers[:] = handlers


def on() -> list[str]:
    return [scope for scope in SCOPES if logging.getLogger(scope).isEnabledFor(logging.DEBUG)]


def test_the_scopes_are_those_in_use() -> None:
    used: set[str] = set()
    for path in Path(socketeer.__path__[0]).rglob("*.py"):
        used.update(re.findall(r'getLogger\("(socketeer[\w.]*)"\)', path.read_text(encoding="utf-8")))
    errors = {"socketeer.engine.cors", "socketeer.engine.timers", "socketeer.testing"}
    documented = {*SCOPES, *errors, "socketeer"}
    assert used - documented == set()
    assert set(SCOPES) - used == set()
    page = (Path(__file__).parents[1] / "docs" / "errors-and-debugging.md").read_text(encoding="utf-8")
    assert [scope for scope in SCOPES if f"`{scope}`" not in page] == []


@pytest.mark.parametrize(
    ("variable", "scopes"),
    [
        ("", []),
        ("  , ,", []),
        ("*", list(SCOPES)),
        ("socketeer*", list(SCOPES)),
        ("socketeer:*", list(SCOPES)),
        ("socketeer.*", list(SCOPES)),
        ("socket.io*", [CLIENT, "socketeer.multiplex", "socketeer.server"]),
        ("socket.io:*", ["socketeer.multiplex", "socketeer.server"]),
        ("socket.io*,engine*", [CLIENT, *ENGINE, "socketeer.multiplex", "socketeer.server"]),
        ("socket.io-client:*", [CLIENT]),
        ("socket.io:client", ["socketeer.multiplex"]),
        ("socket.io-parser", ["socketeer.multiplex"]),
        ("socket.io:namespace", ["socketeer.server"]),
        ("socket.io:parent-namespace", ["socketeer.server"]),
        ("socket.io:socket", ["socketeer.server"]),
        ("engine:socket", ["socketeer.engine.session"]),
        ("engine:polling", ["socketeer.engine.polling"]),
        ("engine:ws", ["socketeer.engine.websocket"]),
        ("engine*", ENGINE),
        ("socketeer:engine*", ENGINE),
        ("engine:*", [scope for scope in ENGINE if scope != "socketeer.engine"]),
        ("engine", ["socketeer.engine"]),
        ("socketeer.engine", ["socketeer.engine"]),
        ("engine:session", ["socketeer.engine.session"]),
        ("socketeer:server", ["socketeer.server"]),
        ("socket.io:server", ["socketeer.server"]),
        ("*session", ["socketeer.engine.session"]),
        ("express*", []),
        ("SOCKETEER*", []),
        ("engine:session,socketeer:server", ["socketeer.engine.session", "socketeer.server"]),
        ("express:* socketeer:server", ["socketeer.server"]),
        ("socketeer*,-engine*", [scope for scope in SCOPES if scope not in ENGINE]),
        ("-engine*,socketeer*", [scope for scope in SCOPES if scope not in ENGINE]),
        ("socketeer*,-socketeer:engine:session", [scope for scope in SCOPES if scope != "socketeer.engine.session"]),
        ("engine*,-engine", [scope for scope in ENGINE if scope != "socketeer.engine"]),
        ("-socketeer*", []),
        ("-*", []),
    ],
)
def test_the_scopes_that_a_variable_names(variable: str, scopes: list[str]) -> None:
    assert enable(variable) == scopes
    assert on() == scopes


def test_the_environment_is_read_when_a_server_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEBUG", raising=False)
    assert enable() == []
    Server()
    assert on() == []
    monkeypatch.setenv("DEBUG", "engine:session")
    Server()
    assert on() == ["socketeer.engine.session"]
    assert trace_enabled()


def test_what_is_switched_on_is_written_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before, root.handlers = root.handlers, []  # the test runner's own
    try:
        enable("socketeer:server")
        enable("socketeer:server")
        logging.getLogger("socketeer.server").debug("hello %s", "there")
        logging.getLogger("socketeer.engine").debug("not this")
    finally:
        root.handlers = before
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(" socketeer.server hello there")


@pytest.mark.parametrize("where", ["", "socketeer"])
def test_an_application_with_handlers_of_its_own_keeps_them(where: str) -> None:
    logger, root = logging.getLogger(where), logging.getLogger()
    before, root.handlers = root.handlers, []
    handler = logging.NullHandler()
    logger.addHandler(handler)
    try:
        enable("socketeer*")
        assert [*logging.getLogger("socketeer").handlers, *root.handlers] == [handler]
    finally:
        logger.removeHandler(handler)
        root.handlers = before


def test_nothing_is_written_where_nothing_is_switched_on() -> None:
    root = logging.getLogger()
    before, root.handlers = root.handlers, []
    try:
        enable("express*")
        assert logging.getLogger("socketeer").handlers == []
    finally:
        root.handlers = before


def test_levels_that_the_application_has_set_stay_where_nothing_is_switched_on() -> None:
    logging.getLogger("socketeer.engine").setLevel(logging.ERROR)
    logging.getLogger("socketeer.server").setLevel(logging.DEBUG)
    enable("socketeer.engine.polling")
    assert logging.getLogger("socketeer.engine").level == logging.ERROR
    assert on() == ["socketeer.engine.polling", "socketeer.server"]


def test_the_module_offers_what_it_says() -> None:
    assert debug.__all__ == ["SCOPES", "enable"]
