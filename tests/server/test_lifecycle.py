"""A socket from the handshake to its end: what it knows of its client, why it ends, and what handlers see of that."""

from __future__ import annotations

import asyncio
import queue
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from socketeer import Server, Socket
from tests.server.conftest import Served
from tests.support.raw import Client
from tests.wire.peers import PollingPeer, WebSocketPeer, eventually

Serve = Callable[[Server], Served]


# The handshake.


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_the_handshake_tells_what_the_client_said(serve: Serve, transport: str) -> None:
    before = int(time.time() * 1000)
    headers = [("X-Test", "one"), ("X-Test", "two"), ("Cookie", "a=b")] if transport == "websocket" else []
    _, socket = serve(Server()).member(
        auth={"token": "t", "list": [1]}, transport=transport, query="&user=Ada%20L&empty=&twice=1", headers=headers
    )
    shake = socket.handshake
    assert shake.auth == {"token": "t", "list": [1]}
    assert shake.query == {"EIO": "4", "transport": transport, "user": "Ada L", "empty": "", "twice": "1"}
    assert shake.url.startswith("/socket.io/?EIO=4&transport=")
    assert shake.url.endswith("&user=Ada%20L&empty=&twice=1")
    assert (shake.address, shake.secure, shake.xdomain) == ("127.0.0.1", False, False)
    assert before <= shake.issued <= int(time.time() * 1000)
    assert abs(parsedate_to_datetime(shake.time).timestamp() - shake.issued / 1000) <= 1
    assert shake.headers["host"].startswith("127.0.0.1:")
    if headers:
        assert (shake.headers["x-test"], shake.headers["cookie"]) == ("one, two", "a=b")
    assert (socket.transport, socket.protocol) == (transport, 4)


@pytest.mark.parametrize("auth", [None, {}])
def test_credentials_that_are_not_there_are_an_empty_object(serve: Serve, auth: Any) -> None:
    _, socket = serve(Server()).member(auth=auth)
    assert socket.handshake.auth == {}


def test_a_page_of_the_own_origin_is_known_by_its_header(serve: Serve) -> None:
    served = serve(Server())
    _, socket = served.member(headers=[("Origin", f"http://127.0.0.1:{served.port}")])
    assert socket.handshake.xdomain
    assert socket.handshake.headers["origin"] == f"http://127.0.0.1:{served.port}"


def test_each_namespace_has_its_own_credentials(serve: Serve) -> None:
    io = Server()
    io.of("/other")
    served = serve(io)
    client = served.connect(query="&from=url")
    first, second = client.join(auth={"for": "main"}), client.join("/other", auth={"for": "other"})
    main, other = io.sockets.sockets[first], io.of("/other").sockets[second]
    assert (main.handshake.auth, other.handshake.auth) == ({"for": "main"}, {"for": "other"})
    assert main.handshake.query == other.handshake.query


def test_older_clients_give_their_credentials_as_a_query(serve: Serve) -> None:
    io = Server()
    sockets: list[Socket] = []
    io.on("connection", sockets.append)
    io.of("/other").on("connection", sockets.append)
    served = serve(io)
    peer = PollingPeer(served.port, 3, "&b64=1&name=Ada")
    peer.send("40/other?token=x%26y,")
    eventually(lambda: len(sockets) == 2)
    main, other = sockets
    assert main.handshake.query["name"] == other.handshake.query["name"] == "Ada"
    assert other.handshake.query["token"] == other.handshake.auth["token"] == "x&y"
    assert "token" not in main.handshake.query
    assert (main.id, other.id) == (peer.sid, f"/other#{peer.sid}")
    assert main.protocol == 3
    peer.send("1")


def test_the_ids_of_clients_are_not_the_secrets_of_their_sessions(serve: Serve) -> None:
    served = serve(Server())
    client, socket = served.member()
    assert socket.id != client.sid
    assert len(socket.id) == 20


def test_data_is_kept_and_seen_from_everywhere(serve: Serve) -> None:
    io = Server()

    @io.use
    def first(socket: Socket) -> None:
        socket.data["seen"] = ["middleware"]

    io.on("connection", lambda socket: socket.data["seen"].append("connection"))
    io.event("x")(lambda socket: socket.data["seen"].append("event"))
    served = serve(io)
    client = served.join()
    other = served.join()
    client.call("x")
    assert [remote.data for remote in served.run(io.fetch_sockets())] == [
        {"seen": ["middleware", "connection", "event"]},
        {"seen": ["middleware", "connection"]},
    ]
    assert other.silent()


def test_the_transport_is_that_of_the_moment(serve: Serve) -> None:
    io = Server()
    sockets: list[Socket] = []
    io.on("connection", sockets.append)
    served = serve(io)
    peer = PollingPeer(served.port)
    peer.send("40")
    eventually(lambda: sockets)
    assert sockets[0].transport == "polling"
    websocket = WebSocketPeer(served.port, peer.upgrade_target)
    websocket.send("2probe")
    assert websocket.receive() == "3probe"
    websocket.send("5")
    eventually(lambda: sockets[0].transport == "websocket")
    websocket.close()


# The end.


class Ends:
    """Note how the sockets of a server end."""

    def __init__(self, io: Server) -> None:
        self.of: queue.Queue[tuple[str, str, Any]] = queue.Queue()
        io.event("disconnect")(self.note)

    def note(self, socket: Socket, reason: str, description: Any) -> None:
        self.of.put((socket.nsp.name, reason, description))

    def next(self) -> tuple[str, Any]:
        _, reason, description = self.of.get(timeout=20)
        return reason, description


def _abort(client: Client) -> None:
    client.close(reset=True)


REASONS: dict[str, tuple[str, Callable[[Client, Socket], object]]] = {
    "leaves the namespace": ("client namespace disconnect", lambda client, socket: client.leave()),
    "closes the connection": ("transport close", lambda client, socket: client.close()),
    "resets the connection": ("transport close", lambda client, socket: _abort(client)),
    "closes the session": ("transport close", lambda client, socket: client.websocket.send("1")),
    "breaks the protocol": ("parse error", lambda client, socket: client.send("9")),
    "breaks the protocol below": ("parse error", lambda client, socket: client.websocket.send("?")),
    "is put out": ("server namespace disconnect", lambda client, socket: socket.disconnect()),
    "is put out for good": ("server namespace disconnect", lambda client, socket: socket.disconnect(close=True)),
    "is put out with others": ("server namespace disconnect", lambda client, socket: socket.nsp.disconnect_sockets()),
}


@pytest.mark.parametrize("how", REASONS)
def test_why_a_socket_ended(serve: Serve, how: str) -> None:
    io = Server()
    ends = Ends(io)
    served = serve(io)
    client, socket = served.member()
    reason, end = REASONS[how]
    end(client, socket)
    got, description = ends.next()
    assert got == reason
    assert (description is None) == (reason != "parse error"), description
    served.settle()
    assert ends.of.empty()
    assert served.call(lambda: (socket.connected, socket.disconnected, socket.rooms)) == (False, True, set())


def test_a_client_that_left_its_only_namespace_may_join_again(serve: Serve) -> None:
    io = Server(connect_timeout=0.2)
    ends = Ends(io)
    served = serve(io)
    client, first = served.member()
    client.leave()
    assert ends.next() == ("client namespace disconnect", None)
    second = client.join()
    assert second != first.id
    assert client.silent()


def test_a_lost_connection_ends_every_namespace(serve: Serve) -> None:
    io = Server()
    for name in ("/a", "/b"):
        io.of(name)
    ends: queue.Queue[tuple[str, str]] = queue.Queue()
    for name in ("/", "/a", "/b"):
        io.of(name).event("disconnect")(lambda socket, reason: ends.put((socket.nsp.name, reason)))
    served = serve(io)
    client = served.connect()
    for name in ("/a", "/", "/b"):
        client.join(name)
    client.close()
    assert sorted(ends.get(timeout=20) for _ in range(3)) == [
        ("/", "transport close"),
        ("/a", "transport close"),
        ("/b", "transport close"),
    ]


@pytest.mark.parametrize("transport", ["websocket", "polling"])
@pytest.mark.parametrize("close", [False, True])
def test_put_out_of_one_namespace_or_of_all(serve: Serve, close: bool, transport: str) -> None:
    io = Server()
    ends: list[tuple[str, str]] = []
    for name in ("/", "/a", "/b"):
        io.of(name).event("disconnect")(lambda socket, reason: ends.append((socket.nsp.name, reason)))
    served = serve(io)
    client = served.connect(transport=transport)
    client.join()
    client.join("/b")
    id = client.join("/a")

    def end() -> None:
        socket = io.of("/a").sockets[id]
        socket.emit("bye", b"\1")
        socket.disconnect(close=close)
        socket.emit("too late")
        socket.disconnect(close=close)

    served.call(end)
    assert client.event("/a") == ["bye", b"\1"]
    reason = "server namespace disconnect"
    if close:
        assert sorted(client.packet()[:2] for _ in range(3)) == [(1, "/"), (1, "/a"), (1, "/b")]
        client.closed()
        assert sorted(ends) == [("/", reason), ("/a", reason), ("/b", reason)]
    else:
        assert client.packet()[:2] == (1, "/a")
        assert client.silent()
        assert ends == [("/a", reason)]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_rooms_are_there_until_the_end(serve: Serve, kind: str) -> None:
    io = Server()
    seen: list[Any] = []
    done: queue.Queue[None] = queue.Queue()

    def look(what: str, socket: Socket) -> None:
        seen.append((what, socket.rooms - {socket.id}, socket.connected, io.sockets.sockets.get(socket.id) is socket))
        if what == "disconnect":
            done.put(None)

    def register(event: str) -> None:
        if kind == "sync":
            io.event(event)(lambda socket: look(event, socket))
        else:

            @io.event(event)
            async def look_later(socket: Socket) -> None:
                look(event, socket)

    for event in ("disconnecting", "disconnect"):
        register(event)

    @io.on("connection")
    def connected(socket: Socket) -> None:
        socket.join("lobby")

        @socket.on("disconnecting")
        async def say_goodbye() -> None:
            socket.to("lobby").emit("goodbye", min(socket.rooms, key=len))

    served = serve(io)
    witness = served.join()
    client, socket = served.member()
    client.close()
    done.get(timeout=20)
    assert seen == [("disconnecting", {"lobby"}, True, True), ("disconnect", set(), False, False)]
    assert witness.event() == ["goodbye", "lobby"]
    assert served.call(lambda: socket.rooms) == set()


def test_a_socket_that_left_does_nothing_more(serve: Serve) -> None:
    io = Server()
    ends = Ends(io)
    served = serve(io)
    witness = served.join()
    client, socket = served.member()
    client.close()
    ends.next()

    def use() -> None:
        socket.emit("x", ack=lambda: pytest.fail("nobody answers"))
        socket.volatile.emit("x")
        socket.timeout(0).emit("x")
        socket.join("lobby")
        socket.leave("lobby")
        socket.disconnect()
        socket.disconnect(close=True)
        socket.broadcast.emit("still heard")

    served.call(use)
    assert witness.event() == ["still heard"]
    assert served.call(lambda: (socket.rooms, socket.connected)) == (set(), False)
    assert served.run(io.in_("lobby").fetch_sockets()) == []
    assert ends.of.empty()


def test_a_disconnect_handler_that_fails_keeps_nothing_from_ending(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    io = Server()
    errors: list[Any] = []
    io.on("error", lambda error, socket, event: errors.append((str(error), event)))

    @io.event
    def disconnecting(socket: Socket) -> None:
        raise RuntimeError("one")

    @io.event("disconnect")
    async def gone(socket: Socket) -> None:
        await asyncio.sleep(0)
        raise RuntimeError("two")

    ends = Ends(io)
    served = serve(io)
    client = served.join()
    client.close()
    assert ends.next() == ("transport close", None)
    eventually(lambda: errors == [("one", "disconnecting"), ("two", "disconnect")])
    assert served.run(io.fetch_sockets()) == []
    caplog.clear()
