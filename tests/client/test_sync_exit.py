"""Programs that use the client for blocking code end quietly and soon, whatever state they are in, and tell the server.

Each is a process of its own. It gets the URL of a server, of one that never answers, and of one that is not there.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from socketeer import sync
from tests.client.servers import Farm, Peer
from tests.support.node_server import node_server

PATIENCE = 10.0
BEGINNING = """
import asyncio, atexit, os, signal, sys, threading, time
if "no uvloop" in sys.argv: sys.modules["uvloop"] = None

def at_exit():
    for socket in late:
        assert not socket.connected
        socket.emit("echo")
        socket.disconnect()
        socket.off()
        for call in (connect, socket.connect, socket.receive):
            try: call()
            except UsageError as error: assert "the program ends" in str(error)
            else: raise AssertionError(call)
late = []
atexit.register(at_exit)  # before the client's own, so that it is called behind it

from socketeer import UsageError, sync
URL, SILENT, ABSENT, TRANSPORTS = *sys.argv[1:4], sys.argv[4].split("+")

def connect(url=URL, **options):
    return sync.connect(url, transports=TRANSPORTS, **options)

def begin(function):
    threading.Thread(target=function, daemon=True).start()
"""
CONNECTED = """
socket = connect()
print(socket.id)
"""
AFTERWARDS = """
def work():
    threading.main_thread().join()
    time.sleep(0.1)
    socket = connect(URL.replace("127.0.0.1", "localhost"), reconnection=False)
    print(socket.id, time.monotonic(), sep="\\n", flush=True)
threading.Thread(target=work).start()
"""
END = """
print(time.monotonic(), flush=True)
"""
PROGRAMS = {
    "connected by WebSocket": (CONNECTED, "websocket"),
    "connected by polling": (CONNECTED, "polling"),
    "connected without uvloop": (CONNECTED, "polling+websocket", "no uvloop"),
    "events to send": (CONNECTED + "for i in range(100): socket.emit('record', ['last', i])", "polling"),
    "not connected yet": (
        """
sync.Manager(SILENT, transports=TRANSPORTS).socket()
sync.Manager(ABSENT, transports=TRANSPORTS).socket()
sync.Manager(URL, transports=TRANSPORTS).socket("/slow", auth={"ms": 1000})
sync.Manager(URL, transports=TRANSPORTS).socket(auth=lambda: time.sleep(60))
time.sleep(0.2)
""",
        "polling+websocket",
    ),
    "daemons wait": (
        CONNECTED
        + """
begin(socket.receive); begin(lambda: list(socket)); begin(socket.wait_disconnected); begin(lambda: connect(SILENT))
begin(lambda: socket.emit_with_ack("never"))
def busy():
    with connect("%s/echo" % URL) as other:
        while True: other.emit_with_ack("echo")
begin(busy)
time.sleep(0.2)
""",
        "polling+websocket",
    ),
    "a handler sleeps": (
        CONNECTED + "socket.on('echo', lambda: time.sleep(60)); socket.emit('echo'); time.sleep(0.1)",
        "polling",
    ),
    "handlers ask": (
        CONNECTED
        + """
@socket.on("binary")
async def ask(): await socket.asynchronous.emit_with_ack("never")
socket.on("echo", lambda: socket.emit_with_ack("never"))
socket.on("disconnect", lambda reason: socket.connect())
socket.emit("echo"); socket.emit("echo"); socket.emit("binary")
time.sleep(0.1)
""",
        "websocket",
    ),
    "events come": (
        CONNECTED + "socket.on('flood', lambda *args: socket.emit('x')); socket.emit('flood', 500, 10)",
        "websocket",
    ),
    "threads go on": (
        CONNECTED
        + """
from concurrent.futures import ThreadPoolExecutor
def work(number):
    time.sleep(0.1)
    assert socket.emit_with_ack("echo", number) == number
    return number
pool = ThreadPoolExecutor(3)
futures = [pool.submit(work, number) for number in range(6)]
def check():
    assert [future.result() for future in futures] == list(range(6))
    assert work("the last") == "the last"
threading.Thread(target=check).start()
""",
        "polling+websocket",
    ),
    "a thread begins afterwards": (AFTERWARDS, "polling+websocket"),
    "a thread begins afterwards without uvloop": (AFTERWARDS, "polling+websocket", "no uvloop"),
    "called at exit": (
        CONNECTED
        + """
late.append(socket)
@atexit.register
def bye(): assert socket.emit_with_ack("echo", 1) == 1
""",
        "websocket",
    ),
    "a process of multiprocessing": (
        """
import multiprocessing
def work():
    with connect() as other: other.emit_with_ack("echo")
    socket = connect()
    print(socket.id)
    def emit():
        time.sleep(0.1)
        socket.emit("record", "by a process")
    threading.Thread(target=emit).start()
process = multiprocessing.get_context("fork").Process(target=work)
process.start()
process.join()
assert process.exitcode == 0
""",
        "websocket",
    ),
    "forked": (
        CONNECTED
        + """
socket.on("echo", lambda: None); socket.emit("echo"); time.sleep(0.05)
for use in (False, True):
    child = os.fork()
    if child == 0:
        if use:
            for call in (socket.receive, socket.disconnect, lambda: socket.emit("echo"), lambda: socket.on("x", print)):
                try: call()
                except UsageError as error: assert "forked" in str(error)
                else: raise AssertionError(call)
            with connect() as other: assert other.emit_with_ack("echo", 1) == 1
            connect()
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert socket.emit_with_ack("binary", 2) == 2
""",
        "polling+websocket",
    ),
}


@dataclass
class Outcome:
    """Be what became of a process."""

    status: int
    lines: list[str]
    errors: str
    ended: float


@pytest.fixture(scope="module")
def silent() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture(scope="module")
def server(farm: Farm) -> Peer:
    return farm.peer("fast")  # Node's forgets events that come together with the end of their namespace


def run(url: str, silent: str, program: str, *arguments: str) -> Outcome:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", BEGINNING + program, url, silent, "http://127.0.0.1:1", *arguments],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    return Outcome(done.returncode, done.stdout.splitlines(), done.stderr, time.monotonic())


@pytest.fixture(scope="module")
def outcomes(server: Peer, silent: str) -> Iterator[dict[str, Future[Outcome]]]:
    """Start all of the programs, some at a time."""
    pool = ThreadPoolExecutor(3)
    yield {
        name: pool.submit(run, server.url, silent, program + END, *arguments)
        for name, (program, *arguments) in PROGRAMS.items()
    }
    pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_ends(name: str, outcomes: dict[str, Future[Outcome]], server: Peer) -> None:
    outcome = outcomes[name].result()
    assert (outcome.status, outcome.errors) == (0, "")
    id, ended = ["", *outcome.lines][-2:]
    if name != "threads go on":
        assert outcome.ended - float(ended) < PATIENCE
    if id:
        with sync.connect(server.url) as observer:
            assert observer.timeout(20).emit_with_ack("gone", id) == "client namespace disconnect"
            if name == "events to send":
                recorded = [value for value in observer.emit_with_ack("recorded") if value[0] == "last"]
                assert recorded == [["last", number] for number in range(100)]
            if "multiprocessing" in name:
                assert "by a process" in observer.emit_with_ack("recorded")


def test_a_program_ends_though_its_server_hangs(silent: str) -> None:
    with node_server(4) as hanging:
        program = f"{CONNECTED}os.kill(int(sys.argv[5]), signal.SIGSTOP)\nfor i in range(30): socket.emit('echo', i)"
        outcome = run(hanging.url, silent, program + END, "polling+websocket", str(hanging.process.pid))
        hanging.process.send_signal(signal.SIGCONT)
    assert (outcome.status, outcome.errors) == (0, "")
    assert outcome.ended - float(outcome.lines[-1]) < PATIENCE


def test_an_exception_is_that_of_the_program_alone(server: Peer, silent: str) -> None:
    outcome = run(server.url, silent, f"{CONNECTED}with socket: 1 / 0", "websocket")
    assert outcome.status == 1
    assert outcome.errors.splitlines()[-1] == "ZeroDivisionError: division by zero"
    assert outcome.errors.count("Traceback") == 1


INTERRUPTED = """
socket = connect()
socket.on("own", time.sleep)
loop = socket._portal._loop
def tasks(): return len(asyncio.all_tasks(loop))
before = tasks()

for wait in (
    socket.receive,
    lambda: socket.receive(60),
    lambda: list(socket),
    socket.wait_disconnected,
    lambda: socket.emit_with_ack("never"),
    lambda: socket.timeout(60).emit_with_ack("never"),
    lambda: connect(SILENT),
    lambda: connect(ABSENT),
    lambda: connect(URL + "/slow", auth={"ms": 60000}),
    sync.Manager(SILENT, auto_connect=False).socket().connect,
):
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
    begun = time.monotonic()
    try:
        wait()
    except KeyboardInterrupt:
        assert time.monotonic() - begun < 20
    else:
        raise AssertionError(wait)
until = time.monotonic() + 5
while tasks() > before: assert time.monotonic() < until, asyncio.all_tasks(loop)
assert socket.emit_with_ack("echo", 1) == 1
socket.emit("echo", 2)
assert socket.receive(5) == ("echo", [2])
print(socket.id)
threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
with socket: socket.receive()
"""


def test_an_interrupt_ends_any_wait_and_leaves_nothing_behind(server: Peer, silent: str) -> None:
    outcome = run(server.url, silent, INTERRUPTED, "websocket")
    assert outcome.errors.splitlines()[-1] == "KeyboardInterrupt"
    assert outcome.errors.count("Traceback") == 1
    assert outcome.status == -signal.SIGINT
    with sync.connect(server.url) as observer:
        assert observer.timeout(20).emit_with_ack("gone", outcome.lines[-1]) == "client namespace disconnect"
