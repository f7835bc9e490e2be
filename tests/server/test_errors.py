"""The ``error`` hook: what it gets, from where, and what its own failures do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from socketeer import BadArguments, Server, Socket
from tests.server.conftest import Served
from tests.wire.peers import eventually

Serve = Callable[[Server], Served]


class Failure(Exception):
    """Stand for any exception of an application."""


@pytest.fixture
def failing(serve: Serve) -> Server:
    """Give a server with a namespace ``/chat`` whose handlers of ``x`` fail."""
    io = Server()
    io.of("/chat")
    for name in ("/", "/chat"):

        @io.of(name).event
        def x(socket: Socket) -> None:
            raise Failure(socket.nsp.name)

    return io


@pytest.fixture(autouse=True)
def failures_are_logged(no_errors_logged: None, caplog: pytest.LogCaptureFixture) -> Any:
    """Expect an error in the log of each of these tests."""
    yield
    records = caplog.get_records("call")
    assert any(record.levelname in ("ERROR", "WARNING") for record in records)
    records.clear()


def test_a_namespace_hears_of_its_own_and_the_server_of_all(serve: Serve, failing: Server) -> None:
    heard: list[Any] = []
    failing.on("error", lambda error, socket, event: heard.append(("server", str(error), socket.nsp.name, event)))
    failing.of("/chat").on("error", lambda error: heard.append(("chat", str(error))))
    client = serve(failing).join()
    client.join("/chat")
    client.emit("x")
    client.emit("x", namespace="/chat")
    assert client.silent()
    assert heard == [("server", "/", "/", "x"), ("chat", "/chat"), ("server", "/chat", "/chat", "x")]


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_a_hook_takes_as_much_as_it_likes(serve: Serve, failing: Server, count: int) -> None:
    heard: list[int] = []
    hooks: list[Callable[..., Any]] = [
        lambda: heard.append(0),
        lambda error: heard.append(1),
        lambda error, socket: heard.append(2),
        lambda *args: heard.append(len(args)),
    ]
    failing.on("error", hooks[count])
    client = serve(failing).join()
    client.emit("x")
    assert client.silent()
    assert heard == [count]


def test_a_hook_may_be_async_and_may_be_called_once(serve: Serve, failing: Server) -> None:
    heard: list[str] = []

    @failing.on("error")
    async def later(error: Exception) -> None:
        await asyncio.sleep(0)
        heard.append("later")

    failing.once("error", lambda error: heard.append("once"))
    client = serve(failing).join()
    client.emit("x")
    client.emit("x")
    assert client.silent()
    eventually(lambda: sorted(heard) == ["later", "later", "once"])


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_hook_that_fails_is_logged_and_called_for_nothing_more(
    serve: Serve, failing: Server, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[str] = []

    def fail(error: Exception) -> None:
        heard.append("failing")
        raise Failure("of the hook")

    async def fail_later(error: Exception) -> None:
        await asyncio.sleep(0)
        fail(error)

    failing.on("error", fail if kind == "sync" else fail_later)
    failing.on("error", lambda error: heard.append("other"))
    client = serve(failing).join()
    client.emit("x")
    assert client.silent()
    eventually(lambda: sorted(heard) == ["failing", "other"])
    eventually(lambda: "of the hook" in caplog.text)


def test_every_kind_of_failure_comes_to_the_hook(serve: Serve) -> None:
    io = Server()
    heard: list[tuple[type[BaseException], Any]] = []
    io.on("error", lambda error, socket, event: heard.append((type(error), event)))

    def fail(*args: Any) -> None:
        raise Failure

    io.on("connection", fail)
    served = serve(io)
    client, socket = served.member()
    socket.on_any(lambda event, *args: fail() if event == "any" else None)
    socket.on("takes one", lambda one: None)
    client.emit("any")
    client.emit("takes one")
    socket.emit("question", ack=fail)
    client.answer(client.packet())
    assert client.silent()
    socket.on("disconnecting", fail)
    socket.on("disconnect", fail)
    client.leave()
    eventually(lambda: len(heard) == 6)
    assert heard == [
        (Failure, "connection"),
        (Failure, "any"),
        (BadArguments, "takes one"),
        (Failure, None),
        (Failure, "disconnecting"),
        (Failure, "disconnect"),
    ]


def test_an_event_of_the_client_named_error_is_only_an_event(serve: Serve, failing: Server) -> None:
    heard: list[str] = []
    failing.on("error", lambda error: heard.append("hook"))
    served = serve(failing)
    client, socket = served.member()
    client.emit("error", "from afar")
    assert client.silent()
    socket.on("error", heard.append)
    client.emit("error", "from afar")
    assert client.silent()
    assert heard == ["from afar"]
    client.emit("x")
    assert client.silent()
    assert heard == ["from afar", "hook"]
