"""Which connection a socket is on, how it joins its namespace, and what it shows for that."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from socketeer import ClientSocket, ConnectionRefused, Manager, UsageError, connect
from tests.client.servers import PEERS, TRANSPORTS, Peer, eventually, in_loop, lose

SECRET = {"token": "secret"}


async def attempts(socket: ClientSocket, namespace: str, key: str) -> list[str]:
    """Give what clients have shown for a namespace, as far as it concerns this test."""
    shown: list[dict[str, str]] = await socket.emit_with_ack("attempts", namespace)
    return [auth["by"] for auth in shown if auth.get("key") == key]


# One connection for many


@in_loop
async def test_namespaces_share_a_connection(server: Peer, transport: str) -> None:
    async with server.open("", transport) as socket:
        echo = server.connect("/echo", transport)
        dynamic = server.connect("/dynamic-42", transport)
        assert (echo.nsp, dynamic.nsp) == ("/echo", "/dynamic-42")
        assert echo.io is dynamic.io is socket.io
        await asyncio.gather(echo, dynamic)
        answers = await asyncio.gather(*(each.emit_with_ack("handshake") for each in (socket, echo, dynamic)))
        assert [answer["namespace"] for answer in answers] == ["/", "/echo", "/dynamic-42"]
        assert [answer["id"] for answer in answers] == [socket.id, echo.id, dynamic.id]
        assert len({socket.id, echo.id, dynamic.id}) == 3
        assert len({answer["engineId"] for answer in answers}) == 1
        assert socket.io.engine is not None
        assert socket.io.engine.id == answers[0]["engineId"]
        assert (socket.id == socket.io.engine.id) == (server.eio == 3)
        for each, number in ((socket, 1), (echo, 2), (dynamic, 3)):
            each.emit("echo", number)
        assert [(await each.receive(5)).args for each in (socket, echo, dynamic)] == [[1], [2], [3]]
        echo.disconnect()
        assert (echo.connected, echo.active, echo.id, socket.connected) == (False, False, None, True)
        assert await dynamic.emit_with_ack("echo", 1) == 1
        assert await echo.connect().emit_with_ack("echo", 2) == 2
        dynamic.disconnect()
        echo.disconnect()
        assert socket.io.ready_state == "open"


# Node's server 2.5 lets a client in again and does not tell it so.
@pytest.mark.parametrize("server", [peer for peer in PEERS if peer != "node 2"], indirect=True)
@in_loop
async def test_the_main_namespace_can_be_left_and_joined_again(server: Peer) -> None:
    async with server.open("/echo", "websocket") as echo:
        root = await server.connect("", "websocket")
        assert root.io is echo.io
        root.disconnect()
        assert await echo.emit_with_ack("echo", 1) == 1
        await root.connect()
        assert await root.emit_with_ack("echo", 2) == 2
        assert echo.connected
        root.disconnect()


@in_loop
async def test_only_another_namespace(server: Peer, transport: str) -> None:
    async with server.open("/echo", transport) as socket:
        assert await socket.emit_with_ack("echo", b"1") == b"1"
        assert socket.io.engine is not None


@in_loop
async def test_which_sockets_share_a_connection(ours: Peer) -> None:
    first = ours.connect("", "websocket", query={"a": "1"})
    assert ours.connect("/echo").io is first.io
    assert ours.connect("", "websocket").io is not first.io, "the same namespace a second time"
    alone = [
        ours.connect("/dynamic-1", force_new=True),
        ours.connect("/dynamic-2", multiplex=False),
        ours.connect("/dynamic-3", query={"a": "2"}),
        ours.connect("/dynamic-4", path="/elsewhere"),
        connect(ours.url.replace("127.0.0.1", "localhost") + "/dynamic-5"),
    ]
    managers = [first.io, *(socket.io for socket in alone)]
    assert len(set(managers)) == 6
    for manager in managers:
        manager.close()
        await manager.wait_closed()


@in_loop
async def test_a_manager_gives_one_socket_for_each_namespace(ours: Peer) -> None:
    manager = Manager(ours.url, transports=["websocket"], auto_connect=False)
    root, echo = manager.socket(), manager.socket("echo")
    assert (root.nsp, echo.nsp) == ("/", "/echo")
    assert manager.socket("/echo") is echo
    await asyncio.sleep(0.02)
    assert (manager.ready_state, root.active) == ("closed", False)
    root.connect()
    assert (manager.ready_state, root.active, root.connected) == ("opening", True, False)
    async with root:
        assert manager.ready_state == "open"
        assert not echo.active
        await echo.open()
        assert await echo.emit_with_ack("echo", 1) == 1
        echo.close()
        assert manager.ready_state == "open"
    assert (manager.ready_state, manager.engine, root.transport) == ("closed", None, None)
    async with root:
        assert await root.emit_with_ack("echo", 2) == 2


@in_loop
async def test_a_manager_that_was_closed_opens_for_a_further_socket(ours: Peer) -> None:
    async with ours.open("", "websocket") as first:
        manager = first.io
    async with ours.open("/echo") as second:
        assert second.io is manager
        assert not first.active
        assert await second.emit_with_ack("echo", 1) == 1
    async with ours.open("/echo") as again:
        assert again is not second
        assert await again.emit_with_ack("echo", 1) == 1


# Being refused


@in_loop
async def test_who_is_refused_is_told_why(server: Peer, transport: str) -> None:
    socket = server.connect("/admin", transport, auth={"token": "guess"})
    errors: list[Exception] = []
    socket.on("connect_error", errors.append)
    with pytest.raises(ConnectionRefused) as refused:
        await socket
    message = "not authorized" if server.modern else "Connection refused"
    assert (refused.value.message, refused.value.data) == (message, {"code": 1})
    assert errors == [refused.value]
    assert (socket.active, socket.connected, socket.io.ready_state) == (False, False, "closed")
    await asyncio.sleep(0.03)
    assert len(errors) == 1, "it came back by itself"
    socket.auth = SECRET
    async with socket:
        assert await socket.emit_with_ack("echo", 1) == 1
    with pytest.raises(ConnectionRefused) as refused:
        async with server.connect("/refused", transport):
            pytest.fail("it was let in")
    assert (refused.value.message, refused.value.data) == ("not today", None)


@in_loop
async def test_who_was_refused_may_ask_again_beside_others(server: Peer) -> None:
    async with server.open() as other:
        socket = server.connect("/admin", auth={"token": "guess"})
        assert socket.io is other.io
        for _ in range(2):
            with pytest.raises(ConnectionRefused):
                await socket
        socket.auth = SECRET
        async with socket:
            assert await socket.emit_with_ack("echo", 1) == 1


@in_loop
async def test_a_refusal_leaves_the_others_alone(server: Peer) -> None:
    async with server.open("", "websocket") as socket:
        with pytest.raises(ConnectionRefused, match="Invalid namespace"):
            await server.connect("/unknown")
        with pytest.raises(ConnectionRefused):
            await server.connect("/refused")
        assert await socket.emit_with_ack("echo", 1) == 1


@in_loop
async def test_a_slow_middleware(server: Peer, transport: str) -> None:
    order: list[Any] = []
    socket = server.connect("/slow", transport, auth={"ms": 60})
    socket.on("connect", lambda: order.append("connect"))
    socket.emit("echo", 1, ack=order.append)
    await eventually(lambda: socket.io.ready_state == "open")
    assert (socket.active, socket.connected, socket.id) == (True, False, None)
    async with socket:
        await socket.emit_with_ack("echo")
        assert order == ["connect", 1]


@in_loop
async def test_leaving_before_one_is_let_in(server: Peer) -> None:
    async with server.open("", "websocket") as other:
        socket = server.connect("/slow", auth={"ms": 30})
        waiting = asyncio.create_task(socket.wait_disconnected())
        await asyncio.sleep(0.01)
        socket.disconnect()
        assert await waiting == "io client disconnect"
        await asyncio.sleep(0.05)
        assert not socket.connected
        assert await other.emit_with_ack("echo", 1) == 1


@in_loop
async def test_what_comes_before_the_answer_waits_for_it(server: Peer, transport: str) -> None:
    order: list[Any] = []
    socket = server.connect("/early", transport)
    socket.on("connect", lambda: order.append("connect"))
    socket.on("early", lambda *args: order.append((socket.connected, *args)))
    async with socket:
        await socket.emit_with_ack("echo")
    assert order == [(True, 1, b"\1\2\3"), "connect"]


@in_loop
async def test_what_a_server_sends_at_once(server: Peer, transport: str) -> None:
    async with server.open("/?greet=1", transport) as socket:
        assert await socket.receive(5) == ("greeting", [1, {"a": "b"}, b"\1\2\3"])


# What a client shows


@in_loop
async def test_auth_is_asked_at_each_connection(server: Peer) -> None:
    key = f"key {server.name}"
    shown: list[str] = []

    def plain() -> dict[str, str]:
        shown.append(str(len(shown) + 1))
        return {"key": key, "by": shown[-1], **SECRET}

    async def later() -> dict[str, str]:
        await asyncio.sleep(0.01)
        return plain()

    async with server.open("/echo", "websocket", auth={"key": key, "by": "mapping"}) as echo:
        admin = server.connect("/admin", auth=plain)
        dynamic = server.connect("/dynamic-7", auth=later)
        async with admin, dynamic:
            for _ in range(2):
                lose(echo)
                await asyncio.gather(*(each.disconnected for each in (echo, admin, dynamic)))
                await asyncio.gather(echo, admin, dynamic)
            assert await attempts(echo, "/echo", key) == ["mapping"] * 3
            seen = await attempts(echo, "/admin", key) + await attempts(echo, "/dynamic-7", key)
            assert sorted(seen) == shown == ["1", "2", "3", "4", "5", "6"]
            admin.auth = {"key": key, "by": "another", **SECRET}
            await admin.disconnect().connect()
            assert (await attempts(echo, "/admin", key))[-1] == "another"


@in_loop
async def test_auth_for_the_main_namespace(modern: Peer, transport: str) -> None:
    async with modern.open("", transport, auth={"token": "é", "n": [1, {"deep": None}]}) as socket:
        assert (await socket.emit_with_ack("handshake"))["auth"] == {"token": "é", "n": [1, {"deep": None}]}
    async with modern.open("", transport) as socket:
        assert (await socket.emit_with_ack("handshake"))["auth"] in ({}, None)


async def fails_later() -> dict[str, str]:
    raise LookupError("no token")


def fails() -> dict[str, str]:
    raise LookupError("no token")


@pytest.mark.parametrize(
    ("auth", "error", "words"),
    [
        (fails, LookupError, "no token"),
        (fails_later, LookupError, "no token"),
        (lambda: "secret", TypeError, "must give a mapping, not 'secret'"),
        (lambda: {"a": object()}, TypeError, "not serializable"),
    ],
    ids=["raises", "raises later", "no mapping", "nothing for JSON"],
)
@in_loop
async def test_auth_that_fails(ours: Peer, auth: Any, error: type[Exception], words: str) -> None:
    logging.getLogger("socketeer.client").disabled = True
    try:
        async with ours.open("", "websocket") as other:
            socket = ours.connect("/echo", auth=auth)
            errors: list[Exception] = []
            socket.on("connect_error", errors.append)
            with pytest.raises(error, match=words):
                await socket
            assert [type(each) for each in errors] == [error]
            assert not socket.active
            assert await other.emit_with_ack("echo", 1) == 1
    finally:
        logging.getLogger("socketeer.client").disabled = False


@pytest.mark.parametrize("auth", ["secret", 1, [("token", "secret")]])
def test_auth_of_the_wrong_type(auth: Any) -> None:
    with pytest.raises(TypeError, match="'auth'"):
        connect("http://127.0.0.1:1", auth=auth, auto_connect=False)


# URLs


@in_loop
async def test_the_query_and_the_user_of_the_url(server: Peer, transport: str) -> None:
    url = f"ws://user:p%40ss@127.0.0.1:{server.port}/echo?x=1&y=a%20b&x=2"
    async with connect(url, eio=server.eio, transports=TRANSPORTS[transport]) as socket:
        seen = await socket.emit_with_ack("handshake")
        assert seen["query"]["y"] == "a b"
        assert seen["headers"]["authorization"] == "Basic dXNlcjpwQHNz"
        assert seen["namespace"] == "/echo"


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:3000", "ftp://127.0.0.1", "http://", "http://127.0.0.1:port", "http://[::1", "/admin"]
)
def test_no_url_of_a_server(url: str) -> None:
    with pytest.raises(UsageError, match="URL"):
        connect(url)


def test_a_client_needs_an_event_loop() -> None:
    socket = connect("http://127.0.0.1:1")
    assert not socket.active
    with pytest.raises(UsageError, match=r"socketeer\.sync"):
        socket.connect()


def test_a_client_belongs_to_one_event_loop(ours: Peer) -> None:
    async def use(socket: ClientSocket) -> None:
        async with socket:
            assert await socket.emit_with_ack("echo", 1) == 1

    made_outside = connect(ours.url, transports=["websocket"])
    asyncio.run(use(made_outside))

    async def elsewhere() -> None:
        other = ours.connect("", "websocket")
        await asyncio.to_thread(asyncio.run, complain(other))
        await use(other)

    async def complain(socket: ClientSocket) -> None:
        with pytest.raises(UsageError, match="event loop"):
            await socket.emit_with_ack("echo", 1)
        socket.io.close  # noqa: B018

    asyncio.run(elsewhere())
