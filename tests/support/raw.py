"""A Socket.IO client of few words for the tests of the server: one connection, packets in, packets out.

It stands on the peers of the wire tests and shares nothing with the package. Everything blocks, for seconds at most.
"""

from __future__ import annotations

import base64
import itertools
import json
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from tests.wire.peers import Closed, PollingPeer, WebSocketPeer, split_payload

__all__ = ["Client", "Closed", "Packet"]

CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR, BINARY_EVENT, BINARY_ACK = range(7)


class Packet(NamedTuple):
    """Hold one Socket.IO packet; binary types are told as the plain ones, with their attachments in place."""

    type: int
    namespace: str
    id: int | None
    data: Any


class _Polling:
    """Make polling look like a WebSocket."""

    def __init__(self, port: int, path: str, query: str) -> None:
        self._peer = PollingPeer(port, 4, query, path)
        self.sid = self._peer.sid

    def send(self, data: str | bytes) -> None:
        self._peer.send(data if isinstance(data, str) else "b" + base64.b64encode(data).decode())

    def receive(self) -> str | bytes:
        """Give the next message; ``Closed`` where the session is over."""
        peer = self._peer
        while not peer.inbox:
            reply = peer.get()
            if reply.status != 200:
                raise Closed(reply.status, reply.text)
            peer.inbox = split_payload(reply.body, 4)
        packet = peer.inbox.pop(0)
        if packet[0] == "1":
            raise Closed(1000, "close packet")
        return base64.b64decode(packet[1:]) if packet[0] == "b" else packet

    def close(self) -> None:
        """End the session as a browser's page does."""
        if not self._peer.is_dead():
            self._peer.post("1")


class Client:
    """Hold one connection of revision 5."""

    def __init__(
        self,
        port: int,
        *,
        transport: str = "websocket",
        path: str = "/socket.io/",
        query: str = "",
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        self.sid: str
        self._wire: _Polling | WebSocketPeer
        if transport == "polling":
            self._wire = _Polling(port, path, query)
            self.sid = self._wire.sid
        else:
            self._wire = WebSocketPeer(port, f"{path}?EIO=4&transport=websocket{query}", headers)
            self.sid = self._wire.open()["sid"]
        self._packets: deque[Packet] = deque()
        self._ids = itertools.count()

    @property
    def websocket(self) -> WebSocketPeer:
        """Return the WebSocket below."""
        assert isinstance(self._wire, WebSocketPeer)
        return self._wire

    # -- out

    def send(self, text: str, *attachments: bytes) -> None:
        """Send a packet as it is, without the digit of its Engine.IO type."""
        self._wire.send("4" + text)
        for data in attachments:
            self._wire.send(data)

    def emit(self, event: Any, *args: Any, namespace: str = "/", id: int | None = None) -> None:
        """Send an event of JSON values."""
        number = "" if id is None else str(id)
        self.send(f"2{_prefix(namespace)}{number}{json.dumps([event, *args])}")

    def answer(self, packet: Packet, *args: Any) -> None:
        """Acknowledge an event that was received."""
        assert packet.id is not None
        self.send(f"3{_prefix(packet.namespace)}{packet.id}{json.dumps(args)}")

    def ask(self, namespace: str = "/", auth: Any = None) -> None:
        """Ask for a namespace and wait for nothing."""
        self.send(f"0{_prefix(namespace)}{'' if auth is None else json.dumps(auth)}")

    def leave(self, namespace: str = "/") -> None:
        """Leave a namespace."""
        self.send(f"1{_prefix(namespace)}")

    # -- in

    def join(self, namespace: str = "/", auth: Any = None) -> str:
        """Join a namespace and give the socket's id; events that come before are kept for later."""
        self.ask(namespace, auth)
        return str(self._wait_for(lambda packet: packet.type == CONNECT and packet.namespace == namespace).data["sid"])

    def refusal(self, namespace: str = "/", auth: Any = None) -> Any:
        """Ask for a namespace, expect to be refused and give what is said about it."""
        self.ask(namespace, auth)
        packet = self.packet()
        assert packet[:2] == (CONNECT_ERROR, namespace), packet
        return packet.data

    def packet(self) -> Packet:
        """Give the next packet; ``Closed`` where the connection ends."""
        return self._packets.popleft() if self._packets else self._read()

    def event(self, namespace: str = "/") -> list[Any]:
        """Give the next packet, which is an event: its name and its arguments."""
        packet = self.packet()
        assert packet[:2] == (EVENT, namespace), packet
        return list(packet.data)

    def events(self, count: int) -> list[list[Any]]:
        """Give as many events."""
        return [self.event() for _ in range(count)]

    def call(self, event: Any, *args: Any, namespace: str = "/") -> list[Any]:
        """Send an event, and give its acknowledgement; events that come before are kept for later."""
        id = next(self._ids)
        self.emit(event, *args, namespace=namespace, id=id)
        return list(self._wait_for(lambda packet: packet[:3] == (ACK, namespace, id)).data)

    def silent(self) -> bool:
        """Tell whether nothing was under way: the answer to a further event is the next thing that comes.

        The server under test has to take ``sync`` for it; see tests/server/conftest.py.
        """
        id = next(self._ids)
        self.emit("sync", id=id)
        return self.packet() == Packet(ACK, "/", id, [])

    def closed(self) -> int:
        """Wait for the end through whatever still comes; give its code."""
        try:
            while True:
                self.packet()
        except Closed as closed:
            return closed.code

    def close(self, *, reset: bool = False) -> None:
        """Close the connection."""
        if isinstance(self._wire, WebSocketPeer):
            self._wire.close(reset=reset)
        else:
            self._wire.close()

    def _wait_for(self, wanted: Callable[[Packet], bool]) -> Packet:
        kept = []
        while not wanted(packet := self.packet()):
            kept.append(packet)
        self._packets.extendleft(reversed(kept))
        return packet

    def _read(self) -> Packet:
        while True:
            message = self._wire.receive()
            assert isinstance(message, str), "an attachment that belongs to nothing"
            if message == "2":
                self._wire.send("3")
            elif message != "6":
                break
        assert message[0] == "4", message
        type, count, rest = int(message[1]), 0, message[2:]
        if type in (BINARY_EVENT, BINARY_ACK):
            digits, _, rest = rest.partition("-")
            count = int(digits)
            type -= BINARY_EVENT - EVENT
        namespace = "/"
        if rest.startswith("/"):
            namespace, _, rest = rest.partition(",")
        digits = "".join(itertools.takewhile(str.isdecimal, rest))
        data = json.loads(rest[len(digits) :]) if rest[len(digits) :] else None
        attachments = [self._wire.receive() for _ in range(count)]
        return Packet(type, namespace, int(digits) if digits else None, _restore(data, attachments))


def _prefix(namespace: str) -> str:
    return "" if namespace == "/" else f"{namespace},"


def _restore(value: Any, attachments: list[str | bytes]) -> Any:
    match value:
        case {"_placeholder": True, "num": number}:
            return attachments[number]
        case dict():
            return {key: _restore(item, attachments) for key, item in value.items()}
        case list():
            return [_restore(item, attachments) for item in value]
    return value
