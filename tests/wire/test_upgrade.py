"""The upgrade from polling to WebSocket: its steps, its interruptions, and that nothing is lost or doubled in it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable

import pytest

from tests.wire.conftest import Served
from tests.wire.peers import PollingPeer, Refused, WebSocketPeer, eventually, request, split_payload

Serve = Callable[..., Served]
both = pytest.mark.parametrize("eio", [3, 4])
SETTLE = 0.15


def join(server: Served, eio: int = 4) -> tuple[PollingPeer, str]:
    peer = server.polling(eio)
    return peer, peer.join()


def upgraded(server: Served, polling: PollingPeer) -> WebSocketPeer:
    peer = server.probe(polling)
    peer.send("5")
    return peer


def assert_polling_lives(polling: PollingPeer, word: str = "alive") -> None:
    polling.send(f'42["message","{word}"]')
    packet = polling.receive()
    while packet == "6":
        packet = polling.receive()
    assert packet == f'42["message-back","{word}"]'


def assert_no_probe(server: Served, polling: PollingPeer) -> None:
    """Fail unless a WebSocket for the session is refused, or accepted and closed without a word."""
    try:
        peer = server.knock(polling)
    except Refused as refused:
        status = refused.reply.status
    else:
        status = 101
        peer.send("2probe")
        assert peer.rest()[0] == []
    assert status in (101, 400)


# The steps.


@both
def test_an_upgrade(server: Served, eio: int) -> None:
    polling, _ = join(server, eio)
    peer = server.probe(polling)
    assert polling.poll() == ["6"]  # so that the client can pause its polling
    peer.send("5")
    peer.echo("over")


@both
def test_a_waiting_poll_is_released_with_a_noop(server: Served, eio: int) -> None:
    polling, _ = join(server, eio)
    pending = polling.pending_get()
    assert not pending.answered(SETTLE)
    peer = server.probe(polling)
    assert pending.finish().text == polling.payload("6")
    assert polling.poll() == ["6"]  # a client may poll again before it pauses
    peer.send("5")
    peer.echo("over")


@both
def test_polling_is_over_after_an_upgrade(server: Served, eio: int) -> None:
    polling, _ = join(server, eio)
    peer = upgraded(server, polling)
    peer.echo("over")
    for method, body in (("GET", None), ("POST", polling.payload('42["message"]'))):
        assert request(polling.port, method, polling.target, body).status == 400
    peer.echo("still")


@both
def test_a_poll_that_waits_through_the_swap_is_released(server: Served, eio: int) -> None:
    polling, _ = join(server, eio)
    peer = server.probe(polling)
    assert polling.poll() == ["6"]
    pending = polling.pending_get()
    pending.answered(0.05)  # it has arrived; the next noop is due a little later
    peer.send("5")
    answer = pending.finish()
    assert (answer.status, answer.text) == (200, polling.payload("6"))
    peer.echo("over")


@both
def test_a_second_websocket_is_refused_after_an_upgrade(server: Served, eio: int) -> None:
    polling, _ = join(server, eio)
    peer = upgraded(server, polling)
    peer.echo("over")
    assert_no_probe(server, polling)
    peer.echo("still")


@both
def test_a_second_websocket_is_refused_while_one_probes(server: Served, eio: int) -> None:
    polling, _ = join(server, eio)
    first = server.probe(polling)
    assert_no_probe(server, polling)
    first.send("5")
    first.echo("over")


def test_an_upgrade_may_be_tried_again(server: Served) -> None:
    polling, _ = join(server)
    for _ in range(3):
        failed = server.probe(polling)
        failed.close()
        assert_polling_lives(polling)
    upgraded(server, polling).echo("over")


def test_an_upgrade_before_the_namespace_is_joined(server: Served) -> None:
    polling = server.polling()
    peer = upgraded(server, polling)
    peer.join()
    peer.echo("over")


def test_a_namespace_joined_by_post_is_answered_on_the_new_transport(server: Served) -> None:
    polling = server.polling()
    peer = server.probe(polling)
    polling.send("40")
    peer.send("5")
    assert peer.receive_text().startswith('40{"sid"')
    assert peer.receive() == '42["auth",{}]'


def test_a_post_under_way_during_the_swap_is_not_lost(server: Served) -> None:
    polling, _ = join(server)
    peer = server.probe(polling)
    polling.send('42["message","by post"]')
    peer.send("5")
    assert peer.receive() == '42["message-back","by post"]'


# What goes wrong in it.


@both
@pytest.mark.parametrize(
    "first", ["5x", "2", "2prob", "3probe", "4x", '42["message"]', "1", "6", "", "abc", b"2probe", b"", b"\x02probe"]
)
def test_anything_else_than_a_probe_closes_only_the_probe(server: Served, eio: int, first: str | bytes) -> None:
    polling, _ = join(server, eio)
    peer = server.knock(polling)
    peer.send(first)
    assert peer.rest()[0] == []
    assert_polling_lives(polling)


@both
@pytest.mark.parametrize("second", ["4x", '42["message"]', "2", "3", "1", "", b"5"])
def test_anything_else_than_an_upgrade_closes_only_the_probe(server: Served, eio: int, second: str | bytes) -> None:
    polling, _ = join(server, eio)
    peer = server.probe(polling)
    peer.send(second)
    assert peer.rest()[0] == []
    assert_polling_lives(polling)


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
@pytest.mark.parametrize("probed", [False, True])
def test_a_probe_that_breaks_off_leaves_the_session_alone(server: Served, probed: bool, reset: bool) -> None:
    polling, _ = join(server)
    peer = server.probe(polling) if probed else server.knock(polling)
    peer.close(reset=reset)
    assert_polling_lives(polling)
    time.sleep(SETTLE)
    assert_polling_lives(polling, "again")


@pytest.mark.parametrize("probed", [False, True])
def test_a_probe_that_is_too_slow_is_closed(serve: Serve, probed: bool) -> None:
    server = serve(upgrade_timeout=0.3)
    polling, _ = join(server)
    started = time.monotonic()
    peer = server.probe(polling) if probed else server.websocket(f"EIO=4&transport=websocket&sid={polling.sid}")
    assert peer.rest()[0] == []
    assert 0.1 <= time.monotonic() - started < 8
    assert_polling_lives(polling)
    upgraded(server, polling).echo("over")


def test_an_upgrade_that_is_switched_off_is_refused(serve: Serve) -> None:
    server = serve(allow_upgrades=False)
    polling, _ = join(server)
    with pytest.raises(Refused) as caught:
        server.knock(polling)
    assert caught.value.reply.status == 400
    assert_polling_lives(polling)


def test_a_session_that_ends_takes_its_probe_with_it(server: Served) -> None:
    polling, id = join(server)
    peer = server.probe(polling)
    polling.send("1")
    assert server.left_because(id) == "transport close"
    assert peer.rest()[0] == []


def test_a_session_that_times_out_takes_its_probe_with_it(serve: Serve) -> None:
    server = serve(ping_interval=0.3, ping_timeout=0.2)
    polling, id = join(server)
    peer = server.probe(polling)
    assert peer.rest()[0] == []
    assert server.left_because(id) == "ping timeout"


# Nothing is lost, nothing is doubled.


@both
def test_messages_in_the_middle_of_an_upgrade(server: Served, eio: int) -> None:
    polling, id = join(server, eio)
    pending = polling.pending_get()
    assert not pending.answered(SETTLE)
    peer = server.knock(polling)
    server.emit(id, "n", 1)  # while a poll waits: it goes out with it
    assert pending.finish().text == polling.payload('42["n",1]')
    peer.send("2probe")
    assert peer.receive() == "3probe"
    server.emit(id, "n", 2)
    assert polling.poll() == ['42["n",2]']
    assert polling.poll() == ["6"]
    server.emit(id, "n", 3)  # while none does: it waits for the new transport
    server.emit(id, "n", 4)
    assert peer.is_silent()
    peer.send("5")
    server.emit(id, "n", 5)
    assert [peer.receive() for _ in range(3)] == [f'42["n",{n}]' for n in (3, 4, 5)]
    assert peer.is_silent()


@both
def test_binary_in_the_middle_of_an_upgrade(server: Served, eio: int) -> None:
    polling, id = join(server, eio)
    peer = server.probe(polling)
    assert polling.poll() == ["6"]
    server.emit(id, "n", b"\x01\x02")
    server.emit(id, "n", 2)
    peer.send("5")
    prefix = b"" if eio == 4 else b"\x04"
    expected = ['451-["n",{"_placeholder":true,"num":0}]', prefix + b"\x01\x02", '42["n",2]']
    assert [peer.receive() for _ in range(3)] == expected


@both
def test_a_storm_of_messages_through_an_upgrade(server: Served, eio: int) -> None:
    polling, id = join(server, eio)
    count = 600
    stop = threading.Event()

    def storm() -> None:
        for n in range(count):
            server.emit(id, "n", n)
            stop.wait(0.0005)

    thread = threading.Thread(target=storm)
    thread.start()
    try:
        packets = polling.poll()
        peer = server.probe(polling)
        deadline = time.monotonic() + 0.25
        while time.monotonic() < deadline:
            packets += polling.poll()
        peer.send("5")
        last = f'42["n",{count - 1}]'
        while last not in packets:
            packets.append(peer.receive_text())
    finally:
        stop.set()
        thread.join()
    assert [json.loads(packet[2:])[1] for packet in packets if packet != "6"] == list(range(count))


@both
@pytest.mark.parametrize("polls", [True, False])
def test_a_close_in_the_middle_of_an_upgrade_loses_nothing(server: Served, eio: int, polls: bool) -> None:
    polling, id = join(server, eio)
    pending = polling.pending_get() if polls else None
    assert pending is None or not pending.answered(SETTLE)
    peer = server.knock(polling)

    def part() -> None:
        server.io.to(id).emit("last")
        server.io.in_(id).disconnect_sockets(close=True)

    if pending is not None:
        server.running.call(part)
        packets = split_payload(pending.finish().body, eio)
        while packets[-1] != "1":
            packets += polling.poll()
        assert packets.count('42["last"]') == 1
        assert peer.rest()[0] == []
    else:
        peer.send("2probe")
        assert peer.receive() == "3probe"
        server.running.call(part)
        peer.send("5")
        messages, _ = peer.rest()
        assert messages[0] == '42["last"]'
        assert messages.count('42["last"]') == 1
    eventually(polling.is_dead)
    assert server.left_because(id) in ("server namespace disconnect", "forced server close")


def test_the_server_may_close_right_after_the_upgrade(server: Served) -> None:
    polling, id = join(server)
    peer = server.probe(polling)
    peer.send("5")
    peer.send('42["message","x"]')
    assert peer.receive() == '42["message-back","x"]'
    server.running.call(lambda: server.io.in_(id).disconnect_sockets(close=True))
    assert peer.rest()[0] == ["41"]
