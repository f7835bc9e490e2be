"""The WebSocket transport, and the upgrade to it: each step, each gap between two steps, and every way to go wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from socketeer.engine.polling import Polling
from socketeer.engine.session import Session, State
from socketeer.engine.websocket import CLOSING_HANDSHAKE, DEAF
from socketeer.protocol.revisions import REVISION_4, REVISION_5, Revision
from tests.support.virtual import EngineHarness, Poll, RecordingWire, request, state_of, timers_in

REVISIONS = pytest.mark.parametrize("revision", [REVISION_4, REVISION_5], ids=["revision 4", "revision 5"])


# The transport


@REVISIONS
def test_a_packet_is_a_frame_and_its_attachments_follow_it(revision: Revision) -> None:
    session, _, wire = EngineHarness().open_websocket(revision)
    session.write(b"4one", ())
    session.write("4zwei €".encode(), (b"a", b""))
    session.write(b"4three", ())
    frame = revision.codec.frame
    assert wire.frames == ["4one", "4zwei €", frame(b"a"), frame(b""), "4three"]


@REVISIONS
def test_a_client_that_asked_for_text_is_sent_no_binary_frames(revision: Revision) -> None:
    harness = EngineHarness()
    wire = RecordingWire()
    query = {"EIO": str(revision.engine), "transport": "websocket", "b64": "1"}
    session = harness.engine.open_websocket(request(query, upgrade=True), revision, wire)
    wire.drain()
    session.write(b"452-one", (b"a", b""))
    session.write(b"4two", ())
    encode = revision.codec.encode_base64
    assert wire.frames == ["452-one", encode(b"a").decode(), encode(b"").decode(), "4two"]
    wire.binary(revision.codec.frame(b"but it may send them"))
    assert harness.receivers[session.id].received == [b"but it may send them"]


@REVISIONS
def test_a_client_that_asked_for_text_keeps_it_over_an_upgrade(revision: Revision) -> None:
    harness = EngineHarness()
    session, _, _ = harness.open_polling(revision, b64="1")
    wire = RecordingWire()
    harness.engine.open_probe(session, wire, text=True)
    session.write(b"451-one", (b"a",))
    wire.text("5")
    session.write(b"451-two", (b"b",))
    encode = revision.codec.encode_base64
    assert wire.frames == ["451-one", encode(b"a").decode(), "451-two", encode(b"b").decode()]


def test_the_unsent_bytes_are_limited_for_text_too() -> None:
    harness = EngineHarness(max_buffered_bytes=300)
    session, receiver, _ = harness.open_polling()
    wire = RecordingWire()
    harness.engine.open_probe(session, wire, text=True)
    wire.text("5")
    wire.congested = True
    for wire.backlog in (300, 301):
        assert receiver.reasons == []
        session.write(b"4one", (b"two",))
    assert receiver.reasons == ["transport error"]


def test_whether_the_wire_took_everything() -> None:
    session, _, wire = EngineHarness().open_websocket()
    seen = [session.writable]
    wire.backlog = 1
    seen.append(session.writable)
    wire.backlog = 0
    seen.append(session.writable)
    assert seen == [True, False, True]


@pytest.mark.parametrize("congested", [False, True])
@pytest.mark.parametrize(("backlog", "too_much"), [(0, False), (300, False), (301, True)])
def test_the_unsent_bytes_are_limited(congested: bool, backlog: int, too_much: bool) -> None:
    session, receiver, wire = EngineHarness(max_buffered_bytes=300).open_websocket()
    wire.congested = congested
    wire.backlog = backlog
    session.write(b"4one", (b"two",))
    assert wire.frames == ["4one", b"two"]
    if congested and too_much:
        assert receiver.closings == [("transport error", "301 unsent bytes, more than max_buffered_bytes")]
        assert wire.ending == ["abort"]  # no use in waiting for a peer that does not read
    else:
        assert state_of(session) is State.OPEN


@pytest.mark.parametrize(("backlog", "ending"), [(0, ["close", "disconnect"]), (1, ["abort"])])
def test_ending_does_not_wait_for_a_peer_that_does_not_read(backlog: int, ending: list[str]) -> None:
    session, _, wire = EngineHarness().open_websocket()
    wire.backlog = backlog
    session.end("ping timeout")
    assert wire.ending == ending


@pytest.mark.parametrize(("backlog", "patience"), [(0, CLOSING_HANDSHAKE), (5000, 30.0)])
def test_a_peer_that_does_not_answer_the_close_frame_is_dropped(backlog: int, patience: float) -> None:
    harness = EngineHarness(close_timeout=30.0)
    session, receiver, wire = harness.open_websocket()
    wire.backlog = backlog
    session.write(b"4last", ())
    session.close("server shutting down")
    assert wire.frames == ["4last"]
    assert wire.ending == ["close"]
    harness.time.advance(patience - 0.1)
    assert state_of(session) is State.CLOSING
    harness.time.pass_deadline(0.1)
    assert state_of(session) is State.CLOSED
    assert wire.ending == ["close", "abort"] if backlog else ["close", "close", "disconnect"]
    assert receiver.reasons == ["server shutting down"]
    assert timers_in(harness.time.wheel) == 0


def test_losing_the_wire_ends_the_session() -> None:
    harness = EngineHarness()
    session, receiver, wire = harness.open_websocket()
    wire.lose("transport error", "1009: too big")
    assert state_of(session) is State.CLOSED
    assert receiver.closings == [("transport error", "1009: too big")]
    assert harness.engine.clients_count == 0


def test_nothing_is_buffered_for_another_transport() -> None:
    session, _, _ = EngineHarness().open_websocket()
    session.write(b"4one", ())
    assert session.transport.hand_over() == []
    assert session.transport.name == "websocket"


def test_a_deaf_sink_hears_nothing() -> None:
    assert DEAF.receive_text(b"4") is None  # type: ignore[func-returns-value]
    assert DEAF.receive_frame(b"4") is None  # type: ignore[func-returns-value]
    assert DEAF.end("transport close") is None  # type: ignore[func-returns-value]


# The upgrade


@REVISIONS
def test_an_upgrade(revision: Revision) -> None:
    harness = EngineHarness()
    session, receiver, polling = harness.open_polling(revision)
    wire = harness.probe(session)
    wire.text("2probe")
    assert wire.drain() == ["3probe"]
    assert session.transport is polling
    wire.text("5")
    assert session.transport.name == "websocket"
    assert session.probe is None
    wire.text("4up")
    session.write(b"4down", ())
    assert receiver.received == ["up"]
    assert wire.frames == ["4down"]
    assert timers_in(harness.time.wheel) == 1  # the heartbeat, and nothing of the probe
    harness.time.advance(20)
    assert wire.frames == ["4down"]


STEPS = ["start", "probing", "probed", "released", "polled", "upgraded", "answered"]


def go(harness: EngineHarness, session: Session, visit: Callable[[str], None]) -> RecordingWire:
    """Go through an upgrade as the official client does, and call ``visit`` in each gap; return the new wire."""
    polling = session.transport
    assert isinstance(polling, Polling)
    poll = Poll(polling)
    fetched: list[str | bytes] = []
    visit("start")
    if poll.woken:
        fetched += poll.packets()
        poll = Poll(polling)
    wire = harness.probe(session)
    visit("probing")
    wire.text("2probe")
    visit("probed")
    harness.time.pass_deadline(0.1)
    visit("released")
    fetched += poll.packets()
    visit("polled")
    wire.text("5")
    visit("upgraded")
    wire.frames[:0] = fetched
    visit("answered")
    return wire


@REVISIONS
@pytest.mark.parametrize("step", STEPS)
def test_a_packet_in_any_gap_arrives_once(revision: Revision, step: str) -> None:
    harness = EngineHarness()
    session, _, _ = harness.open_polling(revision)
    wire = go(harness, session, lambda now: session.write(b"4message", ()) if now == step else None)
    assert [frame for frame in wire.frames if frame not in ("6", "3probe")] == ["4message"]
    assert state_of(session) is State.OPEN


@REVISIONS
def test_packets_in_every_gap_arrive_once_and_in_order(revision: Revision) -> None:
    harness = EngineHarness()
    session, _, _ = harness.open_polling(revision)
    wire = go(harness, session, lambda now: session.write(f"4{now}".encode(), ()))
    assert [frame for frame in wire.frames if frame not in ("6", "3probe")] == [f"4{step}" for step in STEPS]


@REVISIONS
def test_a_binary_packet_goes_over_in_the_form_of_the_new_transport(revision: Revision) -> None:
    harness = EngineHarness()
    session, _, _ = harness.open_polling(revision)
    wire = harness.probe(session)
    wire.text("2probe")
    session.write(b"451-[]", (b"abc",))
    wire.text("5")
    assert wire.frames == ["3probe", "451-[]", revision.codec.frame(b"abc")]


@pytest.mark.parametrize("step", ["start", "probing", "probed", "released", "polled"])
def test_closing_in_any_gap_before_the_swap_loses_nothing(step: str) -> None:
    harness = EngineHarness()
    session, receiver, polling = harness.open_polling()
    fetched: list[str | bytes] = []
    poll: Poll | None = Poll(polling)

    def visit(now: str) -> None:
        if now == step:
            session.write(b"4last", ())
            session.close("forced close")

    def fetch() -> None:
        nonlocal poll
        poll = poll or Poll(polling)
        if not poll.waits:
            fetched.extend(poll.packets())
            poll = None

    visit("start")
    fetch()
    wire = RecordingWire()
    if state_of(session) is State.OPEN:
        wire = harness.probe(session)
    visit("probing")
    wire.text("2probe")
    visit("probed")
    harness.time.pass_deadline(0.1)
    visit("released")
    fetch()
    visit("polled")
    wire.text("5")
    while state_of(session) is not State.CLOSED and wire.open:
        fetch()
    delivered = [*fetched, *wire.frames]
    assert delivered.count("4last") == 1
    assert receiver.reasons == ["forced close"]
    assert wire.ending or "1" in fetched
    wire.lose()
    assert harness.engine.clients_count == 0


def test_closing_right_after_the_swap() -> None:
    harness = EngineHarness()
    session, _, polling = harness.open_polling()
    poll = Poll(polling)
    wire = harness.upgrade(session)
    session.write(b"4last", ())
    session.close()
    assert wire.frames == ["4last"]
    assert wire.ending == ["close"]
    assert poll.packets() == ["6"]


def test_a_poll_is_released_again_and_again_until_the_swap() -> None:
    harness = EngineHarness()
    session, _, polling = harness.open_polling()
    wire = harness.probe(session)
    wire.text("2probe")
    for _ in range(20):
        poll = Poll(polling)
        assert poll.waits
        harness.time.advance(0.15)
        assert poll.packets() == ["6"]
    wire.text("5")
    assert session.transport.name == "websocket"
    assert timers_in(harness.time.wheel) == 1


def test_a_probe_that_has_not_spoken_releases_no_poll() -> None:
    harness = EngineHarness()
    session, _, polling = harness.open_polling()
    poll = Poll(polling)
    harness.probe(session)
    harness.time.advance(5)
    assert poll.waits


def test_a_client_may_probe_twice_on_one_websocket() -> None:
    harness = EngineHarness()
    session, _, _ = harness.open_polling()
    wire = harness.probe(session)
    wire.text("2probe")
    wire.text("2probe")
    assert wire.frames == ["3probe", "3probe"]
    assert timers_in(harness.time.wheel) == 3  # the heartbeat, the upgrade and the release, each once
    wire.text("5")
    assert session.transport.name == "websocket"


@REVISIONS
@pytest.mark.parametrize("probed", [False, True])
@pytest.mark.parametrize(
    "packet", ["", "1", "2", "2prob", "2probex", "3probe", "4message", "6", "50", "x", b"", b"\x02"]
)
def test_anything_else_closes_the_probe_and_leaves_the_session(
    revision: Revision, probed: bool, packet: str | bytes
) -> None:
    harness = EngineHarness()
    session, receiver, polling = harness.open_polling(revision)
    poll = Poll(polling)
    wire = harness.probe(session)
    if probed:
        wire.text("2probe")
    wire.drain()
    if isinstance(packet, str):
        wire.text(packet)
    else:
        wire.binary(packet)
    assert wire.frames == []
    assert wire.ending == ["close", "disconnect"]
    assert wire.sink is DEAF
    wire.text("5")
    wire.lose()
    assert session.probe is None
    assert session.transport is polling
    assert (receiver.received, receiver.reasons) == ([], [])
    harness.time.advance(1)
    assert poll.waits
    assert timers_in(harness.time.wheel) == 1
    assert harness.upgrade(session).open  # and it may be tried again


@pytest.mark.parametrize("probed", [False, True])
def test_a_probe_that_is_lost_leaves_the_session(probed: bool) -> None:
    harness = EngineHarness()
    session, receiver, polling = harness.open_polling()
    wire = harness.probe(session)
    if probed:
        wire.text("2probe")
    wire.lose("transport error", "reset")
    assert session.probe is None
    assert receiver.reasons == []
    session.write(b"4one", ())
    assert Poll(polling).packets() == ["4one"]
    assert timers_in(harness.time.wheel) == 1


@pytest.mark.parametrize("probed", [False, True])
def test_an_upgrade_that_is_not_finished_in_time_is_given_up(probed: bool) -> None:
    harness = EngineHarness(upgrade_timeout=10.0)
    session, receiver, _ = harness.open_polling()
    wire = harness.probe(session)
    if probed:
        wire.text("2probe")
    harness.time.advance(9.9)
    assert wire.open
    harness.time.pass_deadline(0.1)
    assert wire.ending == ["close", "disconnect"]
    assert session.probe is None
    assert receiver.reasons == []
    assert timers_in(harness.time.wheel) == 1


def test_an_upgrade_in_the_last_moment() -> None:
    harness = EngineHarness(upgrade_timeout=10.0)
    session, _, _ = harness.open_polling()
    wire = harness.probe(session)
    wire.text("2probe")
    harness.time.advance(9.9)
    wire.text("5")
    harness.time.advance(10)
    assert wire.open
    assert session.transport.name == "websocket"


def test_probing_on_and_on_buys_no_time() -> None:
    harness = EngineHarness(upgrade_timeout=10.0)
    session, _, _ = harness.open_polling()
    wire = harness.probe(session)
    for _ in range(198):
        wire.text("2probe")
        harness.time.advance(0.05)
    assert len(wire.frames) == 198
    harness.time.pass_deadline(0.1)
    assert wire.ending == ["close", "disconnect"]


def test_a_second_upgrade_at_a_time_is_refused() -> None:
    harness = EngineHarness()
    session, _, _ = harness.open_polling()
    first = harness.probe(session)
    again = request({"EIO": "4", "transport": "websocket", "sid": session.id}, upgrade=True)
    assert getattr(harness.engine.check(again), "session", None) is session  # to be opened, and closed at once
    second = RecordingWire()
    harness.engine.open_probe(session, second)  # both were let in before either was there
    assert second.ending == ["close", "disconnect"]
    second.text("5")
    assert first.open
    first.text("2probe")
    first.text("5")
    assert session.transport.name == "websocket"
    third = RecordingWire()
    harness.engine.open_probe(session, third)
    assert third.ending == ["close", "disconnect"]
    assert timers_in(harness.time.wheel) == 1


@pytest.mark.parametrize("how", ["close", "end"])
def test_a_probe_for_a_session_that_went_meanwhile_is_closed(how: str) -> None:
    harness = EngineHarness()
    session, _, _ = harness.open_polling()
    if how == "close":
        session.close()
    else:
        session.end("ping timeout")
    wire = RecordingWire()
    harness.engine.open_probe(session, wire)
    assert wire.ending == ["close", "disconnect"]
    wire.text("5")
    assert session.transport.name == "polling"


def test_a_closing_session_that_is_fetched_by_polling_drops_its_probe() -> None:
    harness = EngineHarness()
    session, _, polling = harness.open_polling()
    wire = harness.probe(session)
    wire.text("2probe")
    session.close()
    assert wire.open  # it may still finish
    assert Poll(polling).packets() == ["1"]
    assert wire.ending == ["close", "disconnect"]
    assert timers_in(harness.time.wheel) == 0


def test_a_closing_session_that_upgraded_waits_for_the_closing_handshake() -> None:
    harness = EngineHarness(close_timeout=30.0)
    session, _, _ = harness.open_polling()
    wire = harness.probe(session)
    wire.text("2probe")
    session.write(b"4last", ())
    session.close()
    wire.text("5")
    assert wire.frames == ["3probe", "4last"]
    harness.time.pass_deadline(CLOSING_HANDSHAKE)
    assert state_of(session) is State.CLOSED
    assert harness.engine.clients_count == 0


def test_a_client_may_swap_without_a_probe() -> None:
    # As with the reference implementation; nothing is lost by it.
    harness = EngineHarness()
    session, _, polling = harness.open_polling()
    poll = Poll(polling)
    session.write(b"4one", ())
    wire = harness.probe(session)
    wire.text("5")
    assert wire.frames == ["4one"]
    assert poll.packets() == ["6"]
