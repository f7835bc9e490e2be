"""The manual is true where a test can tell: its code runs, its tables match the code, its links lead somewhere."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import engineio
import pytest
import socketio
from socketio.base_client import BaseClient
from socketio.base_server import BaseServer

import socketeer
import socketeer.sync
import socketeer.testing
from socketeer.engine.conn import Conn
from socketeer.options import ConnectionStateRecovery, HttpCompression, ServerOptions
from socketeer.options.client import ClientDeflate, ManagerOptions, SocketOptions, TransportOptions, split_options
from tests.examples.recipes import ROOT
from tests.support.serving import serving


def defaults(record: Any) -> dict[str, Any]:
    """Return the fields of a record of options."""
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
OF_CONNECT = split_options({}, "connect")[2]
TABLES: dict[str, dict[str, Any]] = {
    "README.md": defaults(ServerOptions()),
    "docs/options.md": defaults(ServerOptions()),
    "docs/security.md": defaults(ServerOptions()),
    "docs/recovery.md": defaults(ConnectionStateRecovery()),
    "docs/client-options.md": {**defaults(ManagerOptions()), **defaults(SocketOptions()), **OF_CONNECT},
}
BLOCKS = {
    f"{page.relative_to(ROOT / 'docs').with_suffix('')}-{number}": block
    for page in PAGES[1:]
    for number, block in enumerate(re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL))
}
PROGRAMS = {name: block for name, block in BLOCKS.items() if 'connect("http' in block or 'Manager("http' in block}


def options_in(page: Path) -> dict[str, str]:
    """Return the options of a page's tables with their defaults; a row may hold several, but each has one row."""
    found: list[tuple[str, str]] = []
    for names, defaults in re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| (`[^|]+`) \|", page.read_text(), re.MULTILINE):
        found += zip(re.findall(r"`(\w+)`", names), re.findall(r"`([^`]+)`", defaults), strict=True)
    told = [name for name, _ in found]
    assert [name for name in told if told.count(name) > 1] == []
    return dict(found)


def run(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "main"}
    exec(compile(code, "the manual", "exec", dont_inherit=True), names)
    return names


@pytest.mark.parametrize("name", [name for name in BLOCKS if name not in PROGRAMS])
def test_code_of_the_manual_runs(name: str) -> None:
    run(BLOCKS[name])


@pytest.fixture(scope="module")
def server_of_the_clients() -> Iterator[str]:
    """Serve the first block of the client's page, which tells that all its programs talk to it."""
    with serving(run(BLOCKS["client-0"])["io"]) as running:
        yield running.url


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_client_of_the_manual_prints_what_its_comments_say(
    name: str, server_of_the_clients: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(PROGRAMS[name].replace("http://127.0.0.1:3000", server_of_the_clients))
    said = re.findall(r"\bprint\(.*\)  # (.*)$", PROGRAMS[name], re.MULTILINE)
    assert set(capsys.readouterr().out.splitlines()) == set(said)


@pytest.mark.parametrize("page", TABLES)
def test_defaults_of_the_options_are_the_true_ones(page: str) -> None:
    told = options_in(ROOT / page)
    assert told
    known = {"HttpCompression": HttpCompression}
    assert {name: eval(default, known) for name, default in told.items()} == {name: TABLES[page][name] for name in told}


@pytest.mark.parametrize("page", ["docs/options.md", "docs/client-options.md"])
def test_every_option_is_in_the_manual(page: str) -> None:
    assert sorted(options_in(ROOT / page)) == sorted(TABLES[page])


def test_what_the_manual_says_of_single_options_of_the_client() -> None:
    text = (ROOT / "docs" / "client-options.md").read_text()
    sentence = re.search(r"^`transport_options` takes (.*)\.$", text, re.MULTILINE)
    assert sentence
    assert sorted(re.findall(r"`(\w+)`", sentence[1])) == sorted(TransportOptions.__annotations__)
    assert f"`{ClientDeflate()}`" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize(
    "package", [socketeer, socketeer.sync, socketeer.testing], ids=lambda package: package.__name__
)
def test_every_public_name_has_its_place_in_the_reference(package: ModuleType) -> None:
    """That the place holds what the name is, the strict build of the manual checks."""
    pages = "".join(page.read_text() for page in (ROOT / "docs" / "reference").glob("*.md"))
    placed = re.findall(rf"^::: {package.__name__}\.(\w+)$", pages, re.MULTILINE)
    assert sorted(placed) == sorted(package.__all__)


def test_every_page_has_its_place_in_the_menu() -> None:
    menu = re.findall(r"([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[2], re.MULTILINE)
    assert sorted(menu) == sorted(page.relative_to(ROOT / "docs").as_posix() for page in PAGES[1:])


def halves(page: str) -> tuple[str, str]:
    """Return what a page says of the server, and what of the client."""
    text = (ROOT / "docs" / page).read_text()
    client = re.search(r"^## The client\n.*?(?=^## )", text, re.MULTILINE | re.DOTALL)
    assert client
    return text.replace(client[0], ""), client[0]


def words_of_the_first_column(text: str) -> set[str]:
    cells = re.findall(r"^\| (.*?) \| ", text, re.MULTILINE)
    return {word for cell in cells for code in re.findall(r"`([^`]+)`", cell) for word in re.findall(r"\w+", code)}


def names_of(classes: list[type], functions: list[Callable[..., Any]]) -> set[str]:
    """Return what classes have, and what functions take."""
    names = {name for cls in classes for name in dir(cls) if not name.startswith("_")}
    for function in functions:
        names |= set(inspect.signature(function).parameters)
    return names - {"self", "args", "kwargs", "socketio_server"}


def test_everything_of_python_socketio_has_its_twin_or_a_reason() -> None:
    server, client = halves("from-python-socketio.md")
    classes = [socketio.AsyncServer, socketio.AsyncNamespace, socketio.AsyncManager, socketio.ASGIApp]
    inits = [BaseServer.__init__, socketio.ASGIApp.__init__, engineio.AsyncServer.__init__]
    names = names_of(classes, inits) | {
        name for name, value in vars(socketio.exceptions).items() if inspect.isclass(value)
    }
    assert names - words_of_the_first_column(server) == set()
    classes = [socketio.AsyncClient, socketio.AsyncClientNamespace, socketio.AsyncSimpleClient, engineio.AsyncClient]
    methods = [socketio.AsyncClient.connect, socketio.AsyncClient.emit, socketio.AsyncClient.call]
    inits = [BaseClient.__init__, engineio.AsyncClient.__init__]
    assert names_of(classes, methods + inits) - words_of_the_first_column(client) == set()


DECLARATIONS = [
    "socket.io/dist/index.d.ts",
    "socket.io/dist/namespace.d.ts",
    "socket.io/dist/parent-namespace.d.ts",
    "socket.io/dist/socket.d.ts",
    "socket.io/dist/broadcast-operator.d.ts",
    "socket.io-adapter/dist/in-memory-adapter.d.ts",
    "engine.io/build/server.d.ts",
    "engine.io/build/socket.d.ts",
]
CLIENT_DECLARATIONS = [
    "client4/build/esm/manager.d.ts",
    "client4/build/esm/socket.d.ts",
    "client4/node_modules/engine.io-client/build/esm/socket.d.ts",
]
MEMBER = r"^    (?!private|protected|constructor)(?:(?:get|set|static|readonly|abstract) )*([A-Za-z]\w*)[?<(:]"


@pytest.mark.parametrize("declaration", DECLARATIONS + CLIENT_DECLARATIONS)
def test_everything_of_javascript_has_its_twin_or_a_reason(declaration: str) -> None:
    """What its own declarations call public; ``message`` and ``name`` stand in errors and in options of cookies."""
    text = (ROOT / "tests" / "js" / "node_modules" / declaration).read_text()
    names = set(re.findall(MEMBER, re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL), re.MULTILINE))
    assert len(names) > 2
    half = halves("from-javascript.md")[declaration in CLIENT_DECLARATIONS]
    assert names - words_of_the_first_column(half) - {"message", "name"} == set()


IO = socketeer.Server()
OWNERS: dict[str, Any] = {
    "io": IO,
    "io.engine": IO.engine,
    "io.options": IO.options,
    "io.sockets": IO.sockets,
    "adapter": IO.sockets.adapter,
    "chat": IO.sockets,
    "conn": Conn,
    "handshake": socketeer.Handshake,
    "namespace": IO.sockets,
    "nsp": IO.sockets,
    "operator": socketeer.BroadcastOperator,
    "parent": socketeer.ParentNamespace,
    "remote": socketeer.RemoteSocket,
    "socket": socketeer.Socket,
    "socket.conn": Conn,
    "socket.handshake": socketeer.Handshake,
    "socketeer": socketeer,
}
MANAGER = socketeer.Manager("http://127.0.0.1")
CLIENT_OWNERS: dict[str, Any] = {
    "engine": Conn,
    "manager": MANAGER,
    "manager.options": MANAGER.options,
    "socket": MANAGER.socket(),
    "socketeer": socketeer,
}


def missing_twins(text: str, owners: dict[str, Any], options: set[str]) -> list[str]:
    """Return what the tables name as ours and is not there."""
    owned = re.compile(rf"(?<![/\w])({'|'.join(sorted(map(re.escape, owners), key=len, reverse=True))})\.([a-z]\w*)")
    missing: list[str] = []
    for theirs, ours in re.findall(r"^\| (.*?) \| (.*) \|$", text, re.MULTILINE):
        for code in re.findall(r"`([^`]+)`", theirs if ours.startswith("the same") else ours):
            missing += [f"{owner}.{name}" for owner, name in owned.findall(code) if not hasattr(owners[owner], name)]
            word = re.fullmatch(r"(?:await )?([a-z]+_[a-z_]+)(?:\(.*\))?", code)
            if word and word[1] not in options and not any(hasattr(owner, word[1]) for owner in owners.values()):
                missing.append(code)
    return missing


@pytest.mark.parametrize("page", ["from-javascript.md", "from-python-socketio.md"])
def test_the_twins_exist(page: str) -> None:
    server, client = halves(page)
    assert min(len(re.findall(r"^\| ", half, re.MULTILINE)) for half in (server, client)) > 25
    assert missing_twins(server, OWNERS, set()) == []
    assert missing_twins(client, CLIENT_OWNERS, set(TABLES["docs/client-options.md"])) == []


def test_every_example_is_listed() -> None:
    listed = re.findall(r"\]\(\.\./examples/(\w+\.py)\)", (ROOT / "docs" / "index.md").read_text())
    assert sorted(listed) == sorted(path.name for path in (ROOT / "examples").glob("*.py"))


def test_the_errors_of_the_manual_are_those_of_the_package() -> None:
    text = (ROOT / "docs" / "errors-and-debugging.md").read_text()
    table = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert table
    for name in table:
        assert issubclass(getattr(socketeer, name), socketeer.SocketeerError)


def test_the_readme_names_the_client_that_the_server_serves() -> None:
    pinned = json.loads((ROOT / "client" / "package.json").read_text())["dependencies"]["socket.io-client"]
    assert f"the client that the server serves, {pinned}." in (ROOT / "README.md").read_text()
