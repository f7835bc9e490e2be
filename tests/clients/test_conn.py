"""The connection below a socket, ``socket.conn``, with official clients that move from polling to WebSocket."""

from __future__ import annotations

import json
from typing import Any

import pytest

from socketeer import Server, Socket
from tests.support.driver import CLIENTS
from tests.support.node import run_node
from tests.support.serving import LANES, serving
from tests.wire.peers import eventually

SCRIPT = """
const io = require(CLIENT);
const socket = io(URL, { transports: TRANSPORTS, forceNew: true, reconnection: false });
const next = (emitter, event) => new Promise((resolve) => emitter.once(event, (...args) => resolve(args)));
(async () => {
  await next(socket, "connect");
  const engine = socket.io.engine;
  if (engine.transport.name !== TRANSPORTS.at(-1)) await next(engine, "upgrade");
  const { id } = engine;
  const raw = next(socket, "raw");
  const shown = await new Promise((resolve) => socket.emit("show", resolve));
  const said = await raw;
  const end = next(socket, "disconnect");
  socket.emit("end");
  const last = await next(socket, "last");
  const [reason] = await end;
  console.log(JSON.stringify({ id, shown, said, last, reason }));
  process.exit(0);
})();
"""


def build(told: list[tuple[Any, ...]]) -> Server:
    """Build a server that keeps what the connections tell."""
    io = Server(ping_interval=0.2)

    @io.on("connection")
    def connected(socket: Socket) -> None:
        for event in ("upgrading", "upgrade", "heartbeat", "error", "close"):
            socket.conn.on(event, lambda *args, event=event: told.append((event, *args)))
        socket.conn.on("packet", lambda packet: told.append(("packet", packet.type, packet.data)))
        socket.conn.on("packet_create", lambda packet: told.append(("packet_create", packet.type, packet.data)))

    @io.event
    def show(socket: Socket) -> dict[str, Any]:
        conn = socket.conn
        conn.send('2["raw",1]', callback=lambda: told.append(("sent",)))
        return {
            "id": conn.id,
            "protocol": conn.protocol,
            "transport": conn.transport.name,
            "upgraded": conn.upgraded,
            "state": conn.ready_state,
            "address": conn.remote_address,
            "url": conn.request.url.split("&")[0],
        }

    @io.event
    def end(socket: Socket) -> None:
        socket.emit("last", 1)
        socket.conn.close()

    return io


@pytest.mark.parametrize("transport", ["polling", "upgrade"])
@pytest.mark.parametrize("client", ["client2", "client4"])
@pytest.mark.parametrize("lane", LANES)
def test_a_client_and_the_connection_below_its_socket(lane: str, client: str, transport: str) -> None:
    told: list[tuple[Any, ...]] = []
    transports = ["polling", "websocket"] if transport == "upgrade" else ["polling"]
    with serving(build(told), lane) as running:
        script = SCRIPT.replace("CLIENT", json.dumps(client)).replace("URL", json.dumps(running.url))
        done = run_node(script.replace("TRANSPORTS", json.dumps(transports)))
        assert done.returncode == 0, done.stderr
        eventually(lambda: told[-1][0] == "close")
    result = json.loads(done.stdout)
    protocol = 4 if CLIENTS[client] >= 3 else 3
    assert result["shown"] == {
        "id": result["id"],
        "protocol": protocol,
        "transport": transports[-1],
        "upgraded": transport == "upgrade",
        "state": "open",
        "address": "127.0.0.1",
        "url": f"/socket.io/?EIO={protocol}",
    }
    assert (result["said"], result["last"]) == ([1], [1])
    assert result["reason"] == "transport close"
    kinds = [event[0] for event in told]
    if transport == "upgrade":
        assert kinds.index("upgrading") < kinds.index("upgrade")
    assert ("packet", "message", '20["show"]') in told
    assert ("packet_create", "message", '2["raw",1]') in told
    assert told[-1][:2] == ("close", "forced close")
    assert kinds.count("sent") == kinds.count("close") == 1
    assert "error" not in kinds


def test_a_heartbeat() -> None:
    told: list[tuple[Any, ...]] = []
    script = """
    const socket = require("client4")(URL, { transports: ["websocket"], reconnection: false });
    let count = 0;
    socket.io.on("ping", () => ++count === 3 && setTimeout(() => process.exit(0), 20));
    """
    with serving(build(told)) as running:
        assert run_node(script.replace("URL", json.dumps(running.url))).returncode == 0
        eventually(lambda: told[-1][0] == "close")
    assert told[-1][:2] == ("close", "transport close")
    beats = [event for event in told if event[0] in ("packet_create", "packet", "heartbeat") and "message" not in event]
    assert beats[:6] == [("packet_create", "ping", ""), ("packet", "pong", ""), ("heartbeat",)] * 2
