"""What an application may have to say about requests, over both lanes: middlewares, ids, headers, refusals."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, BaseUser, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection
from starlette.routing import Mount

from socketeer import ConnectionFailure, ConnectionRefused, Request, Response, ResponseHeaders, Server, Socket
from tests.support.raw import Client
from tests.support.serving import serving
from tests.wire.conftest import Served
from tests.wire.peers import PendingGet, PollingPeer, Refused, Reply, WebSocketPeer, eventually, request, reset_on_close

Serve = Callable[..., Served]

WEBSOCKET = "EIO=4&transport=websocket"
Key = tuple[str, bool, bool]


def key_of(asked: Request) -> Key:
    return asked.method, asked.upgrade, "sid" in asked.query


def refusal(server: Served, query: str = WEBSOCKET) -> Reply:
    """Be refused a WebSocket."""
    with pytest.raises(Refused) as caught:
        server.websocket(query)
    return caught.value.reply


@contextmanager
def raw_upgrade(port: int, target: str) -> Iterator[None]:
    """Ask for a WebSocket, and cut the connection before there is an answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        lines = [f"GET {target} HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: websocket"]
        lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==", "", ""]
        sock.sendall("\r\n".join(lines).encode())
        yield
        reset_on_close(sock)


def use_session(server: Served) -> None:
    """Open a session on polling, GET, POST, and upgrade it."""
    polling = server.polling()
    polling.join()
    peer = server.probe(polling)
    peer.send("5")
    peer.echo("upgraded")


WHOLE_LIFE = [("GET", False, False), ("POST", False, True), ("GET", False, True), ("GET", True, True)]


# Middlewares


def test_middlewares_see_every_request_in_the_order_of_their_registration(serve: Serve) -> None:
    server = serve()
    seen: list[tuple[int, Key]] = []
    server.io.engine.use(lambda asked: seen.append((1, key_of(asked))))

    @server.io.engine.use
    async def second(asked: Request) -> None:
        await asyncio.sleep(0)
        seen.append((2, key_of(asked)))

    use_session(server)
    assert [number for number, _ in seen] == [1, 2] * (len(seen) // 2)
    kinds = [kind for number, kind in seen if number == 1]
    assert list(dict.fromkeys(kinds)) == WHOLE_LIFE
    server.websocket().open()
    assert seen[-1] == (2, ("GET", True, False))
    assert server.request("GET", "transport=nonsense").status == 400  # they come before every check
    assert len(seen) % 2 == 0
    assert len([kind for number, kind in seen if number == 2]) == len(kinds) + 2


def test_a_middleware_answers_in_the_place_of_the_engine(serve: Serve) -> None:
    server = serve(cors="https://friend.example")
    later: list[Request] = []

    @server.io.engine.use
    def closed(asked: Request) -> Response | None:
        return Response(503, ((b"retry-after", b"60"),), b"later") if "busy" in asked.query else None

    server.io.engine.use(later.append)
    reply = server.request("GET", "EIO=4&transport=polling&busy=1", headers={"Origin": "https://friend.example"})
    assert (reply.status, reply.headers["retry-after"], reply.body) == (503, "60", b"later")
    assert reply.headers["access-control-allow-origin"] == "https://friend.example"
    reply = refusal(server, f"{WEBSOCKET}&busy=1")
    assert (reply.status, reply.headers["retry-after"], reply.body) == (503, "60", b"later")
    assert later == []
    assert server.polling().join()


@pytest.mark.parametrize("fault", ["raises", "returns nonsense", "splits the response"])
def test_a_fault_of_a_middleware_refuses_and_is_logged(
    serve: Serve, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve()
    failures: list[ConnectionFailure] = []
    server.io.engine.on("connection_error", failures.append)

    @server.io.engine.use
    async def broken(asked: Request) -> Any:
        if fault == "raises":
            raise RuntimeError("of the inner workings")
        if fault == "splits the response":
            return Response(403, ((b"x", b"1\r\nset-cookie: stolen=1"),))
        return "nonsense"

    for reply in (server.request("GET", "EIO=4&transport=polling"), refusal(server)):
        assert reply.status == 400
        assert reply.json() == {"code": 3, "message": "Bad request"}
    assert [(failure.code, failure.context["name"]) for failure in failures] == [(3, "MIDDLEWARE_FAILURE")] * 2
    kinds = {"raises": RuntimeError, "returns nonsense": TypeError, "splits the response": ValueError}
    assert isinstance(failures[0].context["error"], kinds[fault])
    assert [record.exc_info is not None for record in caplog.records if record.levelname == "ERROR"] == [True, True]
    assert "broken" in caplog.text
    caplog.clear()


def test_a_middleware_refuses_on_purpose(serve: Serve) -> None:
    server = serve()

    @server.io.engine.use
    def door(asked: Request) -> None:
        raise ConnectionRefused("members only")

    for reply in (server.request("GET", "EIO=4&transport=polling"), refusal(server)):
        assert reply.status == 403
        assert reply.json() == {"code": 4, "message": "members only"}


def test_state_goes_from_middlewares_around_to_those_within_and_to_handlers(lane: str) -> None:
    io = Server()
    states: list[dict[str, Any]] = []

    async def around(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            scope.setdefault("state", {})["trace"] = "t-1"
            scope["user"] = "ada"
        await io(scope, receive, send)

    @io.engine.use
    async def note(asked: Request) -> None:
        asked.state["seen"] = asked.state["trace"]

    io.engine.on("connection", lambda conn: states.append(conn.request.state))
    with serving(around, lane) as running:
        PollingPeer(running.port).send("1")
        peer = WebSocketPeer(running.port, f"/socket.io/?{WEBSOCKET}")
        peer.open()
        peer.close()
    assert states == [{"trace": "t-1", "seen": "t-1", "user": "ada"}] * 2


class _Ticket(AuthenticationBackend):
    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        name = conn.query_params.get("ticket")
        return (AuthCredentials(["chat"]), SimpleUser(name)) if name else None


def test_what_middleware_of_starlette_found_out_reaches_handlers(lane: str) -> None:
    io = Server(allow_request=lambda asked: asked.state["user"].is_authenticated)

    @io.event("who")
    def who(socket: Socket) -> list[Any]:
        return [socket.request.state["user"].display_name, socket.request.state["auth"].scopes]

    app = Starlette(routes=[Mount("/", io)], middleware=[Middleware(AuthenticationMiddleware, backend=_Ticket())])
    with serving(app, lane) as running:
        for transport in ("polling", "websocket"):
            client = Client(running.port, transport=transport, query="&ticket=ada")
            client.join()
            assert client.call("who") == [["ada", ["chat"]]]
            client.close()
        assert request(running.port, "GET", "/socket.io/?EIO=4&transport=polling").status == 403


# allow_request


def test_allow_request_is_asked_about_handshakes_only(serve: Serve) -> None:
    seen: list[Key] = []

    async def allow(asked: Request) -> bool:
        await asyncio.sleep(0)
        seen.append(key_of(asked))
        return True

    server = serve(allow_request=allow)
    use_session(server)
    server.websocket().open()
    assert seen == [("GET", False, False), ("GET", True, False)]
    for query in ("EIO=4", "EIO=4&transport=polling&sid=x", "EIO=4&transport=websocket"):
        assert server.request("GET", query).status == 400
    assert server.request("POST", "EIO=4&transport=polling").status == 400
    assert len(seen) == 2  # what is wrong anyhow is not asked about
    assert server.request("GET", "EIO=5&transport=polling").json()["code"] == 5
    assert len(seen) == 3


OUTCOMES: dict[str, tuple[Any, str]] = {
    "false": (False, "Forbidden"),
    "none": (None, "Forbidden"),
    "refused": (ConnectionRefused("no robots"), "no robots"),
    "broken": (RuntimeError("secret"), "Forbidden"),
}


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_allow_request_refuses(serve: Serve, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    def allow(asked: Request) -> Any:
        outcome, _ = OUTCOMES[asked.query["outcome"]]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def allow_later(asked: Request) -> Any:
        return allow(asked)

    server = serve(allow_request=allow if kind == "sync" else allow_later)
    failures: list[ConnectionFailure] = []
    server.io.engine.on("connection_error", failures.append)
    for name, (_, message) in OUTCOMES.items():
        query = f"&outcome={name}"
        for reply in (server.request("GET", f"EIO=4&transport=polling{query}"), refusal(server, WEBSOCKET + query)):
            assert reply.status == 403
            assert reply.json() == {"code": 4, "message": message}
        assert caplog.text.count("allow_request failed") == (2 if name == "broken" else 0)
        told = [(failure.code, failure.message, dict(failure.context)) for failure in failures[-2:]]
        assert told == [(4, "Forbidden", {} if message == "Forbidden" else {"message": message})] * 2
    assert len(failures) == 8
    assert server.io.engine.clients_count == 0
    caplog.clear()


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_a_client_that_leaves_while_the_application_thinks(serve: Serve, transport: str) -> None:
    thinking = threading.Event()
    decided = threading.Event()

    async def allow(asked: Request) -> bool:
        if "slow" in asked.query:
            thinking.set()
            await asyncio.to_thread(decided.wait, 5)
        return True

    server = serve(allow_request=allow, ping_interval=0.2, ping_timeout=0.1)
    if transport == "polling":
        PendingGet(server.port, "/socket.io/?EIO=4&transport=polling&slow=1").abort(reset=True)
    else:
        with raw_upgrade(server.port, "/socket.io/?EIO=4&transport=websocket&slow=1"):
            assert thinking.wait(20)
    assert thinking.wait(20)
    decided.set()
    server.joined().echo("and the next one, please")
    server.close_peers()
    eventually(lambda: server.io.engine.clients_count == 0)


@pytest.mark.parametrize("hook", ["middleware", "allow_request", "generate_id"])
def test_a_server_that_closes_while_the_application_thinks(serve: Serve, hook: str) -> None:
    thinking = threading.Event()
    decided = threading.Event()

    async def think(asked: Request) -> Any:
        thinking.set()
        await asyncio.to_thread(decided.wait, 5)
        return {"middleware": None, "allow_request": True, "generate_id": "new"}[hook]

    server = serve(**({"allow_request": think} if hook == "allow_request" else {}))
    if hook == "middleware":
        server.io.engine.use(think)
    elif hook == "generate_id":
        server.io.engine.generate_id = think
    failures: list[ConnectionFailure] = []

    @server.io.engine.on("connection_error")
    async def failed(failure: ConnectionFailure) -> None:
        await asyncio.sleep(0)
        failures.append(failure)

    waiting = PendingGet(server.port, "/socket.io/?EIO=4&transport=polling")
    assert thinking.wait(20)
    server.running.run(server.io.close())
    decided.set()
    assert waiting.finish().json() == {"code": 3, "message": "Bad request"}
    eventually(lambda: failures)
    assert failures[0].context == {"name": "SERVER_CLOSING"}
    assert server.io.engine.clients_count == 0


# Ids


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_the_application_makes_the_ids(serve: Serve, kind: str) -> None:
    server = serve(cookie=True)

    def generate(asked: Request) -> str:
        return f"node;{asked.query['name']}"

    async def generate_later(asked: Request) -> str:
        await asyncio.sleep(0)
        return generate(asked)

    server.io.engine.generate_id = generate if kind == "sync" else generate_later
    polling = server.polling(query="&name=a")
    assert polling.sid == "node;a"
    assert polling.reply.headers["set-cookie"] == "io=node%3Ba; Path=/; HttpOnly; SameSite=Lax"
    polling.join()
    peer = server.websocket(f"{WEBSOCKET}&name=b")
    assert peer.open()["sid"] == "node;b"
    peer.join()
    assert server.io.engine.clients_count == 2


def test_an_id_that_fails_or_is_taken_refuses_the_client(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    server = serve()
    failures: list[ConnectionFailure] = []
    server.io.engine.on("connection_error", failures.append)

    async def generate(asked: Request) -> str:
        return {"a": "same", "b": "same", "c": "two\r\nlines"}[asked.query["name"]]

    server.io.engine.generate_id = generate
    witness = server.websocket(f"{WEBSOCKET}&name=a")
    witness.open()
    witness.join()
    for name in "bcd":
        for reply in (
            server.request("GET", f"EIO=4&transport=polling&name={name}"),
            refusal(server, f"{WEBSOCKET}&name={name}"),
        ):
            assert reply.status == 400
            assert reply.json() == {"code": 3, "message": "Bad request"}
    assert {failure.context["name"] for failure in failures} == {"ID_GENERATION_ERROR"}
    assert [type(failure.context["error"]) for failure in failures] == [ValueError] * 4 + [KeyError] * 2
    witness.echo("mine still")
    assert caplog.text.count("generate_id") >= 6
    caplog.clear()


def test_two_clients_that_get_the_same_id_at_once(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    server = serve()
    both = threading.Barrier(2, timeout=20)
    server.io.engine.generate_id = lambda asked: "same"
    outcomes: list[str] = []

    def connect() -> None:
        both.wait()
        try:
            peer = server.websocket()
            peer.open()
            peer.join()
            outcomes.append("in")
        except Exception:
            outcomes.append("out")

    threads = [threading.Thread(target=connect) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(outcomes) == ["in", "out"]
    assert server.io.engine.clients_count == 1
    caplog.clear()


# Headers


def test_headers_are_shown_once_for_each_answer_and_initial_headers_once_for_each_session(serve: Serve) -> None:
    server = serve()
    first: list[Key] = []
    every: list[Key] = []

    @server.io.engine.on("initial_headers")
    def initial(headers: ResponseHeaders, asked: Request) -> None:
        headers["X-First"] = "yes"
        headers.add("Set-Cookie", "seen=1")
        first.append(key_of(asked))

    @server.io.engine.on("headers")
    def each(headers: ResponseHeaders, asked: Request) -> None:
        headers["x-every"] = str(len(every))
        every.append(key_of(asked))

    polling = server.polling()
    assert (polling.reply.headers["x-first"], polling.reply.headers["x-every"]) == ("yes", "0")
    assert polling.reply.headers["set-cookie"] == "seen=1"
    assert polling.reply.headers["content-type"] == "text/plain; charset=UTF-8"
    reply = polling.post("40")
    assert ("x-first" in reply.headers, reply.headers["x-every"]) == (False, "1")
    assert polling.get().headers["x-every"] == "2"
    upgrading = server.probe(polling)
    assert ("x-first" in upgrading.headers, upgrading.headers["x-every"]) == (False, "3")
    direct = server.websocket()
    direct.open()
    assert (direct.headers["x-first"], direct.headers["x-every"]) == ("yes", "4")
    assert first == [("GET", False, False), ("GET", True, False)]
    assert every == [*WHOLE_LIFE, ("GET", True, False)]


def test_a_listener_of_headers_that_fails_changes_nothing_else(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    server = serve()

    @server.io.engine.on("headers")
    def bad(headers: ResponseHeaders) -> None:
        headers["x-before"] = "1"
        headers["x-bad"] = "a\r\nset-cookie: evil=1"

    polling = server.polling()
    assert polling.reply.headers["x-before"] == "1"
    assert {"x-bad", "set-cookie"}.isdisjoint(polling.reply.headers)
    peer = server.websocket()
    peer.open()
    peer.join()
    assert {"x-bad", "set-cookie"}.isdisjoint(peer.headers)
    assert "a listener of 'headers' failed" in caplog.text
    caplog.clear()


# The cookie


@pytest.mark.parametrize(
    ("cookie", "attributes"),
    [
        (True, "io={}; Path=/; HttpOnly; SameSite=Lax"),
        ("node", "node={}; Path=/; HttpOnly; SameSite=Lax"),
        (
            {"name": "n", "path": "/x", "same_site": "none", "secure": True, "domain": "example.com", "max_age": 60},
            "n={}; Max-Age=60; Domain=example.com; Path=/x; HttpOnly; Secure; SameSite=None",
        ),
        ({"path": None, "http_only": False, "same_site": None}, "io={}"),
    ],
)
def test_the_cookie_comes_with_a_handshake_over_polling_and_with_nothing_else(
    serve: Serve, cookie: Any, attributes: str
) -> None:
    server = serve(cookie=cookie)
    for eio in (3, 4):
        polling = server.polling(eio)
        assert polling.reply.headers["set-cookie"] == attributes.format(polling.sid)
        polling.join()
        assert "set-cookie" not in polling.post(polling.payload('42["message",1]')).headers
        assert "set-cookie" not in polling.get().headers
    direct = server.websocket()
    direct.open()
    assert "set-cookie" not in direct.headers
    assert "set-cookie" not in server.request("GET", "EIO=9&transport=polling").headers


def test_there_is_no_cookie_unless_it_is_asked_for(serve: Serve) -> None:
    assert "set-cookie" not in serve().polling().reply.headers


# The first message


@pytest.mark.parametrize(("packet", "text"), [('2["hi"]', '42["hi"]'), (b"\x00\xff", None)])
def test_the_initial_packet_comes_with_the_handshake(serve: Serve, packet: Any, text: str | None) -> None:
    server = serve(initial_packet=packet)
    for eio, encoded in ((4, "bAP8="), (3, "b4AP8=")):
        polling = server.polling(eio)
        assert polling.inbox[0] == (text or encoded)
        peer = server.websocket(f"EIO={eio}&transport=websocket")
        peer.open()
        assert peer.receive() == (text or (b"\x04" if eio == 3 else b"") + b"\x00\xff")


def test_no_hook_is_asked_about_the_files_of_the_browser_client(serve: Serve) -> None:
    server = serve()
    seen: list[Request] = []
    server.io.engine.use(seen.append)
    assert request(server.port, "GET", "/socket.io/socket.io.js").status == 200
    assert seen == []
