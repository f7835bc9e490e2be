"""Polling on values: packets that wait, GETs that wait, bodies, overlaps, and the ways in which a session closes."""

from __future__ import annotations

import pytest

from socketeer.engine.http import Response
from socketeer.engine.session import State
from socketeer.protocol.revisions import REVISION_4, REVISION_5, Revision
from tests.support.virtual import EngineHarness, Poll, state_of, timers_in

REVISIONS = pytest.mark.parametrize("revision", [REVISION_4, REVISION_5], ids=["revision 4", "revision 5"])
OCTETS = "application/octet-stream"


def body_of(revision: Revision, *packets: str) -> bytes:
    """Write a body as a client does."""
    if revision is REVISION_5:
        return "\x1e".join(packets).encode()
    return "".join(f"{len(packet)}:{packet}" for packet in packets).encode()


def assert_refused(response: Response | None, message: bytes = b"Bad request") -> None:
    assert response is not None
    assert response.status == 400
    assert message in response.body


# The way out


@REVISIONS
def test_a_packet_wakes_the_poll_that_waits(revision: Revision) -> None:
    session, _, polling = EngineHarness().open_polling(revision)
    poll = Poll(polling)
    assert poll.waits
    session.write(b"4one", ())
    session.write(b"4two", (b"attached",))
    assert poll.packets() == ["4one", "4two", b"attached"]
    assert poll.woken == 1


@REVISIONS
def test_packets_wait_for_a_poll(revision: Revision) -> None:
    session, _, polling = EngineHarness().open_polling(revision)
    session.write(b"4one", ())
    session.write(b"4two", ())
    assert Poll(polling).packets() == ["4one", "4two"]
    assert Poll(polling).waits


def test_the_answers_say_what_they_are() -> None:
    harness = EngineHarness()
    session, _, polling = harness.open_polling(REVISION_5)
    session.write(b"4one", (b"1",))
    response = Poll(polling).answer()
    assert dict(response.headers) == {
        b"content-type": b"text/plain; charset=UTF-8",
        b"cache-control": b"no-store",
    }
    assert response.body == b"4one\x1ebMQ=="
    response = harness.post(polling, b"4x")
    assert (response.status, response.body) == (200, b"ok")
    assert dict(response.headers) == {b"content-type": b"text/html", b"cache-control": b"no-store"}


@pytest.mark.parametrize(("query", "binary"), [({}, True), ({"b64": "1"}, False), ({"b64": ""}, False)])
def test_a_binary_body_goes_to_those_who_take_one(query: dict[str, str], binary: bool) -> None:
    session, _, polling = EngineHarness().open_polling(REVISION_4, **query)
    session.write(b"4one", (b"1",))
    response = Poll(polling).answer()
    if binary:
        assert dict(response.headers)[b"content-type"] == OCTETS.encode()
        assert response.body == b"\x00\x04\xff4one" + b"\x01\x02\xff\x041"
    else:
        assert dict(response.headers)[b"content-type"] == b"text/plain; charset=UTF-8"
        assert response.body == b"4:4one6:b4MQ=="


def test_whether_a_packet_would_leave_at_once() -> None:
    session, _, polling = EngineHarness().open_polling()
    seen = [session.writable]
    poll = Poll(polling)
    seen.append(session.writable)
    session.write(b"4one", ())
    seen.append(session.writable)  # the poll is taken, though not answered yet
    poll.answer()
    seen.append(session.writable)
    Poll(polling)
    seen.append(session.writable)
    session.close()
    seen.append(session.writable)
    assert seen == [False, True, False, False, True, False]


@pytest.mark.parametrize("waiting", [False, True])
@pytest.mark.parametrize("sizes", [(100,), (60, 40), (1, 98, 1)])
def test_the_buffer_may_be_full(waiting: bool, sizes: tuple[int, ...]) -> None:
    session, receiver, polling = EngineHarness(max_buffered_bytes=300).open_polling()
    if waiting:
        Poll(polling)
    session.write(b"4".ljust(200), ())
    session.write(b"4".ljust(sizes[0]), [bytes(size) for size in sizes[1:]])
    assert state_of(session) is State.OPEN
    session.write(b"4", ())
    assert state_of(session) is State.CLOSED
    assert receiver.closings == [("transport error", "301 unsent bytes, more than max_buffered_bytes")]


def test_attachments_count_towards_the_buffer() -> None:
    session, receiver, _ = EngineHarness(max_buffered_bytes=300).open_polling()
    session.write(b"4".ljust(200), (bytes(50), bytes(51)))
    assert receiver.closings == [("transport error", "301 unsent bytes, more than max_buffered_bytes")]


def test_what_was_fetched_counts_no_more() -> None:
    session, receiver, polling = EngineHarness(max_buffered_bytes=300).open_polling()
    for _ in range(10):
        session.write(b"4".ljust(300), ())
        assert len(Poll(polling).packets()) == 1
    assert receiver.reasons == []


def test_a_waiting_poll_of_a_session_that_overflows_is_released() -> None:
    session, _, polling = EngineHarness(max_buffered_bytes=300).open_polling()
    poll = Poll(polling)
    session.write(b"4".ljust(301), ())
    assert poll.packets() == ["1"]
    assert_refused(Poll(polling).response)


def test_a_receiver_may_write_while_it_is_told_of_the_overflow() -> None:
    session, receiver, _ = EngineHarness(max_buffered_bytes=300).open_polling()
    receiver.on_closed = lambda: session.write(b"4farewell", ())
    session.write(b"4".ljust(301), ())
    assert receiver.reasons == ["transport error"]


# The way in


@REVISIONS
def test_a_body_is_taken_apart_in_order(revision: Revision) -> None:
    harness = EngineHarness()
    _, receiver, polling = harness.open_polling(revision)
    binary = revision.codec.encode_base64(b"two").decode()
    assert harness.post(polling, body_of(revision, "4one", binary, "6", "4three")).status == 200
    assert harness.post(polling, body_of(revision, "4four")).status == 200
    assert receiver.received == ["one", b"two", "three", "four"]


def test_a_binary_body_of_the_older_revision() -> None:
    harness = EngineHarness()
    _, receiver, polling = harness.open_polling(REVISION_4)
    assert harness.post(polling, b"\x00\x04\xff4one\x01\x04\xff\x04two", OCTETS).status == 200
    assert receiver.received == ["one", b"two"]


@pytest.mark.parametrize("content_type", [OCTETS, OCTETS + "; charset=x", "Application/Octet-Stream"])
def test_the_newer_revision_has_no_binary_bodies(content_type: str) -> None:
    harness = EngineHarness()
    session, receiver, polling = harness.open_polling(REVISION_5)
    poll = Poll(polling)
    assert_refused(harness.post(polling, b"4one", content_type))
    assert state_of(session) is State.CLOSED
    assert receiver.reasons == ["transport error"]
    assert receiver.received == []
    assert poll.packets() == ["1"]


@pytest.mark.parametrize("content_type", ["", "text/plain", "text/plain;charset=UTF-8", "text/html", "nonsense"])
@REVISIONS
def test_any_other_content_type_is_text(revision: Revision, content_type: str) -> None:
    harness = EngineHarness()
    _, receiver, polling = harness.open_polling(revision)
    assert harness.post(polling, body_of(revision, "4one"), content_type).status == 200
    assert receiver.received == ["one"]


def test_the_content_type_of_an_older_client_in_any_case() -> None:
    harness = EngineHarness()
    _, receiver, polling = harness.open_polling(REVISION_4)
    assert harness.post(polling, b"\x00\x04\xff4one", "Application/Octet-Stream").status == 200
    assert receiver.received == ["one"]


@pytest.mark.parametrize(
    ("revision", "body"),
    [
        (REVISION_5, b""),
        (REVISION_5, b"4one\x1e"),
        (REVISION_5, b"4one\x1e\x1e4two"),
        (REVISION_5, b"4one\x1e9"),
        (REVISION_5, b"4one\x1eb!"),
        (REVISION_4, b""),
        (REVISION_4, b"4:4one9:4two"),
        (REVISION_4, b"4:4one1:x"),
        (REVISION_4, b"4one"),
    ],
)
def test_nothing_of_a_malformed_body_is_acted_upon(revision: Revision, body: bytes) -> None:
    harness = EngineHarness()
    session, receiver, polling = harness.open_polling(revision)
    poll = Poll(polling)
    assert_refused(harness.post(polling, body))
    assert receiver.received == []
    assert receiver.reasons == ["parse error"]
    assert state_of(session) is State.CLOSED
    assert poll.packets() == ["1"]


@REVISIONS
def test_a_message_that_the_receiver_refuses_ends_the_session_in_the_middle_of_a_body(revision: Revision) -> None:
    harness = EngineHarness()
    session, receiver, polling = harness.open_polling(revision)
    receiver.bad.add("bad")
    harness.post(polling, body_of(revision, "4good", "4bad", "4late", revision.codec.encode_base64(b"late").decode()))
    assert receiver.received == ["good"]
    assert receiver.closings == [("parse error", "bad message")]
    assert state_of(session) is State.CLOSED


@REVISIONS
@pytest.mark.parametrize("waiting", [False, True])
def test_a_receiver_may_close_the_session_in_the_middle_of_a_body(revision: Revision, waiting: bool) -> None:
    harness = EngineHarness()
    session, receiver, polling = harness.open_polling(revision)
    poll = Poll(polling) if waiting else None
    receiver.on_message = lambda message: session.close("forced close")
    assert harness.post(polling, body_of(revision, "4one", "4two")).status == 200
    assert receiver.received == ["one"]
    assert receiver.reasons == ["forced close"]
    assert (poll or Poll(polling)).packets() == ["1"]
    assert state_of(session) is State.CLOSED


@REVISIONS
def test_a_receiver_may_answer_within_a_body(revision: Revision) -> None:
    harness = EngineHarness()
    session, receiver, polling = harness.open_polling(revision)
    poll = Poll(polling)
    receiver.on_message = lambda message: session.write(f"4{message!s}!".encode(), ())
    harness.post(polling, body_of(revision, "4one", "4two"))
    assert poll.packets() == ["4one!", "4two!"]


# Overlaps


@REVISIONS
@pytest.mark.parametrize("woken", [False, True])
def test_a_second_poll_ends_the_session(revision: Revision, woken: bool) -> None:
    session, receiver, polling = EngineHarness().open_polling(revision)
    first = Poll(polling)
    if woken:
        session.write(b"4one", ())
    assert_refused(Poll(polling).response)
    assert state_of(session) is State.CLOSED
    assert receiver.closings == [("transport error", "overlap from client: two GET requests at a time")]
    assert first.packets() == ["1"]
    assert_refused(Poll(polling).response)


@REVISIONS
def test_a_second_post_ends_the_session(revision: Revision) -> None:
    harness = EngineHarness()
    session, receiver, polling = harness.open_polling(revision)
    poll = Poll(polling)
    assert polling.begin_post("") is None
    assert_refused(polling.begin_post(""))
    assert state_of(session) is State.CLOSED
    assert receiver.closings == [("transport error", "overlap from client: two POST requests at a time")]
    assert poll.packets() == ["1"]
    assert_refused(polling.end_post(body_of(revision, "4late"), ""))
    assert receiver.received == []
    assert_refused(polling.begin_post(""))


@REVISIONS
def test_posts_one_after_the_other_are_no_overlap(revision: Revision) -> None:
    harness = EngineHarness()
    session, _, polling = harness.open_polling(revision)
    Poll(polling)
    for _ in range(3):
        assert harness.post(polling, body_of(revision, "4one")).status == 200
    assert state_of(session) is State.OPEN


# Requests that break off


@REVISIONS
def test_a_poll_given_up_ends_the_session(revision: Revision) -> None:
    session, receiver, polling = EngineHarness().open_polling(revision)
    Poll(polling)
    polling.abort_get()
    assert state_of(session) is State.CLOSED
    assert receiver.closings == [("transport error", "poll connection closed prematurely")]
    polling.abort_get()
    assert len(receiver.closings) == 1


def test_a_poll_that_was_answered_cannot_be_given_up() -> None:
    session, receiver, polling = EngineHarness().open_polling()
    session.write(b"4one", ())
    Poll(polling).packets()
    polling.abort_get()
    assert state_of(session) is State.OPEN
    assert receiver.reasons == []


def test_a_poll_given_up_by_a_client_that_has_upgraded_changes_nothing() -> None:
    harness = EngineHarness()
    session, receiver, polling = harness.open_polling()
    Poll(polling)
    wire = harness.upgrade(session)
    polling.abort_get()
    assert state_of(session) is State.OPEN
    assert wire.open
    assert receiver.reasons == []


@REVISIONS
@pytest.mark.parametrize("reason", ["request closed", "body of more than max_http_buffer_size"])
def test_a_post_given_up_or_too_large_ends_the_session(revision: Revision, reason: str) -> None:
    session, receiver, polling = EngineHarness().open_polling(revision)
    poll = Poll(polling)
    assert polling.begin_post("") is None
    polling.abort_post(reason)
    assert state_of(session) is State.CLOSED
    assert receiver.closings == [("transport error", reason)]
    assert poll.packets() == ["1"]


def test_a_post_given_up_by_a_client_that_has_upgraded_changes_nothing() -> None:
    harness = EngineHarness()
    session, receiver, polling = harness.open_polling()
    assert polling.begin_post("") is None
    harness.upgrade(session)
    polling.abort_post("request closed")
    assert state_of(session) is State.OPEN
    assert receiver.reasons == []


@REVISIONS
def test_a_post_that_ends_after_the_session_is_refused(revision: Revision) -> None:
    session, receiver, polling = EngineHarness().open_polling(revision)
    assert polling.begin_post("") is None
    session.end("ping timeout")
    assert_refused(polling.end_post(body_of(revision, "4late"), ""))
    assert receiver.received == []


@REVISIONS
def test_a_post_under_way_during_the_swap_is_not_lost(revision: Revision) -> None:
    harness = EngineHarness()
    session, receiver, polling = harness.open_polling(revision)
    assert polling.begin_post("") is None
    harness.upgrade(session)
    assert polling.end_post(body_of(revision, "4under way"), "").status == 200
    assert receiver.received == ["under way"]
    assert_refused(polling.begin_post(""))
    assert_refused(Poll(polling).response)
    assert state_of(session) is State.OPEN


# Closing


@REVISIONS
def test_closing_releases_the_poll_that_waits_with_the_close_packet(revision: Revision) -> None:
    harness = EngineHarness()
    session, receiver, polling = harness.open_polling(revision)
    poll = Poll(polling)
    session.close("forced close")
    assert receiver.reasons == ["forced close"]
    assert poll.packets() == ["1"]
    assert state_of(session) is State.CLOSED
    assert harness.engine.clients_count == 0
    assert_refused(Poll(polling).response)


@REVISIONS
@pytest.mark.parametrize("waiting", [False, True])
def test_the_last_packets_come_before_the_close_packet_in_an_answer_of_their_own(
    revision: Revision, waiting: bool
) -> None:
    session, _, polling = EngineHarness().open_polling(revision)
    poll = Poll(polling) if waiting else None
    session.write(b"4one", (b"two",))
    session.write(b"4three", ())
    session.close()
    poll = poll or Poll(polling)
    assert poll.packets() == ["4one", b"two", "4three"]
    assert state_of(session) is State.CLOSING
    assert Poll(polling).packets() == ["1"]
    assert state_of(session) is State.CLOSED


@REVISIONS
def test_a_closing_session_gives_the_next_poll_its_close_packet(revision: Revision) -> None:
    session, _, polling = EngineHarness().open_polling(revision)
    session.close()
    assert Poll(polling).packets() == ["1"]
    assert state_of(session) is State.CLOSED


def test_a_closing_session_waits_for_close_timeout_and_no_longer() -> None:
    harness = EngineHarness(close_timeout=30.0)
    session, receiver, polling = harness.open_polling()
    session.write(b"4last", ())
    session.close("server shutting down")
    harness.time.advance(29.9)
    assert state_of(session) is State.CLOSING
    harness.time.pass_deadline(0.1)
    assert state_of(session) is State.CLOSED
    assert receiver.reasons == ["server shutting down"]
    assert harness.engine.clients_count == 0
    assert timers_in(harness.time.wheel) == 0
    assert_refused(Poll(polling).response)


def test_a_closing_session_that_was_fetched_empty_in_time() -> None:
    harness = EngineHarness(close_timeout=30.0)
    session, receiver, polling = harness.open_polling()
    session.close()
    Poll(polling).packets()
    harness.time.advance(60)
    assert receiver.reasons == ["forced close"]
    assert state_of(session) is State.CLOSED


def test_nothing_is_buffered_while_closing() -> None:
    session, _, polling = EngineHarness().open_polling()
    session.write(b"4last", ())
    session.close()
    session.write(b"4late", ())
    assert Poll(polling).packets() == ["4last"]


@REVISIONS
def test_messages_for_a_closing_session_are_taken_and_dropped(revision: Revision) -> None:
    harness = EngineHarness()
    session, receiver, polling = harness.open_polling(revision)
    session.close()
    assert harness.post(polling, body_of(revision, "4late")).status == 200
    assert receiver.received == []
    assert state_of(session) is State.CLOSING


@REVISIONS
def test_a_close_packet_of_the_client_ends_the_session_and_its_poll(revision: Revision) -> None:
    harness = EngineHarness()
    session, receiver, polling = harness.open_polling(revision)
    poll = Poll(polling)
    session.write(b"4lost", ())
    assert harness.post(polling, body_of(revision, "4one", "1", "4late")).status == 200
    assert receiver.received == ["one"]
    assert receiver.reasons == ["transport close"]
    assert state_of(session) is State.CLOSED
    assert poll.packets() == ["6"]


@REVISIONS
@pytest.mark.parametrize("buffered", [False, True])
def test_a_client_may_close_while_the_server_does(revision: Revision, buffered: bool) -> None:
    harness = EngineHarness()
    session, receiver, polling = harness.open_polling(revision)
    if buffered:
        session.write(b"4last", ())
    session.close("forced close")
    assert harness.post(polling, body_of(revision, "1")).status == 200
    assert state_of(session) is State.CLOSED
    assert receiver.reasons == ["forced close"]
    assert harness.engine.clients_count == 0


def test_a_poll_given_up_while_closing_ends_the_session() -> None:
    session, receiver, polling = EngineHarness().open_polling()
    Poll(polling)
    session.close()
    polling.abort_get()
    assert state_of(session) is State.CLOSED
    assert receiver.reasons == ["forced close"]


# Releases and the handing over; the dance as a whole is in test_websocket.py


def test_a_noop_releases_a_waiting_poll_only() -> None:
    session, _, polling = EngineHarness().open_polling()
    polling.release()
    poll = Poll(polling)
    assert poll.waits  # nothing was left in the buffer
    polling.release()
    polling.release()
    assert poll.packets() == ["6"]
    poll = Poll(polling)
    session.write(b"4one", ())
    polling.release()
    assert poll.packets() == ["4one"]


def test_packets_take_the_place_of_a_noop_that_is_on_its_way() -> None:
    session, _, polling = EngineHarness().open_polling()
    poll = Poll(polling)
    polling.release()
    session.write(b"4one", ())
    assert poll.packets() == ["4one"]


def test_what_is_handed_over_is_not_fetched_again() -> None:
    harness = EngineHarness()
    session, _, polling = harness.open_polling()
    poll = Poll(polling)
    session.write(b"4one", (b"two",))
    wire = harness.upgrade(session)
    assert wire.drain() == ["4one", b"two"]
    assert poll.packets() == ["6"]
    assert session.transport.hand_over() == []


def test_a_noop_that_was_on_its_way_is_not_handed_over() -> None:
    harness = EngineHarness()
    session, _, polling = harness.open_polling()
    wire = harness.probe(session)
    poll = Poll(polling)
    wire.text("2probe")
    harness.time.pass_deadline(0.1)
    assert poll.woken
    wire.text("5")
    assert wire.frames == ["3probe"]
    assert poll.packets() == ["6"]


def test_ending_forgets_what_was_buffered() -> None:
    session, _, polling = EngineHarness().open_polling()
    poll = Poll(polling)
    session.write(b"4one", ())
    session.end("ping timeout")
    assert poll.packets() == ["1"]


def test_an_upgrade_takes_a_closing_session_from_the_poll_that_was_to_close_it() -> None:
    harness = EngineHarness()
    session, _, polling = harness.open_polling()
    poll = Poll(polling)
    wire = harness.probe(session)
    wire.text("2probe")
    session.write(b"4last", ())
    session.close()
    wire.text("5")
    assert poll.packets() == ["6"]
    assert wire.frames == ["3probe", "4last"]
    assert state_of(session) is State.CLOSING  # the WebSocket has its own closing handshake
    assert wire.ending == ["close"]
    wire.lose()
    assert state_of(session) is State.CLOSED
    assert_refused(polling.begin_get(lambda: None))


def test_a_poll_that_was_released_by_an_upgrade_is_not_told_of_the_end() -> None:
    harness = EngineHarness()
    session, _, polling = harness.open_polling()
    poll = Poll(polling)
    wire = harness.upgrade(session)
    wire.lose()
    assert poll.packets() == ["6"]


def test_a_payload_may_be_compressed_if_any_of_its_packets_may() -> None:
    session, _, polling = EngineHarness().open_polling()
    session.write(b"4one", (), False)
    assert not Poll(polling).answer().compress
    session.write(b"4one", (), False)
    session.write(b"4two", ())
    session.write(b"4three", (), False)
    assert Poll(polling).answer().compress
    session.write(b"4one", (b"1",), False)
    assert not Poll(polling).answer().compress
