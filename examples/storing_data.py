"""Keep data for a client: socket.data is a dict that lives as long as the connection.

The handlers are registered once for all clients: io.event passes the socket first, so none of them is a closure.

Run it:

    python examples/storing_data.py

Try it in Node.js (npm install socket.io-client):

    const socket = require("socket.io-client").io("http://127.0.0.1:3000");
    socket.emit("set nickname", "Ada");
    socket.on("ready", async () => {
      console.log(await socket.emitWithAck("message", "good morning"));
      console.log(await socket.emitWithAck("who is here"));
      socket.disconnect();
    });

The client prints:

    Ada: good morning
    [ 'Ada' ]
"""

import os

from socketeer import Server, Socket

io = Server()


@io.event("set nickname")
def set_nickname(socket: Socket, name: str) -> None:
    socket.data["nickname"] = name
    socket.emit("ready")


@io.event
def message(socket: Socket, text: str) -> str:
    return f"{socket.data['nickname']}: {text}"


@io.event("who is here")
async def who_is_here(socket: Socket) -> list[str]:
    return [other.data["nickname"] for other in await io.fetch_sockets()]


if __name__ == "__main__":
    io.listen(int(os.environ.get("PORT", "3000")))
