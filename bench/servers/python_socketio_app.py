"""The incumbent, as fast as its manual lets it be: async handlers on uvicorn, uvloop, httptools and orjson.

They run ``in-turn`` (``async_handlers=False``), or ``in-tasks``, which is its default.

The module is loaded by name because it lives in ``bench/.venv`` alone and carries no types.
"""

import gc
from importlib import import_module
from typing import Any

from bench.servers.serving import arguments, serve

socketio = import_module("socketio")
orjson = import_module("orjson")


class FastJson:
    """Stand in for the module ``json``, whose options the server passes: orjson writes as compactly as they ask for."""

    @staticmethod
    def dumps(value: Any, **_: Any) -> str:
        """Write JSON."""
        text: str = orjson.dumps(value).decode()
        return text

    @staticmethod
    def loads(text: str, **_: Any) -> Any:
        """Read JSON."""
        return orjson.loads(text)


handlers, port, feature = arguments()
sio = socketio.AsyncServer(
    async_mode="asgi",
    json=FastJson,
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
