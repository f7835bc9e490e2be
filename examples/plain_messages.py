"""Use it like a WebSocket: send() and the "message" event, for text and for bytes.

Run it:

    python examples/plain_messages.py

Try it in Node.js (npm install socket.io-client):

    const socket = require("socket.io-client").io("http://127.0.0.1:3000");
    socket.on("message", (message) => {
      console.log(message);
      if (typeof message === "string") socket.send(Buffer.from([1, 2, 3]));
      else socket.disconnect();
    });
    socket.send("hi");

The client prints:

    you sent hi
    <Buffer 03 02 01>
"""

import os

from socketeer import Server, Socket

io = Server()


@io.event
def message(socket: Socket, data: str | bytes) -> None:
    if isinstance(data, bytes):
        socket.send(bytes(reversed(data)))
    else:
        socket.send(f"you sent {data}")


if __name__ == "__main__":
    io.listen(int(os.environ.get("PORT", "3000")))
