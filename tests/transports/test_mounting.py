"""A server as an ASGI application: alone, mounted in another one, and around another one."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from fastapi import FastAPI
from flask import Flask
from flask import request as flask_request
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from socketeer import Server, Socket, UsageError
from tests.support.raw import Client
from tests.support.serving import serving
from tests.wire.peers import Refused, WebSocketPeer, request


def make_server(**options: Any) -> Server:
    io = Server(**options)
    io.event("echo")(lambda socket, *args: args)
    io.event("url")(lambda socket: socket.handshake.url)
    return io


def check(port: int, path: str = "/socket.io/") -> None:
    """Talk to a server on both transports and over an upgrade, and fetch the browser's client."""
    for transport in ("websocket", "polling"):
        client = Client(port, transport=transport, path=path)
        client.join()
        assert client.call("echo", 1, [2]) == [1, [2]]
        (url,) = client.call("url")
        assert url.startswith(path)
        client.close()
    reply = request(port, "GET", f"{path}?EIO=4&transport=polling")
    sid = json.loads(reply.text[1:])["sid"]
    probe = WebSocketPeer(port, f"{path}?EIO=4&transport=websocket&sid={sid}")
    probe.send("2probe")
    assert probe.receive() == "3probe"
    probe.close()
    assert request(port, "GET", f"{path}socket.io.js").status == 200
    assert request(port, "GET", f"{path}?EIO=4").json() == {"code": 0, "message": "Transport unknown"}


async def home(request: Request) -> Response:
    return PlainTextResponse("home")


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)


APPLICATIONS: dict[str, tuple[str, Callable[[Server], Any]]] = {
    "alone": ("/socket.io/", lambda io: io),
    "starlette, at /": ("/socket.io/", lambda io: Starlette(routes=[Route("/home", home), Mount("/", io)])),
    "starlette, below": ("/ws/socket.io/", lambda io: Starlette(routes=[Route("/home", home), Mount("/ws", io)])),
    "starlette, at its path": ("/socket.io/", lambda io: Starlette(routes=[Mount("/socket.io", io)])),
    "starlette, at its path below": ("/a/socket.io/", lambda io: Starlette(routes=[Mount("/a/socket.io", io)])),
    "starlette, two deep": (
        "/a/b/socket.io/",
        lambda io: Starlette(routes=[Mount("/a", Starlette(routes=[Mount("/b", io)]))]),
    ),
    "starlette, with middleware": (
        "/ws/socket.io/",
        lambda io: Starlette(
            routes=[Mount("/ws", io)],
            middleware=[Middleware(BaseHTTPMiddleware, dispatch=_pass), Middleware(GZipMiddleware, minimum_size=10)],
        ),
    ),
    "around starlette": ("/socket.io/", lambda io: io.attach(Starlette(routes=[Route("/home", home)]))),
    "around starlette, mounted": (
        "/ws/socket.io/",
        lambda io: Starlette(routes=[Mount("/ws", io.attach(Starlette(routes=[Route("/home", home)])))]),
    ),
    "around flask": ("/socket.io/", lambda io: io.attach(Flask("test"))),
}


async def _pass(request: Request, call_next: Any) -> Response:
    response: Response = await call_next(request)
    response.headers["x-passed"] = "yes"
    return response


@pytest.mark.parametrize("name", APPLICATIONS)
def test_clients_reach_the_server(lane: str, name: str) -> None:
    path, make = APPLICATIONS[name]
    with serving(make(make_server()), lane) as running:
        check(running.port, path)
        assert request(running.port, "GET", "/elsewhere").status == 404


@pytest.mark.parametrize("root_path", ["/api", "/socket.io"])
@pytest.mark.parametrize("where", ["alone", "below", "at its path"])
def test_clients_reach_the_server_behind_a_root_path(lane: str, root_path: str, where: str) -> None:
    io = make_server()
    app: dict[str, Any] = {
        "alone": io,
        "below": Starlette(routes=[Mount("/ws", io)]),
        "at its path": Starlette(routes=[Mount("/socket.io", io)]),
    }
    path = "/ws/socket.io/" if where == "below" else "/socket.io/"
    # uvicorn expects the proxy to have taken the root path off, and puts it before the path again.
    with serving(app[where], lane, root_path=root_path) as running:
        client = Client(running.port, path=path)
        client.join()
        assert client.call("url") == [f"{root_path}{path}?EIO=4&transport=websocket"]
        client.close()
        assert request(running.port, "GET", f"{path}?EIO=4&transport=polling").status == 200


def test_fastapi_with_routes_of_its_own(lane: str) -> None:
    io = make_server()
    app = FastAPI()

    @app.get("/items/{item}")
    async def item(item: int) -> dict[str, int]:
        io.emit("seen", item)
        return {"item": item}

    app.mount("/ws", io)
    app.mount("/", make_server(path="/other"))
    with serving(app, lane) as running:
        check(running.port, "/ws/socket.io/")
        check(running.port, "/other/")
        client = Client(running.port, path="/ws/socket.io/")
        client.join()
        assert request(running.port, "GET", "/items/5").json() == {"item": 5}
        assert client.event() == ["seen", 5]
        assert request(running.port, "GET", "/items/x").status == 422
        client.close()


def test_two_servers_side_by_side(lane: str) -> None:
    first, second = make_server(path="/first"), make_server(path="/second")
    with serving(first.attach(second), lane) as running:
        check(running.port, "/first/")
        check(running.port, "/second/")
        assert request(running.port, "GET", "/third").status == 404


@pytest.mark.parametrize(
    "path", ["/", "/x", "/socket.iox", "/socket.io.js", "/x/socket.io/", "/socket.i", "//socket.io/"]
)
def test_alone_it_answers_nothing_else(lane: str, path: str) -> None:
    with serving(make_server(), lane) as running:
        for method in ("GET", "POST", "HEAD"):
            assert request(running.port, method, f"{path}?EIO=4&transport=polling").status == 404
        with pytest.raises(Refused) as caught:
            WebSocketPeer(running.port, f"{path}?EIO=4&transport=websocket")
        assert caught.value.reply.status in (403, 404)


def test_everything_else_goes_to_the_other_application(lane: str) -> None:
    app = Starlette(routes=[Route("/home", home), Route("/socket.iox", home), WebSocketRoute("/chat", echo)])
    with serving(make_server().attach(app), lane) as running:
        assert request(running.port, "GET", "/home").text == "home"
        assert request(running.port, "GET", "/socket.iox").text == "home"
        assert request(running.port, "GET", "/").status == 404
        peer = WebSocketPeer(running.port, "/chat")
        peer.send("hello")
        assert peer.receive() == "hello"
        peer.close()
        with pytest.raises(Refused) as caught:
            WebSocketPeer(running.port, "/missing")
        assert caught.value.reply.status == 403
        check(running.port)


def test_a_wsgi_application_keeps_its_requests(lane: str) -> None:
    flask = Flask("test")

    @flask.post("/sum")
    def total() -> Any:
        io.emit("summed")
        return {"sum": sum(flask_request.json or []), "from": flask_request.args.get("from")}

    io = make_server()
    with serving(io.attach(flask), lane) as running:
        check(running.port)
        client = Client(running.port)
        client.join()
        body = json.dumps([1, 2, 3])
        reply = request(running.port, "POST", "/sum?from=a", body, {"content-type": "application/json"})
        assert reply.json() == {"sum": 6, "from": "a"}
        assert client.event() == ["summed"]
        assert request(running.port, "GET", "/missing").status == 404
        client.close()


def test_a_websocket_for_a_wsgi_application_is_refused(lane: str) -> None:
    with serving(make_server().attach(Flask("test")), lane) as running:
        with pytest.raises(Refused) as caught:
            WebSocketPeer(running.port, "/chat")
        assert caught.value.reply.status in (403, 404)


# The lifespan.


def noting(events: list[str]) -> Any:
    @contextlib.asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[dict[str, str]]:
        events.append("startup")
        yield {"from": "the lifespan"}
        events.append("shutdown")

    return lifespan


@pytest.mark.parametrize("kind", ["starlette", "fastapi"])
def test_the_other_application_s_lifespan_runs_once(lane: str, kind: str) -> None:
    events: list[str] = []

    async def state(request: Request) -> Response:
        return PlainTextResponse(request.state.__getattr__("from"))

    app: Any
    if kind == "starlette":
        app = Starlette(routes=[Route("/state", state)], lifespan=noting(events))
    else:
        app = FastAPI(lifespan=noting(events))
        app.add_route("/state", state)
    io = make_server()
    io.event("disconnect")(lambda socket, reason: events.append(reason))
    with serving(io.attach(app), lane) as running:
        assert events == ["startup"]
        assert request(running.port, "GET", "/state").text == "the lifespan"
        client = Client(running.port)
        client.join()
    client.close()
    first, reason, last = events
    assert (first, last) == ("startup", "shutdown")
    # uvicorn closes the connections before it ends the lifespan, and its own class tells nothing about it.
    assert reason in ("server shutting down", "transport close")


def test_a_mounted_server_does_not_disturb_the_lifespan(lane: str) -> None:
    events: list[str] = []
    app = Starlette(routes=[Mount("/", make_server())], lifespan=noting(events))
    with serving(app, lane, lifespan="on") as running:
        check(running.port)
    assert events == ["startup", "shutdown"]


def test_a_lifespan_that_fails_keeps_uvicorn_from_starting(lane: str) -> None:
    class Failing:
        def __init__(self, app: Any) -> None: ...

        async def __aenter__(self) -> None:
            raise RuntimeError("of the inner workings")

        async def __aexit__(self, *_: object) -> None: ...

    failing = Starlette(lifespan=Failing)
    with pytest.raises(SystemExit), serving(make_server().attach(failing), lane):
        pytest.fail("it started")


@pytest.mark.parametrize("wrap", ["asgi without a lifespan", "wsgi", "alone"])
def test_an_application_without_a_lifespan_starts_all_the_same(lane: str, wrap: str) -> None:
    async def plain(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await PlainTextResponse("plain")(scope, receive, send)

    io = make_server()
    app: dict[str, Any] = {"asgi without a lifespan": io.attach(plain), "wsgi": io.attach(Flask("x")), "alone": io}
    with serving(app[wrap], lane) as running:
        check(running.port)


# What attach() takes.


class AsgiObject:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("an object")(scope, receive, send)


def wsgi_function(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("content-type", "text/plain")])
    return [b"wsgi"]


class WsgiObject:
    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        return wsgi_function(environ, start_response)


@pytest.mark.parametrize(
    ("app", "says"), [(AsgiObject(), "an object"), (wsgi_function, "wsgi"), (WsgiObject(), "wsgi"), (Flask("x"), "")]
)
def test_attach_tells_asgi_from_wsgi(app: Any, says: str) -> None:
    with serving(make_server().attach(app)) as running:
        reply = request(running.port, "GET", "/x")
        assert (reply.status, reply.text) == (200, says) if says else reply.status == 404


@pytest.mark.parametrize("app", [None, "app", 3, [], Starlette])
def test_attach_refuses_what_is_no_application(app: Any) -> None:
    with pytest.raises((TypeError, UsageError), match="attach\\(\\) takes"):
        Server().attach(app)


def test_a_socket_of_a_mounted_server_knows_the_whole_url(lane: str) -> None:
    io = Server()
    sockets: list[Socket] = []
    io.on("connection", sockets.append)
    with serving(Starlette(routes=[Mount("/a b", io)]), lane) as running:
        client = Client(running.port, path="/a%20b/socket.io/", query="&x=1")
        client.join()
        assert sockets[0].handshake.url == "/a b/socket.io/?EIO=4&transport=websocket&x=1"
        client.close()
