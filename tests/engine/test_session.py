"""A session on values and a virtual clock: its states, its heartbeat in both revisions, and what ends it."""

from __future__ import annotations

import base64
import logging

import pytest

from socketeer.engine.session import ObservedSession, Session, State, trace_enabled
from socketeer.engine.websocket import WebSocket
from socketeer.protocol.revisions import REVISION_4, REVISION_5, Revision
from tests.support.virtual import EngineHarness, Poll, RecordingReceiver, RecordingWire, state_of, timers_in

REVISIONS = pytest.mark.parametrize("revision", [REVISION_4, REVISION_5], ids=["revision 4", "revision 5"])


# States


STEPS = {(State.OPEN, State.CLOSING), (State.OPEN, State.CLOSED), (State.CLOSING, State.CLOSED)}


@pytest.mark.parametrize("before", State)
@pytest.mark.parametrize("after", State)
def test_the_steps_between_the_states(before: State, after: State) -> None:
    session, _, _ = EngineHarness().open_websocket()
    session.state = before
    if (before, after) in STEPS:
        session._become(after)
        assert session.state is after
    else:
        with pytest.raises(RuntimeError, match=f"cannot go from {before} to {after}"):
            session._become(after)
        assert session.state is before


@REVISIONS
def test_closing_waits_for_the_peer(revision: Revision) -> None:
    harness = EngineHarness()
    session, receiver, wire = harness.open_websocket(revision)
    session.close("server shutting down")
    assert state_of(session) is State.CLOSING
    assert receiver.closings == [("server shutting down", None)]
    assert wire.ending == ["close"]
    assert harness.engine.clients_count == 1
    wire.lose()
    assert state_of(session) is State.CLOSED
    assert len(receiver.closings) == 1
    assert harness.engine.clients_count == 0


def test_closing_again_changes_nothing() -> None:
    session, receiver, wire = EngineHarness().open_websocket()
    session.close("first")
    session.close("second")
    assert receiver.reasons == ["first"]
    assert wire.ending == ["close"]
    wire.lose()
    session.close("third")
    session.end("fourth")
    assert receiver.reasons == ["first"]
    assert state_of(session) is State.CLOSED


def test_ending_tells_the_receiver_once_and_then_the_engine() -> None:
    harness = EngineHarness()
    session, receiver, _ = harness.open_websocket()
    counts: list[int] = []
    receiver.on_closed = lambda: counts.append(harness.engine.clients_count)
    session.end("transport error", "details")
    session.end("again")
    assert receiver.closings == [("transport error", "details")]
    assert counts == [1]
    assert harness.engine.clients_count == 0


def test_a_receiver_that_fails_while_it_is_told_does_not_keep_the_session() -> None:
    harness = EngineHarness()
    _, receiver, wire = harness.open_websocket()

    def fail() -> None:
        raise ZeroDivisionError

    receiver.on_closed = fail
    with pytest.raises(ZeroDivisionError):
        wire.lose()
    assert harness.engine.clients_count == 0
    assert timers_in(harness.time.wheel) == 0


@REVISIONS
def test_closing_does_not_wait_for_ever(revision: Revision) -> None:
    harness = EngineHarness()
    session, receiver, wire = harness.open_websocket(revision)
    session.close("server shutting down")
    harness.time.advance(1.9)
    assert state_of(session) is State.CLOSING
    harness.time.pass_deadline(0.1)
    assert state_of(session) is State.CLOSED
    assert receiver.reasons == ["server shutting down"]
    assert wire.ending == ["close", "close", "disconnect"]


@pytest.mark.parametrize("nested", ["close", "end"])
def test_a_receiver_may_close_and_end_the_session_while_it_is_told(nested: str) -> None:
    harness = EngineHarness()
    session, receiver, wire = harness.open_websocket()
    receiver.on_closed = lambda: session.close() if nested == "close" else session.end("nested")
    session.close("outer")
    wire.lose()
    assert receiver.reasons == ["outer"]
    assert harness.engine.clients_count == 0


@pytest.mark.parametrize("how", ["close", "end", "lose"])
def test_nothing_is_sent_or_received_any_more(how: str) -> None:
    session, receiver, wire = EngineHarness().open_websocket()
    write = session.write
    if how == "close":
        session.close()
    elif how == "end":
        session.end("transport error")
    else:
        wire.lose()
    session.write(b"4late", (b"late",))
    session.receive_text(b"4late")
    session.receive_frame(b"late")
    session.receive_binary(b"late")
    assert wire.frames == []
    assert receiver.received == []
    assert not session.writable
    assert write != session.write


@pytest.mark.parametrize("how", ["close", "end", "ping timeout"])
def test_a_session_that_is_over_leaves_no_timer(how: str) -> None:
    harness = EngineHarness()
    session, _, wire = harness.open_websocket()
    if how == "close":
        session.close()
        wire.lose()
    elif how == "end":
        session.end("transport error")
    harness.time.pass_deadline(60)
    assert harness.engine.clients_count == 0
    assert timers_in(harness.time.wheel) == 0


# What comes in


@REVISIONS
def test_messages_reach_the_receiver_in_order(revision: Revision) -> None:
    _, receiver, wire = EngineHarness().open_websocket(revision)
    wire.text("4one")
    wire.binary(revision.codec.frame(b"two"))
    wire.text("4")
    wire.text(revision.codec.encode_base64(b"three").decode())
    wire.binary(revision.codec.frame(b""))
    assert receiver.received == ["one", b"two", "", b"three", b""]


@REVISIONS
@pytest.mark.parametrize("packet", ["0", "5", "6", "0{}", "6x"])
def test_packets_that_mean_nothing_to_a_server_are_ignored(revision: Revision, packet: str) -> None:
    session, receiver, wire = EngineHarness().open_websocket(revision)
    wire.text(packet)
    assert state_of(session) is State.OPEN
    assert (wire.frames, receiver.received) == ([], [])


@REVISIONS
@pytest.mark.parametrize("packet", ["1", "1x"])
def test_a_close_packet_ends_the_session(revision: Revision, packet: str) -> None:
    session, receiver, wire = EngineHarness().open_websocket(revision)
    wire.text(packet)
    assert state_of(session) is State.CLOSED
    assert receiver.closings == [("transport close", None)]
    assert wire.ending == ["close", "disconnect"]


@REVISIONS
@pytest.mark.parametrize("packet", ["", "7", "9", "a", "é", " ", "\x04", "b4!", "b!", "bAAA", "b4AA=A", "-"])
def test_a_malformed_packet_ends_the_session(revision: Revision, packet: str) -> None:
    session, receiver, wire = EngineHarness().open_websocket(revision)
    wire.text(packet)
    wire.text("4late")
    assert state_of(session) is State.CLOSED
    assert receiver.reasons == ["parse error"]
    assert receiver.closings[0][1]
    assert receiver.received == []


@pytest.mark.parametrize(
    ("revision", "packet", "received"),
    [(REVISION_4, "b4", [b""]), (REVISION_4, "b", []), (REVISION_5, "b", [b""]), (REVISION_5, "b4", [])],
)
def test_the_mark_of_base64_is_the_revisions_own(revision: Revision, packet: str, received: list[bytes]) -> None:
    _, receiver, wire = EngineHarness().open_websocket(revision)
    wire.text(packet)
    assert receiver.received == received
    assert receiver.reasons == ([] if received else ["parse error"])


@pytest.mark.parametrize("frame", [b"", b"\x07", b"4text", b"\xff"])
def test_a_binary_frame_without_the_type_that_its_revision_demands_ends_the_session(frame: bytes) -> None:
    session, receiver, wire = EngineHarness().open_websocket(REVISION_4)
    wire.binary(frame)
    assert state_of(session) is State.CLOSED
    assert receiver.reasons == ["parse error"]


def test_the_older_revision_may_put_any_packet_into_a_binary_frame() -> None:
    session, receiver, wire = EngineHarness().open_websocket(REVISION_4)
    wire.binary(b"\x02probe")
    assert wire.frames == ["3"]
    wire.binary(b"\x04\x00")
    wire.binary(b"\x01")
    assert receiver.received == [b"\x00"]
    assert receiver.reasons == ["transport close"]
    assert state_of(session) is State.CLOSED


@pytest.mark.parametrize("message", ["bad", b"bad"])
@pytest.mark.parametrize("base64_text", [False, True])
def test_a_message_that_the_receiver_finds_malformed_ends_the_session(message: str | bytes, base64_text: bool) -> None:
    session, receiver, wire = EngineHarness().open_websocket()
    receiver.bad.add(message)
    if isinstance(message, str):
        wire.text(f"4{message}")
    elif base64_text:
        wire.text("b" + base64.b64encode(message).decode())
    else:
        wire.binary(message)
    assert state_of(session) is State.CLOSED
    assert receiver.closings == [("parse error", "bad message")]


def test_a_malformed_binary_message_of_a_payload_ends_the_session() -> None:
    session, receiver, _ = EngineHarness().open_polling()
    receiver.bad.add(b"bad")
    session.receive_binary(b"good")
    session.receive_binary(b"bad")
    session.receive_binary(b"good")
    assert receiver.received == [b"good"]
    assert receiver.closings == [("parse error", "bad message")]


def test_a_receiver_may_close_the_session_over_a_message() -> None:
    session, receiver, wire = EngineHarness().open_websocket()
    receiver.on_message = lambda message: session.close("forced close")
    wire.text("4one")
    wire.text("4two")
    assert receiver.received == ["one"]
    assert receiver.reasons == ["forced close"]


# Heartbeats where the server pings


def beating() -> tuple[EngineHarness, Session, RecordingReceiver, list[str | bytes]]:
    harness = EngineHarness(ping_interval=25.0, ping_timeout=20.0)
    session, receiver, wire = harness.open_websocket(REVISION_5)
    return harness, session, receiver, wire.frames


def test_a_ping_leaves_after_each_interval() -> None:
    harness, session, _, frames = beating()
    harness.time.advance(24.9)
    assert frames == []
    for count in range(1, 10):
        harness.time.advance(0.3)
        assert frames == ["2"] * count
        session.receive_text(b"3")
        harness.time.advance(24.8)
        assert frames == ["2"] * count
    assert state_of(session) is State.OPEN


def test_an_answer_in_the_last_moment_is_in_time() -> None:
    harness, session, receiver, _ = beating()
    harness.time.pass_deadline(25)
    harness.time.advance(19.9)
    session.receive_text(b"3")
    harness.time.advance(24)
    assert receiver.reasons == []


def test_no_answer_ends_the_session() -> None:
    harness, session, receiver, _ = beating()
    harness.time.pass_deadline(25)
    harness.time.advance(19.9)
    assert state_of(session) is State.OPEN
    harness.time.pass_deadline(0.1)
    assert state_of(session) is State.CLOSED
    assert receiver.reasons == ["ping timeout"]


def test_messages_are_no_answer() -> None:
    harness, session, receiver, _ = beating()
    for _ in range(46):
        session.receive_text(b"4still here")
        harness.time.advance(1)
    assert receiver.reasons == ["ping timeout"]


def test_a_pong_before_the_ping_is_no_answer_to_it() -> None:
    harness, session, receiver, frames = beating()
    harness.time.advance(24)
    session.receive_text(b"3")
    harness.time.pass_deadline(1)
    assert frames == ["2"]  # and it did not put the ping off
    harness.time.pass_deadline(20)
    assert receiver.reasons == ["ping timeout"]


def test_a_pong_may_carry_data() -> None:
    harness, session, _, frames = beating()
    harness.time.pass_deadline(25)
    session.receive_text(b"3data")
    harness.time.pass_deadline(25)
    assert frames == ["2", "2"]
    assert state_of(session) is State.OPEN


def test_a_flood_of_pongs_leaves_one_timer_and_buys_no_time() -> None:
    harness, session, receiver, frames = beating()
    for asked in (False, True):
        for _ in range(1000):
            session.receive_text(b"3")
            assert timers_in(harness.time.wheel) == 1
        harness.time.pass_deadline(25)
        assert len(frames) == 1 + asked
    harness.time.pass_deadline(20)
    assert receiver.reasons == ["ping timeout"]
    assert harness.time.turns <= 8


def test_a_ping_from_the_side_that_answers_ends_the_session() -> None:
    _, session, receiver, frames = beating()
    session.receive_text(b"2")
    assert receiver.closings == [("parse error", "ping from the side that answers the pings")]
    assert state_of(session) is State.CLOSED
    assert frames == []


def test_a_ping_waits_for_the_next_poll() -> None:
    harness = EngineHarness()
    session, receiver, polling = harness.open_polling(REVISION_5)
    waiting = Poll(polling)
    harness.time.pass_deadline(25)
    assert waiting.packets() == ["2"]
    assert harness.post(polling, b"3").status == 200
    harness.time.pass_deadline(25)
    harness.time.advance(1)
    assert Poll(polling).packets() == ["2"]
    harness.time.pass_deadline(20)
    assert receiver.reasons == ["ping timeout"]
    assert state_of(session) is State.CLOSED


def test_a_ping_that_overflows_the_buffer_ends_the_session_for_good() -> None:
    harness = EngineHarness(max_buffered_bytes=200)
    session, receiver, _ = harness.open_polling()
    session.write(b"4".ljust(200, b"."), ())
    assert state_of(session) is State.OPEN
    harness.time.pass_deadline(25)
    assert receiver.reasons == ["transport error"]
    assert state_of(session) is State.CLOSED
    assert timers_in(harness.time.wheel) == 0


# Heartbeats where the client pings


def test_a_ping_is_answered_and_buys_time() -> None:
    harness = EngineHarness(ping_interval=25.0, ping_timeout=20.0)
    session, receiver, wire = harness.open_websocket(REVISION_4)
    for _ in range(10):
        harness.time.advance(44.9)
        wire.text("2")
        assert wire.drain() == ["3"]
    assert state_of(session) is State.OPEN
    assert timers_in(harness.time.wheel) == 1
    harness.time.advance(44.9)
    assert state_of(session) is State.OPEN
    harness.time.pass_deadline(0.1)
    assert receiver.reasons == ["ping timeout"]
    assert wire.frames == []


def test_messages_of_an_older_client_are_no_ping() -> None:
    harness = EngineHarness()
    _, receiver, wire = harness.open_websocket(REVISION_4)
    for _ in range(46):
        wire.text("4still here")
        harness.time.advance(1)
    assert receiver.reasons == ["ping timeout"]


def test_a_pong_from_the_side_that_pings_ends_the_session() -> None:
    session, receiver, wire = EngineHarness().open_websocket(REVISION_4)
    wire.text("3")
    assert receiver.closings == [("parse error", "pong from the side that sends the pings")]
    assert state_of(session) is State.CLOSED


def test_a_flood_of_pings_leaves_one_timer() -> None:
    harness = EngineHarness()
    session, _, wire = harness.open_websocket(REVISION_4)
    for _ in range(1000):
        wire.text("2")
    assert wire.drain() == ["3"] * 1000
    assert timers_in(harness.time.wheel) == 1
    assert state_of(session) is State.OPEN


@REVISIONS
def test_a_closing_session_has_no_heartbeat(revision: Revision) -> None:
    harness = EngineHarness(close_timeout=1000.0)
    session, receiver, polling = harness.open_polling(revision)
    session.write(b"4last", ())
    session.close()
    harness.time.advance(999)
    assert state_of(session) is State.CLOSING
    assert Poll(polling).packets() == ["4last"]
    assert receiver.reasons == ["forced close"]


@REVISIONS
def test_the_heartbeat_goes_on_over_an_upgrade(revision: Revision) -> None:
    harness = EngineHarness()
    session, receiver, polling = harness.open_polling(revision)
    if revision.server_pings:
        harness.time.pass_deadline(25)
        assert Poll(polling).packets() == ["2"]
        wire = harness.upgrade(session)
        wire.text("3")
        harness.time.pass_deadline(25)
        assert wire.drain() == ["2"]
        harness.time.pass_deadline(20)
    else:
        harness.time.advance(40)
        wire = harness.upgrade(session)
        harness.time.pass_deadline(5)
    assert receiver.reasons == ["ping timeout"]
    assert wire.ending == ["close", "disconnect"]


# Upgrades; more of them in test_websocket.py


def test_a_closing_session_takes_its_last_packets_along() -> None:
    session, receiver, _ = EngineHarness().open_polling()
    wire = RecordingWire()
    session.write(b"4last", ())
    session.close()
    session.upgrade(WebSocket(session, wire))
    session.write(b"4late", ())
    assert wire.frames == ["4last"]
    assert wire.ending == ["close"]
    assert receiver.reasons == ["forced close"]


@pytest.mark.parametrize("reason", ["transport close", "ping timeout"])
def test_a_session_that_ends_takes_its_probe_along(reason: str) -> None:
    harness = EngineHarness()
    session, _, _ = harness.open_polling()
    wire = harness.probe(session)
    session.end(reason)
    assert session.probe is None
    assert wire.ending == ["close", "disconnect"]
    assert timers_in(harness.time.wheel) == 0


# Tracing


@pytest.fixture
def traced(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, "socketeer.engine.session")
    return caplog


def test_nothing_is_traced_by_default() -> None:
    assert not trace_enabled()
    session, _, _ = EngineHarness().open_websocket()
    assert type(session) is Session


@REVISIONS
def test_a_traced_session_behaves_alike_and_logs_each_packet(
    revision: Revision, traced: pytest.LogCaptureFixture
) -> None:
    assert trace_enabled()
    harness = EngineHarness()
    session, receiver, polling = harness.open_polling(revision)
    assert type(session) is ObservedSession
    assert session.transport is polling
    session.write(b"4by polling", (b"abc",))
    assert Poll(polling).packets() == ["4by polling", b"abc"]
    session.receive_binary(b"posted")
    session.write(b"4in between", ())
    wire = harness.upgrade(session)
    session.write(b"4by websocket", (b"de",))
    assert wire.frames == ["4in between", "4by websocket", revision.codec.frame(b"de")]
    wire.text("4text")
    wire.binary(revision.codec.frame(b"binary"))
    assert receiver.received == [b"posted", "text", b"binary"]
    session.close()
    session.write(b"4late", ())
    assert wire.frames[-1] == revision.codec.frame(b"de")
    log = "\n".join(record.getMessage() for record in traced.records)
    for expected in [
        "sends b'4by polling' and 1 attachments",
        "sends b'4by websocket' and 1 attachments",
        "received b'4text'",
        "received 6 binary bytes",
        "upgraded to websocket",
        "closing: forced close",
    ]:
        assert f"{session.id} {expected}" in log
    assert "late" not in log


def test_a_traced_session_that_is_closing_writes_nothing_after_an_upgrade(traced: pytest.LogCaptureFixture) -> None:
    harness = EngineHarness()
    session, _, _ = harness.open_polling()
    wire = harness.probe(session)
    wire.text("2probe")
    session.close()
    wire.text("5")
    session.write(b"4late", ())
    assert wire.frames == ["3probe"]
    assert wire.ending == ["close"]
