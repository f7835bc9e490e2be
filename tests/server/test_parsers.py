"""A server whose packets are written by another parser, over each transport and through an upgrade."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import msgpack
import pytest

from socketeer import MSGPACK, ConnectionRefused, Server, Socket
from tests.server.conftest import Served
from tests.support.packing import HeadAndBody, JsonWithDates, Misbehaving
from tests.wire.peers import Closed, PollingPeer, WebSocketPeer, eventually

Serve = Callable[[Server], Served]


class Packed:
    """Speak MessagePack over a WebSocket or polling, in either revision."""

    def __init__(self, served: Served, transport: str = "websocket", eio: int = 4) -> None:
        self.eio = eio
        self.port = served.port
        self.peer: PollingPeer | WebSocketPeer
        if transport == "polling":
            self.peer = PollingPeer(served.port, eio, "&b64=1")
        else:
            self.peer = WebSocketPeer(served.port, f"/socket.io/?EIO={eio}&transport=websocket")
            self.peer.open()

    def send(self, kind: int, data: Any = None, namespace: str = "/", id: int | None = None) -> None:
        """Send a packet as the official parser writes it."""
        fields = {"type": kind, "data": data, "options": {"compress": True}, "nsp": namespace, "id": id}
        self.raw(msgpack.packb({name: value for name, value in fields.items() if value is not None}))

    def raw(self, message: bytes) -> None:
        """Send a binary message."""
        if isinstance(self.peer, WebSocketPeer):
            self.peer.send(message if self.eio == 4 else b"\x04" + message)
        else:
            self.peer.send(("b" if self.eio == 4 else "b4") + base64.b64encode(message).decode())

    def receive(self) -> dict[str, Any]:
        """Give the next packet."""
        message = self.peer.receive()
        if isinstance(message, str):
            prefix = "b" if self.eio == 4 else "b4"
            assert message.startswith(prefix), message
            message = base64.b64decode(message[len(prefix) :])
        elif self.eio == 3:
            assert message[0] == 4
            message = message[1:]
        packet: dict[str, Any] = msgpack.unpackb(message, timestamp=3)
        return packet

    def join(self) -> None:
        """Join the main namespace."""
        if self.eio == 4:
            self.send(0, {"token": 1})
        assert self.receive()["type"] == 0

    def close(self) -> None:
        """Leave."""
        if isinstance(self.peer, WebSocketPeer):
            self.peer.close()


@contextmanager
def packed(served: Served, transport: str = "websocket", eio: int = 4) -> Iterator[Packed]:
    """Connect and join."""
    client = Packed(served, transport, eio)
    try:
        client.join()
        yield client
    finally:
        client.close()


def application(**options: Any) -> Server:
    io = Server(parser=MSGPACK, **options)

    @io.event
    def echo(socket: Socket, *args: Any) -> Any:
        return args

    @io.event
    def tell(socket: Socket, *args: Any) -> None:
        socket.emit("told", *args)
        io.emit("all", *args)

    @io.event
    async def ask(socket: Socket) -> None:
        socket.emit("answered", await socket.emit_with_ack("question", b"?"))

    return io


@pytest.mark.parametrize("transport", ["websocket", "polling"])
@pytest.mark.parametrize("eio", [3, 4])
def test_events_both_ways(serve: Serve, transport: str, eio: int) -> None:
    served = serve(application())
    args = ["é\U0001f600", b"\x00raw", {"deep": [b"x", None, 1.5, 2**63]}]
    with packed(served, transport, eio) as client:
        client.send(2, ["echo", *args], id=3)
        assert client.receive() == {"type": 3, "nsp": "/", "data": args, "id": 3}
        client.send(2, ["tell", *args])
        assert client.receive() == {"type": 2, "nsp": "/", "data": ["told", *args]}
        assert client.receive() == {"type": 2, "nsp": "/", "data": ["all", *args]}
        client.send(2, ["ask"])
        question = client.receive()
        assert question["data"] == ["question", b"?"]
        client.send(3, ["!"], id=question["id"])
        assert client.receive()["data"] == ["answered", "!"]


def test_dates_come_as_dates(serve: Serve) -> None:
    served = serve(application())
    moment = datetime(2024, 2, 29, 1, 2, 3, tzinfo=UTC)
    date = msgpack.ExtType(0, int(moment.timestamp() * 1000).to_bytes(8, "big"))
    with packed(served) as client:
        client.send(2, ["echo", date, msgpack.ExtType(0, b"\x00")], id=0)
        assert client.receive()["data"] == [date, None]


def test_through_an_upgrade_nothing_is_lost(serve: Serve) -> None:
    served = serve(application())
    client = Packed(served, "polling")
    client.join()
    assert isinstance(client.peer, PollingPeer)
    for n in range(5):
        client.send(2, ["tell", n, b"raw"])
    probe = WebSocketPeer(served.port, f"/socket.io/?EIO=4&transport=websocket&sid={client.peer.sid}")
    probe.send("2probe")
    assert probe.receive() == "3probe"
    probe.send("5")
    client.peer = probe
    got = [client.receive()["data"] for _ in range(10)]
    assert got == [[name, n, b"raw"] for n in range(5) for name in ("told", "all")]
    client.send(2, ["echo", 1], id=1)
    assert client.receive()["data"] == [1]
    client.close()


def test_refusals_and_namespaces(serve: Serve) -> None:
    io = application()

    @io.of("/closed").use
    def refuse(socket: Socket) -> None:
        raise ConnectionRefused("no", data={"why": b"bytes have a place here"})

    with packed(serve(io)) as client:
        client.send(0, namespace="/closed")
        refusal = {"message": "no", "data": {"why": b"bytes have a place here"}}
        assert client.receive() == {"type": 4, "nsp": "/closed", "data": refusal}
        client.send(0, namespace="/unknown")
        assert client.receive()["data"] == {"message": "Invalid namespace"}
        client.send(1)
        eventually(lambda: not io.sockets.sockets)


@pytest.mark.parametrize("message", [b"", b"\xc1", b"\x81\xa4type\x02", b"\xdf\xff\xff\xff\xff", b"\x91" * 10_000])
def test_a_hostile_client_loses_its_connection_and_disturbs_nobody(serve: Serve, message: bytes) -> None:
    io = application()
    left: list[Any] = []
    io.event("disconnect")(lambda socket, reason: left.append(reason))
    served = serve(io)
    with packed(served) as good, packed(served) as bad:
        bad.raw(message)
        with pytest.raises(Closed):
            bad.receive()
        eventually(lambda: left == ["parse error"])
        good.send(2, ["echo", 1], id=1)
        assert good.receive()["data"] == [1]


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_clients_come_back(serve: Serve, transport: str) -> None:
    io = application(connection_state_recovery=True)
    served = serve(io)
    client = Packed(served)
    client.send(0)
    answer = client.receive()["data"]
    io.emit("x", 1)
    offset = client.receive()["data"][-1]
    assert isinstance(client.peer, WebSocketPeer)
    client.peer.close(reset=True)
    eventually(lambda: not io.engine.sessions)
    io.emit("x", b"raw")
    client = Packed(served, transport)
    client.send(0, {"pid": answer["pid"], "offset": offset})
    assert client.receive()["data"] == answer
    assert client.receive()["data"][:2] == ["x", b"raw"]
    client.close()


def test_a_parser_of_ones_own(serve: Serve) -> None:
    io = Server(parser=JsonWithDates())
    io.event("echo")(lambda socket, value: {"sum": sum(value), "back": value})
    served = serve(io)
    peer = WebSocketPeer(served.port, "/socket.io/?EIO=4&transport=websocket")
    peer.open()
    peer.send('4{"t":0}')
    assert '"t": 0' in peer.receive_text()
    peer.send('4{"t":2,"d":["echo",["$set",1,2]],"i":1}')
    assert peer.receive() == '4{"t": 3, "n": "/", "d": [{"sum": 3, "back": ["$set", 1, 2]}], "i": 1}'
    io.emit("x", {3})
    assert peer.receive() == '4{"t": 2, "n": "/", "d": ["x", ["$set", 3]], "i": null}'
    peer.close()


def test_a_decoder_that_remembers(serve: Serve) -> None:
    io = Server(parser=HeadAndBody())
    heard: list[Any] = []
    io.event("x")(lambda socket, value: heard.append(value))
    served = serve(io)
    peers = [WebSocketPeer(served.port, "/socket.io/?EIO=4&transport=websocket") for _ in range(2)]
    for peer in peers:
        peer.open()
        peer.send('4[0,"/",null]')
        peer.send(b"{}")
        assert [type(peer.receive()) for _ in range(2)] == [str, bytes]
    for peer in peers:
        peer.send('4[2,"/",null]')
    for number, peer in enumerate(peers):
        peer.send(b'["x",%d]' % number)
    eventually(lambda: sorted(heard) == [0, 1])
    for peer in peers:
        peer.close()


def _not_text(packet: Any) -> Any:
    return ["\ud800".encode()]


@pytest.mark.parametrize(
    "spoil", [lambda packet: None, lambda packet: [], lambda packet: [3], lambda packet: ["a", "b"], _not_text]
)
def test_a_parser_that_misbehaves_is_said_to_whom_emits(serve: Serve, spoil: Any) -> None:
    io = Server(parser=Misbehaving(spoil))
    served = serve(io)
    peer = WebSocketPeer(served.port, "/socket.io/?EIO=4&transport=websocket")
    peer.open()
    peer.send('4{"t":0}')
    peer.receive()
    for emit in (io.emit, next(iter(io.sockets.sockets.values())).emit):
        with pytest.raises((TypeError, ValueError), match=r"emit\('x'\): "):
            emit("x", 1)
    peer.close()


@pytest.mark.parametrize("parser", ["msgpack", 3, object()])
def test_what_is_no_parser(parser: Any) -> None:
    with pytest.raises(TypeError, match="option 'parser'"):
        Server(parser=parser)
