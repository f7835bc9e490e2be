"""Our side. The second argument names the lane: the WebSocket class that uvicorn is given."""

import gc
import sys
from typing import Any

from bench.servers.serving import serve
from socketeer import Server, Socket

io = Server()


@io.event
def echo(socket: Socket, text: Any) -> None:
    """Send the text back as an event."""
    socket.emit("echo", text)


@io.event
def ack(socket: Socket, text: Any) -> Any:
    """Answer the acknowledgement with the text."""
    return text


@io.event
def broadcast(socket: Socket, text: Any) -> None:
    """Send the text to everybody."""
    io.emit("broadcast", text)


@io.event
def collect(socket: Socket) -> None:
    """Collect garbage: memory is compared after a full collection on every side."""
    gc.collect()


if __name__ == "__main__":
    lanes = {
        "fast": ("socketeer.transports.uvicorn:WebSocketProtocol", "socketeer.transports.uvicorn:HttpProtocol"),
        "portable": ("websockets-sansio", "httptools"),
    }
    ws, http = lanes[sys.argv[2]]
    serve(io, ws, "socketeer", http=http)
