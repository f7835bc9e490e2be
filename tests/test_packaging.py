"""The distributions: built from the tree, installed into an empty environment and used there."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CLIENT_FILES = {
    f"socketeer/client_dist/{name}{suffix}"
    for name in ("socket.io.js", "socket.io.min.js", "socket.io.esm.min.js", "socket.io.msgpack.min.js")
    for suffix in ("", ".map")
}

# Runs in the new environment, with nothing of the tree on its path.
PROBE = """
import importlib.metadata as metadata, importlib.resources as resources
import socketeer
from socketeer.server.client_files import NAMES, ClientFiles

assert "site-packages" in socketeer.__file__, socketeer.__file__
assert resources.files("socketeer").joinpath("py.typed").is_file()
files = ClientFiles()
for name in NAMES:
    answer = files.respond(name, {}, "GET")
    assert answer is not None and answer.status == 200 and answer.body, name
assert "Permission is hereby granted" in files.licence
for name in socketeer.__all__:
    getattr(socketeer, name)
assert socketeer.__version__ == metadata.version("socketeer")
assert metadata.metadata("socketeer").get_payload(), "the package has no description"
print(socketeer.__version__)
"""


def run(*command: str | Path, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def build(kind: str, source: Path, target: Path) -> Path:
    """Build without isolation: the backend is in the development environment."""
    run(sys.executable, "-m", "build", "--no-isolation", f"--{kind}", "--outdir", target, source, cwd=target)
    (built,) = target.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))


def test_the_wheel_holds_the_package_the_browser_client_and_the_licences(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        size = sum(info.compress_size for info in archive.infolist())
        client_licence = archive.read("socketeer/client_dist/LICENSE").decode()
    assert names >= CLIENT_FILES
    assert "MIT" in client_licence
    assert "socketeer/py.typed" in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    tops = {name.split("/")[0].removesuffix(".dist-info").split("-")[0] for name in names}
    assert tops == {"socketeer", "pytest_socketeer.py"}
    assert not [name for name in names if "__pycache__" in name or "node_modules" in name]
    assert size < 2_000_000


def test_every_module_of_the_tree_is_in_the_wheel(wheel: Path) -> None:
    source = ROOT / "src"
    modules = {str(path.relative_to(source).as_posix()) for path in source.rglob("*.py")}
    with zipfile.ZipFile(wheel) as archive:
        assert modules <= set(archive.namelist())


@pytest.mark.timeout(180)
def test_the_wheel_works_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=True)
    scripts = tmp_path / "env" / ("Scripts" if os.name == "nt" else "bin")
    run(scripts / "python", "-m", "pip", "install", "--quiet", wheel, cwd=tmp_path)
    version = run(scripts / "python", "-c", PROBE, cwd=tmp_path).strip()
    assert f"-{version}-" in wheel.name
    assert version in run(scripts / "socketeer", "--version", cwd=tmp_path)


@pytest.mark.timeout(120)
def test_a_wheel_can_be_built_from_the_source_distribution(wheel: Path, sdist: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    (tmp_path / "out").mkdir()
    again = build("wheel", source, tmp_path / "out")
    with zipfile.ZipFile(wheel) as direct, zipfile.ZipFile(again) as indirect:
        assert {info.filename: info.CRC for info in direct.infolist()} == {
            info.filename: info.CRC for info in indirect.infolist()
        }
