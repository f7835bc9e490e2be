"""The heartbeats of both revisions: who sends them, who answers, and what silence or the wrong direction costs."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.wire.conftest import Served

Serve = Callable[..., Served]
INTERVAL, TIMEOUT = 0.3, 0.2


@pytest.fixture(name="beating")
def beating_server(serve: Serve) -> Served:
    return serve(ping_interval=INTERVAL, ping_timeout=TIMEOUT)


# Revision 4 of Engine.IO: the server asks.


def test_the_server_pings_a_websocket(beating: Served) -> None:
    peer = beating.websocket()
    peer.open()
    peer.join()
    started = time.monotonic()
    for _ in range(2):
        assert peer.receive() == "2"
        peer.send("3")
    assert time.monotonic() - started >= 2 * INTERVAL - 0.15
    peer.echo("alive")


def test_the_server_pings_a_polling_client(beating: Served) -> None:
    peer = beating.polling()
    peer.join()
    for _ in range(2):
        assert peer.poll() == ["2"]
        peer.send("3")
    peer.send('42["message","alive"]')
    assert peer.receive() == '42["message-back","alive"]'


def test_a_websocket_that_does_not_answer_is_closed(beating: Served) -> None:
    peer = beating.websocket()
    peer.open()
    id = peer.join()
    started = time.monotonic()
    messages, _ = peer.rest()
    assert messages == ["2"]
    assert INTERVAL + TIMEOUT - 0.15 <= time.monotonic() - started < 8
    assert beating.left_because(id) == "ping timeout"


def test_a_polling_client_that_does_not_answer_is_closed(beating: Served) -> None:
    peer = beating.polling()
    id = peer.join()
    assert peer.poll() == ["2"]
    waiting = peer.pending_get()
    assert beating.left_because(id) == "ping timeout"
    assert waiting.finish().text == "1"
    assert peer.get().status == 400


@pytest.mark.parametrize("packet", ["2", "2probe", "2x"])
def test_a_ping_from_the_client_is_the_wrong_direction(beating: Served, packet: str) -> None:
    peer = beating.websocket()
    peer.open()
    id = peer.join()
    peer.send(packet)
    peer.closed()
    assert beating.left_because(id) == "parse error"


def test_a_ping_by_post_is_the_wrong_direction(beating: Served) -> None:
    peer = beating.polling()
    id = peer.join()
    peer.post("2")
    assert beating.left_because(id) == "parse error"
    assert peer.get().status == 400


def test_an_upgraded_session_is_pinged_on_its_new_transport(beating: Served) -> None:
    polling = beating.polling()
    polling.join()
    peer = beating.probe(polling)
    peer.send("5")
    assert peer.receive() == "2"
    peer.send("3")
    peer.echo("alive")


# Revision 3 of Engine.IO: the client asks.


def test_a_ping_of_an_older_client_is_answered_and_buys_time(beating: Served) -> None:
    peer = beating.websocket("EIO=3&transport=websocket")
    peer.open()
    assert peer.receive() == "40"
    assert peer.receive_text().startswith('42["auth"')
    for _ in range(2):  # longer together than a silent client may live
        time.sleep(INTERVAL)
        peer.send("2")
        assert peer.receive() == "3"
    peer.echo("alive")


def test_a_ping_of_an_older_polling_client(beating: Served) -> None:
    peer = beating.polling(3)
    peer.join()
    for _ in range(2):  # longer together than a silent client may live
        time.sleep(INTERVAL)
        peer.send("2")
        assert peer.poll() == ["3"]
    peer.send('42["message","alive"]')
    assert peer.receive() == '42["message-back","alive"]'


def test_a_silent_older_client_is_closed(beating: Served) -> None:
    peer = beating.websocket("EIO=3&transport=websocket")
    sid = peer.open()["sid"]
    started = time.monotonic()
    messages, _ = peer.rest()
    assert "2" not in messages
    assert INTERVAL + TIMEOUT - 0.15 <= time.monotonic() - started < 8
    assert beating.left_because(sid) == "ping timeout"


def test_a_silent_older_polling_client_is_closed(beating: Served) -> None:
    peer = beating.polling(3)
    id = peer.join()
    assert beating.left_because(id) == "ping timeout"
    assert peer.post("1:2").status == 400


def test_a_pong_from_an_older_client_is_the_wrong_direction(beating: Served) -> None:
    peer = beating.polling(3)
    id = peer.join()
    peer.post("1:3")
    assert beating.left_because(id) == "parse error"


# Time.


def test_a_client_that_joins_no_namespace_is_closed(serve: Serve) -> None:
    server = serve(connect_timeout=0.3)
    polling = server.polling()
    peer = server.websocket()
    peer.open()
    started = time.monotonic()
    peer.closed()
    assert 0.15 <= time.monotonic() - started < 8
    assert polling.poll() == ["1"]
    assert polling.is_dead()


def test_a_refused_client_is_closed_in_the_end(serve: Serve) -> None:
    server = serve(connect_timeout=0.3)
    peer = server.websocket()
    peer.open()
    peer.send("40/random,")
    assert peer.rest()[0] == ['44/random,{"message":"Invalid namespace"}']
