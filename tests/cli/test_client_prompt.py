"""The prompt of `socketeer client`, in a real terminal."""

from __future__ import annotations

import json
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from socketeer import Socket
from tests.browser.demo import SOCKETEER, demo
from tests.support.app import create
from tests.support.serving import Running, serving
from tests.support.terminal import Terminal, terminal


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    io = create()

    @io.event
    def hostile(socket: Socket) -> None:
        socket.emit("news\x1b[2J\x07", "\x1b]0;owned\x07\u202e\x9b31m", {"\x1b[31m": "\r\n"})

    @io.event
    def flood(socket: Socket, count: int) -> None:
        for number in range(count):
            socket.emit("drop", number)

    with serving(io) as running:
        yield running


def prompt(directory: Path, *arguments: str, **environment: str) -> AbstractContextManager[Terminal]:
    """Run the command; ``directory`` is where it keeps its history."""
    return terminal([str(SOCKETEER), "client", *arguments], {"XDG_STATE_HOME": str(directory), **environment})


def test_events_are_typed_and_seen_as_they_come(server: Running, tmp_path: Path) -> None:
    with prompt(tmp_path, server.url) as screen:
        screen.wait_for(r"● / connected as \S+ over (polling|websocket)$")
        screen.wait_for(r'← / welcome "stranger"$')
        screen.wait_for(r"● upgraded to websocket$")
        screen.wait_for(r"^● \S+ over websocket  http://127")
        screen.enter('"give back"? hi {"a": [1, null]} base64:AAH/')
        shown = screen.wait_for(r'✓ / give back "hi" \{"a": \[1, null\]\} <3 bytes: 00 01 ff> \(\d+\.\d ms\)$')
        assert shown.index("welcome") < shown.index('/> "give back"?') < shown.index("✓")
        screen.enter("/raw")
        screen.enter("echo plain")
        screen.wait_for(r'⇢ message 2\["echo","plain"\]$')
        screen.wait_for(r'⇠ message 2\["echo","plain"\]$')
        screen.enter("/raw")
        screen.enter("ask why")
        screen.wait_for(r'← / question "why" \(asks for an answer\)$')
        screen.enter("/answer because")
        screen.wait_for(r'→ / question answered "because"$')
        screen.wait_for(r'← / answered "because"$')
        screen.enter('echo {"a"')
        screen.wait_for(r"^not JSON: ")
        styled = screen.screen(styled=True)
        assert re.search(r"\x1b\[36m\x1b\[1mecho|\x1b\[1m\x1b\[36mecho|\x1b\[1;36mecho|\x1b\[36;1mecho", styled)
        screen.enter("/ns chat")
        screen.wait_for("● /chat connected as")
        screen.enter("where?")
        screen.wait_for(r"^/chat> where\?$")
        screen.wait_for(r'✓ /chat where "/chat"')
        screen.enter("/info")
        screen.wait_for(r"^transport: +websocket$")
        screen.enter("/disconnect")
        screen.wait_for("● /chat disconnected: io client disconnect")
        screen.enter("/connect")
        screen.wait_for(r"(?s)disconnected.*● /chat connected as")
        screen.enter("/quit")
        screen.wait_for("^ended with 0$")


def test_words_are_completed_and_lines_remembered(server: Running, tmp_path: Path) -> None:
    with prompt(tmp_path, server.url) as screen:
        screen.wait_for("← / welcome")
        screen.type("wel")
        screen.press("Tab")
        screen.wait_for("^/> welcome$")
        screen.press("C-u")
        screen.type("/")
        screen.wait_for("^ +/volatile EVENT .* send an event unless it would have to wait")
        screen.type("he")
        screen.wait_for(r"^/> /he")
        screen.press("Tab")
        screen.wait_for("^/> /help")
        screen.press("Enter")
        screen.wait_for(r"^  /quit +leave, as Ctrl\+D does$")
        screen.enter('/auth {"token": "secret"}')
        screen.enter('"chat message" remember this')
        screen.type("chat")
        screen.press("Tab")
        screen.wait_for('^/> "chat message"$')
        screen.press("C-u", "C-d")
        screen.wait_for("^ended with 0$")
    history = tmp_path / "socketeer" / "client-history"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    assert "remember this" in history.read_text()
    assert "secret" not in history.read_text()
    with prompt(tmp_path, server.url, NO_COLOR="1") as screen:
        screen.wait_for("← / welcome")
        screen.press("Up")
        screen.wait_for('^/> "chat message" remember this$')
        assert not re.search(r"\x1b\[[0-9;]*3[1-7]", screen.screen(styled=True))
        screen.press("C-c")
        screen.wait_for(r"^Ctrl\+D or /quit to leave$")
    with prompt(tmp_path, server.url, "--no-history", "--json") as screen:
        screen.wait_for(r'^\{"event":"welcome","args":\["stranger"\]\}$')
        screen.press("Up")
        screen.enter("echo 1")
        screen.wait_for(r"^/> echo 1$")
        screen.wait_for(r'^\{"event":"echo","args":\[1\]\}$')


def test_the_terminal_stays_the_users(server: Running, tmp_path: Path) -> None:
    with prompt(tmp_path, server.url) as screen:
        screen.wait_for("← / welcome")
        screen.enter("hostile")
        shown = screen.wait_for(r"← / news\\u001b\[2J\\u0007")
        assert r'"\u001b]0;owned\u0007\u202e\u009b31m" {"\u001b[31m": "\r\n"}' in shown
        assert "welcome" in shown
        screen.enter("flood 5000")
        screen.enter("echo still here")
        screen.wait_for('← / echo "still" "here"$')
        shown = screen.screen(scrollback=True)
        assert "← / drop 0\n" in shown
        assert re.search(r"^… [\d,]+ more, too fast to be shown$", shown, re.MULTILINE)


def test_the_connection_is_lost_and_comes_back(tmp_path: Path) -> None:
    with demo() as running:
        auth = ("--auth", json.dumps({"name": "Ada", "key": "k" * 32}))
        with prompt(tmp_path, f"127.0.0.1:{running.port}", *auth, "--transport", "websocket") as screen:
            screen.wait_for("● / connected as")
            running.kill()
            screen.wait_for(r"● / disconnected: transport (close|error)")
            screen.wait_for(r"● reconnecting in \d\.\d s \(attempt 1\)$")
            screen.enter("enter library")
            screen.wait_for("^kept until this is connected$")
            screen.wait_for("● / cannot connect: ")
            running.start()
            screen.wait_for(r"(?s)attempt 2.*● / connected as")
            screen.wait_for(r'(?s)attempt 2.*← / rooms\b.*"library"')
        with prompt(tmp_path, f"127.0.0.1:{running.port}") as screen:
            screen.wait_for(r'● / refused: .*name.* \{"reason": "name"\}$')
            screen.wait_for("^○ not connected: /connect")
            screen.enter('/auth {"name": "Grace", "key": "' + "g" * 32 + '"}')
            screen.enter("/connect")
            screen.wait_for("● / connected as")


def test_what_is_missing_is_named(server: Running) -> None:
    program = (
        "import sys; sys.modules['prompt_toolkit'] = None; from socketeer.cli import main; main(prog_name='socketeer')"
    )
    with terminal([sys.executable, "-c", program, "client", server.url]) as screen:
        screen.wait_for(r"^Error: the prompt needs prompt_toolkit: pip install 'socketeer\[cli\]'")
        screen.wait_for("^ended with 1$")
