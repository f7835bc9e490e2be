"""Clients that lose their connection and come back: what they are then, what they get, and who is not let back."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest

from socketeer import ConnectionRefused, MemoryAdapter, Server, Socket
from socketeer.testing import AsgiNetwork, Clients
from tests.server.conftest import Served
from tests.support.raw import ACK, CONNECT, CONNECT_ERROR, Client, Packet
from tests.wire.peers import WebSocketPeer, eventually

Serve = Callable[[Server], Served]


class Guest:
    """Be one client over several connections: it remembers what the official one remembers."""

    def __init__(self, served: Served, namespace: str = "/", auth: dict[str, Any] | None = None) -> None:
        self.served = served
        self.namespace = namespace
        self.auth = auth or {}
        self.client: Client
        self.id: str | None = None
        self.pid: str | None = None
        self.offset: str | None = None

    def knock(self, transport: str = "websocket") -> None:
        """Connect and ask for the namespace."""
        self.client = self.served.connect(transport=transport)
        known = {"pid": self.pid, "offset": self.offset}
        given = {name: value for name, value in known.items() if value is not None}
        self.client.ask(self.namespace, {**given, **self.auth})

    def enter(self, transport: str = "websocket") -> bool:
        """Join the namespace and tell whether the server takes it for what it was."""
        self.knock(transport)
        packet = self.client.packet()
        assert packet[:2] == (CONNECT, self.namespace), packet
        return self.welcome(packet)

    def welcome(self, packet: Packet) -> bool:
        """Take the answer to CONNECT."""
        known, self.id, self.pid = (self.id, self.pid), packet.data["sid"], packet.data["pid"]
        same_id, same_pid = self.id == known[0], self.pid == known[1]
        assert same_id == same_pid
        return same_pid

    def event(self) -> list[Any]:
        """Give the next event, without the offset."""
        args = self.client.event(self.namespace)
        assert isinstance(args[-1], str), f"no offset in {args}"
        self.offset = args[-1]
        return args[:-1]

    def events(self, count: int) -> list[Any]:
        """Give the first arguments of the next events."""
        return [self.event()[1] for _ in range(count)]

    def quiet(self) -> bool:
        """Tell whether nothing is under way."""
        id = 10**6
        self.client.emit("sync", namespace=self.namespace, id=id)
        return self.client.packet() == Packet(ACK, self.namespace, id, [])

    def cut(self) -> None:
        """Lose the connection, and wait until the server knows."""
        sid = self.client.sid
        self.client.close(reset=True)
        eventually(lambda: sid not in self.served.io.engine.sessions)

    @property
    def socket(self) -> Socket:
        """Give the server's side of it."""
        assert self.id is not None
        return self.served.call(lambda: self.served.io.of(self.namespace).sockets[str(self.id)])


def recovering(**options: Any) -> Server:
    return Server(**{"connection_state_recovery": True, **options})


def open_house(serve: Serve, io: Server, namespace: str = "/") -> Guest:
    """Serve, and give a client that has joined."""
    guest = Guest(serve(io), namespace)
    io.of(namespace).event("sync")(lambda socket: None)
    assert not guest.enter()
    return guest


@pytest.mark.parametrize("namespace", ["/", "/chat"])
@pytest.mark.parametrize("transport", ["websocket", "polling"])
@pytest.mark.parametrize("concurrency", ["concurrent", "ordered"])
def test_a_client_comes_back_as_what_it_was(serve: Serve, namespace: str, transport: str, concurrency: str) -> None:
    io = recovering(event_concurrency=concurrency)
    told: list[Any] = []
    space = io.of(namespace)

    @space.on("connection")
    def connected(socket: Socket) -> None:
        told.append(("connection", socket.id, socket.recovered, sorted(socket.rooms - {socket.id}), dict(socket.data)))
        socket.join("red")
        socket.data["name"] = "ann"
        socket.on("disconnecting", lambda reason: told.append(sorted(socket.rooms - {socket.id})))
        socket.on("disconnect", lambda reason: told.append(reason.partition(" ")[0]))

    served = serve(io)
    space.event("sync")(lambda socket: None)
    guest = Guest(served, namespace)
    assert not guest.enter(transport)
    space.emit("x", 1)
    assert guest.events(1) == [1]
    guest.cut()
    id = guest.id
    space.emit("x", {"data": b"\x00two"})
    space.to("red").emit("x", 3)
    space.except_("red").emit("x", "not for it")
    assert guest.enter(transport)
    space.emit("x", 4)
    assert guest.events(3) == [{"data": b"\x00two"}, 3, 4]
    assert guest.quiet()
    assert told == [
        ("connection", id, False, [], {}),
        ["red"],
        "transport",
        ("connection", id, True, ["red"], {"name": "ann"}),
    ]


def test_what_is_sent_to_a_socket_that_was_kept_reaches_the_client_that_is_back(serve: Serve) -> None:
    io = recovering()
    guest = open_house(serve, io)
    socket = guest.socket
    guest.cut()
    socket.emit("x", "to itself")
    socket.volatile.emit("x", "now or never")
    socket.emit("x", "with ack", ack=print)
    io.emit("y", "with ack", ack=lambda error, answers: None)
    socket.broadcast.emit("x", "to others")
    assert socket.disconnected
    assert guest.enter()
    assert guest.socket is not socket
    socket.emit("x", "to whom it is now")
    assert guest.events(2) == ["to itself", "to whom it is now"]
    assert guest.quiet()


def test_two_losses_in_a_row_lose_nothing(serve: Serve) -> None:
    io = recovering()
    guest = open_house(serve, io)
    io.emit("x", 1)
    assert guest.events(1) == [1]
    guest.cut()
    io.emit("x", 2)
    assert guest.enter()
    guest.cut()  # with what it missed still unread
    io.emit("x", 3)
    assert guest.enter()
    assert guest.events(2) == [2, 3]
    assert guest.quiet()


def test_a_client_that_never_got_an_event_gets_what_was_sent_to_it(serve: Serve) -> None:
    io = recovering()
    guest = open_house(serve, io)
    guest.cut()
    io.emit("x", 1)
    for _ in range(2):
        assert guest.enter()
        guest.cut()
    io.emit("x", 2)
    assert guest.enter()
    assert guest.events(2) == [1, 2]


def test_a_secret_of_a_client_that_is_here_opens_nothing(serve: Serve) -> None:
    io = recovering()
    guest = open_house(serve, io)
    thief = Guest(guest.served)
    thief.pid, thief.id = guest.pid, guest.id
    assert not thief.enter()
    assert thief.pid != guest.pid
    guest.cut()
    late = Guest(guest.served)
    late.pid, late.id = guest.pid, guest.id
    assert guest.enter()
    assert not late.enter()
    assert guest.quiet()


@pytest.mark.parametrize(
    ("auth", "recovered", "seen"),
    [
        ({"token": 1}, True, {"token": 1}),
        ({"offset": "foreign.1"}, False, ...),
        ({"offset": ""}, False, ...),
        ({"offset": 7}, False, ...),
        ({"offset": ["x"]}, False, ...),
        ({"pid": "guessed"}, False, ...),
        ({"pid": None}, False, ...),
        ({"pid": ["x"]}, False, ...),
        ({"offset": None}, True, {}),
    ],
)
def test_credentials_are_shown_without_the_secret_only_to_whom_it_was_good(
    serve: Serve, auth: dict[str, Any], recovered: bool, seen: Any
) -> None:
    io = recovering()
    guest = open_house(serve, io)
    guest.cut()
    sent = {"pid": guest.pid, **auth}
    guest.auth = auth
    assert guest.enter() is recovered
    assert guest.socket.recovered is recovered
    assert guest.socket.handshake.auth == (sent if seen is ... else seen)


@pytest.mark.parametrize("how", ["client", "server", "close"])
def test_who_leaves_on_purpose_is_not_recovered(serve: Serve, how: str) -> None:
    io = recovering()
    guest = open_house(serve, io)
    if how == "client":
        guest.client.leave()
    else:
        guest.socket.disconnect(close=how == "close")
    eventually(lambda: not io.sockets.sockets)
    guest.cut()
    assert not guest.enter()


def test_without_the_option_nothing_is_said_of_it(serve: Serve) -> None:
    io = Server()
    io.on("connection", lambda socket: socket.emit("x", "text"))
    client = serve(io).connect()
    client.ask(auth={"pid": "x", "offset": "y"})
    assert set(client.packet().data) == {"sid"}
    assert client.event() == ["x", "text"]
    (socket,) = io.sockets.sockets.values()
    assert not socket.recovered
    assert socket.handshake.auth == {"pid": "x", "offset": "y"}


def test_clients_of_revision_4_get_neither_secret_nor_offset(serve: Serve) -> None:
    io = recovering()
    io.on("connection", lambda socket: socket.emit("x", "text"))
    served = serve(io)
    peer = WebSocketPeer(served.port, "/socket.io/?EIO=3&transport=websocket")
    try:
        peer.open()
        assert [peer.receive(), peer.receive()] == ["40", '42["x","text"]']
        io.emit("y")
        assert peer.receive() == '42["y"]'
        io.volatile.emit("z", "text")
        assert peer.receive() == '42["z","text"]'
    finally:
        peer.close(reset=True)
    eventually(lambda: not io.engine.sessions)
    assert served.call(io.sockets.adapter.is_empty)


# The middleware of those who come back.


class Door:
    """Be an async middleware that opens when told to."""

    def __init__(self, served: Served) -> None:
        self.asked: list[Socket] = []
        self.gates: list[asyncio.Event] = []
        self.refuse = False
        self.served = served
        served.io.use(self)

    async def __call__(self, socket: Socket) -> None:
        """Wait."""
        self.asked.append(socket)
        self.gates.append(asyncio.Event())
        await self.gates[-1].wait()
        if self.refuse:
            raise ConnectionRefused("not any more")

    def wait_for(self, count: int) -> None:
        """Wait until so many were asked about."""
        eventually(lambda: len(self.gates) == count)

    def open(self) -> None:
        """Go on with everybody."""
        for gate in self.gates:
            self.served.call(gate.set)


def behind_a_door(serve: Serve, **options: Any) -> tuple[Server, Guest, Door]:
    """Serve a client that was lost and has to pass a middleware on its way back."""
    io = recovering(connection_state_recovery={"skip_middlewares": False, **options})
    guest = open_house(serve, io)
    door = Door(guest.served)
    io.emit("x", 1)
    assert guest.events(1) == [1]
    guest.cut()
    io.emit("x", 2)
    guest.knock()
    door.wait_for(1)
    return io, guest, door


def test_what_is_sent_while_the_middleware_is_at_work_comes_once_and_in_order(serve: Serve) -> None:
    io, guest, door = behind_a_door(serve)
    (socket,) = door.asked
    assert (socket.id, socket.recovered) == (guest.id, True)
    io.emit("x", 3)
    guest.served.settle()
    door.open()
    assert guest.welcome(guest.client.packet())
    io.emit("x", 4)
    assert guest.events(3) == [2, 3, 4]
    assert guest.quiet()


def test_what_a_middleware_sends_to_a_client_that_is_back_hides_nothing_it_missed(serve: Serve) -> None:
    _, guest, door = behind_a_door(serve)
    door.asked[0].emit("early", "bird")
    assert guest.event()[:2] == ["early", "bird"]
    guest.cut()
    guest.knock()
    door.wait_for(2)
    door.open()
    assert guest.welcome(guest.client.packet())
    assert guest.events(1) == [2]


def test_who_missed_more_than_is_kept_while_the_middleware_ran_begins_anew(serve: Serve) -> None:
    io, guest, door = behind_a_door(serve, max_packets=2)
    io.emit("x", 3)
    io.emit("x", 4)  # and 2 is forgotten
    guest.served.settle()
    door.open()
    guest.client.closed()
    guest.knock()
    door.wait_for(2)
    door.open()
    assert not guest.welcome(guest.client.packet())
    assert guest.quiet()


def test_who_is_lost_again_within_the_middleware_may_come_back(serve: Serve) -> None:
    io, guest, door = behind_a_door(serve)
    door.asked[0].join("made meanwhile")
    guest.cut()
    io.to("made meanwhile").emit("x", 3)
    guest.knock()
    door.wait_for(2)
    door.open()
    assert guest.welcome(guest.client.packet())
    assert guest.events(2) == [2, 3]
    assert "made meanwhile" in guest.socket.rooms


def test_who_is_refused_on_return_is_told_nothing_and_not_known_any_more(serve: Serve) -> None:
    io, guest, door = behind_a_door(serve)
    door.refuse = True
    door.open()
    assert guest.client.packet() == Packet(CONNECT_ERROR, "/", None, {"message": "not any more"})
    assert guest.served.call(lambda: (dict(io.sockets.sockets), door.asked[0].rooms)) == ({}, set())
    door.refuse = False
    guest.cut()
    guest.knock()
    door.wait_for(2)
    door.open()
    assert not guest.welcome(guest.client.packet())


def test_the_middleware_is_skipped_by_default(serve: Serve) -> None:
    io = recovering()
    asked: list[bool] = []
    io.use(lambda socket: asked.append(socket.recovered))
    guest = open_house(serve, io)
    guest.cut()
    assert guest.enter()
    guest.cut()
    guest.auth = {"offset": "unknown"}
    assert not guest.enter()
    assert asked == [False, False]


# Namespaces, adapters, time.


def test_a_namespace_made_on_demand_stays_while_somebody_may_come_back(socketeer_client: Clients) -> None:
    io = recovering()
    parent = io.of(re.compile("^/room-"))
    parent.on("connection", lambda socket: socket.emit("hello"))
    network = AsgiNetwork(io)
    guest = socketeer_client(network, "/room-1", reconnection=False)
    assert guest.receive().event == "hello"
    network.drop()
    parent.emit("by the parent")
    io.of("/room-1").emit("by itself")
    guest.connect()
    assert guest.recovered
    assert [guest.receive().event for _ in range(2)] == ["by the parent", "by itself"]
    network.drop()
    socketeer_client.advance(119)
    assert "/room-1" in io._namespaces
    socketeer_client.advance(62)  # it is looked at once a minute
    assert "/room-1" not in io._namespaces
    guest.connect()
    assert not guest.recovered


class _Broken(MemoryAdapter):
    """Fail whoever wants to come back."""

    async def restore(self, pid: str, offset: str | None) -> None:
        """Fail."""
        raise OSError("the store is down")


def test_an_adapter_that_fails_makes_new_clients(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    io = recovering(adapter=lambda namespace: _Broken(namespace.name, namespace.sockets))
    errors: list[Any] = []
    io.on("error", errors.append)
    served = serve(io)
    client = served.connect()
    client.ask(auth={"pid": "x"})
    assert client.packet().type == CONNECT
    assert [str(error) for error in errors] == ["the store is down"]
    caplog.clear()


def test_an_adapter_that_keeps_nothing_recovers_nobody(serve: Serve) -> None:
    io = recovering(adapter=lambda namespace: MemoryAdapter(namespace.name, namespace.sockets))
    served = serve(io)
    guest = Guest(served)
    assert not guest.enter()
    guest.cut()
    assert not guest.enter()


@pytest.mark.parametrize("concurrency", ["concurrent", "ordered"])
def test_a_client_that_is_back_before_its_handlers_are_done_is_recovered(serve: Serve, concurrency: str) -> None:
    io = recovering(event_concurrency=concurrency)
    gates: list[asyncio.Event] = []
    told: list[str] = []
    io.on("connection", lambda socket: told.append("connection"))
    io.event("disconnect")(lambda socket, reason: told.append("disconnect"))

    @io.event
    async def slow(socket: Socket) -> None:
        gates.append(asyncio.Event())
        await gates[0].wait()
        socket.join("late")
        told.append("done")

    guest = open_house(serve, io)
    guest.client.emit("slow")
    eventually(lambda: gates)
    guest.cut()
    io.emit("x", 1)
    guest.knock()
    guest.served.settle()
    guest.served.call(lambda: gates[0].set())
    assert guest.welcome(guest.client.packet())
    assert guest.events(1) == [1]
    if concurrency == "ordered":
        assert told == ["connection", "done", "disconnect", "connection"]
        assert "late" in guest.socket.rooms


def test_ordered_handlers_of_the_end_and_of_the_return_never_overlap(serve: Serve) -> None:
    io = recovering(event_concurrency="ordered")
    gates: list[asyncio.Event] = []
    told: list[str] = []
    io.on("connection", lambda socket: told.append("connection"))

    @io.event
    async def disconnect(socket: Socket, reason: str) -> None:
        gates.append(asyncio.Event())
        await gates[-1].wait()
        told.append("disconnect")

    guest = open_house(serve, io)
    guest.cut()
    eventually(lambda: gates)
    io.emit("x", 1)
    guest.knock()
    guest.served.settle()
    assert told == ["connection"]
    guest.served.call(lambda: gates[0].set())
    assert guest.welcome(guest.client.packet())
    assert guest.events(1) == [1]
    assert told == ["connection", "disconnect", "connection"]
    eventually(lambda: not io.sockets.leaving)
