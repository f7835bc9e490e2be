"""``socketeer run``: an application of the user's in a process of its own, served, begun anew, and stopped."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest
from click.testing import CliRunner
from websockets.asyncio.client import connect
from websockets.sync.client import unix_connect

from socketeer.cli import main
from socketeer.transports.asgi import TAKE_OVER
from tests.browser.demo import SOCKETEER
from tests.support.certificate import make_certificate
from tests.support.raw import Client
from tests.wire.peers import Refused, WebSocketPeer

ENGINE = "/socket.io/?EIO=4&transport="
MAIN = """\
from socketeer import Server

io = Server()

@io.event
def version(socket):
    return 1

@io.event
def disconnect(socket, reason):
    print("gone:", reason, flush=True)
"""
ATTACHED = (
    MAIN
    + """
async def extensions(scope, receive, send):
    assert scope["type"] == "websocket"
    await receive()
    await send({"type": "websocket.http.response.start", "status": 418, "headers": []})
    await send({"type": "websocket.http.response.body", "body": " ".join(scope["extensions"]).encode()})

def create_app():
    return io.attach(extensions)
"""
)
MOUNTED = MAIN + "from fastapi import FastAPI\napp = FastAPI()\napp.mount('/realtime', io)\n"


@dataclass
class Running:
    """Hold a process that serves, and what it is said to listen on."""

    process: subprocess.Popen[str]
    where: str = ""

    @property
    def port(self) -> int:
        return int(self.where.rpartition(":")[2])

    def wait_for(self, pattern: str) -> str:
        """Read what it writes to its log, up to a line that has ``pattern``; give its first group."""
        return seek(self.process.stderr, pattern)

    def listen(self) -> None:
        """Wait until it says that it listens."""
        self.where = self.wait_for(r"Listening on (.+) \(Ctrl\+C stops it\)$")

    def stop(self, signal: signal.Signals) -> tuple[int, str, str]:
        """Send a signal and wait for the end; give the code and what has been written since."""
        self.process.send_signal(signal)
        stdout, stderr = self.process.communicate(timeout=10)
        return self.process.returncode, stdout, stderr


def seek(stream: IO[str] | None, pattern: str) -> str:
    assert stream is not None
    passed = []
    for line in stream:
        passed.append(line)
        if found := re.search(pattern, line.rstrip("\n")):
            return found[found.re.groups and 1]
    raise AssertionError(f"there is no {pattern!r} in:\n{''.join(passed)}")


@contextmanager
def running(folder: Path, *arguments: str, module: bool = False, **variables: str) -> Iterator[Running]:
    """Run the command in a folder until the block ends, as a script or with ``python -m``."""
    process = subprocess.Popen(
        [*([sys.executable, "-m", "socketeer"] if module else [str(SOCKETEER)]), "run", "--port", "0", *arguments],
        cwd=folder,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        pass_fds=[int(arguments[-1])] if "--fd" in arguments else [],
    )
    with process:
        try:
            started = Running(process)
            started.listen()
            yield started
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # a reloader has a process of its own


@contextmanager
def connected(port: int, path: str = "/socket.io/") -> Iterator[Client]:
    """Connect; the server is to end the connection."""
    client = Client(port, path=path)
    try:
        client.join()
        yield client
        client.closed()
    finally:
        client.close()


# -- serving


def test_it_serves_on_the_fast_lane_and_ends_in_good_order(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(ATTACHED)
    with running(tmp_path, "main:create_app", "--factory") as served:
        with pytest.raises(Refused) as refused:
            WebSocketPeer(served.port, "/elsewhere")
        assert TAKE_OVER in refused.value.reply.body.decode().split()
        with connected(served.port) as client:
            assert client.call("version") == [1]
            code, stdout, stderr = served.stop(signal.SIGINT)
    assert (code, stdout) == (0, "gone: server shutting down\n")
    assert "Traceback" not in stderr


def test_what_a_server_is_mounted_in_is_found_and_ends_in_good_order(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(MOUNTED)
    listener = socket.create_server(("127.0.0.1", 0))
    with listener, running(tmp_path, "main", "--access-log", "--fd", str(listener.fileno())) as served:
        assert served.port == listener.getsockname()[1]
        with urllib.request.urlopen(f"{served.where}/openapi.json", timeout=20) as answer:
            assert answer.status == 200
        with connected(served.port, "/realtime/socket.io/") as client:
            assert client.call("version") == [1]
            code, stdout, _ = served.stop(signal.SIGTERM)
    assert code == 0
    assert '"GET /openapi.json HTTP/1.1" 200' in stdout
    assert stdout.endswith("gone: server shutting down\n")


def test_a_unix_domain_socket_that_was_left_is_used_again(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(MAIN)
    with tempfile.TemporaryDirectory() as folder:  # that of the test may be too long for the address of a socket
        path = f"{folder}/s"
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(path)
        with running(tmp_path, "main", "--uds", path) as served:
            assert served.where == f"the Unix domain socket {path}"
            with unix_connect(path, uri=f"ws://localhost{ENGINE}websocket") as websocket:
                assert str(websocket.recv(5)).startswith('0{"sid":')
            assert failure(tmp_path, "main", "--uds", path) == (1, f"Error: {path} is in use\n")
            assert served.stop(signal.SIGINT)[0] == 0
        assert not os.path.exists(path)


def test_tls_with_an_encrypted_key(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(MAIN)
    certificate, key = make_certificate(tmp_path, "secret")
    options = ["main:io", "--ssl-certfile", certificate, "--ssl-keyfile", key]
    assert refusal(*options) == (1, f"Error: {key} needs --ssl-keyfile-password")
    wrong = [*options, "--ssl-keyfile-password", "wrong"]
    assert refusal(*wrong) == (1, f"Error: {key} needs another --ssl-keyfile-password")
    trusting = ssl.create_default_context(cafile=certificate)
    with running(tmp_path, *options, SOCKETEER_RUN_SSL_KEYFILE_PASSWORD="secret") as served:
        assert served.where == f"https://127.0.0.1:{served.port}"
        with urllib.request.urlopen(f"{served.where}{ENGINE}polling", context=trusting, timeout=20) as answer:
            assert answer.read().startswith(b'0{"sid":')
        url = f"wss://127.0.0.1:{served.port}{ENGINE}websocket"

        async def greeting() -> str:
            async with connect(url, ssl=trusting, proxy=None) as websocket:
                return str(await asyncio.wait_for(websocket.recv(), 20))

        assert asyncio.run(greeting()).startswith('0{"sid":')
        assert served.stop(signal.SIGINT)[0] == 0


# -- beginning anew


def test_reload_takes_a_change_and_waits_for_a_mistake_to_be_mended(tmp_path: Path) -> None:
    source = tmp_path / "app" / "main.py"
    source.parent.mkdir()
    source.write_text(MAIN)
    with running(tmp_path, "main:io", "--reload", "--app-dir", "app", module=True) as served:
        with connected(served.port) as client:
            assert client.call("version") == [1]
            source.write_text(MAIN + "mistake(")
        served.wait_for(r"^Error: main cannot be imported: SyntaxError: .*main\.py, line \d+\)$")
        served.wait_for("Nothing is served until a file changes")
        source.write_text(MAIN.replace("return 1", "return 2"))
        served.listen()
        with connected(served.port) as client:
            assert client.call("version") == [2]
            code, stdout, stderr = served.stop(signal.SIGTERM)
    assert (code, stdout) == (0, "gone: server shutting down\n" * 2)
    assert "Traceback" not in stderr


# -- the second Ctrl+C


@pytest.mark.parametrize("options", [(), ("--reload",)])
def test_a_second_ctrl_c_ends_at_once(tmp_path: Path, options: tuple[str, ...]) -> None:
    (tmp_path / "main.py").write_text(
        "import time\n"
        "async def app(scope, receive, send):\n"
        "    await receive()\n"
        "    await send({'type': 'lifespan.startup.complete'})\n"
        "    await receive()\n"
        "    print('ending', flush=True)\n"
        "    time.sleep(30)\n"
    )
    with running(tmp_path, "main", *options) as served:
        served.process.send_signal(signal.SIGINT)
        seek(served.process.stdout, "ending")
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(20) == (0 if options else -signal.SIGINT)


# -- what cannot be served


def failure(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run the command, which is to fail; give its code and what it says."""
    command = [str(SOCKETEER), "run", "--port", "0", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=20, check=False)
    assert done.stdout == ""
    return done.returncode, done.stderr


def test_what_cannot_be_served_is_said_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("text = 'text'\n")
    (tmp_path / "needy.py").write_text("import nowhere\n")
    assert failure(tmp_path, "mian:io") == (1, "Error: there is no module mian here; did you mean main?\n")
    assert failure(tmp_path, "needy") == (1, "Error: needy imports nowhere, which is not installed\n")
    assert failure(tmp_path, "main:txt") == (1, "Error: main has no txt; did you mean text?\n")
    assert failure(tmp_path, "main:text") == (1, "Error: main:text is a str, not an ASGI application\n")


def test_where_code_of_the_user_fails_is_shown(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("def divide(number):\n    return number / 0\n\nio = divide(1)\n")
    code, stderr = failure(tmp_path, "main:io")
    assert code == 1
    assert stderr.endswith("\nError: main cannot be imported: ZeroDivisionError: division by zero\n")
    assert re.findall(r'File "(.+)", line (\d+)', stderr) == [(str(tmp_path / "main.py"), line) for line in "42"]


def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(MAIN)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = f"Error: port {port} of 127.0.0.1 is in use; name another with --port\n"
        assert failure(tmp_path, "main", "--port", port) == (1, said)


def refusal(*options: str) -> tuple[int, str]:
    """Call the command with options that are refused before anything is imported; give its code and its last line."""
    done = CliRunner().invoke(main, ["run", *options])
    return done.exit_code, done.output.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (("--ssl-certfile", "none.pem"), 2, "Invalid value for '--ssl-certfile': File 'none.pem' does not exist."),
        (("--ssl-keyfile", __file__), 2, "TLS needs --ssl-certfile"),
        (("--ssl-certfile", __file__), 1, f"{__file__}: no certificate with its key "),
        (("--reload-dir", "."), 2, "--reload-dir is for --reload"),
    ],
)
def test_options_that_cannot_be_are_said(options: tuple[str, ...], code: int, says: str) -> None:
    returned, line = refusal("main:app", *options)
    assert returned == code
    assert line.startswith(f"Error: {says}")
