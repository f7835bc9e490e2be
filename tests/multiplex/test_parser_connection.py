"""A connection whose packets are written by a parser of the application's choice."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest

from socketeer.exceptions import PacketError
from socketeer.multiplex.encoded import Encoded, ParserFormat
from socketeer.protocol.packets import Packet
from socketeer.protocol.revisions import REVISION_4, REVISION_5, Revision
from socketeer.protocol.socket_msgpack import MSGPACK
from tests.multiplex.peers import ConnectionHarness, KeepingHost
from tests.support.packing import HeadAndBody, JsonWithDates, Misbehaving


def pack(kind: int, namespace: str = "/", data: Any = None, id: int | None = None) -> bytes:
    fields = {"type": kind, "nsp": namespace, "data": data, "id": id}
    packed: bytes = msgpack.packb({name: value for name, value in fields.items() if value is not None})
    return packed


def harness(parser: Any = MSGPACK, revision: Revision = REVISION_5, **options: Any) -> ConnectionHarness:
    return ConnectionHarness(revision, KeepingHost(ParserFormat(parser)), **options)


def sent(peer: ConnectionHarness) -> list[Any]:
    """Give the packets that were sent."""
    return [
        msgpack.unpackb(peer.session.revision.codec.unframe(frame).data)
        for frame in peer.wire.drain()
        if isinstance(frame, bytes)
    ]


@pytest.mark.parametrize("revision", [REVISION_4, REVISION_5], ids=["4", "5"])
def test_joining_events_acknowledgements_and_leaving(revision: Revision) -> None:
    peer = harness(revision=revision)
    if revision is REVISION_5:
        peer.send(pack(0, data={"token": 1}))
    first = {"type": 0, "nsp": "/"} | ({"data": {"sid": "id of /"}} if revision is REVISION_5 else {})
    assert sent(peer) == [first]
    peer.send(pack(2, data=["x", b"raw"], id=0), pack(3, data=[1], id=5), pack(5, data=["y", {"a": b"b"}]))
    assert peer.links["/"].events == [(["x", b"raw"], 0), (["y", {"a": b"b"}], None)]
    assert peer.links["/"].acks == [(5, [1])]
    peer.send(pack(1))
    assert peer.links["/"].reasons == ["client namespace disconnect"]
    assert peer.wire.open


def test_the_query_of_a_namespace_of_revision_4() -> None:
    peer = harness(revision=REVISION_4)
    peer.send(pack(0, "/admin?token=1"))
    assert peer.host.asked[-1] == ("/admin", None, "token=1")


@pytest.mark.parametrize(
    "message",
    [
        "40",
        "4",
        b"",
        b"\xc1",
        pack(2, "/other", ["x"]),
        pack(2, data=["disconnect"]),
        pack(4, data={"message": "no"}),
        pack(0),
        msgpack.packb({"type": 2, "nsp": ["/"], "data": ["x"]}),
    ],
)
def test_what_breaks_the_protocol_costs_the_connection(message: Any) -> None:
    peer = harness()
    peer.send(pack(0))
    peer.send(message)
    peer.assert_broken()
    assert peer.links["/"].reasons == ["parse error"]


def test_text_that_is_not_utf8() -> None:
    peer = harness(JsonWithDates())
    with pytest.raises(PacketError, match="not UTF-8"):
        peer.connection.session.receiver.receive_text(b"4\xff")


def test_each_connection_has_a_decoder_of_its_own() -> None:
    parser = HeadAndBody()
    host = KeepingHost(ParserFormat(parser))
    peers = [ConnectionHarness(host=host) for _ in range(2)]
    assert len(parser.decoders) == 2
    peers[0].send('4[0,"/",null]')
    peers[1].send('4[0,"/one",null]')
    peers[0].send(b'{"token":1}')
    peers[1].send(b"{}")
    assert host.asked == [("/", {"token": 1}, ""), ("/one", {}, "")]
    assert peers[0].wire.drain() == ['4[0, "/", null]', b'{"sid": "id of /"}']


@pytest.mark.parametrize("given", [None, 3, "2[]", {"type": 2}, object()])
def test_a_decoder_that_gives_what_is_no_packet(given: Any) -> None:
    class Odd(JsonWithDates):
        def add(self, chunk: str | bytes) -> Any:
            return given

    peer = harness(Odd())
    peer.send("4x")
    if given is None:
        assert peer.wire.open
    else:
        peer.assert_broken()


def test_a_decoder_that_fails_is_logged_and_tells_the_client_nothing(caplog: pytest.LogCaptureFixture) -> None:
    peer = harness(JsonWithDates())
    peer.send('4{"t":0}')
    peer.send("4{}")
    peer.assert_broken("the parser failed: KeyError")
    (record,) = [record for record in caplog.records if record.exc_info]
    assert record.levelname == "ERROR"
    assert all("KeyError" not in str(frame) for frame in peer.wire.frames)


@pytest.mark.parametrize("parser", [3, "msgpack", object(), Packet])
def test_what_is_no_parser(parser: Any) -> None:
    with pytest.raises(TypeError, match="option 'parser' takes"):
        ParserFormat(parser)


@pytest.mark.parametrize(
    ("messages", "encoded"),
    [
        (["text"], Encoded(b"4text")),
        ([b"raw"], Encoded(b"", (b"raw",))),
        (["é", b"a", b"b"], Encoded("4é".encode(), (b"a", b"b"))),
        ([""], Encoded(b"4")),
        (["\ud800"], Encoded(b"4\xed\xa0\x80")),
        ([], None),
        (["a", "b"], None),
        ([b"a", "b"], None),
        ([3], None),
        (None, None),
        (b"raw", None),
        ([bytearray(b"raw")], None),
    ],
)
def test_what_a_parser_may_give(messages: Any, encoded: Encoded | None) -> None:
    written = ParserFormat(Misbehaving(lambda packet: messages))
    if encoded is None:
        with pytest.raises(TypeError):
            written.body(["x"], "/")
    else:
        packet = written.body(["x"], "/").event("/")
        assert packet == encoded._replace(args=["x"])


def test_an_event_is_encoded_once_for_everybody_and_again_where_it_differs() -> None:
    packets: list[Packet] = []

    def note(packet: Packet) -> list[str]:
        packets.append(packet)
        return ["x"]

    body = ParserFormat(Misbehaving(note)).body(["x", 1], "/")
    assert body.event("/") is body.event("/")
    assert len(packets) == 1
    body.event("/", 7)
    body.marked("offset").event("/")
    body.event("/chat")
    assert [(packet.namespace, packet.data, packet.id) for packet in packets[1:]] == [
        ("/", ["x", 1], 7),
        ("/", ["x", 1, "offset"], None),
        ("/chat", ["x", 1], None),
    ]
    assert body.args == ["x", 1]
