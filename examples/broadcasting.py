"""Broadcast: to everybody, to everybody else, and to everybody with their acknowledgements.

Run it:

    python examples/broadcasting.py

Try it in Node.js (npm install socket.io-client):

    const { io } = require("socket.io-client");
    const ada = io("http://127.0.0.1:3000", { forceNew: true });
    ada.on("user connected", (count) => console.log("ada hears of user", count));
    ada.on("vote", (question, answer) => answer("yes"));
    ada.once("connect", () => {
      const grace = io("http://127.0.0.1:3000", { forceNew: true });
      grace.on("user connected", () => console.log("not printed: it is not sent back to grace"));
      grace.on("vote", (question, answer) => answer("no"));
      grace.on("result", (votes) => {
        console.log("votes:", votes.sort().join(" "));
        ada.disconnect(); grace.disconnect();
      });
      grace.emit("hold a vote", "Lunch?");
    });

The client prints:

    ada hears of user 2
    votes: no yes
"""

import os

from socketeer import AckTimeout, Server, Socket

io = Server()


@io.on("connection")
async def connected(socket: Socket) -> None:
    socket.broadcast.emit("user connected", len(await io.fetch_sockets()))


@io.event("hold a vote")
async def hold_a_vote(socket: Socket, question: str) -> None:
    try:
        votes = await io.timeout(5).emit_with_ack("vote", question)
    except AckTimeout as error:
        votes = error.responses  # of those who answered in time
    io.emit("result", votes)


if __name__ == "__main__":
    io.listen(int(os.environ.get("PORT", "3000")))
