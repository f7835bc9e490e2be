"""The network in memory does what a real one does, to our server and to any other ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.websockets import WebSocket

from socketeer import Server, Socket
from socketeer.engine.websocket import DEAF, Limits, Wire
from socketeer.exceptions import TransportError
from socketeer.testing import AsgiNetwork, run

LIMITS = Limits(1_000_000, 1000, 1_000_000)
HTTP, WS = "http://testserver", "ws://testserver"
EIO = "/socket.io/?EIO=4&transport="


def now() -> float:
    return asyncio.get_running_loop().time()


class Peer:
    """Be a client of few words: what comes on its WebSocket waits to be asked for."""

    def __init__(self, network: AsgiNetwork) -> None:
        self.network = network
        self.came: asyncio.Queue[str | bytes | tuple[str, str | None]] = asyncio.Queue()
        self.headers: list[tuple[str, str]] = []
        self.wire: Wire

    async def open(self, url: str = f"{WS}{EIO}websocket", **options: Any) -> Peer:
        limits = options.pop("limits", LIMITS)
        self.headers = list(
            await self.network.websocket(url, options.pop("headers", {}), limits, self._begin, **options)
        )
        return self

    def _begin(self, wire: Wire) -> Peer:
        self.wire = wire
        return self

    def receive_text(self, data: bytes) -> None:
        self.came.put_nowait(data.decode())

    def receive_frame(self, frame: bytes) -> None:
        self.came.put_nowait(frame)

    def end(self, reason: str, description: str | None = None) -> None:
        self.came.put_nowait((reason, description))

    async def next(self) -> Any:
        async with asyncio.timeout(100):
            return await self.came.get()

    async def join(self) -> None:
        """Open a session of the server and join the main namespace."""
        await self.open()
        assert (await self.next()).startswith('0{"sid"')
        self.wire.send_text(b"40")
        assert (await self.next()).startswith('40{"sid"')


def serving(io: Any, body: Callable[[AsgiNetwork], Any]) -> Any:
    """Run ``body`` on virtual time with a network to ``io``; nothing may be left behind."""

    async def main() -> Any:
        async with AsgiNetwork(io) as network:
            result = await body(network)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return result

    return run(main())


def chat() -> tuple[Server, list[Any]]:
    """Make a server that echoes, and the list of what happens to its sockets."""
    io, seen = Server(), []

    @io.on("connection")
    def connected(socket: Socket) -> None:
        seen.append(("connected", now()))
        socket.on("disconnect", lambda reason, *rest: seen.append((reason, now())))

    @io.event
    def echo(socket: Socket, *args: Any) -> None:
        socket.emit("echoed", *args)

    return io, seen


# -- our server


def test_a_session_of_our_server_on_a_websocket() -> None:
    io, seen = chat()

    async def body(network: AsgiNetwork) -> None:
        peer = Peer(network)
        await peer.join()
        for number in range(100):
            peer.wire.send_text(b'42["echo",%d]' % number)
        peer.wire.send_packet(b'451-["echo",{"_placeholder":true,"num":0}]', [b"\x00\xff"])
        assert [await peer.next() for _ in range(100)] == [f'42["echoed",{number}]' for number in range(100)]
        assert [await peer.next(), await peer.next()] == [
            '451-["echoed",{"_placeholder":true,"num":0}]',
            b"\x00\xff",
        ]
        assert now() == 0.0
        peer.wire.close()
        assert await peer.next() == ("transport close", None)
        await asyncio.sleep(1)
        assert peer.came.empty()

    serving(io, body)
    assert seen == [("connected", 0.0), ("transport close", 0.0)]


def test_a_silent_client_times_out_at_once_on_virtual_time() -> None:
    io, seen = chat()

    async def body(network: AsgiNetwork) -> None:
        peer = Peer(network)
        await peer.join()
        assert await peer.next() == "2"
        assert now() == 25.0
        peer.wire.send_text(b"3")
        assert await peer.next() == "2"
        assert now() == 50.0
        assert await peer.next() == ("transport close", None)

    serving(io, body)
    assert seen == [("connected", 0.0), ("ping timeout", 70.0)]


def test_a_session_of_our_server_on_polling() -> None:
    io, seen = chat()

    async def body(network: AsgiNetwork) -> None:
        url = f"{HTTP}{EIO}polling"
        opened = await network.request("GET", url, {"Origin": "http://testserver"}, b"")
        assert opened.status == 200
        assert opened.header("content-type").startswith("text/plain")
        url += "&sid=" + json.loads(opened.body[1:])["sid"]
        poll = asyncio.create_task(network.request("GET", url, {}, b""))
        posted = await network.request("POST", url, {"content-type": "text/plain"}, b'40\x1e42["echo","\xc3\xa9"]')
        assert (posted.status, posted.body) == (200, b"ok")
        first, _, second = (await poll).body.partition(b"\x1e")
        assert first.startswith(b'40{"sid"')
        assert second == '42["echoed","é"]'.encode()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(20):
                await network.request("GET", url, {}, b"")
        assert now() == 20.0

    serving(io, body)
    assert seen == [("connected", 0.0), ("transport error", 20.0)]


def test_the_session_of_a_poll_that_is_cancelled_ends() -> None:
    io, seen = chat()

    async def body(network: AsgiNetwork) -> None:
        opened = await network.request("GET", f"{HTTP}{EIO}polling", {}, b"")
        url = f"{HTTP}{EIO}polling&sid=" + json.loads(opened.body[1:])["sid"]
        await network.request("POST", url, {}, b"40")
        await network.request("GET", url, {}, b"")
        poll = asyncio.create_task(network.request("GET", url, {}, b""))
        await asyncio.sleep(3)
        poll.cancel()
        await asyncio.sleep(0.1)
        assert poll.cancelled()

    serving(io, body)
    assert seen == [("connected", 0.0), ("transport error", 3.0)]


@pytest.mark.parametrize("how", ["abort", "disconnect", "drop", "down"])
def test_both_ends_learn_of_a_lost_connection(how: str) -> None:
    io, seen = chat()

    async def body(network: AsgiNetwork) -> None:
        peer = Peer(network)
        await peer.join()
        await asyncio.sleep(3)
        owner = peer.wire if how in ("abort", "disconnect") else network
        getattr(owner, how)()
        assert peer.came.empty()  # not within the call
        assert await peer.next() == ("transport close", None)
        peer.wire.send_text(b'42["echo"]')
        await asyncio.sleep(3)
        assert peer.came.empty()
        if how == "down":
            with pytest.raises(TransportError, match="WebSocket failed: connection refused"):
                await Peer(network).open()
            with pytest.raises(TransportError, match="GET failed: connection refused"):
                await network.request("GET", HTTP, {}, b"")
            network.up()
        await Peer(network).join()

    serving(io, body)
    assert seen[:2] == [("connected", 0.0), ("transport close", 3.0)]
    assert seen[2:] == [("connected", 6.0), ("transport close", 6.0)]


def test_a_request_is_lost_with_the_network() -> None:
    async def body(network: AsgiNetwork) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fails(network.request("GET", HTTP, {}, b"")))
            group.create_task(fails(Peer(network).open()))
            await asyncio.sleep(1)
            network.drop()

    async def fails(request: Any) -> None:
        with pytest.raises(TransportError, match="failed: the connection was lost"):
            await request

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])
        while (message := await receive())["type"].rpartition(".")[2] not in ("disconnect", "shutdown"):
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
        seen.append(message["type"])

    seen: list[str] = []
    serving(app, body)
    assert seen == ["lifespan", "http", "websocket", "http.disconnect", "websocket.disconnect", "lifespan.shutdown"]


def test_what_is_held_passes_later_and_in_order() -> None:
    io, seen = chat()

    async def body(network: AsgiNetwork) -> None:
        peer = Peer(network)
        await peer.join()
        network.hold()
        asked = asyncio.create_task(network.request("GET", f"{HTTP}{EIO}polling", {}, b""))
        io.emit("news", 1)
        for number in range(3):
            assert peer.wire.is_writable() is not bool(number)
            peer.wire.send_text(b'42["echo",%d]' % number)
        await asyncio.sleep(30)
        assert peer.came.empty()
        assert not asked.done()
        network.resume()
        came = [await peer.next() for _ in range(5)]
        assert came == ['42["news",1]', "2", '42["echoed",0]', '42["echoed",1]', '42["echoed",2]']
        assert (await asked).status == 200
        assert now() == 30.0
        network.hold()
        peer.wire.abort()  # which only this end knows
        assert await peer.next() == ("transport close", None)
        await asyncio.sleep(60)

    serving(io, body)
    assert seen == [("connected", 0.0), ("ping timeout", 45.0)]


# -- what a connection is to an application


def one(websocket: Callable[[WebSocket], Any]) -> Any:
    """Make an application of one WebSocket handler."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await websocket(WebSocket(scope, receive, send))

    return app


def test_scopes_are_those_of_a_web_server() -> None:
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        if scope["type"] == "lifespan":
            scope["state"]["database"] = "open"
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
        elif scope["type"] == "http":
            assert await receive() == {"type": "http.request", "body": b"12345", "more_body": False}
            await send({"type": "http.response.start", "status": 201, "headers": [(b"Set-Cookie", b"a=1")] * 2})
            await send({"type": "http.response.body", "body": b"six", "more_body": True})
            await send({"type": "http.response.body", "body": b"seven"})
            assert await receive() == {"type": "http.disconnect"}
        else:
            assert await receive() == {"type": "websocket.connect"}
            await send({"type": "websocket.accept", "subprotocol": "b", "headers": [(b"X-Name", b"value")]})
            await receive()

    async def body(network: AsgiNetwork) -> None:
        url = "https://me:secret@testserver:8443/a%20b/?q=%C3%A9"
        response = await network.request("PUT", url, {"X-Upper": "é"}, b"12345")
        assert (response.status, response.body) == (201, b"sixseven")
        assert response.headers == [("set-cookie", "a=1"), ("set-cookie", "a=1")]
        peer = await Peer(network).open("wss://testserver/c", headers={"Cookie": "a=1"}, protocols=["a", "b"])
        assert peer.headers == [("x-name", "value"), ("sec-websocket-protocol", "b")]

    serving(app, body)
    lifespan, http, websocket = scopes
    assert lifespan["type"] == "lifespan"
    assert http["headers"] == [(b"host", b"testserver:8443"), (b"x-upper", "é".encode()), (b"content-length", b"5")]
    assert http["method"] == "PUT"
    assert (http["scheme"], http["path"], http["raw_path"]) == ("https", "/a b/", b"/a%20b/")
    assert (http["query_string"], http["server"]) == (b"q=%C3%A9", ("testserver", 8443))
    assert http["client"] == websocket["client"] == ("testclient", 50000)
    assert http["state"] == websocket["state"] == {"database": "open"}
    assert http["state"] is not websocket["state"]
    assert (websocket["scheme"], websocket["path"], websocket["subprotocols"]) == ("wss", "/c", ["a", "b"])
    headers = dict(websocket["headers"])
    assert (headers[b"upgrade"], headers[b"cookie"]) == (b"websocket", b"a=1")
    assert headers[b"sec-websocket-protocol"] == b"a, b"


def test_close_codes_pass_in_both_directions() -> None:
    seen: list[Any] = []

    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        message: Any = {}
        while message.get("type") != "websocket.disconnect":
            message = await websocket.receive()
            seen.append(message.get("text") or message.get("code"))
            if message.get("text") == "leave":
                await websocket.close(4001)
                seen.append(await websocket.receive())

    async def body(network: AsgiNetwork) -> None:
        for code in (1000, 4000):
            peer = await Peer(network).open()
            peer.wire.send_text(b"last words")
            peer.wire.close(code)
            peer.wire.send_text(b"too late")
            assert await peer.next() == ("transport close", None)
        peer = await Peer(network).open()
        peer.wire.send_text(b"leave")
        assert await peer.next() == ("transport close", None)
        peer = await Peer(network).open()
        peer.wire.send_text(b"\xff")
        assert await peer.next() == ("transport close", None)

    serving(one(echo), body)
    ended = {"type": "websocket.disconnect", "code": 4001, "reason": ""}
    assert seen == ["last words", 1000, "last words", 4000, "leave", ended, 1007]


@pytest.mark.parametrize(
    ("how", "status", "text"),
    [
        ("close", 403, ""),
        ("respond", 418, "short and stout"),
        ("raise", 500, "Internal Server Error"),
        ("return", 500, "Internal Server Error"),
    ],
)
def test_a_refusal_tells_status_and_body(how: str, status: int, text: str, caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan" or how == "return":
            return
        assert (await receive())["type"] == "websocket.connect"
        if how == "close":
            await send({"type": "websocket.close", "code": 4000})
        elif how == "respond":
            await send({"type": "websocket.http.response.start", "status": 418, "headers": []})
            await send({"type": "websocket.http.response.body", "body": b"short ", "more_body": True})
            await send({"type": "websocket.http.response.body", "body": b"and stout"})
        else:
            raise LookupError("the application's own")
        assert (await receive())["type"] == "websocket.disconnect"

    async def body(network: AsgiNetwork) -> None:
        with pytest.raises(TransportError) as caught:
            await Peer(network).open()
        assert (caught.value.status, caught.value.body) == (status, text)
        assert str(caught.value) == f"WebSocket refused: HTTP {status} {text}".rstrip()

    serving(app, body)
    assert ("LookupError: the application's own" in caplog.text) is (how == "raise")


@pytest.mark.parametrize("how", ["raise", "return", "flood"])
def test_an_open_websocket_that_the_application_leaves_is_closed(how: str) -> None:
    async def app(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("last words")
        if how == "raise":
            raise LookupError
        if how == "flood":
            await websocket.send_bytes(bytes(1001))

    async def body(network: AsgiNetwork) -> None:
        peer = await Peer(network).open(limits=Limits(1000, 10, 1000))
        assert await peer.next() == "last words"
        if how == "flood":
            assert await peer.next() == ("transport error", "message of more than max_http_buffer_size")
        else:
            assert await peer.next() == ("transport close", None)
        await asyncio.sleep(1)
        assert peer.came.empty()

    serving(one(app), body)


def test_an_application_that_sends_to_one_who_has_gone_is_told() -> None:
    told: list[BaseException] = []

    async def app(websocket: WebSocket) -> None:
        await websocket.accept()
        await asyncio.sleep(5)
        try:
            await websocket.send({"type": "websocket.send", "text": "hello?"})
        except Exception as error:
            told.append(error.__context__ or error)  # Starlette has an exception of its own for it
            raise

    async def body(network: AsgiNetwork) -> None:
        (await Peer(network).open()).wire.abort()
        await asyncio.sleep(10)

    serving(one(app), body)
    assert [type(error) for error in told] == [ConnectionResetError]


@pytest.mark.parametrize("rounds", range(12))
def test_an_opening_can_be_cancelled_at_any_point(rounds: int) -> None:
    codes: list[int] = []

    async def app(websocket: WebSocket) -> None:
        await websocket.accept()
        message: Any = {}
        while message.get("type") != "websocket.disconnect":
            message = await websocket.receive()
        codes.append(message["code"])

    async def body(network: AsgiNetwork) -> None:
        peer = Peer(network)
        opening = asyncio.create_task(peer.open())
        for _ in range(rounds):
            await asyncio.sleep(0)
        opened = opening.done()
        opening.cancel()
        await asyncio.sleep(10)
        assert opened or opening.cancelled()
        assert codes in ([], [1006]) if not opened else not codes
        assert not network._connections or opened

    serving(one(app), body)


@pytest.mark.parametrize(("how", "status"), [("raise", 500), ("return", 500), ("break", None)])
def test_a_request_that_the_application_does_not_answer(how: str, status: int | None) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan" or how == "return":
            return
        if how == "break":
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise LookupError

    async def body(network: AsgiNetwork) -> None:
        if status is None:
            with pytest.raises(TransportError, match="closed within the response"):
                await network.request("GET", HTTP, {}, b"")
        else:
            assert (await network.request("GET", HTTP, {}, b"")).status == status

    serving(app, body)


def test_the_context_of_one_end_is_not_that_of_the_other() -> None:
    whose = contextvars.ContextVar("whose", default="nobody's")
    seen: list[str] = []

    class Reader(Peer):
        def receive_text(self, data: bytes) -> None:
            seen.append(f"client: {whose.get()}")
            super().receive_text(data)

    async def app(websocket: WebSocket) -> None:
        seen.append(f"server: {whose.get()}")
        whose.set("the server's")
        await websocket.accept()
        await websocket.send_text("hello")

    async def body(network: AsgiNetwork) -> None:
        whose.set("the client's")
        await (await Reader(network).open()).next()

    serving(one(app), body)
    assert seen == ["server: nobody's", "client: the client's"]


# -- lifespan


def lifespan_app(events: list[str]) -> FastAPI:
    """Make an application of FastAPI with a mounted server, and routes that are and are not async."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
        events.append("startup")
        await asyncio.sleep(1)
        yield {"name": "state"}
        events.append("shutdown")

    app = FastAPI(lifespan=lifespan)
    io = Server()

    @io.on("connection")
    def connected(socket: Socket) -> None:
        events.append("connected")
        socket.on("disconnect", lambda reason, *rest: events.append(reason))
        socket.on("poke me", lambda: socket.emit("poked"))

    @app.get("/sync")
    def sync() -> str:
        return "from a thread"

    app.mount("/socket.io", io)
    return app


def test_a_fastapi_application_with_a_mounted_server_is_started_once() -> None:
    events: list[str] = []
    app = lifespan_app(events)

    async def body(network: AsgiNetwork) -> None:
        peers = Peer(network), Peer(AsgiNetwork(app))
        await asyncio.gather(*(peer.join() for peer in peers))
        response = await asyncio.wait_for(network.request("GET", f"{HTTP}/sync", {}, b""), 5)
        assert (response.status, response.body) == (200, b'"from a thread"')
        assert now() < 2.0
        await peers[1].network.close()
        assert "shutdown" not in events

    serving(app, body)
    assert events == ["startup", "connected", "connected", "transport close", "transport close", "shutdown"]


@pytest.mark.parametrize("runner", [run, asyncio.run])
def test_the_end_of_the_event_loop_shuts_down_what_nobody_closed(runner: Callable[[Any], None]) -> None:
    events: list[str] = []

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        events.append("startup")
        yield
        await asyncio.sleep(0)
        events.append("shutdown")

    io, seen = chat()
    app = Starlette(routes=[Mount("/socket.io", io)], lifespan=lifespan)

    async def main() -> None:
        await Peer(AsgiNetwork(app)).join()

    for _ in range(2):  # the application is one of a module, and each test has its own loop
        runner(main())
    assert events == ["startup", "shutdown"] * 2
    assert [event for event, _ in seen] == ["connected", "transport close"] * 2


def test_an_application_that_cannot_start_says_so() -> None:
    async def open_database() -> None:
        raise LookupError("no database")

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await open_database()
        yield

    app = Starlette(lifespan=lifespan)

    async def main() -> None:
        with pytest.raises(RuntimeError, match=r"(?s)did not start.*no database"):
            await AsgiNetwork(app).start()
        with pytest.raises(TransportError, match=r"(?s)WebSocket failed: .*did not start.*no database"):
            await Peer(AsgiNetwork(app)).open()

    run(main())


def test_a_network_that_is_closed_refuses_until_it_is_started_again() -> None:
    io, seen = chat()

    async def main() -> None:
        network = AsgiNetwork(io)
        for _ in range(2):
            async with network:
                peer = Peer(network)
                await peer.join()
            assert await peer.next() == ("transport close", None)
            with pytest.raises(TransportError, match="refused"):
                await Peer(network).open()

    run(main())
    assert [event for event, _ in seen] == ["connected", "transport close"] * 2


def test_nobody_hears_what_comes_to_a_wire_that_is_gone() -> None:
    async def body(network: AsgiNetwork) -> None:
        peer = Peer(network)
        await peer.join()
        peer.wire.abort()
        await asyncio.sleep(1)
        assert peer.wire.sink is DEAF

    serving(chat()[0], body)
