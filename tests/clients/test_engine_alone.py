"""Engine.IO without Socket.IO, with the official client of each revision."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from socketeer import Conn, EngineServer, Server
from socketeer.options import EngineOptions, Options, ServerOptions
from tests.support.node import run_node
from tests.support.serving import LANES, serving
from tests.wire.peers import PollingPeer, eventually, request

SCRIPT = """
const module_ = require(require.resolve("engine.io-client", { paths: [require.resolve(CLIENT)] }));
const open = module_.Socket ? (url, options) => new module_.Socket(url, options) : module_;
const socket = open(URL, { transports: TRANSPORTS });
const got = [];
const plain = (data) => (typeof data === "string" ? data : [...new Uint8Array(data)]);
const finish = (reason) => {
  console.log(JSON.stringify({ got, reason }));
  process.exit(0);
};
socket.on("close", finish);
socket.on("message", (data) => {
  got.push(plain(data));
  if (got.length === 1) {
    const go = () => {
      socket.send("zwei €");
      socket.send(Uint8Array.from([1, 2, 3]));
    };
    if (socket.transport.name === TRANSPORTS.at(-1)) go();
    else socket.on("upgrade", go);
  }
  if (got.length === 3) socket.send("end");
});
"""


def build(told: list[Any]) -> EngineServer:
    """Build a server that sends back what it gets."""
    server = EngineServer()

    @server.on("connection")
    def connected(conn: Conn) -> None:
        conn.send("welcome")
        conn.on("close", lambda reason: told.append(reason))

        @conn.on("message")
        def message(data: str | bytes) -> None:
            told.append(data)
            if data == "end":
                conn.close()
            else:
                conn.send(data)

    return server


@pytest.mark.parametrize("transports", [["polling"], ["websocket"], ["polling", "websocket"]], ids="-".join)
@pytest.mark.parametrize("client", ["client2", "client4"])
@pytest.mark.parametrize("lane", LANES)
def test_messages_to_and_fro(lane: str, client: str, transports: list[str]) -> None:
    told: list[Any] = []
    with serving(build(told), lane) as running:
        script = SCRIPT.replace("CLIENT", json.dumps(client)).replace("URL", json.dumps(running.url))
        done = run_node(script.replace("TRANSPORTS", json.dumps(transports)))
        assert done.returncode == 0, done.stderr
        eventually(lambda: told[-1:] == ["forced close"])
    assert json.loads(done.stdout) == {"got": ["welcome", "zwei €", [1, 2, 3]], "reason": "transport close"}
    assert told == ["zwei €", b"\1\2\3", "end", "forced close"]


def test_what_is_queued_leaves_before_the_end() -> None:
    conns: list[Conn] = []
    server = build([])
    server.on("connection", conns.append)
    with serving(server) as running:
        peer = PollingPeer(running.port, path="/engine.io/")
        assert peer.receive() == "4welcome"
        running.call(lambda: conns[0].send("last words"))
        closing = asyncio.run_coroutine_threadsafe(server.close(), running.loop)
        assert peer.poll() == ["4last words"]
        assert peer.poll() == ["1"]
        closing.result(20)


@pytest.mark.parametrize("path", ["/engine.io/", "/mine/engine.io/"])
def test_it_is_attached_and_mounted_as_a_server_is(path: str) -> None:
    server = build([])
    home = Route("/", lambda request: PlainTextResponse("home"))
    other = Starlette(routes=[home])
    app = server.attach(other) if path == "/engine.io/" else Starlette(routes=[home, Mount("/mine", app=server)])
    with serving(app) as running:
        assert request(running.port, "GET", "/").body == b"home"
        assert PollingPeer(running.port, path=path).receive() == "4welcome"


@pytest.mark.parametrize("name", sorted(Options.__annotations__.keys() - EngineOptions.__annotations__.keys()))
def test_options_that_mean_nothing_to_it_are_refused(name: str) -> None:
    options: dict[str, Any] = {name: getattr(ServerOptions(), name)}
    Server(**options)
    with pytest.raises(TypeError, match=rf"^EngineServer\(\) has no option '{name}'"):
        EngineServer(**options)


def test_every_other_option_is_taken() -> None:
    options: dict[str, Any] = {name: getattr(ServerOptions(), name) for name in EngineOptions.__annotations__}
    assert EngineServer(**options).options == ServerOptions()
    with pytest.raises(TypeError, match=r"EngineServer\(\) has no option 'pingInterval'; did you mean 'ping_interval'"):
        EngineServer(pingInterval=1)  # type: ignore[call-arg]


def test_other_paths_are_not_found_and_the_end_closes_everything() -> None:
    told: list[Any] = []
    server = build(told)
    with serving(server) as running:
        assert request(running.port, "GET", "/socket.io/?EIO=4&transport=polling").status == 404
        assert request(running.port, "GET", "/engine.io?EIO=4&transport=polling").status == 404
        assert request(running.port, "GET", "/engine.io/?EIO=4&transport=polling").status == 200
        assert running.call(lambda: server.engine.clients_count) == 1
    assert told == ["forced close"]
