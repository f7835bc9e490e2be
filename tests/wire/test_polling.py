"""Polling of both revisions: messages, limits, requests that overlap or break off, and what ends a session."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tests.wire.conftest import Served
from tests.wire.peers import HalfPost, PollingPeer, eventually, request, split_payload

Serve = Callable[..., Served]
both = pytest.mark.parametrize("eio", [3, 4])
SETTLE = 0.15  # for a request to reach the server before the next one does


def join(server: Served, eio: int) -> PollingPeer:
    peer = server.polling(eio)
    peer.join()
    return peer


# Messages.


@both
def test_one_packet(server: Served, eio: int) -> None:
    peer = join(server, eio)
    peer.send('42["message","hello"]')
    reply = peer.get()
    assert reply.headers["content-type"].lower() == "text/plain; charset=utf-8"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.text == peer.payload('42["message-back","hello"]')


@both
def test_the_answer_to_a_post(server: Served, eio: int) -> None:
    peer = join(server, eio)
    reply = peer.post(peer.payload('42["message"]'))
    assert (reply.status, reply.body) == (200, b"ok")
    assert reply.headers["content-type"] == "text/html"
    assert reply.headers["cache-control"] == "no-store"


def test_the_internet_explorer_is_told_that_messages_are_no_attack(server: Served) -> None:
    explorers = ("Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1)", "Mozilla/5.0 (Windows NT 6.1; Trident/7.0)")
    for agent, header in (*((explorer, "0") for explorer in explorers), ("Mozilla/5.0 (X11)", None)):
        reply = server.request("GET", "EIO=3&transport=polling&j=0", headers={"User-Agent": agent})
        assert reply.headers.get("x-xss-protection") == header


@both
def test_several_packets(server: Served, eio: int) -> None:
    peer = join(server, eio)
    peer.send('42["message",1]', '42["message",2]', '42["message",3]')
    assert [peer.receive() for _ in range(3)] == [f'42["message-back",{n}]' for n in (1, 2, 3)]


@both
def test_more_packets_in_one_payload_than_sixteen(server: Served, eio: int) -> None:
    peer = join(server, eio)
    peer.send(*[f'42["message",{n}]' for n in range(500)])
    assert [peer.receive() for _ in range(500)] == [f'42["message-back",{n}]' for n in range(500)]


@both
def test_a_poll_waits_for_its_packet(server: Served, eio: int) -> None:
    peer = join(server, eio)
    pending = peer.pending_get()
    assert not pending.answered(SETTLE)
    peer.send('42["message","late"]')
    assert pending.finish().text == peer.payload('42["message-back","late"]')


@both
def test_binary_in_a_text_body(server: Served, eio: int) -> None:
    mark = "b" if eio == 4 else "b4"
    peer = join(server, eio)
    header = '-["{}",{{"_placeholder":true,"num":0}}]'
    peer.send("451" + header.format("message"), f"{mark}AQIDBA==")
    assert [peer.receive(), peer.receive()] == ["451" + header.format("message-back"), f"{mark}AQIDBA=="]


@both
def test_an_empty_binary_message(server: Served, eio: int) -> None:
    mark = "b" if eio == 4 else "b4"
    peer = join(server, eio)
    peer.send('451-["message",{"_placeholder":true,"num":0}]', mark)
    assert peer.receive().startswith("451-")
    assert peer.receive() == mark


def test_text_beyond_ascii(server: Served) -> None:
    peer = join(server, 4)
    text = "é€😀\u2028"
    assert peer.post(f'42["message","{text}"]').status == 200
    assert peer.receive() == f'42["message-back","{text}"]'


@pytest.mark.parametrize("twice", [False, True], ids=["2.x", "1.x"])
def test_text_beyond_ascii_in_both_dialects_of_the_older_revision(server: Served, twice: bool) -> None:
    peer = join(server, 3)
    packet = '42["message","é€😀"]'
    if twice:
        packet = packet.encode().decode("latin-1")
    units = len(packet.encode("utf-16-le")) // 2
    assert peer.post(f"{units}:{packet}").status == 200
    assert peer.receive() == '42["message-back","\\u00e9\\u20ac\\ud83d\\ude00"]'


def test_a_binary_body_where_the_client_takes_one(server: Served) -> None:
    peer = server.polling(3, "&x=y")
    peer.join()
    text = b'451-["message",{"_placeholder":true,"num":0}]'
    body = bytes([0, 4, 5, 255]) + text + bytes([1, 4, 255, 4, 1, 2, 255])
    assert peer.post(body, "application/octet-stream").text == "ok"
    reply = peer.get()
    assert reply.headers["content-type"] == "application/octet-stream"
    back = text.replace(b"message", b"message-back")
    assert reply.body == bytes([0, 5, 0, 255]) + back + bytes([1, 4, 255, 4, 1, 2, 255])


def test_a_body_in_chunks(server: Served) -> None:
    peer = join(server, 4)
    assert peer.post(iter([b'42["mess', b'age","chu', b'nks"]'])).text == "ok"
    assert peer.receive() == '42["message-back","chunks"]'


def test_connection_close_is_not_a_disconnect(server: Served) -> None:
    peer = join(server, 4)
    headers = {"Connection": "close"}
    for n in range(3):
        assert request(peer.port, "POST", peer.target, f'42["message",{n}]', headers).status == 200
        assert request(peer.port, "GET", peer.target, headers=headers).text == f'42["message-back",{n}]'


# Overlap and abort.


@both
def test_two_polls_at_a_time_end_the_session(server: Served, eio: int) -> None:
    peer = server.polling(eio)
    id = peer.join()
    first = peer.pending_get()
    assert not first.answered(SETTLE)
    second = request(peer.port, "GET", peer.target + "&t=burst")
    assert second.status == 400
    answer = first.finish()
    assert (answer.status, answer.text) == (200, peer.payload("1"))
    assert peer.get().status == 400
    assert server.left_because(id) == "transport error"


@both
def test_two_posts_at_a_time_end_the_session(server: Served, eio: int) -> None:
    peer = server.polling(eio)
    id = peer.join()
    payload = peer.payload('42["message","x"]')
    half = HalfPost(peer, payload[:5], payload[5:])
    time.sleep(SETTLE)
    assert peer.post(payload).status == 400
    assert server.left_because(id) == "transport error"
    assert b" 200 " not in half.finish()
    assert peer.get().status == 400


@both
@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
def test_a_poll_given_up_ends_the_session(server: Served, eio: int, reset: bool) -> None:
    peer = server.polling(eio)
    id = peer.join()
    pending = peer.pending_get()
    assert not pending.answered(SETTLE)
    pending.abort(reset=reset)
    assert server.left_because(id) == "transport error"
    eventually(peer.is_dead)


def test_a_post_given_up_ends_the_session(server: Served) -> None:
    peer = server.polling()
    id = peer.join()
    HalfPost(peer, '42["mess', 'age"]').sock.close()
    assert server.left_because(id) == "transport error"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE"])
def test_another_method_on_a_live_session_is_an_error_and_no_more(server: Served, method: str) -> None:
    peer = join(server, 4)
    body = b"4x" if method in ("PUT", "PATCH") else None
    assert request(peer.port, method, peer.target, body).status in (400, 405)
    peer.send('42["message","alive"]')
    assert peer.receive() == '42["message-back","alive"]'


def test_a_request_for_another_transport_leaves_the_session_alone(server: Served) -> None:
    peer = join(server, 4)
    reply = server.request("GET", f"EIO=4&transport=websocket&sid={peer.sid}")
    assert (reply.status, reply.json()["code"]) == (400, 3)
    peer.send('42["message","alive"]')
    assert peer.receive() == '42["message-back","alive"]'


# What is malformed.


@pytest.mark.parametrize(
    ("eio", "body"),
    [
        *[(4, body) for body in (b"abc", b"", b"7", b"8x", b"\x1e", b"6\x1e", b"6\x1e\x1e6", b"6\x1eabc")],
        *[(4, body) for body in (b"bA", b"b!", b"\x04x", b"\xff")],
        *[(3, body) for body in (b"abc", b"", b"1", b"2:4", b":6", b"1:7", b"0:1:6", b"-1:6", b"1:61")],
        *[(3, body) for body in (b"3:b4A", b"9" * 400, b"2:4\xff")],
    ],
)
def test_a_malformed_payload_ends_the_session(server: Served, eio: int, body: bytes) -> None:
    peer = server.polling(eio)
    id = peer.join()
    assert peer.post(body).status == 400
    assert server.left_because(id) == "parse error"
    assert peer.get().status == 400


@pytest.mark.parametrize("body", [b"\x02\x01\xff6", b"\x00\x01", b"\x00\xff", b"\x01\x01\xff\x07", b"\x00" * 400])
def test_a_malformed_binary_payload_ends_the_session(server: Served, body: bytes) -> None:
    peer = server.polling(3)
    id = peer.join()
    assert peer.post(body, "application/octet-stream").status == 400
    assert server.left_because(id) == "parse error"


@both
def test_nothing_of_a_malformed_payload_is_acted_upon(server: Served, eio: int) -> None:
    peer = server.polling(eio)
    id = peer.join()
    pending = peer.pending_get()
    assert not pending.answered(SETTLE)
    bad = "9" if eio == 4 else "1:9"
    separator = "\x1e" if eio == 4 else ""
    assert peer.post(peer.payload('42["message","x"]') + separator + bad).status == 400
    assert server.left_because(id) == "parse error"
    assert "message-back" not in pending.finish().text


@both
def test_a_waiting_poll_is_released_when_the_session_ends(server: Served, eio: int) -> None:
    peer = join(server, eio)
    pending = peer.pending_get()
    assert not pending.answered(SETTLE)
    assert peer.post("abc").status == 400
    answer = pending.finish()
    assert (answer.status, answer.text) == (200, peer.payload("1"))


def test_packets_behind_the_one_that_ended_the_session_are_dropped(server: Served) -> None:
    peer = server.polling()
    id = peer.join()
    peer.post('42["message",1]\x1e1\x1e42["message",2]')
    assert server.left_because(id) == "transport close"
    assert peer.get().status == 400


# Closing.


@both
def test_a_close_packet_ends_the_session_and_releases_the_poll(server: Served, eio: int) -> None:
    peer = server.polling(eio)
    id = peer.join()
    pending = peer.pending_get()
    assert not pending.answered(SETTLE)
    peer.send("1")
    answer = pending.finish()
    assert (answer.status, answer.text) == (200, peer.payload("6"))
    assert peer.get().status == 400
    assert server.left_because(id) == "transport close"


@both
@pytest.mark.parametrize("waiting", [False, True])
def test_the_last_packets_of_a_closing_session_are_not_lost(server: Served, eio: int, waiting: bool) -> None:
    peer = server.polling(eio)
    id = peer.join()
    pending = peer.pending_get() if waiting else None
    assert pending is None or not pending.answered(SETTLE)

    def part() -> None:
        server.io.to(id).emit("last")
        server.io.in_(id).disconnect_sockets(close=True)

    server.running.call(part)
    if pending is not None:
        peer.inbox = split_payload(pending.finish().body, eio)
    packets = [peer.receive()]
    while packets[-1] != "1":
        packets.append(peer.receive())
    assert packets[0] == '42["last"]'
    assert packets.count('42["last"]') == 1
    assert peer.get().status == 400


# Limits.

LIMIT = 2000


@pytest.fixture(name="small")
def small_server(serve: Serve) -> Served:
    return serve(max_http_buffer_size=LIMIT)


def sized(size: int) -> str:
    head, tail = '42["message","', '"]'
    return head + "x" * (size - len(head) - len(tail)) + tail


def in_chunks(text: str) -> Iterator[bytes]:
    for start in range(0, len(text), 100):
        yield text[start : start + 100].encode()


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_the_largest_size_is_taken(small: Served, chunked: bool) -> None:
    peer = join(small, 4)
    body = sized(LIMIT)
    assert peer.post(in_chunks(body) if chunked else body).text == "ok"
    assert peer.receive() == body.replace("message", "message-back")


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [LIMIT + 1, 10 * LIMIT, 100 * LIMIT])
def test_a_body_one_byte_larger_is_not(small: Served, size: int, chunked: bool) -> None:
    peer = small.polling()
    id = peer.join()
    body = sized(size)
    assert peer.post(in_chunks(body) if chunked else body).status == 413
    assert small.left_because(id) == "transport error"
    assert peer.get().status == 400


def test_the_declared_length_is_enough_to_refuse_a_body(small: Served) -> None:
    peer = small.polling()
    id = peer.join()
    half = HalfPost(peer, "4", "x" * LIMIT)
    assert small.left_because(id) == "transport error"
    assert b" 413 " in half.sock.recv(65536)
    half.sock.close()


def test_the_limit_of_the_older_revision_counts_bytes(small: Served) -> None:
    peer = join(small, 3)
    packet = '42["message","' + "é" * 1000 + '"]'
    assert peer.post(f"{len(packet)}:{packet}").status == 413
