"""``socketeer types``: what it writes, whether TypeScript takes it, and whether the server keeps to it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import textwrap
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import msgspec
import pytest

from socketeer import Ack, Server, Socket
from socketeer.cli.types import declare
from tests.browser.demo import SOCKETEER
from tests.support.node import missing, node_path
from tests.support.serving import serving
from tests.ts.shop import io as shop

pytestmark = pytest.mark.timeout(180)  # a compiler runs

TS = Path(__file__).resolve().parent.parent / "ts"


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(SOCKETEER), "types", *arguments], cwd=cwd, capture_output=True, text=True, timeout=20, check=False
    )


# -- the official client in TypeScript


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Give a copy of tests/ts that has the types of its server."""
    if node_path() is None:
        missing("node is not installed")
    if not (TS / "node_modules").is_dir():
        missing("the packages of tests/ts are not installed: run `npm ci` there, or `make install`")
    for name in ("main.ts", "tsconfig.json"):
        shutil.copy(TS / name, tmp_path)
    (tmp_path / "node_modules").symlink_to(TS / "node_modules")
    done = run("shop:io", "--app-dir", str(TS), "-o", str(tmp_path / "events.d.ts"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return tmp_path


def compile_in(project: Path, *options: str) -> list[str]:
    """Compile a project and give the errors, a line each."""
    tsc = str(TS / "node_modules" / "typescript" / "bin" / "tsc")
    command = [str(node_path()), tsc, "--strict", *options]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=120, check=False)
    errors = [line for line in done.stdout.splitlines() if "error TS" in line]
    assert (done.returncode == 0) == (not errors), done.stdout + done.stderr
    return errors


def test_a_client_compiles_strictly_and_the_server_keeps_to_the_types(
    project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert compile_in(project) == []
    with serving(shop) as running:
        done = subprocess.run(
            [str(node_path()), "main.js", running.url],
            cwd=project,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    assert done.stderr == ""
    tea = {"name": "tea", "size": "small", "count": 2, "extras": []}
    assert json.loads(done.stdout) == {
        "menu": [["tea"], 4],
        "question": "2 tea?",
        "ready": [9, ["Ada", "enjoy"]],
        "receipt": {"totalPrice": 9, "items": [tea], "orderedAt": "2030-01-02T03:04:05"},
        "review": "fine",
        "pictured": [3, "menu,guest"],
        "page": {"entries": [{**tea, "count": 1}], "next": None},
        "nothing": "nothing",
        "sizes": {"small": 2},
        "echoed": 5,
        "cooked": True,
        "refused": ["BadPayload", "item", "count"],
    }
    assert "Expected `int` >= 1 - at" not in caplog.text
    assert "does not take item.count: Expected `int` >= 1" in caplog.text


def test_wrong_uses_do_not_compile(project: Path) -> None:
    source = (project / "main.ts").read_text()
    wrong = source.count("// @ts-expect-error")
    assert wrong > 10
    (project / "main.ts").write_text(source.replace("// @ts-expect-error", "// "))
    assert len(compile_in(project, "--noEmit")) == wrong


# -- what is written


def written(io: Server) -> str:
    """Give the declarations of a server, without the remarks at the top and the type of refusals."""
    warnings: list[str] = []
    text = declare(io, "main:io", warnings.append)
    assert warnings == []
    _, _, rest = text.partition("\n\n")
    return rest.partition("/** The answer to an event")[0].strip()


def test_a_server_without_events_has_the_two_interfaces() -> None:
    assert written(Server()) == "export interface ClientToServerEvents {}\n\nexport interface ServerToClientEvents {}"


class Weekday(IntEnum):
    MONDAY = 1
    TUESDAY = 2


class Point(NamedTuple):
    x: float
    y: float = 0.0


class Circle(msgspec.Struct, tag=True):
    at: Point
    radius: float = 1.0


class Square(msgspec.Struct, tag="box"):
    side: float


@dataclass
class Node:
    value: Weekday | None
    left: Node | None
    right: Node | None


def test_classes_are_declared_once_and_may_refer_to_themselves() -> None:
    io = Server()

    @io.event
    def grow(socket: Socket, tree: Node, shapes: list[Circle | Square]) -> Node:
        return tree

    assert written(io) == textwrap.dedent("""\
        export interface ClientToServerEvents {
          grow: (tree: Node, shapes: Array<CircleInput | Square>, ack: (answer: Node) => void) => void;
        }

        export interface ServerToClientEvents {}

        export interface Node {
          value: Weekday | null;
          left: Node | null;
          right: Node | null;
        }

        export type Weekday = 1 | 2;

        export interface CircleInput {
          type: "Circle";
          at: PointInput;
          radius?: number;
        }

        export type PointInput = [x: number, y?: number];

        export interface Square {
          type: "box";
          side: number;
        }""")


def test_names_that_meet_are_told_apart() -> None:
    def other() -> type:
        @dataclass
        class Node:
            name: str

        return Node

    class Array(msgspec.Struct):
        default: int

    Other: Any = other()  # noqa: N806
    io = Server()
    io.event("a-b")(lambda socket: None)

    @io.event
    def x(socket: Socket, one: Node, two: Other, three: Array, default: int) -> None: ...

    text = written(io)
    assert "x: (one: Node, two: Node2, three: Array2, default_: number, ack?: () => void) => void;" in text
    assert '"a-b": (ack?: (...answer: any[]) => void) => void;' in text
    assert "export interface Node2 {\n  name: string;\n}" in text


def test_acknowledgements_are_what_the_handler_answers() -> None:
    io = Server()

    @io.event
    def own(socket: Socket, text: str, ack: Ack) -> None: ...

    @io.event
    async def several(socket: Socket) -> tuple[int, str]:
        return 1, "a"

    @io.event
    def named(socket: Socket) -> Point:
        return Point(1)

    @io.event
    def perhaps(socket: Socket) -> Literal["a", "b"] | None: ...

    @io.event
    def all_of_them(socket: Socket, *numbers: int) -> tuple[int, ...]:
        return numbers

    text = written(io)
    assert "own: (text: string, ack?: (...answer: any[]) => void) => void;" in text
    assert "several: (ack: (answer1: number, answer2: string) => void) => void;" in text
    assert "named: (ack: (answer1: number, answer2: number) => void) => void;" in text
    assert 'perhaps: (ack: (answer?: "a" | "b") => void) => void;' in text
    assert "all_of_them: (...args: [...numbers: number[], ack: (...answer: number[]) => void]) => void;" in text


def test_every_namespace_has_a_block_and_a_parent_too() -> None:
    io = Server()

    @io.of("/admin/users").event
    def ban(socket: Socket, id: str) -> None: ...

    @io.of(lambda name, auth: True).emits
    class Emitted(Protocol):
        def moved(self, by: int = 1) -> None: ...

    io.of("/silent")
    text = written(io)
    assert "export namespace AdminUsers {\n  export interface ClientToServerEvents {\n    ban: (id: string," in text
    assert "export interface ServerToClientEvents {\n    moved: (by?: number) => void;\n  }" in text
    assert "silent" not in text.lower()


def test_an_annotation_that_means_nothing_is_a_warning() -> None:
    io = Server()

    @io.event
    def x(socket: Socket) -> "Nowhere":  # type: ignore[name-defined] # noqa: F821, UP037
        ...

    warnings: list[str] = []
    assert "x: (ack: (answer: any) => void) => void;" in declare(io, "main:io", warnings.append)
    (warning,) = warnings
    assert "what it returns cannot be evaluated (name 'Nowhere' is not defined)" in warning


def test_the_manual_shows_what_is_written() -> None:
    page = (TS.parent.parent / "docs" / "typescript.md").read_text()
    python, shown = (
        re.findall(rf"^```{kind}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)[0] for kind in ("python", "ts")
    )
    names: dict[str, Any] = {"__name__": "main"}
    exec(compile(python, "the manual", "exec", dont_inherit=True), names)
    assert written(names["io"]) + "\n" == shown


# -- where it looks


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("main", "main has no socketeer.Server"),
        ("my-main:io", "'my-main:io' is not of the form module:name, as in main:app"),
        ("src/main.py:io", "src/main.py is a path: name the module, main:io, with --app-dir src"),
        ("nowhere:io", "there is no module nowhere here"),
        ("brokem:io", "there is no module brokem here; did you mean broken?"),
        ("main.sub:io", "there is no module main.sub here"),
        ("main:nothing", "main has no nothing"),
        ("main:texts", "main has no texts; did you mean text?"),
        ("main:text", "main:text is a str, not a socketeer.Server"),
        ("broken:io", "broken cannot be imported: ZeroDivisionError: division by zero"),
        ("needy:io", "needy imports nowhere, which is not installed"),
        ("twice", "twice has several servers: one, two; name one, as in twice:one"),
    ],
)
def test_what_is_not_found_is_said(tmp_path: Path, spec: str, says: str) -> None:
    (tmp_path / "main.py").write_text("text = 'text'\n")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    (tmp_path / "needy.py").write_text("import nowhere\n")
    (tmp_path / "twice.py").write_text("from socketeer import Server\none, two = Server(), Server()\n")
    failed = run(spec, cwd=tmp_path)
    assert (failed.returncode, failed.stdout, failed.stderr) == (1, "", f"Error: {says}\n")


def test_a_server_is_found_in_this_folder_and_behind_the_application_it_was_attached_to(tmp_path: Path) -> None:
    code = "from socketeer import Server\nio = Server()\nio.event('x')(lambda socket: None)\napp = io.attach(print)\n"
    (tmp_path / "main.py").write_text(code.replace("print", "lambda environ, start: []"))
    direct, attached = run("main:io", cwd=tmp_path), run("main:app", cwd=tmp_path)
    assert direct.stdout.startswith("// The events of main:io, written by `socketeer types`")
    assert "  x: (ack?: (...answer: any[]) => void) => void;\n" in direct.stdout
    assert attached.stdout == direct.stdout.replace("main:io", "main:app")
    assert run("main", cwd=tmp_path).stdout == direct.stdout.replace("main:io", "main")
    unwritable = run("main:io", "-o", "no/folder.d.ts", cwd=tmp_path)
    assert (unwritable.returncode, unwritable.stderr) == (
        1,
        "Error: cannot write no/folder.d.ts: No such file or directory\n",
    )
