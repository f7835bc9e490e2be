"""The published attacks on Socket.IO servers, each tried on this one.

A test names the advisory, or the issue, that it comes from. The decoders are tried byte by byte in ``tests/protocol``;
here it is the server that has to live on, keep its memory, and answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from tests.wire.conftest import Served
from tests.wire.peers import (
    BINARY,
    CONTINUATION,
    TEXT,
    Closed,
    Refused,
    WebSocketPeer,
    eventually,
    frame,
    reset_on_close,
)

Serve = Callable[..., Served]


def joined(server: Served) -> tuple[WebSocketPeer, str]:
    peer = server.websocket()
    peer.open()
    return peer, peer.join()


def sessions(server: Served) -> int:
    return server.running.call(lambda: server.io.engine.clients_count)


def upgrade_request(query: str = "EIO=4&transport=websocket") -> bytes:
    lines = [
        f"GET /socket.io/?{query} HTTP/1.1",
        "Host: x",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def test_cve_2017_16031_ids_are_not_guessable(server: Served) -> None:
    ids = [server.polling().sid for _ in range(30)]
    peers = [server.websocket() for _ in range(10)]
    ids += [peer.open()["sid"] for peer in peers]
    ids += [peer.join() for peer in peers]
    assert len(set(ids)) == len(ids)
    assert min(len(id) for id in ids) >= 20
    for position in range(20):  # a counter or a clock would show as a letter that stays
        assert len({id[position] for id in ids}) > 5


def test_cve_2020_28481_cross_origin_is_closed_by_default(server: Served) -> None:
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    for method in ("GET", "OPTIONS", "POST"):
        reply = server.request(method, "EIO=4&transport=polling", headers=headers)
        assert not [name for name in reply.headers if name.startswith("access-control-")]
        assert reply.status != 200


def test_cve_2019_13611_a_websocket_of_a_foreign_page_is_refused(server: Served) -> None:
    with pytest.raises(Refused):
        server.websocket(headers=[("Origin", "https://evil.example"), ("Cookie", "session=of-the-victim")])


@pytest.mark.parametrize("name", ["error", "__proto__", "constructor", "toString", "newListener_", "connection"])
def test_cve_2024_38355_an_event_that_nobody_listens_to(server: Served, name: str) -> None:
    peer, _ = joined(server)
    peer.send(f'42["{name}","x"]')
    peer.send(f'421["{name}",{{}}]')
    peer.echo("alive")


@pytest.mark.parametrize("name", ["connect", "disconnect", "connect_error", "disconnecting"])
def test_lifecycle_handlers_cannot_be_called_by_event_name(server: Served, name: str) -> None:
    peer, id = joined(server)
    peer.send(f'42["{name}","forged"]')
    peer.closed()
    assert server.left_because(id) == "parse error"


def test_cve_2020_36048_a_body_without_a_length_is_counted_as_it_comes(serve: Serve) -> None:
    server = serve(max_http_buffer_size=100_000)
    peer = server.polling()
    id = peer.join()
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(2000):
            sent += 10_000
            yield b"4" + b"x" * 9_999

    with contextlib.suppress(
        ConnectionError
    ):  # the answer may be lost to the reset of a connection that is not read on
        assert peer.post(endless()).status == 413
    assert sent < 20_000_000
    assert server.left_because(id) == "transport error"
    assert peer.is_dead()


def test_cve_2026_48809_a_body_is_not_read_for_an_unknown_session(server: Served) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as sock:
        lines = [
            "POST /socket.io/?EIO=4&transport=polling&sid=unknown HTTP/1.1",
            "Host: x",
            "Content-Type: text/plain",
            "Content-Length: 900000",
        ]
        sock.sendall("\r\n".join(lines).encode() + b"\r\n\r\n4")
        assert b" 400 " in sock.recv(65536).split(b"\r\n")[0]


def test_cve_2026_48809_an_oversized_message(server: Served) -> None:
    peer, id = joined(server)
    peer.raw(frame(TEXT, b"4" + b"x" * 1_000_000))
    assert peer.closed() in (1009, 1006)
    assert server.left_because(id) in ("transport error", "transport close")


@pytest.mark.parametrize("rsv", [1, 2, 4, 7])
@pytest.mark.parametrize("stage", ["handshake", "probe", "answered probe"])
def test_cve_2022_21676_a_bad_frame_right_after_the_upgrade(server: Served, stage: str, rsv: int) -> None:
    bad = frame(TEXT, b"2probe", rsv=rsv)
    if stage == "handshake":
        peer = server.websocket()
        peer.raw(bad)
        peer.closed()
        return
    polling = server.polling()
    polling.join()
    if stage == "probe":
        peer = server.knock(polling)
    else:
        peer = server.probe(polling)
    peer.raw(bad)
    peer.closed()
    polling.send('42["message","alive"]')
    assert polling.receive().strip("6") in ('42["message-back","alive"]', "")


def test_cve_2022_21676_garbage_in_the_segment_of_the_handshake(server: Served) -> None:
    for garbage in (b"\xff" * 100, b"\x00" * 100, b"GET / HTTP/1.1\r\n\r\n", frame(TEXT, b"\xff\xfe"), b"\x81"):
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as sock:
            sock.sendall(upgrade_request() + garbage)
            sock.recv(65536)


def test_cve_2022_41940_resets_while_an_upgrade_is_refused(server: Served) -> None:
    for query in ("EIO=4&transport=websocket&sid=unknown", "EIO=9&transport=websocket", "EIO=4&transport=websocket"):
        for _ in range(30):
            sock = socket.create_connection(("127.0.0.1", server.port), timeout=20)
            sock.sendall(upgrade_request(query))
            reset_on_close(sock)
            sock.close()


def test_cve_2023_31125_odd_parameters(server: Served) -> None:
    for value in ("__proto__", "constructor", "toString", "%00", "%FF", "polling%00", "polling,websocket", "[object]"):
        for query in (
            f"EIO=4&transport={value}",
            f"EIO={value}&transport=polling",
            f"EIO=4&transport=polling&sid={value}",
            f"{value}={value}&EIO=4",
            f"EIO=4&transport[]={value}",
        ):
            reply = server.request("GET", query)
            assert reply.status == 400
            assert reply.json()["code"] in (0, 1, 5)
            with pytest.raises(Refused):
                server.websocket(query)


@pytest.mark.parametrize(
    "query",
    [
        "EIO=4&EIO=3&transport=polling",
        "EIO=4&transport=polling&transport=websocket",
        "EIO=4&transport=websocket&transport=polling",
        "EIO=4&transport=polling&sid=a&sid=b",
        "EIO=4&transport=polling&sid=&sid=",
    ],
)
def test_cve_2023_31125_repeated_parameters(server: Served, query: str) -> None:
    assert server.request("GET", query).status in (200, 400)
    with contextlib.suppress(Refused):
        server.websocket(query)


def test_cve_2026_59725_a_binary_post_is_always_answered(server: Served) -> None:
    for _ in range(20):
        peer = server.polling()
        id = peer.join()
        started = time.monotonic()
        reply = peer.post(b"\x04\x01", "application/octet-stream")
        assert reply.status == 400
        assert time.monotonic() - started < 8
        assert peer.is_dead()
        assert server.left_because(id) in ("transport error", "parse error")


def test_cve_2020_36049_long_headers_of_packets(server: Served) -> None:
    for character, head in itertools.product("9-/,[", ("42", "45", "451-", "42/", "43")):
        peer, id = joined(server)
        started = time.monotonic()
        peer.send(head + character * 900_000)
        peer.closed()
        assert time.monotonic() - started < 8  # quadratic work would take minutes
        assert server.left_because(id) == "parse error"


def test_cve_2026_33151_attachments_that_never_come(serve: Serve) -> None:
    server = serve(attachment_timeout=0.3)
    peer, id = joined(server)
    peer.send('4510-["message"]')
    for n in range(5):
        peer.send(bytes([n]))
    assert peer.rest()[0] == []
    assert server.left_because(id) == "parse error"


def test_cve_2026_33151_millions_of_attachments(server: Served) -> None:
    peer, id = joined(server)
    peer.send('455999999-["message"]')
    peer.closed()
    assert server.left_because(id) == "parse error"


def test_cve_2026_69185_no_attachments_disarm(server: Served) -> None:
    peer, id = joined(server)
    peer.send('450-["message"]')
    assert peer.receive() == '42["message-back"]'
    peer.send(bytes(900_000))
    peer.closed()
    assert server.left_because(id) == "parse error"


def test_cve_2026_48804_attachments_before_connect(server: Served) -> None:
    peer = server.websocket()
    peer.open()
    peer.send('451-["message",{"_placeholder":true,"num":0}]')
    assert peer.rest()[0] == []


def test_ghsa_55mf_67qm_4wpg_binary_before_connect(server: Served) -> None:
    peer = server.websocket()
    peer.open()
    peer.send(bytes(1000))
    assert peer.rest()[0] == []


def test_cve_2026_48802_pongs_start_nothing(server: Served) -> None:
    peer, _ = joined(server)

    def tasks() -> int:
        return server.running.call(lambda: len(asyncio.all_tasks(server.running.loop)))

    before = tasks()
    for _ in range(20):
        peer.raw(frame(TEXT, b"3") * 500)
    peer.echo("alive")
    assert tasks() <= before


def test_socketioxide_731_upgrades_that_never_end(serve: Serve) -> None:
    server = serve(upgrade_timeout=0.3, ping_interval=0.6, ping_timeout=0.2)
    peers = []
    for _ in range(10):
        polling = server.polling()
        peers.append(server.probe(polling))
    eventually(lambda: sessions(server) == 0)
    for peer in peers:
        peer.closed()


def test_sessions_that_nobody_uses_go(serve: Serve) -> None:
    server = serve(connect_timeout=0.3, ping_interval=0.4, ping_timeout=0.2, close_timeout=0.3)
    for eio in (3, 4):
        for _ in range(10):
            server.polling(eio)
            server.websocket(f"EIO={eio}&transport=websocket").close()
    eventually(lambda: sessions(server) == 0)


@pytest.mark.parametrize(
    "extension", ["constructor", "__proto__", "permessage-deflate; constructor", ";;,,", "x" * 5000]
)
def test_cve_2016_10542_extension_headers(server: Served, extension: str) -> None:
    with contextlib.suppress(Refused):
        peer = server.websocket(headers=[("Sec-WebSocket-Extensions", extension)])
        assert peer.extensions is None
        peer.open()


def test_cve_2021_32640_a_protocol_header_of_spaces(fast: Served) -> None:
    started = time.monotonic()
    with contextlib.suppress(Refused, Closed):
        fast.websocket(headers=[("Sec-WebSocket-Protocol", "a" + " " * 50_000 + "b")])
    assert time.monotonic() - started < 8


def test_cve_2024_37890_thousands_of_headers(fast: Served) -> None:
    with contextlib.suppress(Refused, Closed):
        fast.websocket(headers=[(f"x-{n}", "y") for n in range(5000)])
    headers = {f"x-{n}": "y" for n in range(5000)}
    with contextlib.suppress(ConnectionError):
        fast.request("GET", "EIO=4&transport=polling", headers=headers)
    joined(fast)[0].echo("alive")


def test_cve_2026_48779_a_message_of_tiny_fragments(fast: Served) -> None:
    peer, id = joined(fast)
    peer.raw(frame(TEXT, b"4", fin=False))
    for _ in range(30):
        peer.raw(frame(CONTINUATION, b"2", fin=False) * 100)
    peer.closed()
    assert fast.left_because(id) in ("transport error", "transport close", "parse error")


def test_cve_2026_48779_empty_fragments_without_end(fast: Served) -> None:
    peer, _ = joined(fast)
    peer.raw(frame(BINARY, b"", fin=False))
    for _ in range(30):
        peer.raw(frame(CONTINUATION, b"", fin=False) * 100)
    peer.closed()


def test_cve_2026_48779_a_body_of_tiny_chunks(server: Served) -> None:
    peer = server.polling()
    peer.join()
    body = '42["message","' + "x" * 3000 + '"]'
    assert peer.post(iter([byte.encode() for byte in body])).text == "ok"
    assert peer.receive() == body.replace("message", "message-back")


def test_a_client_that_does_not_read_is_closed(serve: Serve) -> None:
    server = serve(max_buffered_bytes=1_000_000)
    polling = server.polling()
    slow = [polling.join()]
    peer, id = joined(server)
    slow.append(id)
    witness, _ = joined(server)
    blob = "x" * 100_000

    def flood() -> None:
        for id in slow:
            for _ in range(300):
                server.io.to(id).emit("flood", blob)

    server.running.call(flood)
    for id in slow:
        assert server.left_because(id) == "transport error"
    witness.echo("alive")
    peer.closed()


def test_a_request_line_that_is_not_http(server: Served) -> None:
    for data in (bytes(50), b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"GET /socket.io/?EIO=4 HTTP/9.9\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", server.port), timeout=0.3) as sock:
            sock.sendall(data)
            with contextlib.suppress(TimeoutError, ConnectionError):
                sock.recv(65536)
