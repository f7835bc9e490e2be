"""Put sockets into rooms and send to rooms.

Run it:

    python examples/rooms.py

Try it in Node.js (npm install socket.io-client):

    const { io } = require("socket.io-client");
    const ada = io("http://127.0.0.1:3000", { forceNew: true });
    const grace = io("http://127.0.0.1:3000", { forceNew: true });
    ada.on("said", (room, text) => console.log("ada reads", text, "in", room));
    grace.on("said", (room, text) => console.log("grace reads", text, "in", room));
    (async () => {
      await ada.emitWithAck("join", "tea");
      await grace.emitWithAck("join", ["tea", "coffee"]);
      await grace.emitWithAck("say", "tea", "hello");
      await ada.emitWithAck("say", "coffee", "hi");
      console.log(await grace.emitWithAck("leave", "tea"));
      ada.disconnect(); grace.disconnect();
    })();

The client prints:

    ada reads hello in tea
    grace reads hi in coffee
    [ 'coffee' ]
"""

import os

from socketeer import Server, Socket

io = Server()


@io.event
def join(socket: Socket, rooms: str | list[str]) -> bool:
    socket.join(rooms)
    return True


@io.event
def leave(socket: Socket, room: str) -> list[str]:
    socket.leave(room)
    return sorted(socket.rooms - {socket.id})  # every socket is in a room of its own id


@io.event
def say(socket: Socket, room: str, text: str) -> bool:
    socket.to(room).emit("said", room, text)  # io.to(room) would include the sender
    return True


if __name__ == "__main__":
    io.listen(int(os.environ.get("PORT", "3000")))
