"""The servers of Node that the tests of the client meet do what those rely on, as the official clients see it.

The checks are in tests/js/client_server_checks.js.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificate import make_certificate
from tests.support.node import run_node
from tests.support.node_server import NodeServer, node_server

GENERATIONS = (4, 2)
# Connects to argv[2] with the options of argv[3], emits the events of argv[4] and prints what acknowledges them.
ASKING = """
const [, generation, url, options, events] = process.argv;
const { parser, ...rest } = JSON.parse(options);
if (parser) rest.parser = require(parser);
const socket = require(`client${generation}`)(url, { reconnection: false, ...rest });
const ask = ([event, ...args]) => new Promise((resolve) => socket.emit(event, ...args, (...answer) => resolve(answer)));
(async () => {
  const answers = [];
  for (const question of JSON.parse(events)) answers.push(await ask(question));
  process.stdout.write(JSON.stringify(answers), () => process.exit(0));
})();
"""


def ask(server: NodeServer, *events: list[object], **options: object) -> list[Any]:
    """Connect with the official client and give the acknowledgements of ``events``."""
    arguments = [str(server.version), server.url, json.dumps(options), json.dumps(events)]
    done = run_node(ASKING, *arguments, timeout=10)
    answers: list[Any] = json.loads(done.stdout or pytest.fail(done.stderr))
    return answers


def check(server: NodeServer, *names: str) -> None:
    """Run the checks of client_server_checks.js."""
    done = run_node("client_server_checks.js", str(server.version), server.url, *names)
    assert done.returncode == 0, done.stderr
    outcomes: dict[str, str | None] = json.loads(done.stdout)
    failures = [f"{name}: {error}" for name, error in outcomes.items() if error is not None]
    assert outcomes, "no checks"
    assert not failures, "\n".join(failures)
    assert server.log == ""


@pytest.mark.parametrize("generation", GENERATIONS)
def test_the_events(generation: int) -> None:
    with node_server(generation) as server:
        check(server)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_silence(generation: int) -> None:
    with node_server(generation, pingInterval=400, pingTimeout=400) as server:
        check(server, "silence")


def test_recovery() -> None:
    with node_server(4, connectionStateRecovery={}) as server:
        check(server, "recovery")


@pytest.mark.parametrize("generation", GENERATIONS)
def test_what_is_recorded_survives(generation: int, tmp_path: Path) -> None:
    record = tmp_path / "record"
    with node_server(generation, record=record) as server:
        port = server.port
        assert ask(server, ["record", 1], ["record", "two"]) == [[1], ["two"]]
        server.kill()
        assert server.process.returncode == -9
        assert record.read_text() == '1\n"two"\n'
        server.restart()
        assert server.port == port
        assert ask(server, ["record", 3], ["recorded"]) == [[3], [[1, "two", 3]]]
        server.stop()
        assert server.process.returncode == 0


def test_an_end_that_nobody_asked_for() -> None:
    server = NodeServer(4)
    server.process.kill()
    server.process.wait(20)
    with pytest.raises(AssertionError, match="ended by itself"):
        server.close()
    with pytest.raises(AssertionError, match="no parser nonsense"):
        NodeServer(4, parser="nonsense")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Give the files of a self-signed certificate as the options of a server."""
    cert, key = make_certificate(tmp_path_factory.mktemp("tls"))
    return {"cert": cert, "key": key}


@pytest.mark.parametrize("generation", GENERATIONS)
def test_options(generation: int, certificate: dict[str, Any]) -> None:
    with node_server(generation, path="/elsewhere", parser="msgpack", transports=["polling"], **certificate) as server:
        assert server.url.startswith("https://")
        [[seen]] = ask(
            server,
            ["handshake"],
            parser="msgpack-parser3" if generation == 4 else "msgpack-parser2",
            path="/elsewhere",
            ca=Path(certificate["cert"]).read_text(),
        )
        assert seen["secure"] is True
        assert seen["transport"] == "polling"
        assert seen["url"].startswith("/elsewhere/?")
