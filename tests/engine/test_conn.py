"""The connection below a socket: what it shows and tells its listeners, and that it is free where nobody listens."""

from __future__ import annotations

from typing import Any

import pytest

from socketeer.engine.conn import Conn, ConnPacket, conn_of
from socketeer.engine.session import ObservedSession, Session
from socketeer.exceptions import UsageError
from socketeer.protocol.packets import EnginePacket
from socketeer.protocol.revisions import REVISION_4, REVISION_5, Revision
from tests.support.virtual import EngineHarness, Poll, RecordingWire, timers_in

REVISIONS = pytest.mark.parametrize("revision", [REVISION_4, REVISION_5], ids=["revision 4", "revision 5"])
OF_PACKETS = ("packet", "packet_create", "data", "message", "heartbeat", "flush", "drain")
OTHERS = ("open", "upgrading", "upgrade", "error", "close")


def message(data: str | bytes) -> ConnPacket:
    return ConnPacket("message", data)


def listen(conn: Conn, *events: str) -> list[tuple[Any, ...]]:
    """Collect what is told of some events."""
    calls: list[tuple[Any, ...]] = []
    for event in events:
        conn.on(event, lambda *args, event=event: calls.append((event, *args)))
    return calls


# What it shows


@REVISIONS
def test_what_it_shows_on_polling_and_after_the_upgrade(revision: Revision) -> None:
    harness = EngineHarness()
    session, _, _ = harness.open_polling(revision)
    conn = conn_of(session)
    assert conn_of(session) is conn
    assert (conn.id, conn.protocol, conn.ready_state) == (session.id, revision.engine, "open")
    assert conn.request is harness.requests[0]
    assert conn.remote_address == conn.request.address
    assert (conn.transport.name, conn.upgraded) == ("polling", False)
    session.write(b"4one", (b"two",))
    assert conn.write_buffer == [message("one"), message(b"two")]
    harness.upgrade(session)
    assert (conn.transport.name, conn.upgraded, conn.write_buffer) == ("websocket", True, [])


def test_a_connection_that_began_on_a_websocket_was_not_upgraded() -> None:
    session, _, _ = EngineHarness().open_websocket()
    assert (conn_of(session).transport.name, conn_of(session).upgraded) == ("websocket", False)


# Sending and closing


@REVISIONS
def test_a_message_of_text_or_bytes_is_sent_beside_the_others(revision: Revision) -> None:
    harness = EngineHarness()
    session, _, polling = harness.open_polling(revision)
    conn = conn_of(session)
    session.write(b"4first", ())
    conn.send("zwei €")
    conn.write(b"three")
    assert Poll(polling).packets() == ["4first", "4zwei €", b"three"]
    wire = harness.upgrade(session)
    conn.send("four", compress=False)
    conn.send(b"", compress=False)
    changing = bytearray(b"five")
    conn.send(changing)
    conn.send(memoryview(changing)[1:3])
    changing[:] = b"late"
    assert wire.frames == ["4four", *(revision.codec.frame(data) for data in (b"", b"five", b"iv"))]
    with pytest.raises(TypeError, match="str or bytes, not 5"):
        conn.send(5)  # type: ignore[arg-type]


def test_callbacks_of_polling_are_called_in_order_once_a_poll_took_the_messages() -> None:
    session, _, polling = EngineHarness().open_polling()
    conn, calls = conn_of(session), []

    def first() -> None:
        calls.append("first")
        conn.send("four", callback=lambda: calls.append("fourth"))

    conn.send("one", callback=first)
    conn.send("two", callback=lambda: calls.append("second"))
    session.write(b"4three", ())
    assert calls == []
    assert Poll(polling).packets() == ["4one", "4two", "4three"]
    assert calls == ["first", "second"]
    assert Poll(polling).packets() == ["4four"]
    assert calls == ["first", "second", "fourth"]


def test_callbacks_of_a_websocket_wait_until_everything_has_left() -> None:
    harness = EngineHarness()
    session, _, wire = harness.open_websocket()
    conn = conn_of(session)
    calls: list[int] = []
    conn.send("at once", callback=lambda: calls.append(0))
    assert calls == [0]
    wire.backlog = 10
    conn.send("one", callback=lambda: calls.append(1))
    conn.send("two", callback=lambda: calls.append(2))
    harness.time.advance(5)
    assert calls == [0]
    assert harness.time.turns < 100  # looks ever more seldom
    wire.backlog = 0
    harness.time.advance(0.2)
    assert calls == [0, 1, 2]
    assert timers_in(harness.time.wheel) == 1  # the heartbeat's


def test_callbacks_move_to_the_websocket_with_their_messages() -> None:
    harness = EngineHarness()
    session, _, _ = harness.open_polling()
    calls: list[str] = []
    conn_of(session).send("one", callback=lambda: calls.append("one"))
    wire = harness.probe(session)
    wire.backlog = 1
    wire.text("5")
    assert wire.frames == ["4one"]
    assert calls == []
    wire.backlog = 0
    harness.time.advance(0.2)
    assert calls == ["one"]


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_callbacks_are_dropped_with_what_is_lost(transport: str) -> None:
    harness = EngineHarness()
    calls: list[str] = []
    if transport == "polling":
        session, _, _ = harness.open_polling()
    else:
        session, _, wire = harness.open_websocket()
        wire.backlog = 1
    conn = conn_of(session)
    conn.send("one", callback=lambda: calls.append("one"))
    session.end("transport close")
    conn.send("two", callback=lambda: calls.append("two"))
    harness.time.advance(1)
    assert calls == []
    assert timers_in(harness.time.wheel) == 0


def test_a_callback_that_fails_is_logged_and_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    session, _, _ = EngineHarness().open_websocket()
    conn = conn_of(session)
    calls: list[str] = []
    conn.send("one", callback=lambda: 1 / 0)
    conn.send("two", callback=lambda: calls.append("two"))
    assert calls == ["two"]
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_a_graceful_close_sends_what_is_queued_first() -> None:
    session, receiver, polling = EngineHarness().open_polling()
    conn = conn_of(session)
    calls = listen(conn, "close")
    conn.send("last")
    conn.close()
    conn.send("late")
    assert (conn.ready_state, receiver.reasons, calls) == ("closing", ["forced close"], [])
    assert Poll(polling).packets() == ["4last"]
    assert Poll(polling).packets() == ["1"]
    assert (conn.ready_state, calls) == ("closed", [("close", "forced close", None)])


def test_a_close_that_discards_sends_nothing_more() -> None:
    session, receiver, polling = EngineHarness().open_polling()
    conn = conn_of(session)
    left: list[list[ConnPacket]] = []
    conn.on("close", lambda: left.append(conn.write_buffer))
    conn.send("lost")
    conn.close(discard=True)
    assert (conn.ready_state, receiver.reasons) == ("closed", ["forced close"])
    assert left == [[message("lost")]]  # an application may want to keep it
    assert Poll(polling).answer().status == 400


def test_a_close_that_discards_cuts_a_websocket_that_is_congested() -> None:
    session, _, wire = EngineHarness().open_websocket()
    wire.backlog = 1
    conn_of(session).close(discard=True)
    assert wire.ending == ["abort"]


# Listeners


@REVISIONS
def test_packets_that_come(revision: Revision) -> None:
    harness = EngineHarness()
    session, receiver, polling = harness.open_polling(revision)
    conn = conn_of(session)
    calls = listen(conn, "packet", "data", "message", "heartbeat")
    receiver.on_message = lambda data: calls.append(("received", data))
    texts = revision.codec.encode_payload([EnginePacket("4zwei €".encode()), EnginePacket(b"b1", True)], binary=False)
    harness.post(polling, texts[0])
    first = [
        ("packet", message("zwei €")),
        ("received", "zwei €"),
        ("data", "zwei €"),
        ("message", "zwei €"),
        ("packet", message(b"b1")),
        ("received", b"b1"),
        ("data", b"b1"),
        ("message", b"b1"),
    ]
    assert calls == first
    wire = harness.upgrade(session)
    calls.clear()
    wire.text("4zwei €")
    wire.binary(revision.codec.frame(b"b1"))
    assert calls == first
    calls.clear()
    wire.text(revision.codec.encode_base64(b"b2").decode())
    assert calls == [("packet", message(b"b2")), ("received", b"b2"), ("data", b"b2"), ("message", b"b2")]
    calls.clear()
    beat = "pong" if revision.server_pings else "ping"
    wire.text("3" if revision.server_pings else "2")
    assert calls == [("packet", ConnPacket(beat, "")), ("heartbeat",)]


@REVISIONS
def test_packets_that_go(revision: Revision) -> None:
    harness = EngineHarness()
    session, _, polling = harness.open_polling(revision)
    conn = conn_of(session)
    calls = listen(conn, "packet_create", "flush", "drain")
    session.write(b"451-one", (b"two",))
    session.write(b"4three", ())
    packets = [message("51-one"), message(b"two"), message("three")]
    assert calls == [("packet_create", packet) for packet in packets]
    calls.clear()
    assert len(Poll(polling).packets()) == 3
    assert calls == [("flush", packets), ("drain",)]
    calls.clear()
    session.write(b"4four", ())
    wire = harness.upgrade(session)
    assert calls == [("packet_create", message("four")), ("flush", [message("four")]), ("drain",)]
    calls.clear()
    wire.drain()
    session.write(b"", (b"five",))
    session.write(b"4six", ())
    assert wire.frames == [revision.codec.frame(b"five"), "4six"]
    assert calls == [
        ("packet_create", message(b"five")),
        ("flush", [message(b"five")]),
        ("drain",),
        ("packet_create", message("six")),
        ("flush", [message("six")]),
        ("drain",),
    ]


def test_the_noop_of_an_upgrade_is_no_batch() -> None:
    session, _, polling = EngineHarness().open_polling()
    calls = listen(conn_of(session), "flush", "drain")
    poll = Poll(polling)
    polling.release()
    assert poll.packets() == ["6"]
    assert calls == []


def test_an_upgrade() -> None:
    harness = EngineHarness()
    session, _, _ = harness.open_polling()
    calls: list[tuple[str, str, str]] = []
    conn = conn_of(session)
    for event in ("upgrading", "upgrade"):
        conn.on(event, lambda to, event=event: calls.append((event, to.name, conn.transport.name)))
    wire = harness.probe(session)
    wire.text("2probe")
    assert calls == [("upgrading", "websocket", "polling")]
    wire.text("5")
    assert calls[1:] == [("upgrade", "websocket", "websocket")]


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("transport close", [("close", "transport close", "why")]),
        ("ping timeout", [("close", "ping timeout", "why")]),
        ("forced close", [("close", "forced close", "why")]),
        ("transport error", [("error", "why"), ("close", "transport error", "why")]),
        ("parse error", [("error", "why"), ("close", "parse error", "why")]),
        ("server shutting down", [("close", "forced close", "why")]),  # which is a reason of Socket.IO only
    ],
)
def test_the_end_and_its_reason(reason: str, told: list[tuple[Any, ...]]) -> None:
    session, receiver, _ = EngineHarness().open_websocket()
    calls = listen(conn_of(session), "error", "close")
    receiver.on_closed = lambda: calls.append(("receiver",))
    session.end(reason, "why")
    session.end("transport close")
    assert calls == [("receiver",), *told]


@REVISIONS
@pytest.mark.parametrize("data", ["", "9", "x", "b!"], ids=repr)
def test_a_packet_that_is_none_is_not_told_of(revision: Revision, data: str) -> None:
    session, _, wire = EngineHarness().open_websocket(revision)
    calls = listen(conn_of(session), "packet", "data", "close")
    wire.text(data)
    assert [call[:2] for call in calls] == [("close", "parse error")]
    wire.text("4late")
    assert len(calls) == 1


@pytest.mark.parametrize("event", ["packet_create", "flush", "packet"])
def test_a_listener_may_close_the_connection_before_the_packet_that_it_is_told_of(event: str) -> None:
    session, receiver, wire = EngineHarness().open_websocket()
    conn = conn_of(session)
    conn.on(event, lambda _: conn.close())
    if event == "packet":
        wire.text("4one")
    else:
        session.write(b"4one", ())
    assert (wire.frames, receiver.received) == ([], [])


def test_listeners_can_be_named_and_removed() -> None:
    session, _, wire = EngineHarness().open_websocket()
    conn, calls = conn_of(session), []

    @conn.once("data")
    def first(data: str) -> None:
        calls.append(("first", data))

    @conn.on("data")
    def each(data: str) -> None:
        calls.append(("each", data))

    assert conn.listeners("data") == [first, each]
    wire.text("41")
    wire.text("42")
    conn.off("data", each)
    wire.text("43")
    assert calls == [("first", "1"), ("each", "1"), ("each", "2")]
    with pytest.raises(UsageError, match="no event 'upgraded'"):
        conn.on("upgraded", print)


# What it costs


def test_a_session_whose_packets_nobody_listens_to_knows_nothing_of_it() -> None:
    harness = EngineHarness()
    session, _, _ = harness.open_polling()
    assert session.conn is None
    for event in OTHERS:
        conn_of(session).on(event, print)
    assert type(session) is Session
    assert session.write == session.transport.send
    harness.upgrade(session)
    assert session.write == session.transport.send


@pytest.mark.parametrize("event", OF_PACKETS)
def test_the_first_listener_to_packets_gives_the_session_another_class(event: str) -> None:
    harness = EngineHarness()
    session, receiver, _ = harness.open_polling()
    wire = RecordingWire()
    conn_of(session).on(event, lambda: None)
    assert type(session) is ObservedSession
    wire = harness.upgrade(session)
    session.write(b"4out", ())
    wire.text("4in")
    assert (wire.frames, receiver.received) == (["4out"], ["in"])
