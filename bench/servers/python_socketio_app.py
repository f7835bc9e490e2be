"""The incumbent, as fast as its manual lets it be: async handlers on uvicorn, uvloop and httptools, run in
turn (``async_handlers=False``: an echo costs a quarter more with a task for each event, which is the default).

The module is loaded by name because it lives in ``bench/.venv`` alone and carries no types.
"""

import gc
from importlib import import_module
from typing import Any

from bench.servers.serving import serve

socketio = import_module("socketio")

sio = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins=[], async_handlers=False)


async def echo(sid: str, text: str) -> None:
    """Send the text back as an event."""
    await sio.emit("echo", text, to=sid)


async def ack(sid: str, text: str) -> str:
    """Answer the acknowledgement with the text."""
    return text


async def broadcast(sid: str, text: str) -> None:
    """Send the text to everybody."""
    await sio.emit("broadcast", text)


async def collect(sid: str) -> None:
    """Collect garbage: memory is compared after a full collection on every side."""
    gc.collect()


if __name__ == "__main__":
    handlers: tuple[Any, ...] = (echo, ack, broadcast, collect)
    for handler in handlers:
        sio.on(handler.__name__, handler)
    serve(socketio.ASGIApp(sio), "auto", "python-socketio", "python-engineio", "websockets")
