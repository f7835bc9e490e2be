"""What a handler may look like, and what becomes of arguments that do not fit it."""

from __future__ import annotations

import asyncio
import functools
import inspect
import queue
from collections.abc import Callable
from typing import Any

import pytest

from socketeer import BadArguments, Server, Socket
from tests.server.conftest import Served

Serve = Callable[[Server], Served]


class Handlers:
    """Hold handlers of every kind; each answers with what it was given."""

    def method(self, a: Any, b: Any = "default") -> Any:
        return a, b

    async def async_method(self, a: Any) -> Any:
        await asyncio.sleep(0)
        return (a,)

    @classmethod
    def of_the_class(cls, a: Any) -> Any:
        return (a,)

    @staticmethod
    def static(a: Any) -> Any:
        return (a,)


class Callable1:
    def __call__(self, a: Any) -> Any:
        return (a,)


class AsyncCallable:
    async def __call__(self, a: Any) -> Any:
        await asyncio.sleep(0)
        return (a,)


def star(*args: Any) -> Any:
    return args


def keyword_only(a: Any, *, b: Any = "default") -> Any:
    return a, b


def positional_only(a: Any, b: Any = "default", /) -> Any:
    return a, b


def keywords(a: Any, **rest: Any) -> Any:
    return a, rest


async def two(a: Any, b: Any) -> Any:
    await asyncio.sleep(0)
    return a, b


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


@pytest.mark.parametrize(
    ("handler", "args", "answer"),
    [
        (Handlers().method, [1], [1, "default"]),
        (Handlers().method, [1, 2], [1, 2]),
        (Handlers().async_method, [1], [1]),
        (Handlers.of_the_class, [1], [1]),
        (Handlers.static, [1], [1]),
        (Callable1(), [1], [1]),
        (AsyncCallable(), [1], [1]),
        (star, [], []),
        (star, [1, [2], None], [1, [2], None]),
        (keyword_only, [1], [1, "default"]),
        (positional_only, [1], [1, "default"]),
        (positional_only, [1, 2], [1, 2]),
        (keywords, [1], [1, {}]),
        (functools.partial(two, "bound"), [2], ["bound", 2]),
        (functools.partial(AsyncCallable()), [1], [1]),
        (functools.partial(Handlers().method, b="bound"), [1], [1, "bound"]),
        (lambda a: two(a, "of a lambda"), [1], [1, "of a lambda"]),
        (decorated(two), [1, 2], [1, 2]),
        (len, [[1, 2, 3]], [3]),
        (int, ["12"], [12]),
        (str.upper, ["abc"], ["ABC"]),
        (max, [3, 5], [5]),
    ],
)
def test_every_kind_of_callable_gets_the_arguments(serve: Serve, handler: Any, args: list[Any], answer: Any) -> None:
    served = serve(Server())
    client, socket = served.member()
    socket.on("x", handler)
    assert client.call("x", *args) == answer


def test_builtins_of_other_threads_can_take_events(serve: Serve) -> None:
    served = serve(Server())
    client, socket = served.member()
    arrived: queue.Queue[Any] = queue.Queue()
    listed: list[Any] = []
    socket.on("x", arrived.put)
    socket.on("x", listed.append)
    client.emit("x", {"a": 1})
    assert arrived.get(timeout=20) == {"a": 1}
    assert client.silent()
    assert listed == [{"a": 1}]


@pytest.mark.parametrize(
    ("handler", "args", "says"),
    [
        (lambda a: None, [], "takes 1 arguments, 0 came"),
        (lambda a: None, [1, 2], "takes 1 arguments, 2 came"),
        (lambda: None, [1], "takes 0 arguments, 1 came"),
        (lambda a, b=2: None, [1, 2, 3], "takes 1 to 2 arguments, 3 came"),
        (lambda a, *rest: None, [], "takes 1 or more arguments, 0 came"),
        (two, [1], "two takes 2 arguments, 1 came"),
        (lambda a, *, ack: ack(), [], "takes 1 arguments, 0 came"),
        ([].append, [], "append takes 1 arguments, 0 came"),
    ],
)
@pytest.mark.parametrize("shared", [False, True])
def test_arguments_that_do_not_fit_are_reported_and_hurt_nobody_else(
    serve: Serve, caplog: pytest.LogCaptureFixture, handler: Any, args: list[Any], says: str, shared: bool
) -> None:
    io = Server()
    errors: list[Any] = []
    others: list[Any] = []
    io.on("error", lambda error, socket, event: errors.append((error, socket, event)))
    served = serve(io)
    client, socket = served.member()
    if shared:
        io.event("x")(_behind_socket(handler))
    else:
        socket.on("x", handler)
    socket.on("x", lambda *args: others.append(args))
    client.emit("x", *args)
    assert client.silent()
    ((error, whose, event),) = errors
    assert isinstance(error, BadArguments)
    assert says in str(error)
    assert "event 'x'" in str(error)
    assert (whose, event) == (socket, "x")
    assert others == [tuple(args)]
    (record,) = (record for record in caplog.records if record.name.startswith("socketeer"))
    assert (record.levelname, record.getMessage()) == ("WARNING", str(error))
    caplog.clear()


def _behind_socket(handler: Callable[..., Any]) -> Any:
    """Put a first parameter in front of those of ``handler``, as the handlers of ``io.event`` have it."""

    def behind(socket: Socket, *args: Any, **kwargs: Any) -> Any:
        return handler(*args, **kwargs)

    first = inspect.Parameter("socket", inspect.Parameter.POSITIONAL_ONLY)
    signature = inspect.signature(handler)
    parameters = [
        each.replace(kind=each.POSITIONAL_ONLY) if each.kind is each.POSITIONAL_OR_KEYWORD else each
        for each in signature.parameters.values()
    ]
    behind.__signature__ = signature.replace(parameters=[first, *parameters])  # type: ignore[attr-defined]
    behind.__qualname__ = handler.__qualname__
    return behind


def test_the_event_hook_is_not_called_for_what_fits(serve: Serve) -> None:
    io = Server()
    errors: list[Any] = []
    io.on("error", errors.append)
    served = serve(io)
    client, socket = served.member()
    socket.on("x", lambda a, b=1: (a, b))
    assert client.call("x", 1) == [1, 1]
    assert errors == []


def keyword_without_default(a: Any, *, b: Any) -> None: ...


def ack_before_arguments(ack: Any, a: Any) -> None: ...


def ack_positional_only(a: Any, ack: Any, /) -> None: ...


@pytest.mark.parametrize(
    ("handler", "says"),
    [
        (keyword_without_default, "b needs a default"),
        (ack_before_arguments, "the parameter ack must come after"),
        (ack_positional_only, "must not be positional-only"),
    ],
)
def test_a_signature_that_can_never_be_met_is_refused_at_registration(handler: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        Server().event("x")(handler)


def test_a_handler_of_every_socket_must_take_the_socket() -> None:
    with pytest.raises(TypeError, match="must take the socket as its first argument"):

        @Server().event
        def forgetful() -> None: ...


@pytest.mark.parametrize("handler", [lambda: None, lambda socket: None, lambda *args: None, Handlers().async_method])
def test_connection_handlers_take_the_socket_or_nothing(serve: Serve, handler: Any) -> None:
    io = Server()
    io.on("connection", handler)
    assert serve(io).join().silent()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_disconnect_handlers_take_as_much_as_they_like(serve: Serve, count: int) -> None:
    io = Server()
    seen: list[Any] = []
    done = queue.Queue[None]()
    handlers: list[Callable[..., Any]] = [
        lambda: seen.append(()),
        lambda reason: seen.append((reason,)),
        lambda reason, description: seen.append((reason, description)),
    ]
    served = serve(io)
    client, socket = served.member()
    socket.on("disconnect", handlers[count])
    socket.on("disconnect", lambda *args: done.put(None))
    client.close()
    done.get(timeout=20)
    assert seen == [("transport close", None)[:count]]


def test_one_exception_is_logged_reported_and_nothing_more(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    io = Server()
    errors: list[Any] = []
    io.on("error", lambda *args: errors.append(args))
    served = serve(io)
    client, socket = served.member()
    failure = KeyError("of the handler")

    @socket.on("sync one")
    def fail() -> None:
        raise failure

    @socket.on("async one")
    async def fail_too() -> None:
        await asyncio.sleep(0)
        raise failure

    client.emit("sync one")
    client.emit("async one", id=9)
    assert client.silent()
    served.settle()
    assert errors == [(failure, socket, "sync one"), (failure, socket, "async one")]
    failures = [record for record in caplog.records if record.exc_info]
    assert [record.levelname for record in failures] == ["ERROR", "ERROR"]
    assert all(record.exc_info and record.exc_info[1] is failure for record in failures)
    assert socket.connected
    caplog.clear()
