"""Read recipes (the server's code, the client's, and what each prints) and try them for real.

A recipe runs as its reader would run it: the server as a process of its own, on a free port given by PORT, and the
client's lines in Node.js with the official client, word for word but for the port and the package's name here.
"""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.node import run_node
from tests.support.ports import free_port

__all__ = ["PATIENCE", "ROOT", "Server", "client_prints", "run_client", "started"]

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 30.0


@dataclass(slots=True)
class Server:
    """Hold a running server, and what it printed once it has ended."""

    port: int
    process: subprocess.Popen[str]
    stdout: str = ""
    stderr: str = ""
    returncode: int | None = field(default=None)


@contextmanager
def started(command: Sequence[str], env: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Run a server with PORT set until the block ends; it has to accept connections within some seconds."""
    port = free_port()
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", **(env or {}), "PORT": str(port)}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    server = Server(port, process)
    try:
        _wait_for(server)
        yield server
        process.terminate()
    except BaseException:
        process.kill()
        raise
    finally:
        try:
            server.stdout, server.stderr = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            server.stdout, server.stderr = process.communicate()
        server.returncode = process.returncode


def _wait_for(server: Server) -> None:
    deadline = time.monotonic() + PATIENCE
    while server.process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", server.port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    raise AssertionError(f"the server ended: {server.process.communicate()[1]}")


def run_client(code: str, port: int) -> str:
    """Run a client's code against the server at ``port`` and return what it printed."""
    here = code.replace("127.0.0.1:3000", f"127.0.0.1:{port}").replace('"socket.io-client"', '"client4"')
    done = run_node(here + "\n", timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    return done.stdout


def client_prints(expected: str, printed: str, *, ordered: bool = True) -> None:
    """Check what was printed against what was promised."""
    wanted, got = expected.strip().splitlines(), printed.strip().splitlines()
    assert (got if ordered else sorted(got)) == (wanted if ordered else sorted(wanted))


def blocks(docstring: str) -> dict[str, str]:
    """Return the indented blocks of a docstring by the line that announces each, up to its colon."""
    found = re.findall(r"^(\S.*):\n\n((?:(?: {4}.*)?\n)+)", docstring + "\n", re.MULTILINE)
    return {title: textwrap.dedent(block).strip() for title, block in found}


def parse_command(line: str) -> tuple[list[str], dict[str, str]]:
    """Split a command line into the command, run by this Python, and its environment."""
    words = shlex.split(line)
    env: dict[str, str] = {}
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        env[name] = value
    assert words[0] == "python"
    return [sys.executable, *words[1:]], env
