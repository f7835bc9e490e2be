"""`socketeer client` in scripts: real processes, against the application of the tests."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from socketeer import Socket
from socketeer.cli.client.command import command
from tests.browser.demo import SOCKETEER
from tests.support.app import create
from tests.support.ports import free_port
from tests.support.serving import Running, serving


@pytest.fixture(scope="module")
def taken() -> list[Any]:
    """Return what the server has got by the event ``take``."""
    return []


@pytest.fixture(scope="module")
def server(taken: list[Any]) -> Iterator[Running]:
    io = create(ping_interval=0.2, ping_timeout=5)

    @io.event
    def take(socket: Socket, value: Any) -> None:
        taken.append(value)

    with serving(io) as running:
        yield running


def run(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    stdin: dict[str, Any] = {"stdin": subprocess.DEVNULL} if text is None else {"input": text}
    return subprocess.run(
        [str(SOCKETEER), "client", *arguments], **stdin, capture_output=True, text=True, timeout=20, check=False
    )


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(SOCKETEER), "client", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_here(*arguments: str) -> Result:
    """Run it in this process, which is much quicker."""
    return CliRunner().invoke(command, [*arguments, "--transport", "websocket"])


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


# -- steps


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_steps_are_taken_in_their_order(server: Running, transport: str) -> None:
    done = run(
        server.url,
        *("--transport", transport, "--query", "name=Ada", "--json"),
        *("--wait", "welcome", "--emit", "give back?", "hi there", "1", '{"a": [null]}', "base64:AAH/"),
        *("--emit", 'echo "once more"', "--wait=echo"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    connected, welcome, answer, echo, left = objects(done.stdout)
    assert (connected["connect"]["transport"], connected["connect"]["namespace"]) == (transport, "/")
    assert welcome == {"event": "welcome", "args": ["Ada"]}
    assert answer.pop("seconds") < 10
    assert answer == {"ack": "give back", "args": ["hi there", 1, {"a": [None]}, {"$base64": "AAH/"}]}
    assert echo == {"event": "echo", "args": ["once more"]}
    assert left == {"disconnect": "io client disconnect"}


def test_people_read_events_on_the_output_and_the_rest_beside_it(server: Running) -> None:
    done = run(server.url, "--transport", "websocket", "--emit", "echo", "a\x1b[31mb", "--wait", "echo")
    assert done.returncode == 0
    welcome, echo = done.stdout.splitlines()
    assert welcome.endswith('← / welcome "stranger"')
    assert echo.endswith('← / echo "a\\u001b[31mb"')
    assert "● / connected as" in done.stderr


def test_what_the_options_say_reaches_the_server(server: Running) -> None:
    done = run(
        *(f"{server.url.removeprefix('http://')}/chat?a=1", "--auth", '{"token": "t"}', "-H", "X-Test: h"),
        *("--emit", "handshake", "--emit", "where", "--ack", "--json", "--query", "b=2", "--no-reconnect"),
    )
    shake, where = (each["args"][0] for each in objects(done.stdout) if "ack" in each)
    assert (shake["auth"], shake["header"], where) == ({"token": "t"}, "h", "/chat")
    assert shake["query"].items() >= {("a", "1"), ("b", "2")}


def test_servers_of_the_second_generation_are_spoken_to(server: Running) -> None:
    done = run_here(server.url, "--eio", "3", "--emit", "handshake?", "--emit", "give back?", "base64:AAH/", "--json")
    assert done.exit_code == 0
    shake, binary = (each["args"][0] for each in objects(done.stdout) if "ack" in each)
    assert (shake["query"]["EIO"], binary) == ("3", {"$base64": "AAH/"})


def test_lines_of_standard_input_are_events(server: Running) -> None:
    done = run(server.url, "--json", "--ack", text='"give back" "hi" 1\n\n"give back" {"n": 2}')
    assert done.returncode == 0
    assert [each["args"] for each in objects(done.stdout) if "ack" in each] == [["hi", 1], [{"n": 2}]]
    done = run(server.url, "--emit", "-", "--wait", "echo", "--wait-count", "2", "--json", text="echo 1\necho 2\n")
    assert [each["args"] for each in objects(done.stdout) if each.get("event") == "echo"] == [[1], [2]]
    done = run(server.url, text="take before\necho {\n")
    assert done.returncode == 2
    assert "line 2: not JSON" in done.stderr


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_everything_that_was_sent_arrives(server: Running, taken: list[Any], transport: str) -> None:
    done = run(server.url, "--transport", transport, text="".join(f"take {transport}{n}\n" for n in range(2000)))
    assert done.returncode == 0
    assert [each for each in taken if str(each).startswith(transport)] == [f"{transport}{n}" for n in range(2000)]


def test_questions_of_the_server_are_answered(server: Running) -> None:
    asked = ("--emit", "ask", "why?", "--wait", "answered", "--json")
    done = run_here(server.url, *asked, "--answer", '"because" 1')
    assert [each for each in objects(done.stdout) if "answer" in each or "args" in each][1:] == [
        {"event": "question", "args": ["why?"]},
        {"answer": "question", "args": ["because", 1]},
        {"event": "answered", "args": [["because", 1]]},
    ]
    assert objects(run_here(server.url, *asked).stdout)[-2] == {"event": "answered", "args": [None]}


# -- listening


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_listening_ends_well_when_it_is_told_to(server: Running, told: signal.Signals) -> None:
    process = start(server.url, "--listen", "--json")
    try:
        assert process.stdout is not None
        assert "connect" in json.loads(process.stdout.readline())
        assert json.loads(process.stdout.readline())["event"] == "welcome"
        process.send_signal(told)
        rest, problems = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, problems) == (0, "")
    assert objects(rest)[-1] == {"disconnect": "io client disconnect"}


def test_it_ends_when_nobody_reads(server: Running) -> None:
    process = start(server.url, "--emit", "ticks 500 1", "--listen")
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(10) == 0
        assert "Traceback" not in (problems := process.stderr.read()), problems
        assert "rror" not in problems
        process.stderr.close()
    finally:
        process.kill()
        process.wait()


# -- what goes wrong


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (
            ["{url}/guarded", "--emit", "a"],
            1,
            {"connect_error": "not authorized", "data": {"code": 7, "hints": ["ask", "wait"]}},
        ),
        (["{url}/unknown", "--wait", "a"], 1, {"connect_error": "Invalid namespace", "data": None}),
        (["{url}", "--emit", "kick", "true", "--listen"], 1, {"disconnect": "io server disconnect"}),
        (
            ["{url}", "--no-reconnect", "--emit", '"close the connection"', "--listen"],
            1,
            {"disconnect": "transport close"},
        ),
        (
            ["{url}", "--parser", "msgpack", "--emit", "a"],
            1,
            {"connect_error": "transport close, before the namespace was joined"},
        ),
        (["{url}", "--emit", "connect"], 2, "reserved"),
        (["{url}", "--emit", "a", "18446744073709551616"], 2, "serializable"),
        (["{url}", "--wait", "never", "--timeout", "0.5"], 3, "waiting for never took more than 0.5 s"),
        (["{url}", "--wait-count", "9", "--timeout", "0.5"], 3, "waiting for events took more than 0.5 s"),
        (["{url}", "--emit", "never?", "--timeout", "0.5"], 3, {"ack": "never", "error": "operation has timed out"}),
    ],
)
def test_exit_codes(server: Running, arguments: list[str], code: int, said: dict[str, Any] | str) -> None:
    done = run_here(*(each.replace("{url}", server.url) for each in arguments), "--json")
    assert (done.exit_code, done.stderr) == (code, "")
    told = [each for each in objects(done.stdout) if each != {"disconnect": "io client disconnect"}][-1]
    if isinstance(said, str):
        assert said in told["error"]
    else:
        assert {**told, **said} == told


def test_what_the_client_does_not_take_is_a_wrong_call(server: Running) -> None:
    done = run_here(server.url, "--proxy", "nope://127.0.0.1", "--emit", "a")
    assert done.exit_code == 2
    assert "Error: option 'proxy' must be a URL" in done.stderr


def test_streams_may_be_closed(server: Running) -> None:
    command = f'exec {SOCKETEER} client {server.url} --json "$@" <&- 2>&-'
    done = subprocess.run(["sh", "-c", command, "sh", "--transport", "websocket"], capture_output=True, check=False)
    assert (done.returncode, objects(done.stdout.decode())[-1]) == (0, {"disconnect": "io client disconnect"})


def test_a_disk_that_is_full_is_told(server: Running) -> None:
    command = f'exec {SOCKETEER} client {server.url} "$@" > /dev/full'
    steps = ("--transport", "websocket", "--emit", "echo", "1", "--wait", "echo", "--wait", "never")
    done = subprocess.run(["sh", "-c", command, "sh", *steps], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("Error: cannot write: No space left on device") == 1
    assert "Traceback" not in done.stderr


def test_a_server_that_is_not_there() -> None:
    done = run_here(f"http://127.0.0.1:{free_port()}", "--emit", "a")
    assert done.exit_code == 1
    assert "● / cannot connect: " in done.stderr
