"""Send what may be lost: a volatile event is dropped while the client is not ready to take it.

A client on long polling takes the first event with the request that it has open. Until it asks again it is not
ready, so of a burst of volatile events it misses most, and of ordinary ones none.

Run it:

    python examples/volatile.py

Try it in Node.js (npm install socket.io-client):

    const socket = require("socket.io-client").io("http://127.0.0.1:3000", { transports: ["polling"] });
    let prices = 0;
    socket.on("price", () => { prices += 1; });
    socket.on("closing price", (price) => {
      console.log("closed at", price, "and some were dropped:", prices < 100);
      socket.disconnect();
    });
    socket.on("connect", () => setTimeout(() => socket.emit("watch"), 100));

The client prints:

    closed at 99 and some were dropped: true
"""

import os

from socketeer import Server, Socket

io = Server()


@io.event
def watch(socket: Socket) -> None:
    for price in range(100):
        socket.volatile.emit("price", price)
    socket.emit("closing price", 99)


if __name__ == "__main__":
    io.listen(int(os.environ.get("PORT", "3000")))
