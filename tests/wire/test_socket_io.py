"""Socket.IO 5 packet by packet: connecting, events, acknowledgements, binary, disconnecting."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from socketeer import ConnectionRefused, Socket
from tests.wire.conftest import Served
from tests.wire.peers import WebSocketPeer

Serve = Callable[..., Served]


@pytest.fixture(name="peer")
def joined_peer(server: Served) -> WebSocketPeer:
    return server.joined()


def opened(server: Served) -> WebSocketPeer:
    peer = server.websocket()
    peer.open()
    return peer


def answer_to_connect(peer: WebSocketPeer, prefix: str = "40") -> dict[str, Any]:
    answer = peer.receive_text()
    assert answer.startswith(prefix), answer
    body: dict[str, Any] = json.loads(answer[len(prefix) :])
    return body


# Connecting.


@pytest.mark.parametrize(("auth", "seen"), [("", "{}"), ("{}", "{}"), ('{"token":"123"}', '{"token":"123"}')])
def test_the_main_namespace(server: Served, auth: str, seen: str) -> None:
    peer = opened(server)
    peer.send(f"40{auth}")
    answer = answer_to_connect(peer)
    assert set(answer) == {"sid"}
    assert isinstance(answer["sid"], str)
    assert peer.receive() == f'42["auth",{seen}]'


@pytest.mark.parametrize("packet", ["40/custom", "40/custom,", '40/custom,{"token":"abc"}'])
def test_a_custom_namespace(server: Served, packet: str) -> None:
    peer = opened(server)
    peer.send(packet)
    assert set(answer_to_connect(peer, "40/custom,")) == {"sid"}
    seen = packet.partition("{")
    assert peer.receive() == f'42/custom,["auth",{(seen[1] + seen[2]) or "{}"}]'


@pytest.mark.parametrize("packet", ["40/random", "40/random,", '40/random,{"a":1}'])
def test_an_unknown_namespace_is_refused_and_the_connection_stays(server: Served, packet: str) -> None:
    peer = opened(server)
    peer.send(packet)
    assert peer.receive() == '44/random,{"message":"Invalid namespace"}'
    peer.join()
    peer.echo("still")
    peer.send(packet)
    assert peer.receive() == '44/random,{"message":"Invalid namespace"}'
    peer.echo("still")


def test_each_socket_has_an_id_of_its_own(server: Served) -> None:
    peer = server.websocket()
    session = peer.open()["sid"]
    ids = {session, peer.join(), peer.join("/custom")}
    other = server.websocket()
    ids |= {other.open()["sid"], other.join(), other.join("/custom")}
    assert len(ids) == 6


def test_nothing_is_said_before_connect(server: Served) -> None:
    assert opened(server).is_silent()


def test_events_sent_right_behind_connect_are_all_handled_in_order(server: Served) -> None:
    peer = opened(server)
    peer.send("40")
    for n in range(50):
        peer.send(f'42["message",{n}]')
    assert "sid" in answer_to_connect(peer)
    assert peer.receive() == '42["auth",{}]'
    assert [peer.receive() for _ in range(50)] == [f'42["message-back",{n}]' for n in range(50)]


def test_a_middleware_decides(serve: Serve) -> None:
    server = serve()

    async def gate(socket: Socket) -> None:
        await asyncio.sleep(0.05)
        if socket.handshake.auth.get("token") != "ok":
            raise ConnectionRefused("not today", {"code": 7})

    server.io.use(gate)
    peer = opened(server)
    peer.send("40")
    assert peer.receive() == '44{"message":"not today","data":{"code":7}}'
    assert peer.join(auth='{"token":"ok"}')
    peer.echo("in")


def test_an_error_in_a_middleware_tells_the_client_nothing(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    server = serve()

    def broken(socket: Socket) -> None:
        raise RuntimeError("the password of the database")

    server.io.use(broken)
    peer = opened(server)
    peer.send("40")
    refusal = peer.receive_text()
    assert refusal.startswith('44{"message"')
    assert "password" not in refusal
    assert "the password of the database" in caplog.text
    caplog.clear()


def test_two_connects_while_a_middleware_runs_do_not_make_two_sockets(serve: Serve) -> None:
    server = serve()
    seen: list[str] = []

    async def slow(socket: Socket) -> None:
        seen.append(socket.id)
        await asyncio.sleep(0.2)

    server.io.use(slow)
    peer = opened(server)
    peer.send("40")
    peer.send("40")
    assert peer.receive_text().startswith("40{")
    assert len(seen) == 2
    assert list(server.io.sockets.sockets) == seen[1:]
    server.joined().echo("alive")


# Disconnecting.


def test_the_main_namespace_can_be_left(server: Served) -> None:
    peer = opened(server)
    id = peer.join()
    peer.send("41")
    assert server.left_because(id) == "client namespace disconnect"
    assert peer.is_silent()
    peer.join()
    peer.echo("back")


def test_a_custom_namespace_can_be_left(server: Served, peer: WebSocketPeer) -> None:
    id = peer.join("/custom")
    peer.send("41/custom,")
    assert server.left_because(id) == "client namespace disconnect"
    peer.echo("the main one stays")


def test_the_server_disconnects_one_namespace(server: Served) -> None:
    peer = opened(server)
    id = peer.join()
    custom = peer.join("/custom")
    server.running.call(lambda: server.io.of("/custom").in_(custom).disconnect_sockets())
    assert peer.receive() == "41/custom,"
    assert server.left_because(custom) == "server namespace disconnect"
    peer.echo("still")
    server.running.call(lambda: server.io.in_(id).disconnect_sockets())
    assert peer.receive() == "41"
    assert server.left_because(id) == "server namespace disconnect"


def test_the_server_disconnects_everything(server: Served) -> None:
    peer = opened(server)
    id, custom = peer.join(), peer.join("/custom")
    server.running.call(lambda: server.io.in_(id).disconnect_sockets(close=True))
    messages, _ = peer.rest()
    assert set(messages) == {"41", "41/custom,"}
    server.left_because(id)
    server.left_because(custom)


def test_both_namespaces_learn_of_a_lost_connection(server: Served) -> None:
    peer = opened(server)
    id, custom = peer.join(), peer.join("/custom")
    peer.close()
    assert server.left_because(id) in ("transport close", "transport error")
    assert server.left_because(custom) == server.left_because(id)


# Events and acknowledgements.


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        ',1,"2",{"3":[true]}',
        ",null",
        ",[]",
        ",{}",
        ",0,-1,1.5,1e3",
        ',"\\u0000"',
        ',""',
        ',{"__proto__":{"a":1}}',
        ",[[[[[]]]]]",
    ],
)
def test_an_event(peer: WebSocketPeer, arguments: str) -> None:
    peer.send(f'42["message"{arguments}]')
    answer = peer.receive_text()
    assert answer.startswith("42")
    assert json.loads(answer[2:]) == ["message-back", *json.loads(f'["x"{arguments}]')[1:]]


def test_spaces_in_json_are_no_harm(peer: WebSocketPeer) -> None:
    peer.send('42[ "message" , 1 ]')
    assert peer.receive() == '42["message-back",1]'


def test_lone_surrogates(peer: WebSocketPeer) -> None:
    peer.send('42["message","\\ud800"]')
    assert peer.receive() == '42["message-back","\\ud800"]'


@pytest.mark.parametrize("namespace", ["/", "/custom"])
@pytest.mark.parametrize("id", ["0", "1", "456", "999999999999999"])
def test_an_acknowledgement_of_the_server(peer: WebSocketPeer, namespace: str, id: str) -> None:
    prefix = ""
    if namespace != "/":
        peer.join(namespace)
        prefix = f"{namespace},"
    peer.send(f'42{prefix}{id}["message-with-ack",1,"2",{{"3":[false]}}]')
    assert peer.receive() == f'43{prefix}{id}[1,"2",{{"3":[false]}}]'
    peer.send(f'42{prefix}{id}["message-with-ack"]')
    assert peer.receive() == f"43{prefix}{id}[]"


def test_an_event_without_an_id_is_not_acknowledged(peer: WebSocketPeer) -> None:
    peer.send('42["message-with-ack",1]')
    peer.echo("next")


def test_an_acknowledgement_of_the_client(server: Served) -> None:
    peer = opened(server)
    id = peer.join()
    got: list[Any] = []

    def ask() -> None:
        for word in ("first", "second"):
            server.io.sockets.sockets[id].emit(word, ack=lambda *args, word=word: got.append((word, args)))

    server.running.call(ask)
    asked = [peer.receive_text(), peer.receive_text()]
    assert all(packet.startswith("42") for packet in asked)
    ids = [packet[2 : packet.index("[")] for packet in asked]
    assert [json.loads(packet[packet.index("[") :]) for packet in asked] == [["first"], ["second"]]
    assert ids[0] != ids[1]
    peer.send(f'43{ids[1]}["b",2]')
    peer.send(f"43{ids[1]}[3]")  # a second answer is ignored
    peer.send(f"43{ids[0]}[]")
    peer.send("43999999[1]")  # and so is one that nobody asked for
    peer.echo("still")
    assert got == [("second", ("b", 2)), ("first", ())]


# Binary.


HEADER = '["{}",{{"_placeholder":true,"num":0}},{{"_placeholder":true,"num":1}}]'


def test_binary(peer: WebSocketPeer) -> None:
    peer.send("452-" + HEADER.format("message"))
    peer.send(b"\x01\x02\x03")
    peer.send(b"\x04\x05\x06")
    assert peer.receive() == "452-" + HEADER.format("message-back")
    assert peer.receive() == b"\x01\x02\x03"
    assert peer.receive() == b"\x04\x05\x06"


def test_binary_with_an_acknowledgement(peer: WebSocketPeer) -> None:
    peer.send("452-789" + HEADER.format("message-with-ack"))
    peer.send(b"\x01\x02\x03")
    peer.send(b"\x04\x05\x06")
    assert peer.receive() == '462-789[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'
    assert peer.receive() == b"\x01\x02\x03"
    assert peer.receive() == b"\x04\x05\x06"


def test_binary_in_a_namespace(peer: WebSocketPeer) -> None:
    peer.join("/custom")
    peer.send("452-/custom,5" + HEADER.format("message-with-ack"))
    peer.send(b"\x01")
    peer.send(b"")
    assert peer.receive() == '462-/custom,5[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'
    assert peer.receive() == b"\x01"
    assert peer.receive() == b""


def test_a_binary_acknowledgement_of_the_client(server: Served) -> None:
    peer = opened(server)
    id = peer.join()
    got: list[Any] = []
    server.running.call(lambda: server.io.sockets.sockets[id].emit("ask", ack=lambda *args: got.append(args)))
    packet = peer.receive_text()
    ack = packet[2 : packet.index("[")]
    peer.send(f'461-{ack}[{{"deep":[{{"_placeholder":true,"num":0}}]}}]')
    peer.send(b"\x01\x02")
    peer.echo("next")
    assert got == [({"deep": [b"\x01\x02"]},)]


def test_attachments_are_not_interleaved_with_other_packets(server: Served) -> None:
    peer = opened(server)
    id = peer.join()

    def burst() -> None:
        for n in range(20):
            server.io.to(id).emit("n", n, bytes([n]), bytes([n, n]))
            server.io.to(id).emit("text", n)

    server.running.call(burst)
    for n in range(20):
        assert peer.receive() == f'452-["n",{n},{{"_placeholder":true,"num":0}},{{"_placeholder":true,"num":1}}]'
        assert peer.receive() == bytes([n])
        assert peer.receive() == bytes([n, n])
        assert peer.receive() == f'42["text",{n}]'


def test_placeholders_may_come_in_any_order(peer: WebSocketPeer) -> None:
    peer.send('452-["message",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]')
    peer.send(b"zero")
    peer.send(b"one")
    assert peer.receive() == "452-" + HEADER.format("message-back")
    assert [peer.receive(), peer.receive()] == [b"one", b"zero"]


def test_a_binary_packet_without_attachments_is_complete(peer: WebSocketPeer) -> None:
    peer.send('450-["message",1]')
    assert peer.receive() == '42["message-back",1]'
    peer.echo("next")


def test_the_most_attachments_that_are_allowed(peer: WebSocketPeer) -> None:
    placeholders = ",".join([f'{{"_placeholder":true,"num":{n}}}' for n in range(10)])
    peer.send(f'4510-["message",{placeholders}]')
    for n in range(10):
        peer.send(bytes([n]))
    assert peer.receive() == f'4510-["message-back",{placeholders}]'
    assert [peer.receive() for _ in range(10)] == [bytes([n]) for n in range(10)]
