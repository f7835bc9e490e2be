"""Make the picture of the prompt in the manual from a real screen: ``python -m tests.cli.picture``."""

from __future__ import annotations

import io
import re
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

from socketeer import Server, Socket
from tests.browser.demo import SOCKETEER
from tests.support.serving import serving
from tests.support.terminal import terminal

__all__ = ["main"]

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "client.svg"
COLUMNS, LINES = 96, 35
PNG = bytes.fromhex("89504e470d0a1a0a")
FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono'"


def chat() -> Server:
    """Build the server that the picture is taken with."""
    server = Server(cors="*")
    people: list[str] = ["Grace", "Barbara"]

    @server.on("connection")
    def connected(socket: Socket) -> None:
        socket.emit("welcome", {"room": "lobby", "people": people})

    @server.event
    def join(socket: Socket, name: str) -> dict[str, Any]:
        socket.join(name)
        last = {"from": "Grace", "text": "The bug was a moth. I kept it.", "likes": 3}
        first = {"from": "Barbara", "text": "Has anybody seen the log book?", "likes": 0}
        return {"room": name, "people": [*people, "you"], "history": [first, last]}

    @server.event
    def say(socket: Socket, text: str) -> None:
        server.emit("said", {"from": "you", "text": text})
        server.emit("picture", "moth.png", PNG)
        socket.emit("vote", "Is it a moth?", ack=lambda *answer: server.emit("voted", *answer))

    return server


def screen() -> str:
    """Talk to the server, and return what the terminal shows, with its colours."""
    with serving(chat()) as server, tempfile.TemporaryDirectory() as home:
        command = [str(SOCKETEER), "client", server.url.replace("127.0.0.1", "localhost"), "--transport", "websocket"]
        with terminal(command, {"XDG_STATE_HOME": home}, COLUMNS, LINES) as prompt:
            prompt.wait_for("welcome")
            prompt.enter("join? lobby")
            prompt.wait_for("✓ / join")
            prompt.enter('say "Show me!"')
            prompt.wait_for("← / vote")
            prompt.enter("/answer yes")
            prompt.wait_for("→ / vote")
            prompt.type("/")
            prompt.wait_for("/quit")
            return prompt.screen(styled=True)


def draw(shown: str) -> str:
    """Draw a screen."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    for line in shown.split("\n"):
        console.print(Text.from_ansi(line), soft_wrap=True)
    svg = console.export_svg(title="socketeer client", theme=DIMMED_MONOKAI, unique_id="client")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)  # a picture is to load nothing
    return svg.replace("Fira Code", FONT)


def main() -> None:
    """Write the picture."""
    PICTURE.write_text(draw(screen()), "utf-8")


if __name__ == "__main__":
    main()
