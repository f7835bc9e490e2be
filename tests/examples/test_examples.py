"""Every file of examples/ does what its docstring says, when it is run as its docstring says."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.examples.recipes import ROOT, blocks, client_prints, parse_command, run_client, started

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


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
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
