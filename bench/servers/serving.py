"""Run an ASGI application the same way for every Python server of the comparison.

It imports nothing but uvicorn, because python-socketio runs it from an environment of its own.
"""

import platform
import socket
import sys
from importlib.metadata import version
from typing import Any

import uvicorn

BACKLOG = 4096
"""How many connections may wait to be accepted, the same for every server."""


class _AnnouncingServer(uvicorn.Server):
    """A uvicorn server that says on standard output when it listens."""

    def __init__(self, config: uvicorn.Config, line: str) -> None:
        super().__init__(config)
        self._line = line

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        print(self._line, flush=True)


def ready_line(*distributions: str) -> str:
    """Return what a server prints when it listens: the versions that the figures belong to."""
    versions = ", ".join(f"{name} {version(name)}" for name in distributions)
    return f"ready {versions}, {platform.python_implementation()} {platform.python_version()}"


def arguments() -> tuple[str, int, str]:
    """Return what the command line says: the kind of the server, the port, the feature."""
    kind, port, feature = sys.argv[1:]
    return kind, int(port), feature


def serve(app: Any, port: int, ws: str, *distributions: str, http: str = "httptools") -> None:
    """Serve ``app`` on 127.0.0.1."""
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http=http,
        ws=ws,
        ws_per_message_deflate=False,
        ws_ping_interval=None,  # Engine.IO has a heartbeat of its own
        access_log=False,
        log_level="warning",
        backlog=BACKLOG,
    )
    _AnnouncingServer(config, ready_line(*distributions, "uvicorn", "uvloop")).run()
