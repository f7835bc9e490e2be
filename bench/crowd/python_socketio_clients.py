"""A crowd of python-socketio's clients, with a JSON library as fast as ours.

The modules are loaded by name because they live in ``bench/.venv`` alone and carry no types.
"""

from collections.abc import Awaitable, Callable, Sequence
from importlib import import_module
from typing import Any

from bench.crowd.steps import run

socketio = import_module("socketio")
orjson = import_module("orjson")


class Json:
    """Be the ``json`` that the library asks for, with another one behind it."""

    @staticmethod
    def dumps(value: Any, **_: Any) -> str:
        """Encode."""
        text: str = orjson.dumps(value).decode()
        return text

    @staticmethod
    def loads(text: str, **_: Any) -> Any:
        """Decode."""
        return orjson.loads(text)


class Client:
    """Be one client."""

    def __init__(self) -> None:
        self.client = socketio.AsyncClient(json=Json)

    async def connect(self, url: str, transports: Sequence[str] | None) -> None:
        """Connect."""
        await self.client.connect(url, transports=transports)

    def on_broadcast(self, handler: Callable[[Any], None]) -> None:
        """Register a handler."""
        self.client.on("broadcast", handler)

    async def ask(self, text: str) -> Any:
        """Ask for an acknowledgement."""
        return await self.client.call("ack", text)

    def tell(self, text: str) -> Awaitable[None]:
        """Send an event."""
        sent: Awaitable[None] = self.client.emit("broadcast", text)
        return sent

    def transport(self) -> str:
        """Name the transport."""
        return str(self.client.transport())

    async def disconnect(self) -> None:
        """Disconnect."""
        await self.client.disconnect()


if __name__ == "__main__":
    run(Client)
