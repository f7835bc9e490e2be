"""Each Python snippet of the README runs, word for word, and does with a real client what the text around it says."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.examples.recipes import PATIENCE, ROOT, client_prints, run_client, started

README = (ROOT / "README.md").read_text()
FAST_LANE = ["--ws", "socketeer.transports.uvicorn:WebSocketProtocol"]
THEN_LEAVE = 'socket.on("news", () => setImmediate(() => socket.disconnect()));'
CONNECT = 'const { io } = require("socket.io-client");\nconst url = "http://127.0.0.1:3000";\n'


@dataclass(frozen=True, slots=True)
class Snippet:
    """A block of Python, and the block of JavaScript that follows it below the same heading, if there is one."""

    heading: str
    python: str
    javascript: str


@dataclass(frozen=True, slots=True)
class Trial:
    """What a client does with a snippet; ``code`` is empty where the README brings its own."""

    code: str
    prints: str
    server_prints: str = ""
    ordered: bool = True


def snippets() -> list[Snippet]:
    found: list[Snippet] = []
    for section in re.split(r"^## ", README, flags=re.MULTILINE):
        heading, _, body = section.partition("\n")
        for language, block in re.findall(r"^```(python|js)\n(.*?)^```$", body, re.MULTILINE | re.DOTALL):
            if language == "python":
                found.append(Snippet(heading, block, ""))
            else:
                found[-1] = Snippet(heading, found[-1].python, found[-1].javascript + block)
    return found


TRIALS: dict[str, list[Trial]] = {
    "Ten lines": [
        Trial("", "{ hello: 'world' }", server_prints="{'my': 'data'}"),
    ],
    "Handlers without closures": [
        Trial(
            """
            const ada = io(url, { forceNew: true }), grace = io(url, { forceNew: true });
            (async () => {
              console.log(await ada.emitWithAck("set nickname", "Ada"));
              grace.on("message", (name, text) => { console.log(name, text); ada.disconnect(); grace.disconnect(); });
              await grace.emitWithAck("join", "tea");
              ada.emit("message", "tea", "is ready");
            })();
            """,
            "hello Ada\nAda is ready",
        )
    ],
    "Acknowledgements, from one client or from many": [
        Trial(
            """
            const ada = io(url, { forceNew: true });
            ada.on("question", (text, answer) => answer(4));
            ada.on("vote", (text, answer) => answer("tea"));
            (async () => {
              console.log(await ada.emitWithAck("quiz"));
              console.log(await ada.emitWithAck("vote", "tea or coffee?"));
              ada.disconnect();
            })();
            """,
            "you said 4\n[ 'tea' ]",
        )
    ],
    "Let in, or refuse": [
        Trial(
            """
            const transports = ["websocket"];
            const stranger = io(url, { forceNew: true, auth: { token: "guess" } });
            stranger.on("connect_error", (error) => {
              console.log(error.message, error.data);
              const friend = io(url, { forceNew: true, auth: { token: "secret" } });
              friend.emit("whoami", (id) => {
                console.log(id === friend.id);
                friend.disconnect();
                const here = { forceNew: true, transports, auth: { token: "secret" }, reconnection: false };
                const page = io(url, { ...here, extraHeaders: { Origin: "https://example.com" } });
                page.on("connect", () => {
                  console.log("https://example.com is let in");
                  page.disconnect();
                  const other = io(url, { ...here, extraHeaders: { Origin: "https://example.org" } });
                  other.on("connect_error", () => console.log("https://example.org is refused"));
                });
              });
            });
            """,
            "who are you? { retry: false }\ntrue\nhttps://example.com is let in\nhttps://example.org is refused",
        )
    ],
    "Beside another application": [
        Trial(
            """
            const socket = io(url);
            socket.on("price", (product, price) => { console.log(product, price); socket.disconnect(); });
            socket.on("connect", async () => {
              const response = await fetch(url + "/prices/tea?price=4", { method: "PUT" });
              console.log(await response.json());
            });
            """,
            "tea 4\n{ sent: true }",
            ordered=False,
        ),
        Trial(
            """
            const socket = io(url, { path: "/realtime/socket.io" });
            socket.emit("ping", async (answer) => {
              console.log(answer);
              socket.disconnect();
              console.log((await fetch(url + "/realtime/socket.io/socket.io.js")).status);
              console.log((await fetch(url + "/socket.io/socket.io.js")).status);
            });
            """,
            "pong\n200\n404",
        ),
        Trial(
            """
            const socket = io(url);
            socket.on("order", (item) => { console.log(item); socket.disconnect(); });
            socket.on("connect", async () => {
              console.log(await (await fetch(url + "/orders/tea", { method: "POST" })).text());
            });
            """,
            "tea\nthank you",
            ordered=False,
        ),
    ],
}
CLIENTS: dict[str, Trial] = {
    "Ten lines": Trial("", "news [{'hello': 'world'}]", server_prints="{'my': 'data'}"),
    "The client": Trial("", "you said 4\n['tea']"),
}
SNIPPETS = [snippet for snippet in snippets() if "connect(" not in snippet.python]
CASES = [
    pytest.param(snippet, [each for each in SNIPPETS if each.heading == snippet.heading].index(snippet), id=name)
    for name, snippet in ((f"{snippet.heading}-{number}", snippet) for number, snippet in enumerate(SNIPPETS))
]


def test_the_readme_has_snippets_and_every_trial_belongs_to_one() -> None:
    assert {snippet.heading for snippet in SNIPPETS} == set(TRIALS)
    assert len(SNIPPETS) == sum(len(trials) for trials in TRIALS.values())


@pytest.mark.parametrize(("snippet", "number"), CASES)
def test_snippet_does_what_the_readme_says(snippet: Snippet, number: int, tmp_path: Path) -> None:
    assert number < len(TRIALS.get(snippet.heading, [])), f"untested snippet below {snippet.heading!r}"
    trial = TRIALS[snippet.heading][number]
    main = write_server(snippet, tmp_path)
    if "io.listen(" in snippet.python:
        command = [sys.executable, str(main)]
    else:
        port = '__import__("os").environ["PORT"]'
        code = (
            f"import sys, uvicorn; sys.argv = ['uvicorn', 'main:app', '--app-dir', {str(tmp_path)!r}, '--port', {port}"
        )
        command = [sys.executable, "-c", f"{code}, *{FAST_LANE!r}]; uvicorn.main()"]
    with started(command) as server:
        code = CONNECT + trial.code if trial.code else snippet.javascript + THEN_LEAVE
        printed = run_client(code, server.port)
    client_prints(trial.prints, printed, ordered=trial.ordered)
    if trial.server_prints:
        client_prints(trial.server_prints, server.stdout)
    assert "Traceback" not in server.stderr


def write_server(snippet: Snippet, folder: Path) -> Path:
    """Write a server's program; the port is the one thing that a test has to change."""
    main = folder / "main.py"
    main.write_text(snippet.python.replace("io.listen(3000)", 'io.listen(int(__import__("os").environ["PORT"]))'))
    return main


def test_every_client_in_python_is_tried() -> None:
    assert [snippet.heading for snippet in snippets() if "connect(" in snippet.python] == list(CLIENTS)


@pytest.mark.parametrize("heading", CLIENTS)
def test_a_client_in_python_talks_to_the_server_above(heading: str, tmp_path: Path) -> None:
    above: list[Snippet] = []
    for snippet in snippets():
        if "connect(" in snippet.python and snippet.heading == heading:
            break
        above.append(snippet)
    client = tmp_path / "client.py"
    with started([sys.executable, str(write_server(above[-1], tmp_path))]) as server:
        client.write_text(snippet.python.replace("127.0.0.1:3000", f"127.0.0.1:{server.port}"))
        done = subprocess.run(
            [sys.executable, str(client)], capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    trial = CLIENTS[heading]
    assert done.stderr == ""
    client_prints(trial.prints, done.stdout)
    client_prints(trial.server_prints, server.stdout)
    said = re.findall(r"\bprint\(.*\) +# (.*)$", snippet.python, re.MULTILINE)
    assert said == trial.prints.splitlines()
    assert re.findall(r"# the server prints (.*)$", snippet.python, re.MULTILINE) == trial.server_prints.splitlines()


def test_the_comments_of_the_first_client_are_what_it_and_the_server_print() -> None:
    first, trial = SNIPPETS[0], TRIALS["Ten lines"][0]
    assert f"// {trial.prints}" in first.javascript
    assert f"// the server prints {trial.server_prints}" in first.javascript


def test_the_fast_lane_command_of_the_readme_is_the_one_that_is_tested() -> None:
    assert f"uvicorn main:app {' '.join(FAST_LANE)}\n" in README


def test_the_versions_of_the_clients_are_those_that_the_tests_install() -> None:
    locked = (ROOT / "tests" / "js" / "package.json").read_text()
    versions = re.findall(r"^\| (\d+\.\d+\.\d+) \|", README, re.MULTILINE)
    assert sorted(versions) == sorted(re.findall(r"npm:socket\.io-client@([\d.]+)", locked))
