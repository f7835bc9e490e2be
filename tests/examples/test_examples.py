"""Every file of examples/ does what its docstring says, when it is run as its docstring says."""

from __future__ import annotations

import ast
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.examples.recipes import PATIENCE, ROOT, blocks, client_prints, parse_command, run_client, started

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
RECIPES = {
    "acknowledgements",
    "broadcasting",
    "configuration",
    "events",
    "namespaces",
    "plain_messages",
    "rooms",
    "standalone",
    "storing_data",
    "volatile",
    "with_fastapi",
    "with_flask",
}


def docstring_of(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text())) or ""


def test_there_is_an_example_for_every_recipe() -> None:
    assert {path.stem for path in EXAMPLES} >= RECIPES


CLIENTS = [path for path in EXAMPLES if "\nStart the server" in docstring_of(path)]


@pytest.mark.parametrize("path", [path for path in EXAMPLES if path not in CLIENTS], ids=lambda path: path.stem)
def test_example_keeps_its_promise(path: Path) -> None:
    said = blocks(docstring_of(path))
    titles = {title.split(",")[0].split(" (")[0]: title for title in said}
    assert {"Run it", "Try it in Node.js", "The client prints"} <= set(titles), "the docstring has to say how to try it"
    command, env = parse_command(said[titles["Run it"]])
    assert command[1] == f"examples/{path.name}"
    with started(command, env) as server:
        printed = run_client(said[titles["Try it in Node.js"]], server.port)
    title = titles["The client prints"]
    client_prints(said[title], printed, ordered="either order" not in title)
    if "The server prints" in titles:
        client_prints(said[titles["The server prints"]], server.stdout)
    assert "Traceback" not in server.stderr
    assert server.returncode in (0, -15), server.stderr


@pytest.mark.parametrize("path", CLIENTS, ids=lambda path: path.stem)
def test_example_of_a_client_keeps_its_promise(path: Path) -> None:
    """It runs beside the client in Node.js, and is typed into when it has printed all that it is to print."""
    said = {
        title.split(" (")[0].replace("servers", "server"): block for title, block in blocks(docstring_of(path)).items()
    }
    command, _ = parse_command(said["Run it"])
    assert command[1] == f"examples/{path.name}"
    with ExitStack() as stack:
        servers = [stack.enter_context(started(*parse_command(line))) for line in said["Start the server"].splitlines()]
        ports = {f"127.0.0.1:{3000 + number}": f"127.0.0.1:{server.port}" for number, server in enumerate(servers)}
        promised = said["It prints"].splitlines()
        with talking([ports_of(ports, word) for word in command]) as example, ThreadPoolExecutor() as threads:
            assert example.stdout
            assert example.stdin
            printed = [example.stdout.readline().rstrip()]
            client = threads.submit(run_client, ports_of(ports, said["Try it in Node.js"]), servers[0].port)
            printed += [example.stdout.readline().rstrip() for _ in promised[1:]]
            assert printed == promised
            if "Type into it" in said:
                print(said["Type into it"], file=example.stdin, flush=True)
            client_prints(said["The client prints"], client.result(PATIENCE))


def ports_of(ports: dict[str, str], text: str) -> str:
    """Return a text with the true addresses of servers."""
    for told, true in ports.items():
        text = text.replace(told, true)
    return text


@contextmanager
def talking(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Run a program that ends with its input, or when it is told to, and says nothing of errors."""
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    overdue = threading.Timer(PATIENCE, process.kill)
    overdue.start()
    try:
        yield process
    finally:
        reads = "sys.stdin" in Path(ROOT / command[1]).read_text()
        if not reads:
            process.terminate()
        _, errors = process.communicate()  # its input ends with that
        overdue.cancel()
        print(errors, end="")
    assert errors == ""
    assert process.returncode == (0 if reads else -signal.SIGTERM)


def test_debug_variable_of_the_configuration_example_switches_the_log_on() -> None:
    path = ROOT / "examples" / "configuration.py"
    said = blocks(docstring_of(path))
    command, env = parse_command(said["Run it"])
    assert env["DEBUG"] == "socketeer*"
    code = said["Try it in Node.js (npm install socket.io-client)"]
    with started(command, env) as loud:
        run_client(code, loud.port)
    with started(command, {**env, "DEBUG": ""}) as quiet:
        run_client(code, quiet.port)
    assert "socketeer" in loud.stderr
    assert "socketeer" not in quiet.stderr


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_short_enough_to_read(path: Path) -> None:
    code = ast.parse(path.read_text())
    lines = path.read_text().splitlines()[code.body[0].end_lineno or 0 :]
    assert sum(1 for line in lines if line.strip()) <= 40
