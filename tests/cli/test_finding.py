"""What is found where no name is given: the outermost application of a module, and its one server."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from socketeer.cli.finding import NotFound, find_app, find_factory, find_server

_numbers = itertools.count()

Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Give a function that writes a module that can be imported, and gives its name."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(source: str) -> str:
        name = f"found_{next(_numbers)}"
        (tmp_path / f"{name}.py").write_text(f"from socketeer import Server\nfrom fastapi import FastAPI\n{source}\n")
        return name

    return write


MIDDLEWARE = """\
class Middleware:
    def __init__(self, app):
        self.app = app
    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)"""


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("io = Server()", "io"),
        ("io = Server()\nsame = io", "io"),
        ("_hidden = Server()\nio = Server()", "io"),
        ("io = Server()\napi = FastAPI()\nwhole = io.attach(api)", "whole"),
        ("io = Server()\napi = FastAPI()\napi.mount('/realtime', io)", "api"),
        (MIDDLEWARE + "\nio = Server()\nattached = io.attach(FastAPI())\nouter = Middleware(attached)", "outer"),
        ("io = Server()\nasync def page(scope, receive, send): ...\nwhole = io.attach(page)", "whole"),
        ("io = Server()\nadmin = FastAPI()\napp = FastAPI()", "app"),
        ("io = Server()\napplication = FastAPI()", "application"),
    ],
)
def test_the_outermost_application_is_found(write: Write, source: str, name: str) -> None:
    module = write(source)
    assert find_app(module) is find_app(f"{module}:{name}")


@pytest.mark.parametrize(
    "source", ["io = Server()", "api = FastAPI()\nio = Server()\napi.mount('/a', io)", "io = Server()\nb = FastAPI()"]
)
def test_the_one_server_is_found(write: Write, source: str) -> None:
    module = write(source)
    assert find_server(module) is find_server(f"{module}:io")


def test_several_or_none_are_an_error_that_names_them(write: Write) -> None:
    several = write("one = Server()\ntwo = FastAPI()")
    with pytest.raises(
        NotFound, match=rf"^{several} has several applications: one, two; name one, as in {several}:one"
    ):
        find_app(several)
    none = write("text = 'text'\ndef app(environ, start_response): ...")
    with pytest.raises(NotFound, match="has no ASGI application"):
        find_app(none)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("app = 5", "is an int, not an ASGI application"),
        ("app = FastAPI", "is a class, not an ASGI application; --factory serves what it makes"),
        ("def app(): ...", "takes no arguments, as an ASGI application does; --factory serves what it makes"),
        ("def app(environ, start_response): ...", r"is a WSGI application, not an ASGI one; io.attach\(\) takes it"),
        ("def app(scope): ...", "does not take scope, receive and send"),
    ],
)
def test_what_is_no_application_is_refused(write: Write, source: str, says: str) -> None:
    spec = f"{write(source)}:app"
    with pytest.raises(NotFound, match=f"^{spec} {says}"):
        find_app(spec)


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_factory_makes_the_application(write: Write, kind: str) -> None:
    module = write(f"io = Server()\n{kind} make(): return io")
    assert asyncio.run(find_factory(f"{module}:make")()) is find_server(module)


def test_a_factory_may_fail(write: Write) -> None:
    module = write("def make(): return 5\ndef fail(): return [][0]")
    with pytest.raises(NotFound, match=f"^{module}:make\\(\\) is an int"):
        asyncio.run(find_factory(f"{module}:make")())
    with pytest.raises(NotFound, match=f"^{module}:fail\\(\\) fails: IndexError: list index out of range"):
        asyncio.run(find_factory(f"{module}:fail")())
    with pytest.raises(NotFound, match="the factory needs its name"):
        find_factory(module)
