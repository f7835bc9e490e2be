"""Namespaces: by name, and made on demand below a pattern or a callable."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest

from socketeer import ParentNamespace, Server, Socket, UsageError
from tests.server.conftest import Served
from tests.support.raw import Client
from tests.wire.peers import eventually

Serve = Callable[[Server], Served]

INVALID = {"message": "Invalid namespace"}


def test_of_gives_the_same_namespace_for_the_same_name() -> None:
    io = Server()
    assert io.of("/chat") is io.of("chat")
    assert io.of("/") is io.sockets
    pattern = re.compile("^/room")
    assert io.of(pattern) is io.of(re.compile("^/room"))
    assert io.of(pattern) is not io.of(re.compile("^/ROOM"))

    def decide(name: str, auth: Any) -> bool:
        return True

    assert io.of(decide) is io.of(decide)


@pytest.mark.parametrize("name", [3, None, ["/chat"], b"/chat"])
def test_of_takes_nothing_else(name: Any) -> None:
    with pytest.raises(TypeError, match="of\\(\\) takes"):
        Server().of(name)


@pytest.mark.parametrize("name", ["/a,b", "/a?b"])
def test_a_name_that_a_packet_cannot_carry_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot contain"):
        Server().of(name)


def test_namespaces_share_a_connection_and_nothing_else(serve: Serve) -> None:
    io = Server()
    seen: list[Any] = []
    for name in ("/", "/chat", "/news"):
        io.of(name).on("connection", lambda socket: seen.append(socket))
        io.of(name).event("where")(lambda socket: socket.nsp.name)
    io.of("/chat").event("only here")(lambda socket: "yes")
    served = serve(io)
    client = served.connect()
    ids = [client.join(name) for name in ("/chat", "/", "/news")]
    assert len({*ids, client.sid}) == 4
    assert [socket.id for socket in seen] == ids
    for name in ("/", "/news", "/chat"):
        assert client.call("where", namespace=name) == [name]
    seen[0].join("room")
    io.to("room").emit("lost")
    io.of("/news").emit("for", "news")
    io.of("/chat").to("room").emit("for", "chat")
    assert client.event("/news") == ["for", "news"]
    assert client.event("/chat") == ["for", "chat"]
    client.emit("only here", id=4)
    assert client.silent()


def test_an_unknown_namespace_is_refused(serve: Serve) -> None:
    io = Server()
    client = serve(io).connect()
    assert client.refusal("/unknown") == INVALID
    client.join()
    assert client.silent()
    assert set(io._namespaces) == {"/"}


# Made on demand.


def test_a_pattern_makes_namespaces(serve: Serve) -> None:
    io = Server()
    seen: list[str] = []
    parent = io.of(re.compile(r"^/room-\d+$"))
    parent.on("connection", lambda socket: seen.append(socket.nsp.name))
    parent.event("where")(lambda socket: socket.nsp.name)
    served = serve(io)
    client = served.connect()
    for name in ("/room-1", "/room-22"):
        client.join(name)
        assert client.call("where", namespace=name) == [name]
    assert seen == ["/room-1", "/room-22"]
    assert client.refusal("/room-x") == INVALID
    assert client.refusal("/a/room-1") == INVALID
    assert isinstance(parent, ParentNamespace)
    assert set(parent.children) == {"/room-1", "/room-22"}
    assert io.of("/room-1") is parent.children["/room-1"]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_callable_makes_namespaces_by_name_and_credentials(serve: Serve, kind: str) -> None:
    io = Server()
    asked: list[Any] = []

    def decide(name: str, auth: Any) -> bool:
        asked.append((name, auth))
        return name.startswith("/tenant-") and auth == {"key": "right"}

    async def decide_later(name: str, auth: Any) -> bool:
        await asyncio.sleep(0.001)
        return decide(name, auth)

    io.of(decide if kind == "sync" else decide_later)
    client = serve(io).connect()
    assert client.refusal("/tenant-a", {"key": "wrong"}) == INVALID
    assert client.refusal("/other", {"key": "right"}) == INVALID
    client.join("/tenant-a", {"key": "right"})
    assert [name for name, _ in asked] == ["/tenant-a", "/other", "/tenant-a"]


def test_a_client_without_credentials_is_asked_about_with_an_empty_object_or_none(serve: Serve) -> None:
    io = Server()
    asked: list[Any] = []

    def decide(name: str, auth: Any) -> bool:
        asked.append(auth)
        return True

    io.of(decide)
    client = serve(io).connect()
    client.join("/x")
    assert asked in ([{}], [None])


def test_parents_are_asked_in_the_order_of_their_creation(serve: Serve) -> None:
    io = Server()
    seen: list[str] = []

    async def never(name: str, auth: Any) -> bool:
        seen.append("never")
        return False

    def always(name: str, auth: Any) -> bool:
        seen.append("always")
        return True

    io.of(re.compile("^/a")).on("connection", lambda socket: seen.append("a"))
    io.of(never)
    io.of(re.compile("^/ab")).on("connection", lambda socket: seen.append("ab"))
    io.of(always).on("connection", lambda socket: seen.append("any"))
    io.of(re.compile("^/abc")).on("connection", lambda socket: seen.append("abc"))
    client = serve(io).connect()
    client.join("/abc")
    assert seen == ["a"]
    client.join("/x")
    assert seen == ["a", "never", "always", "any"]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_callable_that_fails_refuses_and_is_reported(
    serve: Serve, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    io = Server()
    errors: list[Any] = []
    failure = RuntimeError("of the inner workings")

    def fail(name: str, auth: Any) -> bool:
        raise failure

    async def fail_later(name: str, auth: Any) -> bool:
        await asyncio.sleep(0)
        raise failure

    io.of(fail if kind == "sync" else fail_later)
    io.of(lambda name, auth: True)  # which is not asked any more
    io.on("error", errors.append)
    client = serve(io).connect()
    assert client.refusal("/x") == INVALID
    assert errors == [failure]
    caplog.clear()


def test_two_clients_at_once_get_one_child(serve: Serve) -> None:
    io = Server()
    gates: list[asyncio.Event] = []
    sockets: list[Socket] = []

    async def decide(name: str, auth: Any) -> bool:
        gates.append(asyncio.Event())
        await gates[-1].wait()
        return True

    parent = io.of(decide)
    parent.on("connection", sockets.append)
    served = serve(io)
    clients = [served.join() for _ in range(2)]
    for client in clients:
        client.ask("/x")
        assert client.silent()
    for gate in gates:
        served.call(gate.set)
    for client in clients:
        assert client.packet()[:2] == (0, "/x")
    assert sockets[0].nsp is sockets[1].nsp is io.of("/x")
    io.of("/x").emit("hello")
    for client in clients:
        assert client.event("/x") == ["hello"]


def test_a_client_that_leaves_while_it_is_asked_about_makes_nothing(serve: Serve) -> None:
    io = Server()
    gates: list[asyncio.Event] = []

    async def decide(name: str, auth: Any) -> bool:
        gates.append(asyncio.Event())
        await gates[-1].wait()
        return True

    io.of(decide).on("connection", lambda socket: pytest.fail("nobody is there"))
    served = serve(io)
    client = served.join()
    client.ask("/x")
    assert client.silent()
    client.close()
    eventually(lambda: not io.engine.sessions)
    served.call(lambda: gates[0].set())
    served.settle()
    assert set(io._namespaces) == {"/"}


def test_what_is_registered_with_a_parent_later_holds_for_the_children_there_are(serve: Serve) -> None:
    io = Server()
    parent = io.of(re.compile("^/x"))
    served = serve(io)
    client = served.join("/x1")
    seen: list[Any] = []

    def register() -> None:
        parent.on("connection", lambda socket: seen.append("connection"))
        parent.use(lambda socket: seen.append("middleware"))
        parent.event("x")(lambda socket: seen.append("event"))

    served.call(register)
    client.call("x", namespace="/x1")
    served.join("/x1")
    assert seen == ["event", "middleware", "connection"]
    served.call(parent.off)
    served.join("/x1")
    assert seen == ["event", "middleware", "connection", "middleware"]


def test_a_child_has_handlers_of_its_own_too(serve: Serve) -> None:
    io = Server()
    parent = io.of(re.compile("^/x"))
    seen: list[str] = []
    parent.on("connection", lambda socket: seen.append(f"parent {socket.nsp.name}"))
    child = io.of("/x1")  # by hand, before any client asked for it
    child.on("connection", lambda socket: seen.append(f"child {socket.nsp.name}"))
    assert isinstance(parent, ParentNamespace)
    assert parent.children == {"/x1": child}
    served = serve(io)
    served.join("/x1")
    served.join("/x2")
    assert seen == ["parent /x1", "child /x1", "parent /x2"]
    client = served.join("/x1")
    parent.emit("hello")
    assert client.event("/x1") == ["hello"]


def test_what_a_parent_emits_reaches_every_child(serve: Serve) -> None:
    io = Server()
    parent = io.of(re.compile("^/x"))
    parent.on("connection", lambda socket: socket.join("odd" if socket.nsp.name in ("/x1", "/x3") else "even"))
    io.of("/y")
    served = serve(io)

    def joined(*names: str) -> Client:
        client = served.join()
        for name in names:
            client.join(name)
        return client

    one, two, other = joined("/x1", "/x2"), joined("/x2", "/x3"), joined("/y")
    parent.emit("all", 1)
    parent.to("odd").emit("odd")
    parent.except_("odd").emit("not odd")
    assert [one.event("/x1"), one.event("/x2")] == [["all", 1], ["all", 1]]
    assert one.event("/x1") == ["odd"]
    assert one.event("/x2") == ["not odd"]
    assert [two.event("/x2"), two.event("/x3")] == [["all", 1], ["all", 1]]
    assert two.event("/x3") == ["odd"]
    assert two.event("/x2") == ["not odd"]
    for client in (one, two, other):
        assert client.silent()
    parent.in_("odd").disconnect_sockets()
    assert one.packet()[:2] == (1, "/x1")
    assert two.packet()[:2] == (1, "/x3")
    assert one.silent()


def test_a_parent_has_no_sockets_to_ask(serve: Serve) -> None:
    io = Server()
    parent = io.of(re.compile("^/x"))
    served = serve(io)
    served.join("/x1")
    with pytest.raises(UsageError, match="parent namespace"):
        served.run(parent.fetch_sockets())
    with pytest.raises(UsageError, match="parent namespace"):
        served.run(parent.timeout(1).emit_with_ack("x"))
    with pytest.raises(UsageError, match="parent namespace"):
        parent.emit("x", ack=print)
