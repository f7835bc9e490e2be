"""``socketeer bench`` against servers: our own and Node's, good ones and such as do not do what it asks for.

Nothing here says how fast anything has to be: the machine may be busy.
"""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import subprocess
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from socketeer import ConnectionRefused, Server, Socket
from socketeer.cli import main
from tests.browser.demo import SOCKETEER
from tests.support.node_server import NodeServer, node_server
from tests.support.serving import Running, serving

SHORT = ("-q", "-c", "5", "-d", "0.5", "--warmup", "0.1", "--connect-rate", "1000", "--timeout", "2")
SERVICE = 0.05


def create() -> Server:
    """Build a server that answers, does not, or goes."""
    io = Server()

    @io.on("connection")
    def connected(socket: Socket) -> None:
        turn = asyncio.Lock()

        @socket.on("one by one")
        async def one_by_one(_: str) -> None:
            async with turn:
                await asyncio.sleep(SERVICE)

        socket.on("echo", lambda *args: args)
        socket.on("to all", lambda *args: io.emit("to all", *args))
        socket.on("kick", lambda _: socket.disconnect())
        socket.on("late", lambda _: asyncio.sleep(0.5))

    fleeting = io.of("/fleeting")
    guests = count()

    @fleeting.use
    async def admit_one(_: Socket) -> None:
        if next(guests):
            await asyncio.sleep(0.3)
            raise ConnectionRefused("full")

    fleeting.on("connection", lambda socket: asyncio.get_running_loop().call_later(0.1, socket.disconnect))

    @io.of("/closed").use
    def refuse(_: Socket) -> None:
        raise ConnectionRefused("come back \x1b[31mlater")

    return io


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with serving(create()) as running:
        yield running


@pytest.fixture(scope="module", params=[4, 2])
def node(request: pytest.FixtureRequest) -> Iterator[NodeServer]:
    with node_server(request.param) as running:
        yield running


def bench(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["bench", *SHORT, *arguments])


def report_of(*arguments: str) -> dict[str, Any]:
    """Run a test that succeeds, and give its report."""
    result = bench(*arguments, "--json", "-")
    assert result.exit_code == 0, result.output
    report: dict[str, Any] = json.loads(result.stdout)
    return report


def check(report: dict[str, Any], counted: int) -> None:
    """Check that the figures of a report agree with each other."""
    latency = report["latency"]
    names = ("min", "p50", "p75", "p90", "p99", "p99.9", "max")
    assert [latency[name] for name in names] == sorted(latency[name] for name in names)
    assert latency["min"] <= latency["mean"] <= latency["max"]
    assert sum(row["count"] for row in report["histogram"]) == latency["count"] == counted
    assert report["rate"] == pytest.approx(report["answered"] / report["duration"])
    assert report["errors"] == []


# -- what is measured


def test_acknowledgements(server: Running, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    result = bench(server.url, "--inflight", "3", "--fail-above", "p99.9=1m", "--json", str(path))
    assert result.exit_code == 0, result.output
    report = json.loads(path.read_text())
    check(report, report["sent"])
    assert 0.4 < report["duration"] < 5
    assert abs(report["sent"] - report["answered"]) <= 5 * 3
    assert report["clients"] == {"connected": 5, "lost": 0, "transports": {"websocket": 5}}
    assert report["thresholds"] == [{"name": "p99.9", "limit": 60.0, "value": report["latency"]["p99.9"], "kept": True}]
    first, *lines = result.stdout.splitlines()
    assert first.startswith(f"{server.url}: 5 clients send 'echo' (64 bytes), 3 each at a time,")
    assert any(line.split()[:2] == ["min", "mean"] for line in lines)
    assert sum(int(line.split()[-2].replace(",", "")) for line in lines if line.endswith("%")) == report["sent"]


def test_events_in_return_from_servers_on_node(node: NodeServer) -> None:
    revision = ("--eio", "3") if node.version == 2 else ()
    report = report_of(node.url, *revision, "--mode", "echo", "--binary", "--size", "1k", "--transport", "websocket")
    check(report, report["sent"])
    assert (report["echo"], report["payload_bytes"], report["unasked"]) == ("echo", 1024, 0)


def test_acknowledgements_of_servers_on_node_over_polling(node: NodeServer) -> None:
    revision = ("--eio", "3") if node.version == 2 else ()
    arguments = ("--payload", '{"a": [1]}', "--payload", "2", "--transport", "polling", "--rate", "100")
    report = report_of(node.url, *revision, *arguments)
    check(report, report["sent"])
    assert report["clients"]["transports"] == {"polling": 5}


def test_connections(server: Running) -> None:
    report = report_of(server.url, "--mode", "connect")
    check(report, report["answered"])
    assert report["latency"] == report["connecting"]
    assert (report["sent"], report["event"]) == (0, None)


def test_listening(server: Running) -> None:
    stop = threading.Event()

    async def tell() -> None:
        while not stop.is_set():
            server_io.emit("\x1b[2J", 1)
            server_io.emit("tick", 1)
            await asyncio.sleep(0.01)

    server_io = create()
    with serving(server_io) as running:
        telling = asyncio.run_coroutine_threadsafe(tell(), running.loop)
        try:
            result = bench(running.url, "--mode", "listen")
            report = report_of(running.url, "--mode", "listen", "--event", "tick")
        finally:
            stop.set()
            telling.result(10)
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert r"\u001b[2J" in result.stdout
    assert list(report["events"]) == ["tick"]
    assert report["events"]["tick"] == report["answered"] > 0


def test_a_server_that_falls_behind_has_the_latency_of_all_that_was_due(server: Running) -> None:
    """At 100 a second each event waits for those before it; a client that only sends when it may would not notice."""
    patient = ("--event", "one by one", "-c", "1", "--warmup", "0", "--inflight", "1")
    behind = report_of(server.url, *patient, "--rate", "100")
    closed = report_of(server.url, *patient)
    assert behind["latency"]["max"] > 4 * SERVICE
    assert behind["unsent"] > 10
    assert "answers came too slowly" in behind["warnings"][-1]
    assert closed["unsent"] == 0
    assert closed["latency"]["count"] == closed["sent"] <= 0.5 / SERVICE + 1


def test_events_that_come_to_all_are_found_out(server: Running) -> None:
    report = report_of(server.url, "--event", "to all", "--echo", "to all", "--rate", "50")
    assert report["unasked"] > 0
    assert "sends them to others too" in report["warnings"][-1]


# -- what goes wrong


def failed(*arguments: str) -> str:
    """Run a test in which nothing can be measured, and give the sentence that says so."""
    result = bench(*arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    line: str = result.stderr.splitlines()[-1]
    return line


def test_a_server_that_does_not_answer(server: Running) -> None:
    assert f"Error: {server.url}: the server acknowledged no 'nothing' within 0.3 s" in failed(
        server.url, "--event", "nothing", "--timeout", "0.3"
    )
    assert "no event 'back' came within 0.3 s" in failed(server.url, "--echo", "back", "--timeout", "0.3")
    assert "acknowledged no 'late'" in failed(server.url, "--event", "late", "--timeout", "0.3")


def test_a_server_that_refuses(server: Running) -> None:
    assert failed(f"{server.url}/closed") == rf"Error: {server.url}/closed: refused: come back \u001b[31mlater"
    assert failed(f"{server.url}/nowhere").endswith("Invalid namespace")


def test_a_server_that_is_not_there() -> None:
    assert failed("127.0.0.1:9").startswith("Error: http://127.0.0.1:9: cannot connect: ")


def test_a_server_that_throws_its_clients_out(server: Running) -> None:
    result = bench(server.url, "--event", "kick")
    assert result.exit_code == 1
    assert "5 of 5, 5 lost" in result.stdout
    assert "5 disconnected: io server disconnect" in result.stdout
    assert "5 unanswered: its client was disconnected" in result.stdout


def test_a_server_that_dies_meanwhile() -> None:
    with node_server(4) as dying:
        timer = threading.Timer(2.0, dying.kill)
        timer.start()
        result = bench(dying.url, "-d", "20", "--json", "-", "--warmup", "0", "--fail-above", "errors=4")
        timer.join()
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["duration"] < 10
    assert report["clients"]["lost"] == 5
    kinds = {(error["kind"], error["detail"]): error["count"] for error in report["errors"]}
    assert sum(count for (kind, _), count in kinds.items() if kind == "disconnected") == 5
    assert report["thresholds"][0]["kept"] is False


def test_clients_that_are_all_gone_before_the_load_begins(server: Running) -> None:
    """The first one is put out while the others wait to be refused."""
    result = bench(server.url + "/fleeting", "-d", "50", "--json", "-", "--warmup", "0", "--fail-above", "errors=4")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["duration"] < 20
    assert (report["sent"], report["clients"]["connected"], report["clients"]["lost"]) == (0, 1, 1)
    assert {error["kind"]: error["count"] for error in report["errors"]} == {"disconnected": 1, "refused": 4}


def test_answers_that_take_too_long_are_errors(server: Running) -> None:
    """The first client's acknowledgements come in time, so that the test goes on."""
    result = bench(
        server.url, "--event", "one by one", "--rate", "200", "--timeout", "0.2", "--fail-above", "errors=1%"
    )
    assert result.exit_code == 1
    assert "not answered in time" in result.stdout
    assert "above 1.00%" in result.stdout


def test_a_threshold_that_is_not_kept(server: Running) -> None:
    result = bench(server.url, "--fail-above", "mean=1us", "--fail-above", "errors=0")
    assert result.exit_code == 1
    *_, mean, errors = result.stdout.splitlines()
    assert mean.endswith("above 1.00 µs")
    assert errors == "errors 0, not above 0"


# -- as a process


def test_ctrl_c_gives_the_report_of_what_was_measured(server: Running) -> None:
    command = [str(SOCKETEER), "bench", server.url, "-c", "5", "-d", "60", "--warmup", "0", "--rate", "100"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "acknowledged" in line:
                break
        process.send_signal(signal.SIGINT)
        shown, rest = process.communicate(timeout=20)
    assert process.returncode == 0, rest
    assert "when it was interrupted" in shown
    assert "errors        none" in shown
    assert "Traceback" not in rest


def test_a_bar_shows_how_it_goes_in_a_terminal(server: Running) -> None:
    controller, terminal = pty.openpty()
    command = [str(SOCKETEER), "bench", server.url, "-c", "3", "-d", "1", "--warmup", "0"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=terminal, env=environment) as process:
        os.close(terminal)
        screen = b""
        while True:
            try:
                screen += os.read(controller, 4096)
            except OSError:  # the other end is closed
                break
        report, _ = process.communicate(timeout=20)
    os.close(controller)
    assert process.returncode == 0
    assert "━" in screen.decode()
    assert "acknowledged, p50 " in screen.decode()
    assert b"\x1b[" not in report


def test_the_limit_of_open_files_is_raised_as_far_as_needed(server: Running) -> None:
    resource = pytest.importorskip("resource", reason="this system has no such limit")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 600))

    command = [str(SOCKETEER), "bench", server.url, *SHORT, "--transport", "websocket"]
    for clients, status in (("100", 0), ("600", 1)):
        done = subprocess.run(
            [*command, "-c", clients], preexec_fn=limit, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == status, done.stderr
    assert done.stderr == "Error: 600 clients need up to 700 open files, and 600 are allowed (ulimit -Hn)\n"
