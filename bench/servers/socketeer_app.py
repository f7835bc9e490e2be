"""Our side. The command line names the lane, which is the WebSocket class that uvicorn is given, and the feature."""

import gc
from dataclasses import dataclass
from typing import Any

from bench.servers.serving import arguments, serve
from socketeer import Server, Socket

PING_INTERVALS = {"heartbeats": 5, "calm": 600, "crowd": 2}
"""Not 5 for a crowd: uvicorn closes idle connections after as long, just when clients would send their pongs."""
LANES = {
    "fast": ("socketeer.transports.uvicorn:WebSocketProtocol", "socketeer.transports.uvicorn:HttpProtocol"),
    "portable": ("websockets-sansio", "httptools"),
}

lane, port, feature = arguments()
io = Server(
    ping_interval=PING_INTERVALS.get(feature, 25),
    connection_state_recovery=feature == "recovery",
)


@io.event
def echo(socket: Socket, value: Any) -> None:
    """Send the value back as an event."""
    socket.emit("echo", value)


@io.event
def ack(socket: Socket, value: Any) -> Any:
    """Answer the acknowledgement with the value."""
    return value


@io.event
def broadcast(socket: Socket, value: Any) -> None:
    """Send the value to everybody."""
    io.emit("broadcast", value)


@io.event
def room(socket: Socket, name: Any, value: Any) -> None:
    """Send the value to everybody in a room."""
    io.to(name).emit("room", value)


@io.event
def join(socket: Socket, names: Any) -> None:
    """Join rooms."""
    socket.join(*names)


@io.event
def leave(socket: Socket, names: Any) -> None:
    """Leave rooms."""
    for name in names:
        socket.leave(name)


@io.event
def collect(socket: Socket) -> None:
    """Collect garbage: memory is compared after a full collection on every side."""
    gc.collect()


@dataclass
class Item:
    """What the event ``item`` carries."""

    count: int
    text: str


if feature == "typed":

    @io.event("item")
    def typed_item(socket: Socket, item: Item) -> None:
        """Send back what the fields of the item say."""
        socket.emit("item", {"count": item.count, "text": item.text})

else:

    @io.event("item")
    def plain_item(socket: Socket, item: Any) -> None:
        """Send back what the keys of the item say."""
        socket.emit("item", {"count": item["count"], "text": item["text"]})


if feature == "connect-middleware":

    @io.use
    def let_in(socket: Socket) -> None:
        """Let every client in."""


if feature in ("middleware", "catch-all"):

    @io.on("connection")
    def connected(socket: Socket) -> None:
        """Look at every event, and let it pass."""
        if feature == "middleware":
            socket.use(lambda event, args: None)
        else:
            socket.on_any(lambda event, *args: None)


if __name__ == "__main__":
    ws, http = LANES[lane]
    serve(io, port, ws, "socketeer", http=http)
