"""Ports for servers that are started, or started again, where somebody else chose the number."""

from __future__ import annotations

import random
import socket

__all__ = ["free_port"]

# Below those that systems give to connections and to listeners on port 0, of which other tests open thousands: while a
# server is down none of them takes its port.
_FIRST, _LAST = 20_000, 32_000
_chance = random.SystemRandom()


def free_port() -> int:
    """Return a port of 127.0.0.1 that was free a moment ago."""
    while True:
        port = _chance.randint(_FIRST, _LAST)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
