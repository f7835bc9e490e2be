"""Namespaces made on demand: when they come into being, when they go, and who hears of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import pytest

from socketeer import ConnectionRefused, MemoryAdapter, Namespace, ParentNamespace, Server, Socket
from tests.server.conftest import Served
from tests.support.raw import CONNECT, CONNECT_ERROR, Packet
from tests.wire.peers import eventually

Serve = Callable[[Server], Served]


def names(served: Served) -> set[str]:
    return served.call(lambda: set(served.io._namespaces)) - {"/"}


def rooms(io: Server) -> ParentNamespace:
    parent = io.of(re.compile("^/room-"))
    assert isinstance(parent, ParentNamespace)
    return parent


@pytest.mark.parametrize("end", ["leaves", "cut", "put out", "closed"])
def test_a_child_goes_with_the_last_of_its_clients(serve: Serve, end: str) -> None:
    io = Server()
    parent = rooms(io)
    served = serve(io)
    first, second = served.join("/room-1"), served.join("/room-1")
    other = served.join("/room-2")
    child = io.of("/room-1")
    first.leave("/room-1")
    eventually(lambda: len(child.sockets) == 1)
    assert names(served) == set(parent.children) == {"/room-1", "/room-2"}
    match end:
        case "leaves":
            second.leave("/room-1")
        case "cut":
            second.close(reset=True)
        case "put out":
            served.call(child.disconnect_sockets)
        case "closed":
            served.call(parent.to(*child.sockets).disconnect_sockets, True)
    eventually(lambda: names(served) == {"/room-2"})
    assert set(parent.children) == {"/room-2"}
    parent.emit("still", "here")
    assert other.event("/room-2") == ["still", "here"]
    served.join("/room-1")
    assert io.of("/room-1") is not child


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_child_that_refuses_its_first_client_goes_too(serve: Serve, kind: str) -> None:
    io = Server()

    def refuse(socket: Socket) -> None:
        raise ConnectionRefused("no")

    async def refuse_later(socket: Socket) -> None:
        await asyncio.sleep(0.001)
        raise ConnectionRefused("no")

    rooms(io).use(refuse if kind == "sync" else refuse_later)
    served = serve(io)
    client = served.join()
    assert client.refusal("/room-1") == {"message": "no"}
    assert names(served) == set()
    assert client.silent()


def test_a_child_stays_while_somebody_is_on_the_way_in(serve: Serve) -> None:
    io = Server()
    gates: list[asyncio.Event] = []

    async def wait(socket: Socket) -> None:
        if socket.handshake.auth.get("refuse"):
            raise ConnectionRefused("no")
        if socket.handshake.auth.get("wait"):
            gates.append(asyncio.Event())
            await gates[-1].wait()

    rooms(io).use(wait)
    served = serve(io)
    slow = served.connect()
    slow.ask("/room-1", {"wait": True})
    eventually(lambda: gates)
    child = io.of("/room-1")
    quick = served.join("/room-1")
    quick.leave("/room-1")
    assert served.connect().refusal("/room-1", {"refuse": True}) == {"message": "no"}
    eventually(lambda: not child.sockets)
    assert names(served) == {"/room-1"}
    served.call(gates[0].set)
    assert slow.packet()[:2] == (CONNECT, "/room-1")
    child.emit("hello")
    assert slow.event("/room-1") == ["hello"]


def test_a_child_goes_when_whom_it_waited_for_does_not_come(serve: Serve) -> None:
    io = Server()
    gates: list[asyncio.Event] = []

    async def wait(socket: Socket) -> None:
        gates.append(asyncio.Event())
        await gates[0].wait()

    rooms(io).use(wait)
    served = serve(io)
    client = served.connect()
    client.ask("/room-1")
    eventually(lambda: gates)
    client.close(reset=True)
    eventually(lambda: names(served) == set())
    served.call(gates[0].set)


def test_what_was_made_by_hand_stays(serve: Serve) -> None:
    io = Server()
    parent = rooms(io)
    by_hand = io.of("/room-1")
    served = serve(io)
    for name in ("/room-1", "/room-2"):
        client = served.join(name)
        client.leave(name)
        client.close()
    eventually(lambda: not io.engine.sessions)
    assert names(served) == set(parent.children) == {"/room-1"}
    assert io.of("/room-1") is by_hand


def test_with_the_option_off_every_child_stays(serve: Serve) -> None:
    io = Server(cleanup_empty_child_namespaces=False)
    rooms(io)
    served = serve(io)
    served.join("/room-1").close()
    eventually(lambda: not io.engine.sessions)
    assert names(served) == {"/room-1"}


def test_a_child_that_goes_closes_its_adapter_and_no_parent_has_one(serve: Serve) -> None:
    closed: list[str] = []
    made: list[str] = []

    class Noting(MemoryAdapter):
        async def close(self) -> None:
            closed.append(self.namespace)

    def make(namespace: Namespace) -> MemoryAdapter:
        made.append(namespace.name)
        return Noting(namespace.name, namespace.sockets)

    io = Server(adapter=make)
    rooms(io)
    served = serve(io)
    client = served.join("/room-1")
    client.leave("/room-1")
    eventually(lambda: closed == ["/room-1"])
    assert made == ["/", "/room-1"]


def test_new_namespaces_are_told_of_once(serve: Serve) -> None:
    io = Server()
    told: list[str] = []
    io.on("new_namespace", lambda namespace: told.append(namespace.name))
    io.once("new_namespace", lambda namespace: told.append(f"first {namespace.name}"))
    rooms(io)
    io.of("/chat")
    io.of("/chat")
    served = serve(io)
    clients = [served.connect() for _ in range(3)]
    for client in clients:
        client.ask("/room-1")
    for client in clients:
        assert client.packet()[:2] == (CONNECT, "/room-1")
    client.join("/chat")
    assert told == ["/chat", "first /chat", "/room-1"]
    for client in clients:
        client.close()
    eventually(lambda: names(served) == {"/chat"})
    served.join("/room-1")
    assert told == ["/chat", "first /chat", "/room-1", "/room-1"]


def test_an_async_handler_hears_of_what_was_made_before_the_server_runs(serve: Serve) -> None:
    io = Server()
    told: list[str] = []

    @io.on("new_namespace")
    async def made(namespace: Namespace) -> None:
        await asyncio.sleep(0)
        told.append(namespace.name)

    io.of("/early")
    assert told == []
    serve(io).join("/early")
    eventually(lambda: told == ["/early"])


def test_a_new_namespace_can_be_set_up_by_whom_is_told(serve: Serve) -> None:
    io = Server()

    @io.on("new_namespace")
    def set_up(namespace: Namespace) -> None:
        namespace.use(lambda socket: socket.data.update(name=namespace.name))
        namespace.event("where")(lambda socket: socket.data["name"])

    rooms(io)
    client = serve(io).join("/room-7")
    assert client.call("where", namespace="/room-7") == ["/room-7"]


def test_what_a_parent_emits_bears_with_a_child_that_goes_meanwhile(serve: Serve) -> None:
    io = Server()
    parent = rooms(io)

    @parent.on("connection")
    def connected(socket: Socket) -> None:
        if socket.nsp.name == "/room-1":
            socket.on_any_outgoing(lambda event: socket.disconnect())

    served = serve(io)
    first, second, third = (served.join(f"/room-{n}") for n in (1, 2, 3))
    served.call(parent.emit, "news")
    assert first.packet() == Packet(1, "/room-1", None, None)
    assert second.event("/room-2") == third.event("/room-3") == ["news"]
    assert names(served) == {"/room-2", "/room-3"}


def test_what_else_a_parent_can_do_with_the_sockets_of_its_children(serve: Serve) -> None:
    io = Server()
    parent = rooms(io)
    served = serve(io)
    (one, first), (two, second) = served.member("/room-1"), served.member("/room-2")
    parent.sockets_join("red")
    parent.to(first.id).sockets_leave("red")
    served.settle()
    assert served.call(lambda: (first.rooms, second.rooms)) == ({first.id}, {second.id, "red"})
    parent.to("red").emit("x")
    assert two.event("/room-2") == ["x"]
    parent.except_("red").disconnect_sockets()
    assert one.packet().type == 1
    assert names(served) == {"/room-2"}


# How many a connection may be in.


def test_so_many_namespaces_and_no_more(serve: Serve) -> None:
    io = Server(max_namespaces=3)
    rooms(io)
    served = serve(io)
    client = served.connect()
    for n in range(3):
        client.join(f"/room-{n}")
    assert client.refusal("/room-3") == {"message": "Too many namespaces"}
    client.leave("/room-0")
    client.join("/room-3")
    served.join("/room-4")  # of another connection


def test_those_it_is_joining_count_too(serve: Serve) -> None:
    io = Server(max_namespaces=2)
    gates: list[asyncio.Event] = []

    async def wait(socket: Socket) -> None:
        gates.append(asyncio.Event())
        await gates[-1].wait()

    rooms(io).use(wait)
    served = serve(io)
    client = served.connect()
    for n in range(3):
        client.ask(f"/room-{n}")
    assert client.packet() == Packet(CONNECT_ERROR, "/room-2", None, {"message": "Too many namespaces"})
    assert names(served) == {"/room-0", "/room-1"}
    for gate in gates:
        served.call(gate.set)
    assert [client.packet().namespace for _ in range(2)] == ["/room-0", "/room-1"]
