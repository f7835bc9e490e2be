"""What the official clients notice of the engine's hooks and options."""

from __future__ import annotations

import json
from typing import Any

import pytest

from socketeer import ConnectionRefused, Request, Response, Server
from tests.support.driver import CLIENTS
from tests.support.node import run_node
from tests.support.serving import serving

SCRIPT = """
const [client, url, transport] = process.argv.slice(-3);
const io = require(client);
const socket = io(url, { transports: [transport], reconnection: false, forceNew: true });
const said = [];
const end = (...outcome) => {
  console.log(JSON.stringify({ said, outcome }));
  process.exit(0);
};
socket.on("hello", (...args) => said.push(["hello", ...args]));
socket.on("connect", () => {
  said.push(["connect"]);
  socket.emit("ask", (answer) => end("answer", answer));
});
socket.on("connect_error", (error) => end("error", error.description, error.context?.responseText));
setTimeout(() => end("nothing happened"), 8000);
"""


def run(client: str, url: str, transport: str = "polling") -> Any:
    done = run_node(SCRIPT, client, url, transport)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("transport", ["polling", "websocket"])
@pytest.mark.parametrize("client", CLIENTS)
def test_the_initial_packet_is_an_event_like_any_other(lane: str, client: str, transport: str) -> None:
    io = Server(initial_packet='2["hello",{"first":true}]')
    io.event("ask")(lambda socket: "yes")
    with serving(io, lane) as running:
        result = run(client, running.url, transport)
    assert sorted(result["said"]) == [["connect"], ["hello", {"first": True}]]
    assert result["outcome"] == ["answer", "yes"]


def test_a_client_is_told_why_it_is_refused() -> None:
    def allow(request: Request) -> bool:
        raise ConnectionRefused("members only")

    with serving(Server(allow_request=allow)) as running:
        result = run("client4", running.url)
    assert result["outcome"] == ["error", 403, '{"code": 4, "message": "members only"}']


def test_a_client_is_answered_by_a_middleware_and_gets_in_afterwards() -> None:
    io = Server()
    io.event("ask")(lambda socket: socket.request.state["trace"])
    busy = True

    @io.engine.use
    async def busy_at_first(request: Request) -> Response | None:
        request.state["trace"] = request.headers["host"]
        return Response(503, (), b"busy") if busy else None

    with serving(io) as running:
        assert run("client4", running.url)["outcome"] == ["error", 503, "busy"]
        busy = False
        for transport in ("polling", "websocket"):
            assert run("client4", running.url, transport)["outcome"] == ["answer", f"127.0.0.1:{running.port}"]
