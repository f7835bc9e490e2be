"""Acknowledgements of many clients to one event."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any

import pytest

from socketeer import AckTimeout, Server
from socketeer.testing import AsgiNetwork, Clients
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
    assert waiting.result(20) == [None, 0, (0, 1)]


def test_a_broadcast_that_not_all_answer_carries_the_answers_there_are(socketeer_client: Clients) -> None:
    io = Server()
    first, second = socketeer_client(io), socketeer_client(io)
    first.on("vote", lambda: "yes")

    @second.on("vote")
    async def too_late() -> str:
        await asyncio.sleep(5)
        return "no"

    with pytest.raises(AckTimeout, match="1 of 2 did not acknowledge") as caught:
        socketeer_client.run(io.timeout(3).emit_with_ack("vote"))
    assert caught.value.responses == ["yes"]
    assert [socket._acks for socket in io.sockets.sockets.values()] == [{}, {}]
    socketeer_client.advance(10)
    assert second.connected


def test_a_socket_that_leaves_keeps_a_broadcast_waiting_no_longer(socketeer_client: Clients) -> None:
    io, calls = Server(), []
    network = AsgiNetwork(io)
    socketeer_client(network)
    second = socketeer_client(io)
    socketeer_client(io).on("vote", lambda: "yes")
    io.timeout(30).emit("vote", ack=lambda *args: calls.append(args))
    socketeer_client.advance(1)
    network.drop()
    assert calls == []
    second.disconnect()
    assert calls == [(None, ["yes"])]
    assert socketeer_client.time == 1


@pytest.mark.parametrize("how", ["nobody", "empty room", "excluded"])
def test_a_broadcast_to_nobody_is_answered_at_once(socketeer_client: Clients, how: str) -> None:
    io = Server()
    operator: Any = io
    if how == "empty room":
        socketeer_client(io)
        operator = io.to("nowhere")
    elif how == "excluded":
        socketeer_client(io)
        (socket,) = io.sockets.sockets.values()
        operator = socket.broadcast
    for seconds in (30, 0):
        assert socketeer_client.run(operator.timeout(seconds).emit_with_ack("vote")) == []
    assert socketeer_client.time == 0


def test_a_broadcast_with_a_callback_gets_an_error_and_the_answers(socketeer_client: Clients) -> None:
    io = Server()
    client = socketeer_client(io)
    client.on("vote", lambda: "yes")
    calls: list[tuple[Any, ...]] = []
    io.emit("vote", ack=lambda *args: calls.append(args))
    socketeer_client.advance(0)
    assert calls.pop() == (None, ["yes"])
    client.off("vote")
    io.emit("vote", ack=lambda *args: calls.append(args))
    socketeer_client.advance(100)
    ((error, answers),) = calls
    assert isinstance(error, AckTimeout)
    assert (answers, error.responses) == ([], [])


def test_a_broadcast_from_another_thread_may_ask(serve: Serve) -> None:
    io = Server()
    served = serve(io)
    client = served.join()
    calls: queue.Queue[tuple[Any, ...]] = queue.Queue()
    thread = threading.Thread(target=lambda: io.timeout(5).emit("vote", ack=lambda *args: calls.put(args)))
    thread.start()
    client.answer(client.packet(), "yes")
    thread.join(5)
    assert calls.get(timeout=20) == (None, ["yes"])
