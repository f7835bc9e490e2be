"""Volatile events: one leaves only where nothing was sent before it in the same round of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from socketeer import Server, Socket
from tests.support.raw import Client
from tests.support.serving import LANES, serving


@pytest.fixture(scope="module", params=LANES)
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """Serve an application that sends what it is told to."""
    io = Server()

    def send(socket: Socket, plan: list[Any]) -> None:
        for value in plan:
            if isinstance(value, list):
                socket.volatile.emit("sent", *value)
            else:
                socket.emit("sent", value)

    @io.event
    def now(socket: Socket, plan: list[Any]) -> None:
        send(socket, plan)

    @io.event
    async def later(socket: Socket, *plans: list[Any]) -> None:
        for plan in plans:
            await asyncio.sleep(0.02)
            while socket.transport == "polling" and not socket.conn.transport.writable:
                await asyncio.sleep(0.005)  # until the client polls again
            send(socket, plan)
        await asyncio.sleep(0.02)
        socket.emit("sent", "end")

    with serving(io, request.param) as running:
        yield running.port


TRANSPORTS = pytest.mark.parametrize("client", ["websocket", "polling"], indirect=True)


@pytest.fixture(params=["websocket"])
def client(port: int, request: pytest.FixtureRequest) -> Iterator[Client]:
    client = Client(port, transport=request.param)
    client.join()
    try:
        yield client
    finally:
        client.close()


PLANS = [
    (["a", ["b"], ["c"], "d"], ["a", "d"]),
    ([["a"], ["b"], "c"], ["a", "c"]),
    ([["a", "€" * 100_000], ["b"]], ["a"]),
]


@TRANSPORTS
@pytest.mark.parametrize(("plan", "expected"), PLANS)
def test_of_a_round_only_the_first_leaves(client: Client, plan: list[Any], expected: list[str]) -> None:
    client.emit("later", plan)
    assert [event[1] for event in client.events(len(expected) + 1)] == [*expected, "end"]


@TRANSPORTS
def test_in_the_next_round_the_way_is_free_again(client: Client) -> None:
    client.emit("later", ["a"], [["b"], ["c"]], [["d"]], ["e", ["f"]], [["g"]])
    assert [event[1] for event in client.events(6)] == ["a", "b", "d", "e", "g", "end"]


def test_the_answer_to_what_a_client_sends_at_once_may_be_volatile(client: Client) -> None:
    for number in range(100):
        client.emit("now", [[number], ["never"]])
        assert client.event() == ["sent", number]


@TRANSPORTS
def test_a_connection_that_never_sent_anything_volatile_learns_of_it(client: Client) -> None:
    client.emit("now", list(range(200)))
    assert [event[1] for event in client.events(200)] == list(range(200))
    client.emit("later", [["first"], ["second"]], ["normal", ["third"]], [["fourth"]])
    assert [event[1] for event in client.events(4)] == ["first", "normal", "fourth", "end"]
