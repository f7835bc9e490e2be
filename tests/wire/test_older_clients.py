"""Socket.IO 4 over Engine.IO 3, as clients 1.x and 2.x speak it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from socketeer import ConnectionRefused, Socket
from tests.wire.conftest import Served
from tests.wire.peers import WebSocketPeer

Serve = Callable[..., Served]


def opened(server: Served, query: str = "") -> tuple[WebSocketPeer, str]:
    peer = server.websocket(f"EIO=3&transport=websocket{query}")
    return peer, peer.open()["sid"]


@pytest.fixture(name="peer")
def joined_peer(server: Served) -> WebSocketPeer:
    peer, _ = opened(server)
    assert peer.receive() == "40"
    assert peer.receive_text().startswith('42["auth"')
    return peer


# Connecting.


def test_the_main_namespace_is_joined_unasked(server: Served) -> None:
    peer, _ = opened(server)
    assert peer.receive() == "40"


def test_polling_gets_the_handshake_and_the_answer_at_once(server: Served) -> None:
    polling = server.polling(3)
    assert polling.inbox[0] == "40"


def test_a_namespace_is_answered_without_a_payload(server: Served, peer: WebSocketPeer) -> None:
    for packet in ("40/custom", "40/custom,"):
        peer.send(packet)
        assert peer.receive() == "40/custom,"
        assert peer.receive_text().startswith('42/custom,["auth"')
        peer.send('42/custom,["message",1]')
        assert peer.receive() == '42/custom,["message-back",1]'
        peer.send("41/custom,")


def test_the_query_of_a_namespace_is_its_data(serve: Serve) -> None:
    server = serve()
    seen: list[Any] = []

    @server.io.of("/seen").on("connection")
    def connected(socket: Socket) -> None:
        seen.append((socket.id, dict(socket.handshake.auth), socket.handshake.query.get("session")))

    peer, sid = opened(server, "&session=s")
    assert peer.receive() == "40"
    peer.receive()
    peer.send("40/seen?token=1&name=a%20b,")
    assert peer.receive() == "40/seen,"
    peer.echo("still")
    assert seen == [(f"/seen#{sid}", {"token": "1", "name": "a b"}, "s")]


def test_ids_are_made_of_that_of_the_session(serve: Serve) -> None:
    server = serve()
    seen: list[str] = []
    for namespace in (server.io.sockets, server.io.of("/custom")):
        namespace.on("connection", lambda socket: seen.append(socket.id))
    peer, sid = opened(server)
    peer.send("40/custom,")
    packets = [peer.receive_text() for _ in range(4)]
    assert packets[0] == "40"
    assert "40/custom," in packets
    assert seen == [sid, f"/custom#{sid}"]


@pytest.mark.parametrize(("data", "body"), [(None, '"not today"'), ({"code": 7}, '{"code":7}'), ("text", '"text"')])
def test_a_refusal_is_a_bare_value(serve: Serve, data: Any, body: str) -> None:
    server = serve()

    def gate(socket: Socket) -> None:
        raise ConnectionRefused("not today", data)

    server.io.of("/custom").use(gate)
    peer, _ = opened(server)
    assert peer.receive() == "40"
    peer.receive()
    peer.send("40/custom,")
    assert peer.receive() == f"44/custom,{body}"
    peer.echo("still")


def test_a_refusal_of_the_main_namespace(serve: Serve) -> None:
    server = serve()

    def gate(socket: Socket) -> None:
        raise ConnectionRefused("not today")

    server.io.use(gate)
    peer, _ = opened(server)
    assert peer.receive() == '44"not today"'


def test_an_unknown_namespace_is_refused(server: Served, peer: WebSocketPeer) -> None:
    peer.send("40/random,")
    assert peer.receive() == '44/random,"Invalid namespace"'
    peer.echo("still")


def test_other_namespaces_wait_for_the_main_one(serve: Serve) -> None:
    server = serve()
    order: list[str] = []

    async def slow(socket: Socket) -> None:
        await asyncio.sleep(0.2)
        order.append("/")

    server.io.use(slow)
    server.io.of("/custom").use(lambda socket: order.append("/custom"))
    peer, _ = opened(server)
    peer.send("40/custom,")
    assert peer.receive() == "40"
    packets = [peer.receive_text() for _ in range(3)]
    assert "40/custom," in packets
    assert order == ["/", "/custom"]


def test_a_namespace_asked_for_twice_while_the_main_one_is_slow_is_joined_once(serve: Serve) -> None:
    server = serve()
    joined: list[str] = []

    async def slow(socket: Socket) -> None:
        await asyncio.sleep(0.2)

    server.io.use(slow)
    server.io.of("/custom").on("connection", lambda socket: joined.append(socket.id))
    peer, sid = opened(server)
    peer.send("40/custom,")
    peer.send("40/custom,")
    packets = [peer.receive_text() for _ in range(4)]
    assert packets.count("40/custom,") == 1
    peer.send('42/custom,["message",1]')
    assert peer.receive() == '42/custom,["message-back",1]'
    assert joined == [f"/custom#{sid}"]


# Traffic.


@pytest.mark.parametrize(
    "packet", ['42/none,["message"]', "41/none,", "43/none,1[]", '42/custom,["message"]', "41/custom,"]
)
def test_traffic_for_a_namespace_that_was_not_joined_is_ignored(peer: WebSocketPeer, packet: str) -> None:
    peer.send(packet)
    peer.echo("still")


def test_attachments_for_a_namespace_that_was_not_joined_are_ignored(peer: WebSocketPeer) -> None:
    peer.send('451-/none,["message",{"_placeholder":true,"num":0}]')
    peer.send(b"\x04\x01")
    peer.echo("still")


@pytest.mark.parametrize("packet", ["40", "40/", "40/?token=1", "40/?token=1,"])
def test_a_connect_to_the_main_namespace_is_no_harm(peer: WebSocketPeer, packet: str) -> None:
    peer.send(packet)
    peer.echo("still")


def test_an_acknowledgement(peer: WebSocketPeer) -> None:
    peer.send('420["message-with-ack",1,"é"]')
    assert peer.receive() == '430[1,"é"]'


def test_binary(peer: WebSocketPeer) -> None:
    peer.send('451-3["message-with-ack",{"_placeholder":true,"num":0}]')
    peer.send(b"\x04\x01\x02")
    assert peer.receive() == '461-3[{"_placeholder":true,"num":0}]'
    assert peer.receive() == b"\x04\x01\x02"


@pytest.mark.parametrize(
    "packet", ["4abc", "42{}", "42[]", '42["connect"]', '4511-["message"]', "44", '451-["message"]']
)
def test_what_is_malformed_ends_the_connection(server: Served, packet: str) -> None:
    peer, sid = opened(server)
    assert peer.receive() == "40"
    peer.receive()
    peer.send(packet)
    if packet.startswith("451-"):
        peer.send("4")  # text where an attachment is due
    assert peer.rest()[0] == []
    assert server.left_because(sid) == "parse error"


def test_the_client_leaves(server: Served) -> None:
    peer, sid = opened(server)
    assert peer.receive() == "40"
    peer.receive()
    peer.send("41")
    assert server.left_because(sid) == "client namespace disconnect"


def test_the_server_sends_the_client_away(server: Served) -> None:
    peer, sid = opened(server)
    assert peer.receive() == "40"
    peer.receive()
    server.running.call(lambda: server.io.in_(sid).disconnect_sockets(close=True))
    assert peer.rest()[0] == ["41"]


def test_both_revisions_hear_the_same_broadcast(serve: Serve) -> None:
    server = serve()
    newer = server.joined()
    peer, _ = opened(server)
    assert peer.receive() == "40"
    peer.receive()
    older_polling, newer_polling = server.polling(3), server.polling(4)
    older_polling.join()
    newer_polling.join()
    server.running.call(lambda: server.io.emit("all", "é", b"\x01"))
    text = '451-["all","é",{"_placeholder":true,"num":0}]'
    assert [newer.receive(), newer.receive()] == [text, b"\x01"]
    assert [peer.receive(), peer.receive()] == [text, b"\x04\x01"]
    assert [newer_polling.receive(), newer_polling.receive()] == [text, "bAQ=="]
    assert [older_polling.receive(), older_polling.receive()] == [text.replace("é", "\\u00e9"), "b4AQ=="]
