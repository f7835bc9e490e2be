"""Keep two concerns apart in namespaces; both go over the client's one connection.

Run it:

    python examples/namespaces.py

Try it in Node.js (npm install socket.io-client):

    const { Manager } = require("socket.io-client");
    const manager = new Manager("http://127.0.0.1:3000");
    const chat = manager.socket("/chat"), news = manager.socket("/news"), team = manager.socket("/team-7");
    chat.on("message", async (message) => {
      console.log("chat:", message);
      console.log("news:", await news.emitWithAck("latest"));
      console.log("team:", await team.emitWithAck("name"));
      chat.disconnect(); news.disconnect(); team.disconnect();
    });

The client prints:

    chat: { only: '/chat gets this' }
    news: the headline
    team: /team-7
"""

import os
import re

from socketeer import Server, Socket

io = Server()
chat = io.of("/chat")
news = io.of("/news")
teams = io.of(re.compile(r"/team-\d+"))


@chat.on("connection")
def joined_chat(socket: Socket) -> None:
    chat.emit("message", {"only": "/chat gets this"})


@news.event
def latest(socket: Socket) -> str:
    return "the headline"


@teams.event
def name(socket: Socket) -> str:
    return socket.nsp.name


if __name__ == "__main__":
    io.listen(int(os.environ.get("PORT", "3000")))
