"""What breaks the protocol of Socket.IO 5 costs a peer its own connection, and nobody else anything.

The fixture ``server`` checks after each test that another connection, opened before it, still works.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.wire.conftest import Served
from tests.wire.peers import WebSocketPeer, eventually

Serve = Callable[..., Served]

NOT_PACKETS = ["4", "47", "49", "4abc", "4a", "4-", "4/", "4 2", '4["message"]', "4é"]
NOT_EVENTS = [
    "42",
    "42{}",
    "42[]",
    "42null",
    '42"message"',
    "421",
    "42[",
    '42["message"',
    '42["message",]',
    "42/custom,",
]
NOT_NAMES = ["42[{}]", '42[{"toString":1}]', "42[null]", "42[true]", "42[[]]", '42[["message"]]']
RESERVED = ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]
NOT_IDS = ['42abc["message"]', '42-1["message"]', '421.5["message"]', '421e3["message"]', f'42{"9" * 40}["message"]']
NOT_ACKS = ["43", "43[]", "431", "431{}", '431"x"', "43-1[]", "43abc[]"]
NOT_CONNECTS = ["40[]", '40"x"', "40null", "40true", "401", "40{", "40/custom,[]", '40/custom,"x"', "40/custom,1"]
NOT_DISCONNECTS = ["41{}", "41[]", '41"x"', "41null", "411"]
NOT_BINARY = [
    "45",
    '45["message"]',
    '45-["message"]',
    "451",
    "451-",
    '451["message"]',
    '45x-["message"]',
    "450-",
    "46-1[]",
    "460-[]",
]
TOO_MANY = [
    '4511-["message"]',
    '4599-["message"]',
    '455999999-["message"]',
    '4559999999999-["message"]',
    f'45{"9" * 400}-["message"]',
]

EVERYTHING = [
    *NOT_PACKETS,
    *NOT_EVENTS,
    *NOT_NAMES,
    *[f'42["{name}",1]' for name in RESERVED],
    *[f'450-["{name}",1]' for name in RESERVED],
    *NOT_IDS,
    *NOT_ACKS,
    *NOT_CONNECTS,
    *NOT_DISCONNECTS,
    *NOT_BINARY,
    *TOO_MANY,
]


def joined(server: Served) -> tuple[WebSocketPeer, str]:
    peer = server.websocket()
    peer.open()
    return peer, peer.join()


def assert_broken(server: Served, peer: WebSocketPeer, id: str) -> None:
    messages, _ = peer.rest()
    assert messages == []
    assert server.left_because(id) == "parse error"


@pytest.mark.parametrize("packet", EVERYTHING)
def test_a_packet_that_is_malformed(server: Served, packet: str) -> None:
    peer, id = joined(server)
    peer.send(packet)
    assert_broken(server, peer, id)


@pytest.mark.parametrize("packet", ["4abc", "42{}", "5x", '42["connect"]', '45999-["message"]'])
def test_a_malformed_packet_by_polling(server: Served, packet: str) -> None:
    peer = server.polling()
    id = peer.join()
    peer.post(packet if packet[0] == "4" else f"4{packet}")
    assert server.left_because(id) == "parse error"
    assert peer.get().status == 400


@pytest.mark.parametrize(
    "packet",
    [
        '42["message"]',
        '421["message"]',
        "431[]",
        "41",
        '450-["message"]',
        '451-["message"]',
        "44",
        '44{"message":"x"}',
        "4abc",
    ],
)
def test_anything_but_connect_before_the_namespace_is_joined(server: Served, packet: str) -> None:
    peer = server.websocket()
    peer.open()
    peer.send(packet)
    assert peer.rest()[0] == []


@pytest.mark.parametrize(
    "packet",
    [
        '42/custom,["message"]',
        "43/custom,1[]",
        "41/custom,",
        '451-/custom,["message"]',
        '42/none,["message"]',
        "41/none,",
    ],
)
def test_traffic_for_a_namespace_that_was_not_joined(server: Served, packet: str) -> None:
    peer, id = joined(server)
    peer.send(packet)
    assert_broken(server, peer, id)


def test_traffic_for_a_namespace_that_was_left(server: Served) -> None:
    peer, id = joined(server)
    custom = peer.join("/custom")
    peer.send("41/custom,")
    assert server.left_because(custom) == "client namespace disconnect"
    peer.send('42/custom,["message"]')
    assert_broken(server, peer, id)


def test_traffic_for_a_namespace_that_refused(server: Served) -> None:
    peer, id = joined(server)
    peer.send("40/random,")
    assert peer.receive() == '44/random,{"message":"Invalid namespace"}'
    peer.send('42/random,["message"]')
    assert_broken(server, peer, id)


@pytest.mark.parametrize("packet", ["40", "40{}", '40{"a":1}'])
def test_a_second_connect(server: Served, packet: str) -> None:
    peer, id = joined(server)
    peer.send(packet)
    assert_broken(server, peer, id)


def test_a_second_connect_to_another_namespace(server: Served) -> None:
    peer, id = joined(server)
    custom = peer.join("/custom")
    peer.send("40/custom,")
    assert_broken(server, peer, id)
    assert server.left_because(custom) == "parse error"


@pytest.mark.parametrize("packet", ["44", '44{"message":"x"}', '44"x"'])
def test_a_connect_error_from_a_client(server: Served, packet: str) -> None:
    peer, id = joined(server)
    peer.send(packet)
    assert_broken(server, peer, id)


# Attachments.

ONE = '451-["message",{"_placeholder":true,"num":0}]'


@pytest.mark.parametrize("packet", ['42["message"]', "41", "40", "40/custom,", ONE, '450-["message"]', "4abc"])
def test_text_where_an_attachment_is_due(server: Served, packet: str) -> None:
    peer, id = joined(server)
    peer.send(ONE)
    peer.send(packet)
    assert_broken(server, peer, id)


def test_binary_where_no_attachment_is_due(server: Served) -> None:
    peer, id = joined(server)
    peer.send(b"\x01")
    assert_broken(server, peer, id)


def test_an_attachment_too_many(server: Served) -> None:
    peer, id = joined(server)
    peer.send(ONE)
    peer.send(b"\x01")
    assert peer.receive() == ONE.replace("message", "message-back")
    assert peer.receive() == b"\x01"
    peer.send(b"\x02")
    assert_broken(server, peer, id)


def test_binary_before_connect(server: Served) -> None:
    peer = server.websocket()
    peer.open()
    peer.send(b"\x01")
    assert peer.rest()[0] == []


@pytest.mark.parametrize(
    "number", ["-1", "1", "2", "1000000000", '"0"', '"x"', "true", "false", "0.5", "0.0", "null", "[]", "{}"]
)
def test_a_placeholder_that_names_no_attachment(server: Served, number: str) -> None:
    peer, id = joined(server)
    peer.send(f'451-["message",{{"_placeholder":true,"num":{number}}}]')
    peer.send(b"\x01")
    assert_broken(server, peer, id)


def test_a_placeholder_without_a_number(server: Served) -> None:
    peer, id = joined(server)
    peer.send('451-["message",{"_placeholder":true}]')
    peer.send(b"\x01")
    assert_broken(server, peer, id)


def test_packets_between_attachments_may_be_heartbeats(serve: Serve) -> None:
    server = serve(ping_interval=0.2, ping_timeout=2.0)
    peer, _ = joined(server)
    peer.send(ONE)
    assert peer.receive() == "2"
    peer.send("3")
    peer.send(b"\x01")
    assert peer.receive() == ONE.replace("message", "message-back")


def test_attachments_that_take_too_long(serve: Serve) -> None:
    server = serve(attachment_timeout=0.3)
    witness, _ = joined(server)
    peer, id = joined(server)
    peer.send(
        '453-["message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1},{"_placeholder":true,"num":2}]'
    )
    peer.send(b"\x01")
    assert peer.rest()[0] == []
    assert server.left_because(id) == "parse error"
    witness.echo("alive")


def test_attachments_of_more_bytes_together_than_allowed(serve: Serve) -> None:
    server = serve(max_packet_bytes=5000)
    peer, id = joined(server)
    placeholders = ",".join([f'{{"_placeholder":true,"num":{n}}}' for n in range(6)])
    head = f'456-["message",{placeholders}]'
    last = 5000 - len(head) - 5 * 900
    peer.send(head)
    for n in range(6):
        peer.send(bytes(900 if n < 5 else last))
    assert peer.receive() == head.replace("message", "message-back")
    for n in range(6):
        assert peer.receive() == bytes(900 if n < 5 else last)
    peer.send(head)
    for n in range(6):
        peer.send(bytes(900 if n < 5 else last + 1))
    assert_broken(server, peer, id)


def test_the_allowed_number_of_attachments_is_an_option(serve: Serve) -> None:
    server = serve(max_attachments=0)
    peer, id = joined(server)
    peer.send('450-["message"]')
    assert peer.receive() == '42["message-back"]'
    peer.send(ONE)
    assert_broken(server, peer, id)


def test_a_broken_connection_frees_what_it_held(server: Served) -> None:
    peer, id = joined(server)
    peer.send(ONE)
    peer.close()
    assert server.left_because(id) in ("transport close", "transport error")
    eventually(lambda: id not in server.running.call(lambda: set(server.io.sockets.sockets)))


def test_an_error_in_a_handler_is_no_violation(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    server = serve()

    @server.io.event("boom")
    def boom(socket: object, *args: object) -> None:
        raise RuntimeError("boom")

    @server.io.event("slow boom")
    async def slow(socket: object, *args: object) -> None:
        await asyncio.sleep(0)
        raise RuntimeError("slow boom")

    peer, _ = joined(server)
    for event in ("boom", "slow boom"):
        peer.send(f'42["{event}"]')
        peer.send(f'427["{event}",1,2]')
    peer.echo("alive")
    eventually(lambda: caplog.text.count("RuntimeError: slow boom") == 2)
    assert caplog.text.count("RuntimeError: boom") == 2
    caplog.clear()
