"""Send and receive events, with any JSON value as arguments.

Run it:

    python examples/events.py

Try it in Node.js (npm install socket.io-client):

    const socket = require("socket.io-client").io("http://127.0.0.1:3000");
    socket.on("news", (data) => {
      console.log(data);
      socket.emit("private message", "Ada", { text: "hello" });
    });
    socket.on("thanks", (name, count) => {
      console.log("thanks", name, count);
      socket.disconnect();
    });

The client prints:

    { hello: 'world' }
    thanks Ada 1

The server prints:

    Ada says hello
    gone: client namespace disconnect
"""

import os

from socketeer import Server, Socket

io = Server()


@io.on("connection")
def connected(socket: Socket) -> None:
    socket.emit("news", {"hello": "world"})

    @socket.on("private message")
    def private_message(name: str, message: dict[str, str]) -> None:
        print(f"{name} says {message['text']}", flush=True)
        socket.emit("thanks", name, 1)

    @socket.on("disconnect")
    def disconnected(reason: str) -> None:
        print(f"gone: {reason}", flush=True)


if __name__ == "__main__":
    io.listen(int(os.environ.get("PORT", "3000")))
