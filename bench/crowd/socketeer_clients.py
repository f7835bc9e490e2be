"""A crowd of our own clients."""

from collections.abc import Callable, Sequence
from typing import Any

from bench.crowd.steps import run
from socketeer import ClientSocket, connect


class Client:
    """Be one client."""

    socket: ClientSocket

    async def connect(self, url: str, transports: Sequence[str] | None) -> None:
        """Connect."""
        if transports is None:
            self.socket = await connect(url, force_new=True)
        else:
            self.socket = await connect(url, force_new=True, transports=transports)

    def on_broadcast(self, handler: Callable[[Any], None]) -> None:
        """Register a handler."""
        self.socket.on("broadcast", handler)

    async def ask(self, text: str) -> Any:
        """Ask for an acknowledgement."""
        return await self.socket.emit_with_ack("ack", text)

    def tell(self, text: str) -> None:
        """Send an event."""
        self.socket.emit("broadcast", text)

    def transport(self) -> str:
        """Name the transport."""
        return self.socket.transport or ""

    async def disconnect(self) -> None:
        """Disconnect."""
        self.socket.disconnect()


if __name__ == "__main__":
    run(Client)
