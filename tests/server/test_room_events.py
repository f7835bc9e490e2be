"""What the adapter tells of rooms: that they are made and gone, and who joins and leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from socketeer import ConnectionRefused, Server, Socket, UsageError
from tests.server.conftest import Served
from tests.wire.peers import eventually

Serve = Callable[[Server], Served]
EVENTS = ("create-room", "join-room", "leave-room", "delete-room")


def watching(io: Server, namespace: str = "/") -> list[Any]:
    """Note every event of rooms."""
    told: list[Any] = []
    for event in EVENTS:
        io.of(namespace).adapter.on(event, lambda *args, name=event: told.append((name.partition("-")[0], *args)))
    return told


@pytest.mark.parametrize("recovery", [False, True])
def test_rooms_are_told_of_as_they_come_and_go(serve: Serve, recovery: bool) -> None:
    io = Server(connection_state_recovery=recovery)
    told = watching(io)
    served = serve(io)
    (client, ann), (_, bob) = served.member(), served.member()
    a, b = ann.id, bob.id
    assert told == [("create", a), ("join", a, a), ("create", b), ("join", b, b)]
    told.clear()
    served.call(ann.join, ["red", "blue"])
    served.call(bob.join, "red")
    served.call(bob.join, "red")
    served.call(ann.leave, "red")
    served.call(ann.leave, "red")
    served.call(bob.leave, "red")
    assert told == [
        ("create", "red"), ("join", "red", a), ("create", "blue"), ("join", "blue", a),
        ("join", "red", b), ("leave", "red", a), ("leave", "red", b), ("delete", "red"),
    ]  # fmt: skip
    told.clear()
    client.close()
    eventually(lambda: len(told) == 4)
    assert {frozenset(told[:2]), frozenset(told[2:])} == {
        frozenset({("leave", room, a), ("delete", room)}) for room in (a, "blue")
    }


def test_other_namespaces_have_rooms_of_their_own(serve: Serve) -> None:
    io = Server()
    told, chat = watching(io), watching(io, "/chat")
    served = serve(io)
    _, socket = served.member("/chat")
    assert told == []
    assert chat == [("create", socket.id), ("join", socket.id, socket.id)]


def test_who_is_refused_leaves_what_the_middleware_put_it_into(serve: Serve) -> None:
    io = Server()
    told = watching(io)

    @io.use
    def refuse(socket: Socket) -> None:
        socket.join("red")
        raise ConnectionRefused("no")

    serve(io).connect().refusal()
    assert [entry[:2] for entry in told] == [("create", "red"), ("join", "red"), ("leave", "red"), ("delete", "red")]


def test_a_listener_may_join_leave_and_go(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    io = Server()
    adapter = io.of("/").adapter
    told: list[Any] = []

    @adapter.on("join-room")
    def follow(room: str, id: str) -> None:
        if room == "red":
            io.of("/").sockets[id].join("followers")
        told.append(room)

    @adapter.on("create-room")
    def fail(room: str) -> None:
        raise ValueError("a listener failed")

    served = serve(io)
    _, socket = served.member()
    served.call(socket.join, "red")
    assert told == [socket.id, "followers", "red"]
    assert served.call(lambda: socket.rooms) == {socket.id, "red", "followers"}
    adapter.off("join-room", follow)
    adapter.off("create-room")
    served.call(socket.join, "blue")
    assert len(told) == 3
    caplog.clear()


def test_there_are_no_other_events_and_no_async_listeners() -> None:
    adapter = Server().of("/").adapter
    with pytest.raises(UsageError, match="no event 'room-created'"):
        adapter.on("room-created", print)

    async def later(room: str) -> None: ...

    with pytest.raises(UsageError, match="cannot be async"):
        adapter.on("create-room", later)
