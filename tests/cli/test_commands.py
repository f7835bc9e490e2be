"""The installed command: its version, its demo, and what it says when it cannot serve."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import pytest

from tests.browser.demo import SOCKETEER, demo


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(SOCKETEER), *arguments], capture_output=True, text=True, timeout=20, check=False)


def test_version() -> None:
    assert run("--version").stdout == f"socketeer {version('socketeer')}\n"


def test_help_names_the_demo() -> None:
    shown = run("--help")
    assert shown.returncode == 0
    assert re.search(r"^  demo +Serve a chat", shown.stdout, re.MULTILINE)
    assert "3000" in run("demo", "--help").stdout


@pytest.mark.parametrize("arguments", [("demo", "--port", "65536"), ("demo", "--port", "x"), ("dmeo",)])
def test_wrong_usage_is_said(arguments: tuple[str, ...]) -> None:
    failed = run(*arguments)
    assert failed.returncode == 2
    assert "Error:" in failed.stderr


def test_a_busy_port_is_a_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        failed = run("demo", "--port", str(port))
    assert failed.returncode == 1
    assert failed.stderr == f"Error: port {port} of 127.0.0.1 is in use; name another with --port\n"


def test_an_address_that_is_not_ours_is_a_clear_error() -> None:
    failed = run("demo", "--host", "192.0.2.1", "--port", "0")
    assert failed.returncode == 1
    assert failed.stderr.startswith("Error: cannot listen on 192.0.2.1:0: ")


def test_the_page_is_served_with_its_policy_and_nothing_else_is() -> None:
    with demo() as running:
        with urllib.request.urlopen(f"{running.url}/?transports=polling", timeout=20) as page:
            body = page.read()
            policy = page.headers["content-security-policy"]
            assert page.headers["content-type"] == "text/html; charset=utf-8"
        with urllib.request.urlopen(f"{running.url}/socket.io/socket.io.js", timeout=20) as script:
            assert b"Socket.IO" in script.read(200)
        head = urllib.request.Request(running.url + "/", method="HEAD")
        with urllib.request.urlopen(head, timeout=20) as answer:
            assert (answer.headers["content-length"], answer.read()) == (str(len(body)), b"")
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{running.url}/index.html", timeout=20)
    assert body.startswith(b"<!doctype html>")
    assert policy.startswith("default-src 'none'; script-src 'self' 'sha256-")
    assert "unsafe" not in policy


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:
        body: bytes = answer.read()
        return body


def test_ctrl_c_ends_it_quietly_and_says_goodbye_to_who_is_connected() -> None:
    command = [str(SOCKETEER), "demo", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(r"The chat is at (http://127\.0\.0\.1:\d+) \(Ctrl\+C stops it\)\n", line)
        assert found is not None, line
        engine = f"{found[1]}/socket.io/?EIO=4&transport=polling"
        session = f"{engine}&sid={json.loads(get(engine)[1:])['sid']}"
        auth = {"name": "Ada", "key": "k" * 32}
        urllib.request.urlopen(session, b"40" + json.dumps(auth).encode(), timeout=20).close()
        assert b'"welcome"' in get(session)
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(get, session)
            time.sleep(0.2)  # the request has to be on its way, which nothing here can see
            process.send_signal(signal.SIGINT)
            assert waiting.result(20) == b"1"
        stdout, stderr = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, stdout, stderr) == (0, "", "")
