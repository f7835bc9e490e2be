"""Relay what is said in a room of one server to another server.

What it has heard does not get lost: towards the other server each event waits for its acknowledgement, and is sent
again where none comes, after the loss of the connection too.

Start the servers:

    PORT=3000 python examples/rooms.py
    PORT=3001 python examples/rooms.py

Run it:

    python examples/relay.py http://127.0.0.1:3000 http://127.0.0.1:3001 tea

Try it in Node.js (npm install socket.io-client):

    const { io } = require("socket.io-client");
    const ada = io("http://127.0.0.1:3000"), grace = io("http://127.0.0.1:3001");
    grace.on("said", (room, text) => {
      console.log("grace reads", text, "in", room);
      ada.disconnect(); grace.disconnect();
    });
    grace.emit("join", "tea", () => ada.emit("say", "tea", "hello from over there"));

The client prints:

    grace reads hello from over there in tea

It prints:

    relaying tea
    relayed: hello from over there
"""

import asyncio
import sys

from socketeer import connect


async def main(source_url: str, target_url: str, room: str) -> None:
    source = connect(source_url)
    target = connect(target_url, retries=10, ack_timeout=2)

    @source.on("connect")
    async def joining() -> None:  # again after each reconnection: a new socket is in no room
        await source.emit_with_ack("join", room)
        print(f"relaying {room}", flush=True)

    async with target, source:
        async for event, args in source:
            if event == "said":
                target.emit("say", *args)
                print(f"relayed: {args[1]}", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
