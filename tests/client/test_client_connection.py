"""The client's side of a connection on values and a virtual clock: joining, leaving, heartbeats, the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from socketeer.client.opening import SessionRules
from socketeer.engine.session import Session
from socketeer.engine.websocket import WebSocket
from socketeer.multiplex.client import ClientConnection, ClientLink
from socketeer.multiplex.encoded import Format, JsonFormat
from socketeer.protocol.packets import Packet, PacketType
from socketeer.protocol.revisions import REVISION_4, REVISION_5, Revision
from tests.support.virtual import RecordingWire, VirtualTime, timers_in

REVISIONS = pytest.mark.parametrize("revision", [REVISION_4, REVISION_5], ids=["revision 4", "revision 5"])
RULES = SessionRules(25.0, 20.0, 10.0, 10.0, 60.0, 3, 1000, 1000)


class Link:
    """Keep what comes for one namespace."""

    def __init__(self) -> None:
        self.log: list[tuple[Any, ...]] = []
        self.connected = False

    def accepted(self, id: str, pid: str | None) -> None:
        self.connected = True
        self.log.append(("accepted", id, pid))

    def refused(self, message: str, data: Any) -> None:
        self.log.append(("refused", message, data))

    def receive_event(self, args: list[Any], id: int | None) -> None:
        self.log.append(("event", args, id))

    def receive_ack(self, id: int, args: list[Any]) -> None:
        self.log.append(("ack", id, args))

    def left(self, reason: str, description: str | None = None) -> None:
        self.connected = False
        self.log.append(("left", reason, description))

    def drain(self) -> list[tuple[Any, ...]]:
        """Give what came since the last time."""
        log, self.log = self.log, []
        return log


class Client:
    """Run one connection of a client over a WebSocket, on virtual time."""

    def __init__(self, revision: Revision) -> None:
        self.time = VirtualTime()
        self.wire = RecordingWire()
        self.format: Format = JsonFormat(RULES.max_attachments)
        self.closings: list[tuple[int, str, str | None]] = []
        self.session = Session(
            "sid", revision, RULES, self.time.wheel, lambda session: None, pings=not revision.server_pings
        )
        self.session.transport = WebSocket(self.session, self.wire)
        self.wire.sink = self.session
        self.connection = ClientConnection(self.session, self)

    def connection_closed(self, links: Sequence[ClientLink], reason: str, description: str | None) -> None:
        """Tell the links, as a manager does."""
        self.closings.append((len(links), reason, description))
        for link in links:
            link.left(reason, description)

    def join(self, namespace: str = "/", **auth: Any) -> Link:
        """Ask to join."""
        link = Link()
        self.connection.join(namespace, link, auth)
        self.time.pass_deadline(0)
        return link

    def receive(self, *frames: str | bytes) -> None:
        """Receive frames from the server; bytes are the content of a binary message."""
        for frame in frames:
            if isinstance(frame, str):
                self.wire.text(frame)
            else:
                self.wire.binary(self.session.revision.codec.frame(frame))


def joined(revision: Revision, namespace: str = "/") -> tuple[Client, Link]:
    """Give a client that has joined a namespace."""
    client = Client(revision)
    link = client.join(namespace)
    prefix = "" if namespace == "/" else f"{namespace},"
    client.receive(f"40{prefix}" + ('{"sid":"id"}' if revision is REVISION_5 else ""))
    assert link.drain()[0][0] == "accepted"
    client.wire.drain()
    return client, link


# Joining


@pytest.mark.parametrize(
    ("namespace", "auth", "packet"),
    [
        ("/", {}, "40"),
        ("/", {"a": [1], "é": None}, '40{"a":[1],"é":null}'),
        ("/x", {}, "40/x,"),
        ("/x", {"a": 1}, '40/x,{"a":1}'),
    ],
)
def test_joining_in_revision_5(namespace: str, auth: dict[str, Any], packet: str) -> None:
    client = Client(REVISION_5)
    link = client.join(namespace, **auth)
    assert client.wire.drain() == [packet]
    prefix = "40" if namespace == "/" else "40/x,"
    client.receive(prefix + '{"sid":"id","pid":"secret"}')
    assert link.drain() == [("accepted", "id", "secret")]


def test_joining_in_revision_4() -> None:
    client = Client(REVISION_4)
    root, other = client.join(), client.join("/x", a="b c", d="é")
    assert client.wire.drain() == ["40/x?a=b+c&d=%C3%A9,"]
    client.receive("40", "40/x?a=b+c&d=%C3%A9,")
    assert root.drain() == [("accepted", "sid", None)]
    assert other.drain() == [("accepted", "/x#sid", None)]


def test_the_server_lets_a_client_of_revision_4_in_before_it_asks() -> None:
    client = Client(REVISION_4)
    client.receive("40")
    link = client.join()
    assert (client.wire.drain(), link.drain()) == ([], [("accepted", "sid", None)])


def test_a_client_of_revision_4_asks_where_it_has_left() -> None:
    client, link = joined(REVISION_4)
    client.connection.leave("/")
    again = client.join()
    assert client.wire.drain() == ["41", "40"]
    client.receive("40")
    assert (link.drain(), again.drain()) == ([], [("accepted", "sid", None)])


def test_a_client_of_revision_4_asks_where_it_was_refused() -> None:
    client = Client(REVISION_4)
    link = client.join()
    client.receive('44"no"')
    assert link.drain() == [("refused", "no", None)]
    client.join()
    assert client.wire.drain() == ["40"]
    unheard = Client(REVISION_4)
    unheard.receive('44"no"')
    unheard.join()
    assert unheard.wire.drain() == ["40"]


@REVISIONS
def test_what_comes_before_the_answer_is_handed_on(revision: Revision) -> None:
    client = Client(revision)
    link = client.join("/x")
    client.receive('42/x,["early",1]', '40/x,{"sid":"id"}')
    assert [entry[0] for entry in link.drain()] == ["event", "accepted"]


@pytest.mark.parametrize(
    ("revision", "payload", "refusal"),
    [
        (REVISION_5, '{"message":"no"}', ("no", None)),
        (REVISION_5, '{"message":"no","data":{"a":1}}', ("no", {"a": 1})),
        (REVISION_5, '{"message":1}', ("Connection refused", None)),
        (REVISION_5, '"no"', ("no", None)),
        (REVISION_5, "", ("Connection refused", None)),
        (REVISION_4, '"no"', ("no", None)),
        (REVISION_4, '{"message":"no"}', ("Connection refused", {"message": "no"})),
        (REVISION_4, "", ("Connection refused", None)),
    ],
)
def test_refusals(revision: Revision, payload: str, refusal: tuple[str, Any]) -> None:
    client = Client(revision)
    link = client.join("/x")
    client.receive(f"44/x,{payload}", '42/x,["late"]', "40/x,{}")
    assert link.drain() == [("refused", *refusal)]
    assert client.connection.links == {}
    assert client.session.state.value == "open"


def test_an_answer_without_an_id_ends_the_connection() -> None:
    for answer in ("40", "40{}", '40{"sid":1}', '40{"sid":null}'):
        client = Client(REVISION_5)
        link = client.join()
        client.receive(answer)
        ((event, reason, description),) = link.drain()
        assert (event, reason, "eio=3" in description) == ("left", "parse error", True)


@REVISIONS
def test_nothing_can_be_written_of_such_credentials(revision: Revision) -> None:
    client = Client(REVISION_5)
    with pytest.raises(TypeError):
        client.join("/x", a=object())
    assert (client.connection.links, client.wire.drain()) == ({}, [])


# Events


@REVISIONS
@pytest.mark.parametrize("namespace", ["/", "/x"])
def test_events_and_acknowledgements(revision: Revision, namespace: str) -> None:
    client, link = joined(revision, namespace)
    prefix = "" if namespace == "/" else f"{namespace},"
    client.receive(f'42{prefix}["a",1]', f'42{prefix}7["b"]', f"43{prefix}0[1,2]")
    client.receive(f'451-{prefix}["c",{{"_placeholder":true,"num":0}}]', b"\1")
    client.receive(f'461-{prefix}9[{{"_placeholder":true,"num":0}}]', b"\2")
    assert link.drain() == [
        ("event", ["a", 1], None),
        ("event", ["b"], 7),
        ("ack", 0, [1, 2]),
        ("event", ["c", b"\1"], None),
        ("ack", 9, [b"\2"]),
    ]
    client.receive('42/other,["a"]', "43/other,1[]", "41/other,", '40/other,{"sid":"x"}')
    assert (link.drain(), client.closings) == ([], [])


@REVISIONS
def test_every_packet_is_shown_to_who_watches(revision: Revision) -> None:
    client, link = joined(revision)
    packets: list[Packet] = []
    client.connection.watch(packets.append)
    client.receive(
        '42["a",1]', '421["b"]', '451-["c",{"_placeholder":true,"num":0}]', b"\1", "431[2]", '42/other,["d"]'
    )
    assert [(packet.type, packet.data, packet.id) for packet in packets] == [
        (PacketType.EVENT, ["a", 1], None),
        (PacketType.EVENT, ["b"], 1),
        (PacketType.EVENT, ["c", b"\1"], None),
        (PacketType.ACK, [2], 1),
        (PacketType.EVENT, ["d"], None),
    ]
    assert len(link.drain()) == 4


@REVISIONS
def test_attachments_have_a_time_limit(revision: Revision) -> None:
    client, link = joined(revision)
    client.receive('451-["a",{"_placeholder":true,"num":0}]')
    client.time.advance(44)
    client.receive("2" if revision is REVISION_5 else "3")
    client.time.advance(15)
    assert link.drain() == []
    client.time.pass_deadline(1)
    assert link.drain() == [("left", "parse error", "attachments did not arrive within attachment_timeout")]
    assert timers_in(client.time.wheel) == 0


# Heartbeats


def test_the_server_pings_in_revision_5() -> None:
    client, link = joined(REVISION_5)
    for _ in range(10):
        client.time.advance(44.5)
        client.receive("2")
        assert client.wire.drain() == ["3"]
    overdue = [client.session.overdue]
    client.time.now += 45.5
    overdue.append(client.session.overdue)
    assert overdue == [False, True], "although no timer was there to notice"
    client.time.advance(0)
    assert link.drain() == [("left", "ping timeout", None)]


def test_the_client_pings_in_revision_4() -> None:
    client, link = joined(REVISION_4)
    for _ in range(10):
        client.time.pass_deadline(25)
        assert client.wire.drain() == ["2"]
        client.time.advance(19)
        client.receive("3")
    client.time.pass_deadline(25)
    assert client.wire.drain() == ["2"]
    client.time.advance(19)
    assert link.drain() == []
    client.time.pass_deadline(1)
    assert link.drain() == [("left", "ping timeout", None)]


def test_a_heartbeat_from_the_wrong_side_ends_the_connection() -> None:
    for revision, packet in ((REVISION_5, "3"), (REVISION_4, "2")):
        client, link = joined(revision)
        client.receive(packet)
        assert [entry[:2] for entry in link.drain()] == [("left", "parse error")]


# The end


@REVISIONS
def test_a_namespace_is_left_from_either_side(revision: Revision) -> None:
    client, root = joined(revision)
    other = client.join("/x")
    client.receive('40/x,{"sid":"id"}', "41")
    assert root.drain() == [("left", "io server disconnect", None)]
    client.wire.drain()
    client.connection.leave("/x")
    assert client.wire.drain() == ["41/x,"]
    client.receive('42/x,["late"]', "41/x,", '42["late"]')
    assert [entry[0] for entry in other.drain()] == ["accepted"]
    assert (client.connection.links, client.closings) == ({}, [])


@REVISIONS
def test_the_connection_ends_for_every_namespace(revision: Revision) -> None:
    client, root = joined(revision)
    other = client.join("/x")
    client.wire.lose("transport close", "why")
    assert root.drain() == other.drain() == [("left", "transport close", "why")]
    assert client.closings == [(2, "transport close", "why")]
    assert (client.connection.links, timers_in(client.time.wheel)) == ({}, 0)


@REVISIONS
def test_the_client_closes(revision: Revision) -> None:
    client, root = joined(revision)
    client.connection.close("forced close")
    assert root.drain() == [("left", "forced close", None)]
    assert client.wire.ending == ["close"]
    client.wire.lose()
    assert client.closings == [(1, "forced close", None)]
    assert timers_in(client.time.wheel) == 0


@pytest.mark.parametrize(
    "packet", ["42", "42[]", '42["connect"]', "49", "4x", '42["a"', '454-["a"]', '43["a"]', "41[]", "4{}", "42\ud800"]
)
@REVISIONS
def test_what_breaks_the_protocol_ends_the_connection(revision: Revision, packet: str) -> None:
    client, link = joined(revision)
    client.wire.sink.receive_text(packet.encode("utf-8", "surrogatepass"))
    ((_, reason, _),) = link.drain()
    assert reason in ("parse error", "transport error")
    assert len(client.closings) == 1
    assert client.connection.links == {}
