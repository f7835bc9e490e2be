"""What an application may have to say about requests: the events of the engine, and the headers that it may change."""

from __future__ import annotations

from typing import Any

import pytest

from socketeer.engine.conn import Conn, conn_of
from socketeer.engine.handshake import Admission
from socketeer.engine.hooks import ConnectionFailure
from socketeer.engine.http import ErrorCode, Request, Response, ResponseHeaders
from socketeer.exceptions import UsageError
from socketeer.protocol.revisions import REVISION_4, REVISION_5, Revision
from tests.support.virtual import EngineHarness, Poll, RecordingWire, request

REVISIONS = pytest.mark.parametrize("revision", [REVISION_4, REVISION_5], ids=["revision 4", "revision 5"])
POLLING = {"EIO": "4", "transport": "polling"}
WEBSOCKET = {"EIO": "4", "transport": "websocket"}


# Refusals


@pytest.mark.parametrize(
    ("asked", "code", "context"),
    [
        (request({"transport": "x"}), 0, {"transport": "x"}),
        (request({}), 0, {"transport": None}),
        (request(POLLING, headers={"origin": "\x01"}), 3, {"name": "INVALID_ORIGIN", "origin": "\x01"}),
        (request(POLLING | {"sid": "x"}), 1, {"sid": "x"}),
        (
            request(WEBSOCKET | {"sid": "session-1"}),
            3,
            {"name": "TRANSPORT_MISMATCH", "transport": "websocket", "previous_transport": "polling"},
        ),
        (
            request(POLLING | {"sid": "session-2"}),
            3,
            {"name": "TRANSPORT_MISMATCH", "transport": "polling", "previous_transport": "websocket"},
        ),
        (request(POLLING, "PUT"), 2, {"method": "PUT"}),
        (request(WEBSOCKET), 3, {"name": "TRANSPORT_HANDSHAKE_ERROR"}),
        (request(POLLING | {"EIO": "5"}), 5, {"protocol": "5"}),
    ],
)
def test_connection_error_says_what_was_wrong_with_which_request(asked: Request, code: int, context: Any) -> None:
    harness = EngineHarness()
    harness.open_polling()
    harness.open_websocket()
    failures: list[ConnectionFailure] = []
    harness.engine.on("connection_error", failures.append)
    response = harness.engine.check(asked)
    assert isinstance(response, Response)
    (failure,) = failures
    assert failure.request is asked
    assert (failure.code, failure.context) == (code, context)
    assert f'"message": "{failure.message}"'.encode() in response.body


def test_connection_error_of_a_foreign_origin_names_it_and_the_fix() -> None:
    harness = EngineHarness()
    failures: list[ConnectionFailure] = []
    harness.engine.on("connection_error", failures.append)
    harness.engine.check(request(POLLING, headers={"origin": "https://evil.example"}))
    (failure,) = failures
    assert (failure.code, failure.message) == (ErrorCode.FORBIDDEN, "Forbidden")
    assert failure.context["name"] == "FORBIDDEN_ORIGIN"
    assert failure.context["origin"] == "https://evil.example"
    assert 'cors="https://evil.example"' in failure.context["message"]


def test_an_event_that_there_is_not() -> None:
    with pytest.raises(UsageError, match="connection_error"):
        EngineHarness().engine.on("connexion", print)


@pytest.mark.parametrize("event", ["headers", "initial_headers"])
def test_a_listener_of_headers_cannot_be_async(event: str) -> None:
    async def listener(headers: ResponseHeaders) -> None:
        pass

    with pytest.raises(UsageError, match="cannot be async"):
        EngineHarness().engine.on(event, listener)


# Ids


@pytest.mark.parametrize("id", ["a", "x" * 200, "!~;,=/+"])
def test_an_id_that_will_do(id: str) -> None:
    engine = EngineHarness().engine
    asked = request(POLLING)
    admission = engine.check_id(asked, Admission(None, REVISION_5), id)
    assert admission == Admission(None, REVISION_5, id)
    engine.open_polling(asked, REVISION_5, id)
    assert set(engine.sessions) == {id}


@pytest.mark.parametrize("id", [None, 7, b"id", "", "x" * 201, "a b", "é", "a\r\nb", "a\n", "taken"])
def test_an_id_that_will_not_do(id: Any, caplog: pytest.LogCaptureFixture) -> None:
    engine = EngineHarness().engine
    engine.open_polling(request(POLLING), REVISION_5, "taken")
    failures: list[ConnectionFailure] = []
    engine.on("connection_error", failures.append)
    answer = engine.check_id(request(POLLING), Admission(None, REVISION_5), id)
    assert isinstance(answer, Response)
    assert answer.body == b'{"code": 3, "message": "Bad request"}'
    assert failures[0].context["name"] == "ID_GENERATION_ERROR"
    assert isinstance(failures[0].context["error"], ValueError)
    assert "generate_id gave" in caplog.text


def test_what_is_no_callable_is_refused_when_it_is_set() -> None:
    engine = EngineHarness().engine
    with pytest.raises(TypeError, match="generate_id takes a callable"):
        engine.generate_id = "id"  # type: ignore[assignment]
    with pytest.raises(TypeError, match="middleware must be callable"):
        engine.use(None)  # type: ignore[type-var]


def test_the_application_is_asked_only_where_it_wants_to_be() -> None:
    assert EngineHarness(allow_request=print).engine.hooked
    engine = EngineHarness().engine
    hooked = [engine.hooked]
    engine.generate_id = lambda request: "x"
    hooked.append(engine.hooked)
    engine.generate_id = None
    hooked.append(engine.hooked)
    engine.use(print)
    engine.generate_id = None
    hooked.append(engine.hooked)
    assert hooked == [False, True, False, True]


# Connections


@REVISIONS
def test_connections_are_told_of_before_the_application_has_them(revision: Revision) -> None:
    harness = EngineHarness()
    seen: list[tuple[str, int, int]] = []
    harness.engine.on("connection", lambda conn: seen.append((conn.id, conn.protocol, len(harness.requests))))
    harness.engine.on("connection", lambda conn: conn.on("open", lambda: seen.append(("open", 0, 0))))
    session, _, _ = harness.open_polling(revision)
    assert seen == [(session.id, revision.engine, 0), ("open", 0, 0)]
    assert len(harness.requests) == 1


@pytest.mark.parametrize("discard", [False, True])
def test_a_listener_may_close_a_connection_before_the_application_has_it(discard: bool) -> None:
    harness = EngineHarness()
    told: list[tuple[str, str | None]] = []

    @harness.engine.on("connection")
    def turn_away(conn: Conn) -> None:
        conn.on("close", lambda *args: told.append(args))
        conn.send("no")
        conn.close(discard)

    wire = RecordingWire()
    harness.engine.open_websocket(request(WEBSOCKET, upgrade=True), REVISION_5, wire)
    assert wire.frames[1:] == ["4no"]
    assert wire.ending[0] == "close"
    wire.lose()
    assert harness.requests == []
    assert harness.engine.clients_count == 0
    assert told == [("forced close", None)]


def test_flush_and_drain_are_told_to_the_engine_behind_the_connection_whatever_that_removes() -> None:
    harness = EngineHarness()
    told: list[str] = []
    harness.engine.on("flush", lambda conn: told.append("engine flush"))
    harness.engine.on("drain", lambda conn: told.append("engine drain"))

    @harness.engine.on("connection")
    def connected(conn: Conn) -> None:
        conn.on("flush", lambda: told.append("flush"))
        conn.on("drain", lambda: told.append("drain"))

    session, _, _ = harness.open_websocket()
    told.clear()
    session.write(b"4one", ())
    conn_of(session).off()
    session.write(b"4two", ())
    assert told == ["flush", "engine flush", "drain", "engine drain", "engine flush", "engine drain"]


def test_flush_and_drain_of_every_connection_are_told_once() -> None:
    harness = EngineHarness()
    early, _, polling = harness.open_polling()
    told: list[tuple[str, str, int]] = []
    for _ in range(2):  # taken off and put on again, they are told no more often
        harness.engine.off("flush")
        harness.engine.off("drain")
        harness.engine.on("flush", lambda conn, packets: told.append(("flush", conn.id, len(packets))))
        harness.engine.on("drain", lambda conn: told.append(("drain", conn.id, 0)))
    late, _, _ = harness.open_websocket()
    told.clear()
    early.write(b"4one", ())
    early.write(b"4two", ())
    Poll(polling).answer()
    late.write(b"4three", ())
    assert told == [
        ("flush", early.id, 2),
        ("drain", early.id, 0),
        ("flush", late.id, 1),
        ("drain", late.id, 0),
    ]


# The first message


@pytest.mark.parametrize(("packet", "sent"), [("héllo", "4héllo"), (b"\x00\xff", b"\x00\xff")])
@REVISIONS
def test_the_initial_packet_goes_with_the_handshake(revision: Revision, packet: Any, sent: Any) -> None:
    harness = EngineHarness(initial_packet=packet)
    asked = request(POLLING)
    packets = Poll(harness.engine.open_polling(asked, revision)).packets()
    assert packets[1:] == [sent]
    wire = RecordingWire()
    harness.engine.open_websocket(request(WEBSOCKET, upgrade=True), revision, wire)
    assert wire.frames[1:] == [revision.codec.frame(sent) if isinstance(sent, bytes) else sent]


# Headers


BREAKING = [(b"x", b"a\r\nset-cookie: b"), (b"x", b"a\nb"), (b"x\r\ny", b"1"), (b"x y", b"1"), (b"", b"1")]


@pytest.mark.parametrize("pair", [*BREAKING, (b"Content-Length", b"0"), (b"transfer-encoding", b"chunked")])
def test_a_response_that_would_break_the_answer_cannot_be_made(pair: tuple[bytes, bytes]) -> None:
    with pytest.raises(ValueError, match="header"):
        Response(403, ((b"x-one", b"1"), pair))


@pytest.mark.parametrize(
    "values", [(403, (("x", "1"),)), (403, ((b"x", b"1", b"2"),)), (403, {"x": "1"}), (403, (), "no"), ("403",)]
)
def test_a_response_of_wrong_types_cannot_be_made(values: Any) -> None:
    with pytest.raises(TypeError, match="of a response is"):
        Response(*values)
    with pytest.raises(ValueError, match="from 200 to 599, not 42"):
        Response(42)
    assert Response(200, [[b"x", b"1"]]).headers == ((b"x", b"1"),)  # type: ignore[arg-type]


def test_headers_are_a_mapping_without_regard_to_case() -> None:
    headers = ResponseHeaders([(b"Content-Type", b"text/plain"), (b"vary", b"Origin"), (b"Vary", b"Accept")])
    headers["X-One"] = "1"
    headers.add("Set-Cookie", "a=1")
    headers.add("set-cookie", "b=2, é")
    assert headers["CONTENT-TYPE"] == "text/plain"
    assert headers["vary"] == "Origin, Accept"
    assert list(headers) == ["content-type", "vary", "x-one", "set-cookie"]
    assert len(headers) == 4
    assert "Set-Cookie" in headers
    headers["VARY"] = "*"
    del headers["X-one"]
    with pytest.raises(KeyError):
        del headers["x-one"]
    with pytest.raises(KeyError):
        headers["x-one"]
    assert headers.raw == (
        (b"content-type", b"text/plain"),
        (b"set-cookie", b"a=1"),
        (b"set-cookie", "b=2, é".encode("latin-1")),
        (b"vary", b"*"),
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x", "a\r\nset-cookie: b"),
        ("x", "a\nb"),
        ("x", "\x00"),
        ("x", "€"),
        ("x y", "1"),
        ("x\r\n", "1"),
        ("", "1"),
        ("é", "1"),
        ("content-length", "1"),
        ("Transfer-Encoding", "chunked"),
    ],
)
def test_a_header_that_would_break_the_answer(name: str, value: str) -> None:
    headers = ResponseHeaders([(b"x", b"before")])
    with pytest.raises(ValueError, match="header"):
        headers[name] = value
    with pytest.raises(TypeError):
        headers["x"] = 1  # type: ignore[assignment]
    assert headers.raw == ((b"x", b"before"),)
