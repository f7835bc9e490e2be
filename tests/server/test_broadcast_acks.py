"""Acknowledgements of many clients to one event."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from socketeer import AckTimeout, Server
from tests.server.conftest import Served

Serve = Callable[[Server], Served]


def test_a_broadcast_gathers_the_answers_of_all(serve: Serve) -> None:
    io = Server()
    served = serve(io)
    clients = [served.join() for _ in range(3)]
    waiting = asyncio.run_coroutine_threadsafe(io.timeout(5).emit_with_ack("vote", "x"), served.running.loop)
    for index, client in enumerate(clients):
        packet = client.packet()
        assert packet.data == ["vote", "x"]
        client.answer(packet, *range(index))
        assert client.silent()
    assert waiting.result(5) == [None, 0, (0, 1)]


def test_a_broadcast_that_not_all_answer_carries_the_answers_there_are(serve: Serve) -> None:
    io = Server()
    served = serve(io)
    first, second = served.join(), served.join()
    waiting = asyncio.run_coroutine_threadsafe(io.timeout(0.3).emit_with_ack("vote"), served.running.loop)
    packet = second.packet()
    first.answer(first.packet(), "yes")
    with pytest.raises(AckTimeout, match="1 of 2 did not acknowledge") as caught:
        waiting.result(5)
    assert caught.value.responses == ["yes"]
    assert served.call(lambda: [socket._acks for socket in io.sockets.sockets.values()]) == [{}, {}]
    second.answer(packet, "too late")
    assert second.silent()


def test_a_socket_that_leaves_keeps_a_broadcast_waiting_no_longer(serve: Serve) -> None:
    io = Server()
    served = serve(io)
    first, second, third = served.join(), served.join(), served.join()
    waiting = asyncio.run_coroutine_threadsafe(io.timeout(30).emit_with_ack("vote"), served.running.loop)
    started = time.monotonic()
    for client in (first, second, third):
        packet = client.packet()
    first.close()
    second.leave()
    third.answer(packet, "yes")
    assert waiting.result(5) == ["yes"]
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("how", ["nobody", "empty room", "excluded"])
def test_a_broadcast_to_nobody_is_answered_at_once(serve: Serve, how: str) -> None:
    io = Server()
    served = serve(io)
    operator: Any = io
    if how == "empty room":
        served.join()
        operator = io.to("nowhere")
    elif how == "excluded":
        _, socket = served.member()
        operator = socket.broadcast
    started = time.monotonic()
    assert served.run(operator.timeout(30).emit_with_ack("vote")) == []
    assert served.run(operator.timeout(0).emit_with_ack("vote")) == []
    assert time.monotonic() - started < 5


def test_a_broadcast_with_a_callback_gets_an_error_and_the_answers(serve: Serve) -> None:
    io = Server(ack_timeout=0.2)
    served = serve(io)
    client = served.join()
    calls: queue.Queue[tuple[Any, ...]] = queue.Queue()
    io.emit("vote", ack=lambda *args: calls.put(args))
    client.answer(client.packet(), "yes")
    assert calls.get(timeout=5) == (None, ["yes"])
    io.emit("vote", ack=lambda *args: calls.put(args))  # the option limits what timeout() does not
    error, answers = calls.get(timeout=5)
    assert isinstance(error, AckTimeout)
    assert (answers, error.responses) == ([], [])
    served.settle()
    assert calls.empty()


def test_a_broadcast_from_another_thread_may_ask(serve: Serve) -> None:
    io = Server()
    served = serve(io)
    client = served.join()
    calls: queue.Queue[tuple[Any, ...]] = queue.Queue()
    thread = threading.Thread(target=lambda: io.timeout(5).emit("vote", ack=lambda *args: calls.put(args)))
    thread.start()
    client.answer(client.packet(), "yes")
    thread.join(5)
    assert calls.get(timeout=5) == (None, ["yes"])
