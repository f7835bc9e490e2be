"""Chat in the terminal, with the client for programs without asyncio: handlers run while the program waits for input.

The server is examples/rooms.py; more terminals are more people.

Start the server:

    python examples/rooms.py

Run it:

    python examples/terminal_chat.py http://127.0.0.1:3000 tea

Try it in Node.js (npm install socket.io-client):

    const socket = require("socket.io-client").io("http://127.0.0.1:3000");
    socket.on("said", (room, text) => {
      console.log("somebody in", room, "says", text);
      socket.disconnect();
    });
    socket.emit("join", "tea", () => socket.emit("say", "tea", "anybody here?"));

It prints:

    you are in tea
    > anybody here?

Type into it:

    hello

The client prints:

    somebody in tea says hello
"""

import sys

from socketeer.sync import connect


def main(url: str, room: str) -> None:
    socket = connect(url, auto_connect=False)

    @socket.on("connect")
    def joining() -> None:  # again after each reconnection: a new socket is in no room
        socket.emit_with_ack("join", room)
        print(f"you are in {room}", flush=True)

    @socket.on("said")
    def said(room: str, text: str) -> None:
        print(f"> {text}", flush=True)

    with socket:
        for line in sys.stdin:
            socket.emit("say", room, line.rstrip())


if __name__ == "__main__":
    main(*sys.argv[1:])
