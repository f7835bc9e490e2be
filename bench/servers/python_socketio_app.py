"""The incumbent, as fast as its manual lets it be: async handlers on uvicorn, uvloop and httptools, run ``in-turn``
(``async_handlers=False``). A task for each event, which is the default, is the other choice, ``in-tasks``.

The module is loaded by name because it lives in ``bench/.venv`` alone and carries no types.
"""

import gc
from importlib import import_module
from typing import Any

from bench.servers.serving import arguments, serve

socketio = import_module("socketio")

handlers, port, feature = arguments()
sio = socketio.AsyncServer(
    async_mode="asgi",
    cors_allowed_origins=[],
    async_handlers=handlers == "in-tasks",
    ping_interval={"heartbeats": 5, "calm": 600}.get(feature, 25),
)


async def echo(sid: str, value: Any) -> None:
    """Send the value back as an event."""
    await sio.emit("echo", value, to=sid)


async def ack(sid: str, value: Any) -> Any:
    """Answer the acknowledgement with the value."""
    return value


async def broadcast(sid: str, value: Any) -> None:
    """Send the value to everybody."""
    await sio.emit("broadcast", value)


async def room(sid: str, name: str, value: Any) -> None:
    """Send the value to everybody in a room."""
    await sio.emit("room", value, to=name)


async def join(sid: str, names: list[str]) -> None:
    """Join rooms."""
    for name in names:
        await sio.enter_room(sid, name)


async def leave(sid: str, names: list[str]) -> None:
    """Leave rooms."""
    for name in names:
        await sio.leave_room(sid, name)


async def item(sid: str, item: Any) -> None:
    """Send back what the keys of the item say."""
    await sio.emit("item", {"count": item["count"], "text": item["text"]}, to=sid)


async def collect(sid: str) -> None:
    """Collect garbage: memory is compared after a full collection on every side."""
    gc.collect()


async def catch_all(event: str, sid: str, value: Any) -> None:
    """Send every value back: here a catch-all handler gets the events that have no other."""
    await sio.emit(event, value, to=sid)


if __name__ == "__main__":
    if feature == "catch-all":
        sio.on("*", catch_all)
    else:
        events: tuple[Any, ...] = (echo, ack, broadcast, room, join, leave, item, collect)
        for handler in events:
            sio.on(handler.__name__, handler)
    serve(socketio.ASGIApp(sio), port, "auto", "python-socketio", "python-engineio", "websockets")
