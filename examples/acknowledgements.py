"""Acknowledge events in both directions.

What a handler returns answers the client; a handler with a parameter named ack answers when it likes. The server
asks with emit_with_ack, or with ack=callback.

Run it:

    python examples/acknowledgements.py

Try it in Node.js (npm install socket.io-client):

    const socket = require("socket.io-client").io("http://127.0.0.1:3000");
    socket.on("question", (text, answer) => answer(text === "2 + 2?" ? 4 : null));
    socket.on("silence", () => {});
    socket.emit("ferret", "tobi", async (answer) => {
      console.log(answer);
      console.log(await socket.emitWithAck("later"));
      console.log(await socket.emitWithAck("quiz"));
      console.log(await socket.emitWithAck("patience"));
      socket.disconnect();
    });

The client prints:

    woot, tobi
    done
    you said 4
    no answer in time
"""

import asyncio
import os
from collections.abc import Callable

from socketeer import AckTimeout, Server, Socket

io = Server()


@io.event
def ferret(socket: Socket, name: str) -> str:
    return f"woot, {name}"


@io.event
def later(socket: Socket, ack: Callable[..., None]) -> None:
    asyncio.get_running_loop().call_later(0.1, ack, "done")


@io.event
async def quiz(socket: Socket) -> str:
    answer = await socket.timeout(5).emit_with_ack("question", "2 + 2?")
    return f"you said {answer}"


@io.event
async def patience(socket: Socket) -> str:
    try:
        return str(await socket.timeout(0.2).emit_with_ack("silence"))
    except AckTimeout:
        return "no answer in time"


if __name__ == "__main__":
    io.listen(int(os.environ.get("PORT", "3000")))
