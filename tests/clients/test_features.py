"""What the server's API offers beside events: seen by an official client of each revision, over both lanes."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest

from socketeer import Namespace, Server, Socket
from tests.support.node import run_node
from tests.support.serving import serving

SCRIPT = """
const [client, url, plan] = process.argv.slice(-3);
const socket = require(client)(url, { reconnection: false, forceNew: true });
const heard = [];
const onevent = socket.onevent;
socket.onevent = function (packet) {
  heard.push(packet.data.slice());
  onevent.call(this, packet);
};
socket.on("question", (...args) => args.pop()("answer"));
socket.on("connect", () => {
  for (const args of JSON.parse(plan)) socket.emit(...args);
  socket.emit("done", (log) => {
    console.log(JSON.stringify({ heard, log }));
    process.exit(0);
  });
});
setTimeout(() => process.exit(1), 8000);
"""

every_client = pytest.mark.parametrize("client", ["client2", "client4"])


def play(io: Server, lane: str, client: str, plan: list[list[Any]], path: str = "") -> Any:
    """Let a client emit some events and then ask whether it is done; give what it heard and the answer."""
    with serving(io, lane) as running:
        done = run_node(SCRIPT, client, running.url + path, json.dumps(plan))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@every_client
def test_middlewares_of_events(lane: str, client: str) -> None:
    """Look at each event first, change it, wait, and drop it."""
    io = Server()
    log: list[Any] = []

    @io.on("connection")
    def connected(socket: Socket) -> None:
        @socket.use
        async def slow(event: str, args: list[Any]) -> None:
            await asyncio.sleep(0.03 if event == "first" else 0)
            log.append(["slow", event, list(args)])

        @socket.use
        def strict(event: str, args: list[Any]) -> None:
            if event == "forbidden":
                raise PermissionError("not for you")
            if args:
                args[0] = args[0] * 2

        @socket.on("error")
        def failed(error: Exception) -> None:
            socket.emit("refused", str(error))

        socket.on("first", lambda value: log.append(["first", value]))
        socket.on("second", lambda value: log.append(["second", value]))
        socket.on("forbidden", lambda: log.append("never"))
        socket.on("done", lambda: log)

    result = play(io, lane, client, [["first", 1], ["forbidden"], ["second", "x"]])
    assert result["heard"] == [["refused", "not for you"]]
    assert result["log"] == [
        ["slow", "first", [1]],
        ["first", 2],
        ["slow", "forbidden", []],
        ["slow", "second", ["x"]],
        ["second", "xx"],
        ["slow", "done", []],
    ]


@every_client
def test_catch_all_handlers_of_what_comes(lane: str, client: str) -> None:
    """Call them before the event's own handlers, in their order, until they are removed."""
    io = Server()
    log: list[Any] = []

    @io.on("connection")
    def connected(socket: Socket) -> None:
        def late(event: str, *args: Any) -> None:
            log.append(["late", event, *args])

        def early(event: str, *args: Any) -> None:
            log.append(["early", event, *args])

        socket.on_any(late)
        socket.prepend_any(early)
        assert socket.listeners_any() == [early, late]
        socket.on("named", lambda value: log.append(["named", value]))
        socket.on("enough", lambda: socket.off_any(late))
        socket.on("done", lambda: log)
        assert socket.event_names() == ["named", "enough", "done"]

    result = play(io, lane, client, [["named", 1], ["unnamed", 2, [3]], ["enough"]])
    assert result["log"] == [
        ["early", "named", 1],
        ["late", "named", 1],
        ["named", 1],
        ["early", "unnamed", 2, [3]],
        ["late", "unnamed", 2, [3]],
        ["early", "enough"],
        ["late", "enough"],
        ["early", "done"],
    ]


@every_client
def test_catch_all_handlers_of_what_goes(lane: str, client: str) -> None:
    """Tell of whatever is sent to the client, by whom ever."""
    io = Server()
    log: list[Any] = []

    @io.on("connection")
    def connected(socket: Socket) -> None:
        def late(event: str, *args: Any) -> None:
            log.append(["late", event, *args])

        def early(event: str, *args: Any) -> None:
            log.append(["early", event, *args])

        socket.on_any_outgoing(late)
        socket.prepend_any_outgoing(early)
        assert socket.listeners_any_outgoing() == [early, late]

    @io.event
    async def begin(socket: Socket) -> None:
        socket.emit("one", 1)
        io.to(socket.id).emit("two", {"n": 2})
        socket.broadcast.emit("to nobody")
        log.append(await socket.emit_with_ack("question"))
        socket.off_any_outgoing()
        socket.emit("three")
        socket.emit("ready")

    @io.event
    async def done(socket: Socket) -> Any:
        while not log or log[-1] != "answer":
            await asyncio.sleep(0.005)
        return log

    result = play(io, lane, client, [["begin"]])
    assert result["heard"] == [["one", 1], ["two", {"n": 2}], ["question"], ["three"], ["ready"]]
    assert result["log"] == [
        ["early", "one", 1],
        ["late", "one", 1],
        ["early", "two", {"n": 2}],
        ["late", "two", {"n": 2}],
        ["early", "question"],
        ["late", "question"],
        "answer",
    ]


@pytest.mark.parametrize(("concurrency", "most"), [("ordered", 1), ("concurrent", 3)])
@every_client
def test_the_order_of_async_handlers(lane: str, client: str, concurrency: Any, most: int) -> None:
    """Run the async handlers of one client one after another, or side by side."""
    io = Server(event_concurrency=concurrency)
    begun: list[int] = []
    ended: list[int] = []
    running: list[int] = []

    @io.event
    async def work(socket: Socket, number: int) -> None:
        begun.append(number)
        running.append(len(begun) - len(ended))
        if concurrency == "ordered":
            await asyncio.sleep(0.02 * (3 - number))
        while len(begun) < most:
            await asyncio.sleep(0.005)
        ended.append(number)

    @io.event
    async def done(socket: Socket) -> list[Any]:
        while len(ended) < 3:
            await asyncio.sleep(0.005)
        return [begun, max(running)]

    assert play(io, lane, client, [["work", 0], ["work", 1], ["work", 2]])["log"] == [[0, 1, 2], most]
    if concurrency == "ordered":
        assert ended == [0, 1, 2]


def test_the_order_of_clients_that_do_not_wait_for_each_other(lane: str) -> None:
    """Hold up nobody else: only the handlers of one and the same client wait."""
    io = Server(event_concurrency="ordered")
    other: list[str] = []

    @io.on("connection")
    def connected(socket: Socket) -> None:
        other.append(socket.id)

    @io.event
    async def wait(socket: Socket) -> None:
        while len(other) < 2:
            await asyncio.sleep(0.005)

    @io.event
    def done(socket: Socket) -> int:
        return len(other)

    with serving(io, lane) as running:
        script = f"""
const io = require("client4");
const open = () => io({running.url!r}, {{ forceNew: true }});
const first = open();
first.on("connect", () => {{
  first.emit("wait");
  first.emit("done", (count) => {{ console.log(count); process.exit(0); }});
  open();
}});
setTimeout(() => process.exit(1), 8000);
"""
        result = run_node(script)
    assert (result.returncode, result.stdout) == (0, "2\n")


@every_client
def test_servers_among_each_other(lane: str, client: str) -> None:
    """Find no other server where there is none, and tell nothing to this one."""
    io = Server()
    heard: list[Any] = []
    io.on("hello", lambda *args: heard.append(args))

    @io.event
    async def done(socket: Socket) -> Any:
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        io.server_side_emit("hello", 1)
        io.server_side_emit("hello", 2, ack=lambda error, answers: answered.set_result([error, answers]))
        return [await answered, await io.server_side_emit_with_ack("hello", 3), heard]

    assert play(io, lane, client, [])["log"] == [[None, []], [], []]
    with pytest.raises(ValueError, match="connection"):
        io.server_side_emit("connection")


@every_client
def test_new_namespaces_and_rooms_are_told_of(lane: str, client: str) -> None:
    """Tell of a namespace that is made on demand, and of the rooms of its adapter."""
    io = Server()
    log: list[Any] = []

    @io.on("new_namespace")
    def made(namespace: Namespace) -> None:
        log.append(["made", namespace.name])
        for event in ("create-room", "join-room", "leave-room", "delete-room"):
            namespace.adapter.on(event, lambda room, id=None, event=event: log.append([event, room, id]))

    parent = io.of(re.compile(r"^/team-\d$"))

    @parent.event
    def done(socket: Socket) -> Any:
        socket.join("red")
        socket.join("red")
        socket.leave("red")
        return {"id": socket.id, "log": log}

    answer = play(io, lane, client, [], "/team-7")["log"]
    id = answer["id"]
    assert answer["log"] == [
        ["made", "/team-7"],
        ["create-room", id, None],
        ["join-room", id, id],
        ["create-room", "red", None],
        ["join-room", "red", id],
        ["leave-room", "red", id],
        ["delete-room", "red", None],
    ]
    assert log[-2:] == [["leave-room", id, id], ["delete-room", id, None]]
