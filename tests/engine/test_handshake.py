"""The checks of the engine, the handshake that a client gets, and the keeping of the sessions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from socketeer.engine.handshake import Admission
from socketeer.engine.http import ErrorCode, Request, Response, error_response
from socketeer.engine.session import Session, State
from socketeer.protocol.revisions import REVISION_4, REVISION_5, Revision
from tests.support.virtual import EngineHarness, Poll, RecordingWire, request, state_of

REVISIONS = pytest.mark.parametrize("revision", [REVISION_4, REVISION_5], ids=["revision 4", "revision 5"])
POLLING = {"EIO": "4", "transport": "polling"}
WEBSOCKET = {"EIO": "4", "transport": "websocket"}


def refusal(harness: EngineHarness, asked: Request) -> tuple[int, str]:
    """Return the code and the message of the refusal that ``asked`` must get."""
    response = harness.engine.check(asked)
    assert isinstance(response, Response), "the request was let in"
    assert dict(response.headers) == {b"content-type": b"application/json"}
    content = json.loads(response.body)
    assert set(content) == {"code", "message"}
    assert response.status == (403 if content["code"] == 4 else 400)
    return content["code"], content["message"]


# Refusals


@pytest.mark.parametrize(
    "transport", [None, "", "Polling", "flashsocket", "polling,polling", "__proto__", "websocket "]
)
@pytest.mark.parametrize("sid", [None, "session-1", "unknown"])
def test_an_unknown_transport(transport: str | None, sid: str | None) -> None:
    harness = EngineHarness()
    harness.open_polling()
    query = (
        {"EIO": "4"} | ({} if transport is None else {"transport": transport}) | ({} if sid is None else {"sid": sid})
    )
    assert refusal(harness, request(query)) == (0, "Transport unknown")


def test_a_transport_that_is_switched_off() -> None:
    harness = EngineHarness(transports=["websocket"])
    assert refusal(harness, request(POLLING)) == (0, "Transport unknown")
    harness.open_websocket()
    harness = EngineHarness(transports=["polling"])
    assert refusal(harness, request(WEBSOCKET, upgrade=True)) == (0, "Transport unknown")
    harness.open_polling()


@pytest.mark.parametrize("sid", ["", "unknown", "SESSION-1", "session-1 ", "session-1,session-1", "../session-1"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
@pytest.mark.parametrize("upgrade", [False, True])
def test_an_unknown_session(sid: str, method: str, upgrade: bool) -> None:
    harness = EngineHarness()
    harness.open_polling()
    query = (WEBSOCKET if upgrade else POLLING) | {"sid": sid}
    assert refusal(harness, request(query, method, upgrade=upgrade)) == (1, "Session ID unknown")


def test_a_session_that_is_over_is_unknown() -> None:
    harness = EngineHarness()
    session, _, _ = harness.open_polling()
    session.end("transport close")
    assert refusal(harness, request(POLLING | {"sid": session.id})) == (1, "Session ID unknown")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "get", ""])
def test_a_session_begins_with_get(method: str) -> None:
    assert refusal(EngineHarness(), request(POLLING, method)) == (2, "Bad handshake method")


@pytest.mark.parametrize(("query", "upgrade"), [(WEBSOCKET, False), (POLLING, True)])
def test_a_handshake_by_another_transport_than_it_names(query: dict[str, str], upgrade: bool) -> None:
    assert refusal(EngineHarness(), request(query, upgrade=upgrade)) == (3, "Bad request")


@pytest.mark.parametrize(("query", "upgrade"), [(WEBSOCKET, False), (POLLING, True)])
def test_a_known_session_by_another_transport_than_the_request_names(query: dict[str, str], upgrade: bool) -> None:
    harness = EngineHarness()
    session, _, _ = harness.open_polling()
    assert refusal(harness, request(query | {"sid": session.id}, upgrade=upgrade)) == (3, "Bad request")


def test_polling_for_a_session_on_a_websocket() -> None:
    harness = EngineHarness()
    session, _, _ = harness.open_websocket()
    for method in ("GET", "POST"):
        assert refusal(harness, request(POLLING | {"sid": session.id}, method)) == (3, "Bad request")
    assert state_of(session) is State.OPEN


def test_polling_for_a_session_that_has_upgraded() -> None:
    harness = EngineHarness()
    session, _, _ = harness.open_polling()
    wire = harness.upgrade(session)
    assert refusal(harness, request(POLLING | {"sid": session.id})) == (3, "Bad request")
    assert wire.open


@pytest.mark.parametrize("version", [None, "", "0", "1", "5", "04", "4.0", "4,4", "٤", "four"])
@pytest.mark.parametrize("upgrade", [False, True])
def test_an_unsupported_version(version: str | None, upgrade: bool) -> None:
    query = {"transport": "websocket" if upgrade else "polling"} | ({} if version is None else {"EIO": version})
    assert refusal(EngineHarness(), request(query, upgrade=upgrade)) == (5, "Unsupported protocol version")


@pytest.mark.parametrize("version", ["2", "3"])
def test_the_older_revision_can_be_switched_off(version: str) -> None:
    asked = request(POLLING | {"EIO": version})
    assert EngineHarness().engine.check(asked) == Admission(None, REVISION_4)
    assert refusal(EngineHarness(allow_eio3=False), asked) == (5, "Unsupported protocol version")
    assert EngineHarness(allow_eio3=False).engine.check(request(POLLING)) == Admission(None, REVISION_5)


@pytest.mark.parametrize("sid", [None, "session-1"])
@pytest.mark.parametrize("upgrade", [False, True])
def test_a_foreign_origin_is_refused_on_every_way(sid: str | None, upgrade: bool) -> None:
    harness = EngineHarness()
    harness.open_polling()
    query = (WEBSOCKET if upgrade else POLLING) | ({} if sid is None else {"sid": sid})
    asked = request(query, upgrade=upgrade, headers={"origin": "https://evil.example"})
    code, message = refusal(harness, asked)
    assert code == 4
    assert 'cors="https://evil.example"' in message


@pytest.mark.parametrize("origin", ["https://evil\x01.example", "a\x7f", "https://é.example", "\x00"])
def test_an_origin_that_can_be_none(origin: str) -> None:
    assert refusal(EngineHarness(), request(POLLING, headers={"origin": origin})) == (3, "Bad request")


def test_an_origin_that_is_allowed() -> None:
    harness = EngineHarness(cors="https://app.example")
    asked = request(WEBSOCKET, upgrade=True, headers={"origin": "https://app.example"})
    assert harness.engine.check(asked) == Admission(None, REVISION_5)
    asked = request(WEBSOCKET, upgrade=True, headers={"origin": "http://localhost"})
    assert harness.engine.check(asked) == Admission(None, REVISION_5)


def test_a_closing_server_takes_no_new_sessions_and_serves_those_it_has() -> None:
    harness = EngineHarness()
    session, _, _ = harness.open_polling()
    harness.engine.closing = True
    assert refusal(harness, request(POLLING)) == (3, "Bad request")
    assert refusal(harness, request(WEBSOCKET, upgrade=True)) == (3, "Bad request")
    assert harness.engine.check(request(POLLING | {"sid": session.id})) == Admission(session, REVISION_5)


@pytest.mark.parametrize(
    ("query", "method", "code"),
    [
        ({"transport": "x", "sid": "x"}, "PUT", 0),
        ({"transport": "polling", "sid": "x"}, "PUT", 1),
        ({"transport": "polling"}, "PUT", 2),
        ({"transport": "websocket"}, "GET", 3),
        ({"transport": "polling"}, "GET", 5),
    ],
)
def test_the_first_of_several_faults_is_named(query: dict[str, str], method: str, code: int) -> None:
    assert refusal(EngineHarness(), request(query, method))[0] == code


def test_an_upgrade_that_is_switched_off() -> None:
    harness = EngineHarness(allow_upgrades=False)
    session, _, _ = harness.open_polling()
    assert refusal(harness, request(WEBSOCKET | {"sid": session.id}, upgrade=True)) == (3, "Bad request")


@pytest.mark.parametrize("state", ["probing", "upgraded", "closing", "websocket"])
def test_an_upgrade_that_is_not_possible_is_let_in_and_closed(state: str) -> None:
    harness = EngineHarness()
    session = harness.open_websocket()[0] if state == "websocket" else harness.open_polling()[0]
    if state == "probing":
        harness.probe(session)
    elif state == "upgraded":
        harness.upgrade(session)
    elif state == "closing":
        session.close()
    before = (session.transport, session.probe, session.state)
    wire = harness.probe(session)  # the official suites want to see a WebSocket that opens and is closed
    wire.text("2probe")
    wire.text("5")
    assert wire.frames == []
    assert wire.ending == ["close", "disconnect"]
    assert (session.transport, session.probe, session.state) == before


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_known_session_is_found(method: str) -> None:
    harness = EngineHarness()
    session, _, _ = harness.open_polling(REVISION_4)
    # The version of a session is settled: what further requests say of it does not matter.
    for query in (POLLING, {"transport": "polling"}):
        assert harness.engine.check(request(query | {"sid": session.id}, method)) == Admission(session, REVISION_4)


@pytest.mark.parametrize("code", ErrorCode)
def test_the_answer_of_a_refusal(code: ErrorCode) -> None:
    response = error_response(code)
    assert response.status == (403 if code is ErrorCode.FORBIDDEN else 400)
    content = json.loads(response.body)
    assert content["code"] == int(code)
    assert content["message"]
    response = error_response(code, 'a "reason"', status=418)
    assert response.status == 418
    assert json.loads(response.body) == {"code": int(code), "message": 'a "reason"'}


# The handshake


def handshake_of(first: str | bytes) -> Any:
    assert isinstance(first, str)
    assert first.startswith("0{")
    return json.loads(first[1:])


@REVISIONS
def test_the_handshake_by_polling(revision: Revision) -> None:
    harness = EngineHarness(ping_interval=1.5, ping_timeout=0.25, max_http_buffer_size=12345)
    polling = harness.engine.open_polling(request(POLLING), revision)
    (first,) = Poll(polling).packets()
    assert handshake_of(first) == {
        "sid": "session-1",
        "upgrades": ["websocket"],
        "pingInterval": 1500,
        "pingTimeout": 250,
        "maxPayload": 12345,
    }
    assert harness.engine.sessions["session-1"].transport is polling


@REVISIONS
def test_the_handshake_by_websocket(revision: Revision) -> None:
    harness = EngineHarness()
    wire = RecordingWire()
    asked = request(WEBSOCKET, upgrade=True)
    session = harness.engine.open_websocket(asked, revision, wire)
    (first,) = wire.frames
    content = handshake_of(first)
    assert (content["sid"], content["upgrades"]) == (session.id, [])
    assert (content["pingInterval"], content["pingTimeout"], content["maxPayload"]) == (25000, 20000, 1000000)
    assert wire.sink is session
    assert harness.requests == [asked]


@pytest.mark.parametrize("options", [{"allow_upgrades": False}, {"transports": ["polling"]}])
def test_no_upgrade_is_offered_where_there_is_none(options: dict[str, Any]) -> None:
    harness = EngineHarness(**options)
    (first,) = Poll(harness.engine.open_polling(request(POLLING), REVISION_5)).packets()
    assert handshake_of(first)["upgrades"] == []


def test_the_first_packets_of_the_application_follow_the_handshake_at_once() -> None:
    class Greeting(EngineHarness):
        def session_opened(self, session: Session, request: Request) -> None:
            super().session_opened(session, request)
            session.write(b"40", ())

    first, second = Poll(Greeting().engine.open_polling(request(POLLING), REVISION_4)).packets()
    assert handshake_of(first)["sid"] == "session-1"
    assert second == "40"


# The sessions


def test_sessions_are_counted_until_they_are_over() -> None:
    harness = EngineHarness()
    drained: list[int] = []
    first, _, _ = harness.open_polling()
    first.end("transport close")  # nobody has asked to be told yet
    harness.engine.on_drained = lambda: drained.append(harness.engine.clients_count)
    second, _, _ = harness.open_polling()
    third, _, wire = harness.open_websocket()
    assert harness.engine.clients_count == 2
    assert set(harness.engine.sessions) == {"session-2", "session-3"}
    second.end("transport close")
    assert (harness.engine.clients_count, drained) == (1, [])
    third.close()
    assert (harness.engine.clients_count, drained) == (1, [])
    wire.lose()
    assert (harness.engine.clients_count, drained) == (0, [0])


def test_the_limits_of_the_wires() -> None:
    harness = EngineHarness(max_http_buffer_size=10, max_fragments=20, max_buffered_bytes=30)
    limits = harness.engine.limits
    assert (limits.max_size, limits.max_fragments, limits.max_buffered) == (10, 20, 30)
