"""The handshake of both Engine.IO revisions on both transports, and the six errors it can end in."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.wire.conftest import Served
from tests.wire.peers import Closed, PollingPeer, Refused, Reply, WebSocketPeer, eventually, request, split_payload

ERRORS = {
    0: "Transport unknown",
    1: "Session ID unknown",
    2: "Bad handshake method",
    3: "Bad request",
    4: "Forbidden",
    5: "Unsupported protocol version",
}
Serve = Callable[..., Served]


def assert_error(reply: Reply, code: int, message: str | None = None) -> None:
    assert reply.status == (403 if code == 4 else 400)
    assert reply.headers["content-type"].startswith("application/json")
    answer = reply.json()
    assert set(answer) == {"code", "message"}
    assert type(answer["code"]) is int
    assert answer["code"] == code
    assert answer["message"] == (message or ERRORS[code])


def assert_refused(server: Served, query: str, *headers: tuple[str, str]) -> Reply:
    with pytest.raises(Refused) as caught:
        server.websocket(query, headers)
    assert caught.value.reply.status in (400, 403)
    return caught.value.reply


# Success.


@pytest.mark.parametrize("eio", [3, 4])
def test_polling(server: Served, eio: int) -> None:
    reply = server.request("GET", f"EIO={eio}&transport=polling")
    assert reply.status == 200
    assert reply.headers["content-type"].lower() == "text/plain; charset=utf-8"
    assert reply.headers["cache-control"] == "no-store"
    assert int(reply.headers["content-length"]) == len(reply.body)
    opening, *more = split_payload(reply.body, eio)
    assert opening[0] == "0"
    handshake = json.loads(opening[1:])
    assert set(handshake) == {"sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"}
    assert handshake["upgrades"] == ["websocket"]
    assert (handshake["pingInterval"], handshake["pingTimeout"]) == (25000, 20000)
    assert handshake["maxPayload"] == 1_000_000
    assert len(handshake["sid"]) >= 20
    assert (more[:1] == ["40"]) == (eio == 3)  # the older revision is connected unasked, in the same payload


@pytest.mark.parametrize("eio", [3, 4])
def test_websocket(server: Served, eio: int) -> None:
    peer = server.websocket(f"EIO={eio}&transport=websocket")
    handshake = peer.open()
    assert set(handshake) == {"sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"}
    assert handshake["upgrades"] == []
    if eio == 3:
        assert peer.receive_text() == "40"
    else:
        assert peer.is_silent()


def test_the_options_show_in_the_handshake(serve: Serve) -> None:
    server = serve(ping_interval=0.3, ping_timeout=0.2, max_http_buffer_size=5000, allow_upgrades=False)
    handshake = server.polling().handshake
    assert handshake["upgrades"] == []
    assert (handshake["pingInterval"], handshake["pingTimeout"], handshake["maxPayload"]) == (300, 200, 5000)


def test_no_upgrade_is_offered_without_websocket(serve: Serve) -> None:
    assert serve(transports=["polling"]).polling().handshake["upgrades"] == []


def test_the_path_is_an_option(serve: Serve) -> None:
    server = serve(path="/live")
    assert PollingPeer(server.port, path="/live/").join()
    assert server.request("GET", "EIO=4&transport=polling").status == 404


def test_the_slash_behind_the_path(serve: Serve) -> None:
    """It has to be there, unless the server was told to serve its path without one too."""
    strict, lenient = serve(), serve(add_trailing_slash=False)
    assert request(strict.port, "GET", "/socket.io?EIO=4&transport=polling").status == 404
    with pytest.raises(Refused):
        WebSocketPeer(strict.port, "/socket.io?EIO=4&transport=websocket")
    for path in ("/socket.io", "/socket.io/"):
        assert PollingPeer(lenient.port, path=path).sid
        peer = WebSocketPeer(lenient.port, f"{path}?EIO=4&transport=websocket")
        assert peer.open()["sid"]
        peer.close()
    assert request(lenient.port, "GET", "/socket.iox?EIO=4&transport=polling").status == 404


def test_unknown_parameters_are_of_no_interest(server: Served) -> None:
    assert server.polling(4, "&t=abc&x[]=1&%FF=%00&token=é".replace("é", "%C3%A9")).join()


def test_there_is_no_compression_of_frames(fast: Served) -> None:
    peer = fast.websocket(headers=[("Sec-WebSocket-Extensions", "permessage-deflate")])
    assert peer.extensions is None
    peer.open()
    peer.join()


# The six errors.


@pytest.mark.parametrize("eio", [3, 4])
@pytest.mark.parametrize("transport", ["", *[f"&transport={name}" for name in ("", "abc", "Polling", "flashsocket")]])
def test_code_0_unknown_transport(server: Served, eio: int, transport: str) -> None:
    assert_error(server.request("GET", f"EIO={eio}{transport}"), 0)
    assert_refused(server, f"EIO={eio}{transport}")


@pytest.mark.parametrize("query", ["", "%", "&", "=", "&&==", "EIO", "transport"])
def test_code_0_for_a_query_of_nothing(server: Served, query: str) -> None:
    assert_error(server.request("GET", query), 0)


def test_code_0_for_a_transport_that_is_switched_off(serve: Serve) -> None:
    server = serve(transports=["websocket"])
    assert_error(server.request("GET", "EIO=4&transport=polling"), 0)
    server.joined()


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("sid", ["abc", "", "__proto__", "%00", "a" * 5000])
def test_code_1_unknown_session(server: Served, method: str, sid: str) -> None:
    reply = server.request(method, f"EIO=4&transport=polling&sid={sid}", b"4x" if method != "GET" else None)
    assert_error(reply, 1)


def test_code_1_on_websocket(server: Served) -> None:
    assert_refused(server, "EIO=4&transport=websocket&sid=abc")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE"])
@pytest.mark.parametrize("eio", [3, 4])
def test_code_2_bad_handshake_method(server: Served, eio: int, method: str) -> None:
    body = b"4x" if method in ("POST", "PUT", "PATCH") else None
    assert_error(server.request(method, f"EIO={eio}&transport=polling", body), 2)


def test_code_3_websocket_without_an_upgrade(server: Served) -> None:
    assert_error(server.request("GET", "EIO=4&transport=websocket"), 3)


def test_code_3_upgrade_for_polling(server: Served) -> None:
    assert_refused(server, "EIO=4&transport=polling")
    assert_refused(server, f"EIO=4&transport=polling&sid={server.polling().sid}")


def test_code_3_polling_on_a_session_of_websocket(server: Served) -> None:
    peer = server.websocket()
    sid = peer.open()["sid"]
    for method in ("GET", "POST"):
        assert_error(server.request(method, f"EIO=4&transport=polling&sid={sid}", b"4x"), 3)
    late = server.websocket(f"EIO=4&transport=websocket&sid={sid}")  # opened and closed, as clients expect
    with pytest.raises(Closed):
        late.receive()
    peer.join()


def test_code_3_malformed_origin(server: Served) -> None:
    for origin in ("http://a\x01b", "http://\x7f"):
        with pytest.raises(Refused):
            server.websocket(headers=[("Origin", origin)])


def test_code_4_foreign_origin(server: Served) -> None:
    reply = server.request("GET", "EIO=4&transport=polling", headers={"Origin": "https://evil.example"})
    assert reply.status == 403
    answer = reply.json()
    assert answer["code"] == 4
    assert "cors" in answer["message"]  # names the option that would let it in
    assert "access-control-allow-origin" not in reply.headers
    assert_refused(server, "EIO=4&transport=websocket", ("Origin", "https://evil.example"))


@pytest.mark.parametrize("eio", ["", "EIO=&", "EIO=abc&", "EIO=5&", "EIO=04&", "EIO=4.0&", "EIO=%204&", "EIO=1&"])
def test_code_5_unsupported_version(server: Served, eio: str) -> None:
    assert_error(server.request("GET", f"{eio}transport=polling"), 5)
    assert_refused(server, f"{eio}transport=websocket")


def test_code_5_when_the_older_revision_is_switched_off(serve: Serve) -> None:
    server = serve(allow_eio3=False)
    assert_error(server.request("GET", "EIO=3&transport=polling"), 5)
    assert_refused(server, "EIO=3&transport=websocket")
    server.joined()


def test_a_refused_upgrade_says_why(server: Served) -> None:
    for query, code in (("transport=websocket", 5), ("EIO=4", 0), ("EIO=4&transport=websocket&sid=x", 1)):
        reply = assert_refused(server, query)
        assert reply.status == 400
        assert ERRORS[code].encode() in reply.body


def test_a_refusal_leaves_no_session(server: Served) -> None:
    before = server.running.call(lambda: server.io.engine.clients_count)
    for query in ("EIO=5&transport=polling", "EIO=4&transport=websocket", "EIO=4"):
        server.request("GET", query)
        server.request("POST", query, b"x")
        with pytest.raises(Refused):
            server.websocket(query.replace("transport=websocket", "transport=websocket&sid=none"))
    assert server.running.call(lambda: server.io.engine.clients_count) == before


# Origins.


def test_the_own_origin_is_let_in(server: Served) -> None:
    origin = f"http://127.0.0.1:{server.port}"
    assert server.request("GET", "EIO=4&transport=polling", headers={"Origin": origin}).status == 200
    server.websocket(headers=[("Origin", origin)]).open()


@pytest.mark.parametrize(
    "origin", ["null", "http://127.0.0.1", "http://127.0.0.1:1", "file://", "http://127.0.0.1.evil.example"]
)
def test_another_origin_is_not(server: Served, origin: str) -> None:
    assert server.request("GET", "EIO=4&transport=polling", headers={"Origin": origin}).status == 403
    with pytest.raises(Refused):
        server.websocket(headers=[("Origin", origin)])


def test_an_origin_is_checked_on_every_request_of_a_session(server: Served) -> None:
    peer = server.polling()
    headers = {"Origin": "https://evil.example"}
    query = f"EIO=4&transport=polling&sid={peer.sid}"
    assert server.request("POST", query, b"40", headers).status == 403
    assert server.request("GET", query, headers=headers).status == 403
    with pytest.raises(Refused):
        server.websocket(f"EIO=4&transport=websocket&sid={peer.sid}", [("Origin", "https://evil.example")])
    assert peer.join()


def test_an_allowed_origin_gets_its_headers(serve: Serve) -> None:
    server = serve(cors="https://app.example")
    headers = {"Origin": "https://app.example"}
    reply = server.request("GET", "EIO=4&transport=polling", headers=headers)
    assert reply.status == 200
    assert reply.headers["access-control-allow-origin"] == "https://app.example"
    # Also an error must be readable for the page that got it.
    error = server.request("GET", "EIO=4&transport=abc", headers=headers)
    assert_error(error, 0)
    assert error.headers["access-control-allow-origin"] == "https://app.example"
    server.websocket(headers=[("Origin", "https://app.example")]).open()
    with pytest.raises(Refused):
        server.websocket(headers=[("Origin", "https://other.example")])


def test_preflight(serve: Serve) -> None:
    server = serve(cors="https://app.example")
    headers = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    reply = server.request("OPTIONS", "EIO=4&transport=polling", headers=headers)
    assert (reply.status, reply.body) == (204, b"")
    assert reply.headers["access-control-allow-origin"] == "https://app.example"
    assert "POST" in reply.headers["access-control-allow-methods"]
    assert "content-type" in reply.headers["access-control-allow-headers"].lower()


def test_preflight_of_a_foreign_origin_gets_no_leave(server: Served) -> None:
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    reply = server.request("OPTIONS", "EIO=4&transport=polling", headers=headers)
    assert "access-control-allow-origin" not in reply.headers


# What lies around the protocol.


def test_a_websocket_request_of_another_version_is_refused(server: Served) -> None:
    with pytest.raises(Refused) as caught:
        server.websocket(version="8")
    assert caught.value.reply.status in (400, 426)


def test_a_session_whose_websocket_goes_is_forgotten(server: Served) -> None:
    peer = WebSocketPeer(server.port, "/socket.io/?EIO=4&transport=websocket")
    sid = peer.open()["sid"]
    assert sid in server.running.call(lambda: set(server.io.engine.sessions))
    peer.close()
    eventually(lambda: sid not in server.running.call(lambda: set(server.io.engine.sessions)))
