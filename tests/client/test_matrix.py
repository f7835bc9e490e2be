"""The README's table of servers for the client in Python: every cell is tried, and has to say what was found.

A feature has its "yes" where it works over polling alone, over WebSocket alone, and after the upgrade of one to the
other; any other word where it does on none.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import pytest

from socketeer import MSGPACK, AckTimeout, ClientSocket, ConnectionRefused, Server, Socket, connect
from tests.examples.recipes import ROOT
from tests.support.node import JS
from tests.support.node_server import node_server
from tests.support.proxy import Proxy, proxying
from tests.support.serving import serving

VALUES = [1, -0.5, "é \U0001f600", None, True, {"deep": [[], {}]}]
BYTES: list[Any] = [b"\x00\xff", {"deep": [b"", "text", bytes(range(256))]}]
PATIENCE = 20.0


@dataclass(frozen=True)
class Peer:
    """Be a server as a client meets it."""

    kind: str
    eio: Literal[3, 4]


def version(package: str) -> str:
    """Give the version of a package that the tests install."""
    wanted: str = json.loads((JS / "package.json").read_text())["devDependencies"][package]
    return wanted.rpartition("@")[2]


PEERS = {
    f"socket.io {version('socket.io')} on Node.js": Peer("node 4", 4),
    f"socket.io {version('socket.io-2')} on Node.js, `eio=3`": Peer("node 2", 3),
    "Socketeer, fast lane": Peer("fast", 4),
    "Socketeer, fast lane, `eio=3`": Peer("fast", 3),
    "Socketeer, portable lane": Peer("portable", 4),
    "Socketeer, portable lane, `eio=3`": Peer("portable", 3),
}


def application(parser: Any) -> Server:
    """Do what tests/js/client_server.js does of all that is asked for here."""
    io = Server(parser=parser, connection_state_recovery=True)
    admin = io.of("/admin")

    @admin.use
    def check(socket: Socket) -> None:
        if (socket.handshake.auth or socket.handshake.query).get("token") != "secret":
            raise ConnectionRefused("not authorized", data={"code": 1})

    for namespace in (io.sockets, admin):

        @namespace.event
        def echo(socket: Socket, *args: Any, ack: Any) -> None:
            (ack or (lambda *args: socket.emit("echo", *args)))(*args)

        @namespace.event
        def ask(socket: Socket, event: str, *args: Any) -> None:
            socket.emit(event, *args, ack=lambda *answer: socket.emit("answered", *answer))

        @namespace.event
        def never(socket: Socket, ack: Any) -> None: ...

        @namespace.event
        async def later(socket: Socket, ms: int, event: str, *args: Any) -> None:
            await asyncio.sleep(ms / 1000)
            socket.nsp.to(socket.id).emit(event, *args)

    return io


def serve(kind: str, msgpack: bool) -> AbstractContextManager[Any]:
    """Run a server of a kind."""
    options: dict[str, Any] = {"parser": "msgpack"} if msgpack else {}
    if kind == "node 4":
        return node_server(4, connectionStateRecovery={}, **options)
    if kind == "node 2":
        return node_server(2, **options)
    return serving(application(MSGPACK if msgpack else None), kind)


Ports = Callable[[str, bool], int]


@pytest.fixture(scope="module")
def ports() -> Iterator[Ports]:
    """Give the ports of servers, which run until the end."""
    with ExitStack() as stack:

        @cache
        def port(kind: str, msgpack: bool) -> int:
            found: int = stack.enter_context(serve(kind, msgpack)).port
            return found

        yield port


@dataclass(frozen=True)
class Way:
    """Be one transport to one server, or the upgrade between them."""

    transport: str
    peer: Peer
    ports: Ports

    @property
    def port(self) -> int:
        """Give the port of the server that speaks JSON."""
        return self.ports(self.peer.kind, False)

    def connect(self, port: int, path: str = "", **options: Any) -> ClientSocket:
        """Connect over this transport, or begin with the first of both."""
        transports = ["polling", "websocket"] if self.transport == "upgrade" else [self.transport.lower()]
        address = f"http://127.0.0.1:{port}{path}"
        return connect(address, transports=transports, eio=self.peer.eio, force_new=True, **options)

    @asynccontextmanager
    async def open(self, port: int | None = None, **options: Any) -> AsyncIterator[ClientSocket]:
        """Be connected over this transport; of both, when the upgrade is done."""
        async with self.connect(port or self.port, **options) as socket:
            while self.transport == "upgrade" and socket.transport == "polling":
                await asyncio.sleep(0.002)
            yield socket


async def transport(way: Way) -> bool:
    """Begin on the first transport, send on across the upgrade, and end on the second one."""
    first, last = {"polling": ("polling",) * 2, "WebSocket": ("websocket",) * 2}.get(
        way.transport, ("polling", "websocket")
    )
    begun: list[str | None] = []
    socket = way.connect(way.port)
    socket.io.on("open", lambda: begun.append(socket.io.engine.transport.name if socket.io.engine else None))
    async with socket:
        number = 0
        while number < 50 or socket.transport != last:
            socket.emit("echo", number)
            number += 1
            await asyncio.sleep(0.001)
        kept = [(await socket.receive()).args for _ in range(number)] == [[each] for each in range(number)]
        return kept and begun == [first]


async def events(way: Way) -> bool:
    async with way.open() as socket:
        socket.emit("echo", *VALUES)
        event, args = await socket.receive()
        return (event, args) == ("echo", VALUES)


async def acks(way: Way) -> bool:
    async with way.open() as socket:
        answer = await socket.emit_with_ack("echo", *VALUES)
        socket.on("question", lambda a, b: a + b)
        socket.emit("ask", "question", 1, 2)
        sum_ = (await socket.receive()).args
        try:
            await socket.timeout(0.05).emit_with_ack("never")
        except AckTimeout:
            return (answer, sum_) == (tuple(VALUES), [3])
        return False


async def binary(way: Way) -> bool:
    async with way.open() as socket:
        answer = await socket.emit_with_ack("echo", *BYTES)
        socket.on("question", lambda data: data["deep"])
        socket.emit("ask", "question", BYTES[1])
        sent_back = (await socket.receive()).args
        return answer == tuple(BYTES) and sent_back == [BYTES[1]["deep"]]


async def namespaces(way: Way) -> bool:
    async with way.open() as socket:
        admin = socket.io.socket("/admin", auth={"token": "guess"})
        with pytest.raises(ConnectionRefused) as refused:
            await admin
        message = "not authorized" if way.peer.eio == 4 else "Connection refused"  # 2.x tells the data alone
        told = (refused.value.message, refused.value.data) == (message, {"code": 1})
        admin.auth = {"token": "secret"}
        await admin.connect()
        answers = await asyncio.gather(socket.emit_with_ack("echo", 1), admin.emit_with_ack("echo", 2))
        admin.emit("echo", 3)
        heard = (await admin.receive()).args == [3]
        admin.disconnect()
        return told and heard and [*answers, await socket.emit_with_ack("echo", 4)] == [1, 2, 4]


async def lose(socket: ClientSocket, proxy: Proxy) -> str:
    """Let a connection get lost, and give the reason. Polling would go on over another one."""
    proxy.refuse()
    proxy.cut(reset=True)
    try:
        return await socket.disconnected
    finally:
        proxy.accept()


async def reconnection(way: Way) -> bool:
    with proxying(way.port) as proxy:
        async with way.open(proxy.port, reconnection_delay=0.02) as socket:
            admin = await socket.io.socket("/admin", auth={"token": "secret"})
            reason = await lose(socket, proxy)
            socket.emit("echo", "while away")
            kept = (await socket.receive()).args == ["while away"]
            answers = await asyncio.gather(socket.emit_with_ack("echo", 1), admin.emit_with_ack("echo", 2))
            return kept and reason in ("transport close", "transport error") and list(answers) == [1, 2]


async def recovery(way: Way) -> bool:
    with proxying(way.port) as proxy:
        async with way.open(proxy.port, reconnection_delay=0.25, randomization_factor=0) as socket:
            # A server that has no request to answer does not know of the loss in time; 2.x never knows.
            for _ in range(3 if way.peer.eio == 4 else 1):
                first = socket.id
                socket.emit("echo", "seen")
                seen = await socket.receive()
                socket.emit("later", 100, "missed", "while away")
                await socket.emit_with_ack("echo")
                await asyncio.sleep(0.02)
                await lose(socket, proxy)
                await socket
                if socket.recovered:
                    missed = await socket.receive()
                    return (seen.args, missed.args, socket.id) == (["seen"], ["while away"], first)
                assert socket.id != first
            return False


async def msgpack(way: Way) -> bool:
    async with way.open(way.ports(way.peer.kind, True), parser=MSGPACK) as socket:
        args = [*VALUES, *BYTES]
        answer = await socket.emit_with_ack("echo", *args)
        socket.emit("echo", *args)
        received = await socket.receive()
        return answer == tuple(args) and received.args == args


TRANSPORTS = ("polling", "WebSocket", "upgrade")
FEATURES: dict[str, Callable[[Way], Awaitable[bool]]] = {
    "events": events,
    "acks": acks,
    "binary": binary,
    "namespaces": namespaces,
    "reconnection": reconnection,
    "recovery": recovery,
    "msgpack": msgpack,
}


def table() -> dict[str, dict[str, str]]:
    """Read the table: the words of a row by the heads of their columns."""
    text = (ROOT / "README.md").read_text()
    found = re.search(r"^\| server \| (.*?) \|\n\|[-|]+\|\n((?:\| .* \|\n)+)", text, re.MULTILINE)
    assert found, "the README has no table of servers"
    columns = found[1].split(" | ")
    rows = [line.strip("| ").split(" | ") for line in found[2].splitlines()]
    return {name: dict(zip(columns, cells, strict=True)) for name, *cells in rows}


TABLE = table()


def test_the_table_has_the_servers_and_the_columns_that_are_tried() -> None:
    assert list(TABLE) == list(PEERS)
    assert {tuple(row) for row in TABLE.values()} == {(*TRANSPORTS, *FEATURES)}


async def tried(column: str, way: Way) -> bool | Exception:
    """Try a cell over one transport."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await FEATURES.get(column, transport)(way)
    except Exception as error:
        return error


@pytest.mark.parametrize("server", PEERS)
def test_every_cell_of_a_server_is_true(server: str, ports: Ports) -> None:
    cells = [(column, way) for column in TABLE[server] for way in TRANSPORTS if column in FEATURES or column == way]

    async def all_cells() -> list[bool | Exception]:
        return await asyncio.gather(*(tried(column, Way(way, PEERS[server], ports)) for column, way in cells))

    found = dict(zip(cells, asyncio.run(all_cells()), strict=True))
    assert found == {(column, way): TABLE[server][column] == "yes" for column, way in cells}
