"""Serve the application of the tests in a process of its own: ``python -m tests.support.process --port P --lane L``.

It prints ``listening <port>`` once it accepts connections and ``gone <id> <reason>`` for each socket that goes.
"""

from __future__ import annotations

import argparse
import json
import socket
import threading
from typing import Any

import uvicorn

from socketeer import Server
from tests.support.app import create
from tests.support.serving import LANES, WEBSOCKET_CLASSES, wait_for_port


def announce(port: int) -> None:
    """Print that the server listens as soon as it does."""
    wait_for_port(port)
    print(f"listening {port}", flush=True)


def note(id: str, reason: str) -> None:
    """Print that a socket is gone."""
    print(f"gone {id} {reason}", flush=True)


class PlainServer(uvicorn.Server):
    """Close the Socket.IO server first: uvicorn ends WebSockets before it tells the application of the shutdown."""

    def __init__(self, io: Server, **settings: Any) -> None:
        super().__init__(uvicorn.Config(io, log_level="warning", timeout_graceful_shutdown=5, **settings))
        self._io = io

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._io.close()
        await super().shutdown(sockets)


def main() -> None:
    """Serve until a signal comes: on the fast lane as ``listen`` does it, on the portable one with plain uvicorn."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--lane", choices=LANES, required=True)
    parser.add_argument("--options", type=json.loads, default={})
    arguments = parser.parse_args()
    io = create(note, **arguments.options)
    threading.Thread(target=announce, args=(arguments.port,), daemon=True).start()
    if arguments.lane == "fast":
        io.listen(arguments.port)
    else:
        PlainServer(io, port=arguments.port, ws=WEBSOCKET_CLASSES[arguments.lane]).run()


if __name__ == "__main__":
    main()
