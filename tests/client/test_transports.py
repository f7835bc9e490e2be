"""The options that say how requests are made and over what: each seen by the servers that get them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from socketeer import MSGPACK, ClientSocket, TransportError
from tests.client.servers import ONCE, Farm, Peer, eventually, in_loop, lose, running
from tests.support.http_proxy import http_proxying
from tests.support.proxy import proxying


@pytest.fixture(params=ONCE)
def server(request: pytest.FixtureRequest, farm: Farm) -> Peer:
    """Return each kind of server once."""
    return farm.peer(request.param)


async def handshake(socket: ClientSocket) -> dict[str, Any]:
    """Give what the server saw; of polling also a GET and a POST behind the handshake."""
    await socket.emit_with_ack("echo")
    seen: dict[str, Any] = await socket.emit_with_ack("handshake")
    return seen


async def urls(socket: ClientSocket) -> list[str]:
    """Give the URLs of the handshake, of the upgrade and of the last request."""
    requests = (await handshake(socket))["requests"]
    return [requests[kind]["url"] for kind in ("handshake", "upgrade", "last") if requests[kind] is not None]


# Which transports


@in_loop
async def test_the_default_begins_with_polling_and_upgrades(server: Peer) -> None:
    happened: list[str | None] = []
    socket = server.connect("")

    @socket.io.on("open")
    def opened() -> None:
        engine: Any = socket.io.engine
        happened.append(engine.transport.name)
        engine.on("upgrading", lambda transport: happened.append(f"upgrading to {transport.name}"))
        engine.on("upgrade", lambda transport: happened.append(f"upgraded to {transport.name}"))

    async with socket:
        await eventually(lambda: socket.transport == "websocket")
        assert happened == ["polling", "upgrading to websocket", "upgraded to websocket"]
        assert (await socket.emit_with_ack("upgrade?"))["transport"] == "websocket"
        assert socket.io.engine is not None
        assert socket.io.engine.upgraded


@pytest.mark.parametrize(
    ("options", "first", "then"),
    [
        ({"transports": ["websocket"]}, "websocket", "websocket"),
        ({"transports": ["polling"]}, "polling", "polling"),
        ({"upgrade": False}, "polling", "polling"),
        ({"transports": ["websocket", "polling"]}, "websocket", "websocket"),
    ],
)
@in_loop
async def test_the_choice_of_transports(server: Peer, options: dict[str, Any], first: str, then: str) -> None:
    async with server.connect("", **options) as socket:
        assert socket.transport == first
        seen = await handshake(socket)
        assert f"transport={first}" in seen["requests"]["handshake"]["url"]
        assert seen["requests"]["upgrade"] is None
        assert await socket.emit_with_ack("transport") == socket.transport == then


@pytest.mark.parametrize("remember", [True, False])
@in_loop
async def test_remember_upgrade(server: Peer, remember: bool) -> None:
    async with server.open("", "upgrade", remember_upgrade=remember) as socket:
        lose(socket)
        await socket.disconnected
        await socket
        first = (await handshake(socket))["requests"]["handshake"]["url"]
        assert ("transport=websocket" in first) == remember


@in_loop
async def test_a_websocket_without_an_answer_is_not_begun_with_again(ours: Peer) -> None:
    with proxying(ours.port) as proxy:
        async with ours.open("", "upgrade", port=proxy.port, remember_upgrade=True, timeout=0.3) as socket:
            failed = asyncio.Event()
            socket.on("connect_error", lambda error: failed.set())
            proxy.hold()
            lose(socket)
            await failed.wait()
            proxy.release()
            await socket
            assert "transport=polling" in (await handshake(socket))["requests"]["handshake"]["url"]


@pytest.fixture(scope="module", params=["portable", "fast"])
def only_polling(request: pytest.FixtureRequest) -> Iterator[Peer]:
    """Return a server without WebSockets."""
    with running(request.param, transports=["polling"]) as peer:
        yield peer


@in_loop
async def test_try_all_transports(only_polling: Peer) -> None:
    both: dict[str, Any] = {"transports": ["websocket", "polling"], "reconnection": False}
    async with only_polling.connect("", **both, try_all_transports=True) as socket:
        assert socket.transport == "polling"
        assert await socket.emit_with_ack("echo", 1) == 1
    with pytest.raises(TransportError, match=r"WebSocket refused: HTTP 400 .*Transport unknown") as refused:
        await only_polling.connect("", **both)
    assert (refused.value.status, "unknown" in refused.value.body) == (400, True)
    async with only_polling.connect("") as socket:
        await asyncio.sleep(0.05)
        assert socket.transport == "polling"


# What requests say


@in_loop
async def test_the_query(server: Peer, transport: str) -> None:
    async with server.open("/?in=url", transport, query={"a": "b c", "é": 1}) as socket:
        seen = await handshake(socket)
        assert {key: seen["query"].get(key) for key in ("a", "é", "in")} == {"a": "b c", "é": "1", "in": "url"}
        assert seen["query"]["EIO"] == str(server.eio)
        for url in await urls(socket):
            assert "a=b+c" in url
            assert "in=url" in url
            assert f"EIO={server.eio}" in url


@in_loop
async def test_the_query_takes_nothing_from_the_protocol(server: Peer, transport: str) -> None:
    own = {"EIO": "9", "transport": "no", "sid": "no", "b64": "no", "now": "no", "a": "&=/"}
    options: dict[str, Any] = {"timestamp_requests": True, "timestamp_param": "now", "force_base64": True}
    async with server.open("", transport, query=own, **options) as socket:
        for url in await urls(socket):
            given = parse_qs(urlsplit(url).query, strict_parsing=True)
            assert given.pop("a") == ["&=/"]
            assert given.pop("now") != ["no"]
            assert given.pop("sid", ["any"]) != ["no"]
            assert given.pop("transport") in (["polling"], ["websocket"])
            assert given == {"EIO": [str(server.eio)], "b64": ["1"]}
    async with server.open("", transport, query={"sid": "no", "": "unnamed"}) as socket:
        assert all("sid=no" not in url and "?=unnamed&" in url for url in await urls(socket))


@in_loop
async def test_the_headers(server: Peer, transport: str) -> None:
    async with server.open("", transport, extra_headers={"X-Test": "tested", "user-agent": "me"}) as socket:
        requests = (await handshake(socket))["requests"]
        for kind in ("handshake", "upgrade", "last"):
            if requests[kind] is not None:
                assert requests[kind]["headers"]["x-test"] == "tested"
                assert requests[kind]["headers"]["user-agent"] == "me"
        assert (requests["upgrade"] is not None) == (transport == "upgrade")
        assert (requests["last"] is not None) == (transport != "websocket")


@pytest.mark.parametrize("option", ["query", "extra_headers"])
@in_loop
async def test_functions_are_asked_at_each_connection(server: Peer, option: str) -> None:
    asked = 0

    def plain() -> dict[str, Any]:
        nonlocal asked
        asked += 1
        return {"number": asked}

    async def later() -> dict[str, Any]:
        await asyncio.sleep(0)
        return plain()

    for give in (plain, later):
        asked = 0
        async with server.open("", "upgrade", **{option: give}) as socket:
            for number in ("1", "2"):
                await eventually(lambda: socket.transport == "websocket")
                for request in list((await handshake(socket))["requests"].values())[:3]:
                    if option == "query":
                        assert f"number={number}" in request["url"]
                    else:
                        assert request["headers"]["number"] == number
                engine: Any = socket.io.engine
                engine.close(discard=True)
                await socket.disconnected
                await socket
            assert asked == 3


@in_loop
async def test_functions_that_fail(ours: Peer, caplog: pytest.LogCaptureFixture) -> None:
    def fails() -> dict[str, str]:
        raise LookupError("no token")

    for options, error, words in (
        ({"query": fails}, LookupError, "no token"),
        ({"extra_headers": lambda: "secret"}, TypeError, "'extra_headers'.*must give a mapping"),
        ({"extra_headers": {"a": "b\r\nc: d"}}, ValueError, "characters that no header can have"),
    ):
        with pytest.raises(error, match=words):
            await ours.connect("", reconnection=False, **options)
    assert "no token" in caplog.text


@in_loop
async def test_each_transport_has_options_of_its_own(server: Peer) -> None:
    special: dict[str, dict[str, Any]] = {
        way: {"extra_headers": {"x-way": way}, "query": {"way": way}} for way in ("polling", "websocket")
    }
    special["websocket"]["timestamp_requests"] = True
    async with server.open("", "upgrade", extra_headers={"x-way": "any"}, transport_options=special) as socket:
        requests = (await handshake(socket))["requests"]
        for kind, way in (("handshake", "polling"), ("upgrade", "websocket"), ("last", "polling")):
            assert requests[kind]["headers"]["x-way"] == way, kind
            assert f"way={way}" in requests[kind]["url"], kind
            assert "&t=" in requests[kind]["url"], kind


@in_loop
async def test_timestamps(server: Peer, transport: str) -> None:
    for options, wanted in (
        ({}, ["&t="] if transport == "polling" else ["&t=", ""] if transport == "upgrade" else [""]),
        ({"timestamp_requests": True, "timestamp_param": "now"}, ["&now="]),
        ({"timestamp_requests": False}, [""]),
    ):
        async with server.open("", transport, **options) as socket:
            seen = await urls(socket)
            stamps = [url.partition("&t=")[2] or url.partition("&now=")[2] for url in seen]
            assert len(set(filter(None, stamps))) == len(list(filter(None, stamps))), "the same twice"
            for url in seen:
                kind = "" if "transport=websocket" in url and len(wanted) == 2 else wanted[0]
                assert kind in url
                assert (bool(kind)) == ("&t=" in url or "&now=" in url)


@in_loop
async def test_cookies(server: Peer, transport: str) -> None:
    options: dict[str, Any] = {"query": {"cookies": "one"}, "cookies": {"mine": "1", "lb": "none"}}
    async with server.open("", transport, **options, extra_headers={"Cookie": "own=2"}) as socket:
        for lb in ("none", "one"):  # what the server has set is sent at the next connection, too
            requests = (await handshake(socket))["requests"]
            assert requests["handshake"]["headers"]["cookie"].startswith(f"own=2; mine=1; lb={lb}")
            for kind in ("upgrade", "last"):
                if requests[kind] is not None:
                    assert requests[kind]["headers"]["cookie"].startswith("own=2; mine=1; lb=one")
                    assert "elsewhere" not in requests[kind]["headers"]["cookie"], "it is for another path"
            engine: Any = socket.io.engine
            engine.close(discard=True)
            await socket.disconnected
            await socket
            if transport == "upgrade":
                await eventually(lambda: socket.transport == "websocket")
    async with server.open("", transport, **options, with_credentials=False) as socket:
        for request in (await handshake(socket))["requests"].values():
            if isinstance(request, dict):
                assert request["headers"]["cookie"] == "mine=1; lb=none"


@in_loop
async def test_base64(server: Peer, transport: str) -> None:
    async with server.open("", transport, force_base64=True) as socket:
        for url in await urls(socket):
            assert "b64=1" in url
        assert await socket.emit_with_ack("echo", bytes(range(256)), [b""]) == (bytes(range(256)), [b""])
        socket.emit("flood", 2, 3, True)
        assert [(await socket.receive(5)).args for _ in range(2)] == [[0, b"\0\0\0"], [1, b"\1\1\1"]]


@in_loop
async def test_subprotocols(server: Peer) -> None:
    async with server.open("", "websocket", protocols=["one", "two"]) as socket:
        seen = await handshake(socket)
        assert seen["headers"]["sec-websocket-protocol"].replace(" ", "") == "one,two"
        assert seen.get("subprotocol", "one") == "one"


# Servers with options of their own


@pytest.mark.parametrize("name", ["node 4", "node 2", "fast", "portable, eio 3"])
def test_the_path(name: str) -> None:
    @in_loop
    async def check(peer: Peer) -> None:
        for path in ("/else/where", "else/where/"):
            for transport in ("polling", "websocket"):
                async with peer.open("/echo", transport, path=path) as socket:
                    assert await socket.emit_with_ack("echo", 1) == 1
                    assert (await urls(socket))[0].startswith("/else/where/?")
        with pytest.raises(TransportError, match="404"):
            await peer.connect("", reconnection=False)

    with running(name, path="/else/where") as peer:
        check(peer)


@pytest.mark.parametrize("name", ["node 4", "fast"])
def test_the_slash_behind_the_path(name: str) -> None:
    @in_loop
    async def check(peer: Peer) -> None:
        for transport in ("polling", "websocket"):
            async with peer.open("", transport, add_trailing_slash=False) as socket:
                assert (await urls(socket))[0].startswith("/socket.io?")

    with running(name, **{"addTrailingSlash" if name == "node 4" else "add_trailing_slash": False}) as peer:
        check(peer)


DEFLATE = {"node 4": "perMessageDeflate", "node 2": "perMessageDeflate"}


@pytest.mark.parametrize("name", ["node 4", "node 2", "fast", "portable"])
def test_compression(name: str) -> None:
    async def traffic(peer: Peer, compress: bool = True, **options: Any) -> tuple[int, int]:
        """Give how many bytes a large event took there, and back."""
        with http_proxying() as proxy:
            async with peer.open("/", "websocket", proxy=proxy.url, **options) as socket:
                text = "to and fro " * 9000
                assert await socket.emit_with_ack("echo", 1) == 1
                (tunnel,) = proxy.passages
                sent, received = tunnel.sent, tunnel.received
                socket.compress(compress).emit("echo", text, b"\0" * 2000)
                assert (await socket.receive(5)).args == [text, b"\0" * 2000]
                extensions = (await handshake(socket)).get("extensions")
                if extensions is not None:
                    assert ("permessage-deflate" in extensions) == ("per_message_deflate" in options)
                return tunnel.sent - sent, tunnel.received - received

    @in_loop
    async def check(peer: Peer) -> None:
        sent, received = await traffic(peer, per_message_deflate=True)
        assert sent < 10_000
        assert received < 10_000
        sent, received = await traffic(peer, per_message_deflate={"threshold": 50_000, "level": 1})
        assert 2000 < sent < 12_000
        sent, received = await traffic(peer, compress=False, per_message_deflate=True)
        assert sent > 100_000
        sent, received = await traffic(peer)
        assert min(sent, received) > 100_000

    with running(name, **{DEFLATE.get(name, "per_message_deflate"): True}) as peer:
        check(peer)


@in_loop
async def test_compression_that_the_server_does_not_offer(modern: Peer) -> None:
    async with modern.open("", "websocket", per_message_deflate=True) as socket:
        assert await socket.emit_with_ack("echo", "x" * 5000) == "x" * 5000


@pytest.fixture(scope="module", params=["node 4", "node 2", "fast", "portable, eio 3"])
def msgpack(request: pytest.FixtureRequest) -> Iterator[Peer]:
    """Return a server that speaks MessagePack."""
    ours = not request.param.startswith("node")
    with running(request.param, parser=MSGPACK if ours else "msgpack") as peer:
        yield peer


@in_loop
async def test_another_parser(msgpack: Peer, transport: str) -> None:
    args = [1, -0.5, "é", None, {"deep": [b"\0\xff", []]}, b""]
    async with msgpack.open("", transport, parser=MSGPACK) as socket:
        assert await socket.emit_with_ack("echo", *args) == tuple(args)
        socket.emit("echo", *args, *[b"1"] * 20)
        assert (await socket.receive(5)).args == [*args, *[b"1"] * 20]
        echo = await socket.io.socket("/echo")
        echo.on("question", lambda data: (data, 2))
        echo.emit("ask", "question", b"1")
        assert (await echo.receive(5)).args == [b"1", 2]
        echo.disconnect()


# Times


@in_loop
async def test_a_request_that_takes_too_long(ours: Peer) -> None:
    async with ours.open("", "polling", request_timeout=0.5, reconnection=False) as socket:
        told: list[Any] = []
        socket.on("disconnect", lambda *args: told.append(args))
        assert await socket.disconnected == "transport error"
        assert told == [("transport error", "no response to GET within request_timeout")]
